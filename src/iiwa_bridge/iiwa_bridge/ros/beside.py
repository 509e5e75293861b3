"""Callbacks that take their time, each call on a thread of its own: the executor's one thread goes on meanwhile.

us_grid_sim has the same; neither package imports the other.
"""

import threading
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.task import Future


def beside(node: Node, work: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A callback of a service or action of ``node`` that does ``work`` and answers what it returns.

    What it raises ends the node with status 1, as what any other callback raises does; it is never raised inside the
    executor, for rclpy's events executor does not survive a coroutine that raises.

    Args:
        node: also a RunningNode.
        work: does what the callback is for; any thread may call it.
    """

    async def callback(*arguments: Any) -> Any:
        done: Future[Any] = Future(executor=node.executor)

        def carry_out() -> None:
            try:
                done.set_result(work(*arguments))
            except Exception:
                # Once the context is gone rclpy takes no more results, and nobody waits for one.
                if rclpy.ok():
                    traceback.print_exc()
                    node.exit_code, node.finished = 1, True

        threading.Thread(target=carry_out, daemon=True).start()
        return await done

    return callback
