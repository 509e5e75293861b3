"""A client of /us_nav/navigate: sends one goal, hands on every step, ends in time whatever the graph does."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from us_grid_sim.geometry import Action, Bin
from us_grid_sim.ros.conversions import IMAGE_QOS
from us_nav_interfaces.action import NavigateToTarget
from us_nav_interfaces.msg import ProbeState

from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.recorded_topics import RECORDER

HEAD = "step  bin    action  Q up     down     left     right    p(stop)  confidence"
_SETTLED = 1.0
"""In contact without a break for so long the first contact is over, and steps are taken [s]."""


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

    def __str__(self) -> str:
        """As a line under HEAD."""
        q = "  ".join(f"{value:+.4f}" for value in self.q_values[:4])
        place = f"{self.position.row},{self.position.column}"
        return (
            f"{self.step:4d}  {place:5s}  {self.action.name.lower():6s}  {q}  {self.stop_probability:7.4f}  "
            f"{self.confidence:6.3f}"
        )


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reached: bool
    steps: int
    reason: str

    def __str__(self) -> str:
        """As a line."""
        return f"{'reached' if self.reached else 'not reached'} after {self.steps} steps: {self.reason}"


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


@contextmanager
def client_node(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """A node in a context of its own, which no signal ends, and what spins it."""
    context = Context()
    rclpy.init(context=context)
    node = Node(name, context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


class NavigateClient:
    """Waits for what a run needs, and runs it.

    Args:
        node: that the client is part of.
        executor: spins it, here.
        check: why to give up, or None; called often.
    """

    def __init__(
        self, node: Node, executor: SingleThreadedExecutor, check: Callable[[], str | None] = lambda: None
    ) -> None:
        self._node, self._executor, self._check = node, executor, check
        self._client = ActionClient(node, NavigateToTarget, "/us_nav/navigate")

    def wait_for_contact(self, seconds: float) -> None:
        """Until frames come and the probe has been in contact without a break for a second.

        Raises:
            UsNavAgentError: not within so long [s]; says which is missing.
        """
        frames, since = 0, None

        def see(image: bytes) -> None:
            nonlocal frames
            frames += 1

        def feel(state: ProbeState) -> None:
            nonlocal since
            since = (since or time.monotonic()) if state.contact else None

        seeing = self._node.create_subscription(Image, "/us/image_raw", see, IMAGE_QOS, raw=True)
        feeling = self._node.create_subscription(ProbeState, "/probe/state", feel, 10)
        self._until(
            lambda: frames > 0 and since is not None and time.monotonic() > since + _SETTLED,
            seconds,
            lambda: f"{'no contact' if frames else 'no frame on /us/image_raw'} within {seconds:g} s",
        )
        self._node.destroy_subscription(seeing)
        self._node.destroy_subscription(feeling)

    def wait_for_recorder(self, topics: tuple[str, ...], seconds: float) -> None:
        """Until a recorder says that it hears each of the topics; what is said before may not be in its bag.

        That it subscribes to them is not enough: others learn of it before the publishers do.

        Raises:
            UsNavAgentError: not within so long [s].
        """
        missing = set(topics)

        def told(message: DiagnosticArray) -> None:
            for status in message.status:
                if status.name == RECORDER:
                    missing.difference_update(value.key for value in status.values)

        hearing = self._node.create_subscription(DiagnosticArray, "/diagnostics", told, 10)
        self._until(
            lambda: not missing, seconds, lambda: f"no recorder hears {', '.join(sorted(missing))} within {seconds:g} s"
        )
        self._node.destroy_subscription(hearing)

    def run(
        self, target: str, max_steps: int, on_step: Callable[[StepReport], None], startup: float, timeout: float
    ) -> Outcome:
        """Run one navigation; the arguments are those of :func:`navigate`.

        Raises:
            UsNavAgentError: the policy node does not come, refuses the goal or gives no result in time.
        """
        self._until(
            self._client.server_is_ready, startup, lambda: f"no policy node on /us_nav/navigate within {startup:g} s"
        )
        goal = NavigateToTarget.Goal(target=target, max_steps=max_steps)
        sent = self._client.send_goal_async(goal, feedback_callback=lambda message: on_step(_report(message.feedback)))
        self._until(sent.done, startup, lambda: f"no answer to the goal within {startup:g} s")
        handle = sent.result()
        if not handle.accepted:
            raise UsNavAgentError(f"the policy node refused the goal {target!r}; its output says why")
        ended = handle.get_result_async()
        try:
            self._until(ended.done, timeout, lambda: f"no result within {timeout:g} s")
        except (KeyboardInterrupt, UsNavAgentError):
            handle.cancel_goal_async()
            self._executor.spin_once(timeout_sec=0.2)
            raise
        result = ended.result().result
        return Outcome(result.reached, result.steps, result.reason)

    def _until(self, ready: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            self._executor.spin_once(timeout_sec=0.05)
            problem = self._check()
            if problem is not None:
                raise UsNavAgentError(problem)
            if time.monotonic() > deadline:
                raise UsNavAgentError(otherwise())


def navigate(
    target: str,
    max_steps: int,
    on_step: Callable[[StepReport], None],
    *,
    recorded: tuple[str, ...] = (),
    contact_within: float = 0.0,
    startup: float = 30.0,
    timeout: float = 300.0,
    check: Callable[[], str | None] = lambda: None,
) -> Outcome:
    """Run one navigation against the graph of this process's ROS domain.

    Args:
        target: view to find.
        max_steps: probe steps allowed; 0: the policy node's own number.
        on_step: called with every decision.
        recorded: topics of which a recorder must hear before the run begins.
        contact_within: wait so long for the probe to be in contact [s]; 0: not at all.
        startup: longest wait for the policy node, and for the recorder [s].
        timeout: longest time of the run [s].
        check: why to give up, or None; called often.

    Raises:
        UsNavAgentError: something does not come in time, or the policy node refuses the goal.
    """
    with client_node("usnav_navigate") as (node, executor):
        client = NavigateClient(node, executor, check)
        if contact_within:
            client.wait_for_contact(contact_within)
        if recorded:
            client.wait_for_recorder(recorded, startup)
        return client.run(target, max_steps, on_step, startup, timeout)
