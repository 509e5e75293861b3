"""How SIGINT and SIGTERM end a node: once it is made, between two callbacks while it spins, and once.

us_grid_sim has the same; neither package imports the other.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError  # rclpy names them nowhere else
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException


@contextmanager
def until_shutdown() -> Iterator[None]:
    """Run the body until it ends, a signal comes or the context goes, after which an error of rclpy is none."""
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        return
    except (RCLError, InvalidHandle, NotInitializedException):
        if rclpy.ok():
            raise


_spinning, _told = False, False


@contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """In the body a signal raises nothing; what it is given says whether one has come.

    A callback cut short, or one that finds the context gone, is an error to the events executor, which prints it.
    """
    global _spinning
    _spinning = True
    try:
        yield lambda: _told
    finally:
        _spinning = False


def interrupt_once() -> None:
    """From now on the first SIGINT or SIGTERM raises KeyboardInterrupt, and no further one does anything.

    A second Ctrl-C, or a launcher's signal beside the terminal's, would else cut the closing of a bag or a stop short.
    For ``rclpy.init`` with no handlers of its own: the context lasts until all is closed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """The end is under way."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def leave(status: int) -> NoReturn:
    """End the process now that all is closed: the interpreter's own end takes seconds over what torch and ROS hold."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _told
    ignore_signals()
    _told = True
    if not _spinning:
        raise KeyboardInterrupt
