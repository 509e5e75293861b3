"""A client of /us_nav/navigate: sends one goal, hands on every step, ends in time whatever the graph does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from us_grid_sim.geometry import Action, Bin
from us_nav_interfaces.action import NavigateToTarget

from us_nav_agent.errors import UsNavAgentError


@dataclass(frozen=True)
class StepReport:
    """One decision of a run: its number, where the probe was, and what the policy made of the frame."""

    step: int
    position: Bin
    action: Action
    q_values: tuple[float, ...]
    stop_probability: float
    confidence: float
    latency: float


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reached: bool
    steps: int
    reason: str


def _report(feedback: Any) -> StepReport:
    decision, place = feedback.decision, feedback.pose.pose.position
    return StepReport(
        decision.step,
        Bin.nearest(place.x, place.y),
        Action(decision.action),
        tuple(decision.q_values),
        decision.stop_probability,
        decision.confidence,
        decision.latency,
    )


def navigate(
    target: str,
    max_steps: int,
    on_step: Callable[[StepReport], None],
    *,
    topics: tuple[str, ...] = (),
    startup: float = 30.0,
    settle: float = 0.0,
    timeout: float = 300.0,
    check: Callable[[], str | None] = lambda: None,
) -> Outcome:
    """Run one navigation against the graph of this process's ROS domain.

    Args:
        target: view to find.
        max_steps: probe steps allowed; 0: the policy node's own number.
        on_step: called with every decision.
        topics: wait until each of them has a subscriber, a recorder say.
        startup: longest wait for the policy node and the topics [s].
        settle: wait that long once all are there, for nodes that must still find one another [s].
        timeout: longest time of the run [s].
        check: why to give up, or None; called often.

    Raises:
        UsNavAgentError: the policy node does not come, refuses the goal or gives no result in time.
    """
    context = Context()
    rclpy.init(context=context)
    node = Node("usnav_navigate", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = ActionClient(node, NavigateToTarget, "/us_nav/navigate")

    def until(ready: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            executor.spin_once(timeout_sec=0.05)
            problem = check()
            if problem is not None:
                raise UsNavAgentError(problem)
            if time.monotonic() > deadline:
                raise UsNavAgentError(otherwise())

    try:
        until(client.server_is_ready, startup, lambda: f"no policy node on /us_nav/navigate within {startup:g} s")
        until(
            lambda: all(node.count_subscribers(topic) > 0 for topic in topics),
            startup,
            lambda: f"nobody subscribes to {[t for t in topics if node.count_subscribers(t) == 0]}",
        )
        settled = time.monotonic() + settle
        until(lambda: time.monotonic() >= settled, settle + startup, str)
        goal = NavigateToTarget.Goal(target=target, max_steps=max_steps)
        sent = client.send_goal_async(goal, feedback_callback=lambda message: on_step(_report(message.feedback)))
        until(sent.done, startup, lambda: f"no answer to the goal within {startup:g} s")
        handle = sent.result()
        if not handle.accepted:
            raise UsNavAgentError(f"the policy node refused the goal {target!r}; its output says why")
        ended = handle.get_result_async()
        try:
            until(ended.done, timeout, lambda: f"no result within {timeout:g} s")
        except (KeyboardInterrupt, UsNavAgentError):
            handle.cancel_goal_async()
            executor.spin_once(timeout_sec=0.2)
            raise
        result = ended.result().result
        return Outcome(result.reached, result.steps, result.reason)
    finally:
        executor.shutdown()
        client.destroy()
        node.destroy_node()
        rclpy.shutdown(context=context)
