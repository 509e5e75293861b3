"""What every node's main does: start, spin, end cleanly on SIGINT and SIGTERM, say an error in one line.

us_grid_sim has nearly the same for its nodes and for us_nav_agent's, whose making is long and may be cut short; this
package and that one never import each other.
"""

import gc
import sys
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.ros.shutdown import ignore_signals, interrupt_once, uninterrupted, until_shutdown


class RunningNode(Protocol):
    """What ``run`` needs of a node beside rclpy's Node."""

    finished: bool
    """Whether the node has nothing more to do."""
    exit_code: int
    """0 where all went well."""

    def close(self) -> None:
        """Give back what the node holds."""
        ...


def run(make: Callable[[], Node]) -> int:
    """Spin a node until it has finished or a signal comes; returns the exit status.

    By the events executor, which has one thread; a callback that waits is made by ``beside``. A signal while the node
    is made ends it once it is whole, so making waits for nothing without a deadline.

    Args:
        make: makes the node, which satisfies RunningNode; its IiwaBridgeError is the user's to mend: one line, 1.
    """
    interrupt_once()
    node = None
    code = 0
    try:
        # In its making too: cut short, it would leave a robot that nobody gives back.
        with until_shutdown(), uninterrupted() as told_to_end:
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            node = make()
            # Looking through all that was made at the start takes the collector 0.1 s and more.
            gc.collect()
            gc.freeze()
            executor = EventsExecutor()
            executor.add_node(node)
            # Not by spin, in which no other thread runs Python until an event comes (rclpy 9.1).
            while rclpy.ok() and not told_to_end() and not node.finished:
                executor.spin_once(timeout_sec=0.1)
            code = node.exit_code
    except IiwaBridgeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        ignore_signals()
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return code
