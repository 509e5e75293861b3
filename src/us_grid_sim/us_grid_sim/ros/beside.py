"""Callbacks that take their time, each call on a thread of its own: the executor's one thread goes on meanwhile.

iiwa_bridge has the same; neither package imports the other.
"""

import threading
import traceback
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import rclpy
from rclpy.node import Node

_PAUSE = 0.001
"""How long the executor's thread rests between two looks whether a work is done [s]; other callbacks wait no longer."""


def beside(node: Node, work: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A callback of a service or action of ``node`` that does ``work`` and answers what it returns.

    What it raises ends the node with status 1, as what any other callback raises does; it is never raised inside the
    executor, for rclpy's events executor does not survive a coroutine that raises.

    Args:
        node: also a RunningNode.
        work: does what the callback is for; any thread may call it.
    """

    async def callback(*arguments: Any) -> Any:
        done, results = threading.Event(), []

        def carry_out() -> None:
            try:
                results.append(work(*arguments))
                done.set()
            except Exception:
                # Once the context is gone nothing of rclpy works, and nobody waits for the answer.
                if rclpy.ok():
                    traceback.print_exc()
                    node.exit_code, node.finished = 1, True

        threading.Thread(target=carry_out, daemon=True).start()
        # Of a coroutine that waits for a future rclpy asks again and again without a rest, which takes a whole core.
        while not done.wait(_PAUSE):
            await _turn()
        return results[0]

    return callback


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the executor do what else is due."""
    yield
