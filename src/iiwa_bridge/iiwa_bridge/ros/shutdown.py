"""What a signal leaves behind: the context ends at once, and whatever spins or publishes finds it gone."""

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError  # rclpy names them nowhere else
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException


@contextmanager
def until_shutdown() -> Iterator[None]:
    """Run the body until it ends or a signal comes; an error of rclpy is one only while the context is valid."""
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        return
    except (RCLError, InvalidHandle, NotInitializedException):
        if rclpy.ok():
            raise
