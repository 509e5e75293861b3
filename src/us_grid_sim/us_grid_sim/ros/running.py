"""What every node's main does: start, spin, end cleanly on SIGINT and SIGTERM, say an error in one line.

iiwa_bridge has nearly the same for its nodes, which are never left half made; neither package imports the other.
"""

import gc
import sys
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.ros.shutdown import ignore_signals, interrupt_once, uninterrupted, until_shutdown
from us_grid_sim.ros.transport import make_room_for_frames


class RunningNode(Protocol):
    """What ``run`` needs of a node beside rclpy's Node."""

    finished: bool
    """Whether the node has nothing more to do."""
    exit_code: int
    """0 where all went well."""

    def close(self) -> None:
        """Give back what the node holds."""
        ...


def run(make: Callable[[], Node], errors: tuple[type[Exception], ...] = (UsGridSimError,)) -> int:
    """Spin a node until it has finished or a signal comes; returns the exit status.

    By the events executor: each turn of the others goes through all that the node has, its parameter services too,
    which at 30 frames a second takes more of a core than what the callbacks do. It has one thread; a callback that
    waits is made by ``beside``.

    Args:
        make: makes the node, which satisfies RunningNode.
        errors: exceptions of ``make`` that are the user's to mend: one line, exit status 1.
    """
    interrupt_once()
    make_room_for_frames()
    node = None
    code = 0
    try:
        with until_shutdown():
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            node = make()
            # Looking through all that was made at the start, torch with it, takes the collector 0.1 s and more.
            gc.collect()
            gc.freeze()
            executor = EventsExecutor()
            executor.add_node(node)
            with uninterrupted() as told_to_end:
                # Not by spin, in which no other thread runs Python until an event comes (rclpy 9.1).
                while rclpy.ok() and not told_to_end() and not node.finished:
                    executor.spin_once(timeout_sec=0.1)
            code = node.exit_code
    except errors as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        ignore_signals()
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return code
