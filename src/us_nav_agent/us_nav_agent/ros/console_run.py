"""Runs of /us_nav/navigate as the console orders and follows them: its own, and those that others began."""

import threading
import time
from typing import Any

from action_msgs.msg import GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import qos_profile_action_status_default
from us_nav_interfaces.action import NavigateToTarget

from us_nav_agent.console.feed import Answer
from us_nav_agent.console.model import ConsoleModel
from us_nav_agent.console.records import Phase, RunSeen

ACTION = "/us_nav/navigate"
_DISCOVERY = 2.0
_ANSWER = 5.0
"""Longest wait for the policy node to accept or to cancel [s]; it answers a cancel within a step."""
_LOOK_PERIOD = 1.0
_ELSEWHERE = "begun elsewhere"
_ENDS = {
    GoalStatus.STATUS_SUCCEEDED: (Phase.REACHED, "target in view"),
    GoalStatus.STATUS_ABORTED: (Phase.ENDED, "ended without the target"),
    GoalStatus.STATUS_CANCELED: (Phase.ENDED, "cancelled"),
}


class RunOrders:
    """Starts and cancels runs from any thread; what becomes of them goes into the model by the node's executor."""

    def __init__(self, node: Node, model: ConsoleModel) -> None:
        self._node, self._model = node, model
        self._client = ActionClient(node, NavigateToTarget, ACTION)
        self._canceller = node.create_client(CancelGoal, f"{ACTION}/_action/cancel_goal")
        self._own: bytes | None = None
        self._foreign: bytes | None = None
        self._asking, self._under_way = False, False
        node.create_subscription(
            GoalStatusArray, f"{ACTION}/_action/status", self._on_status, qos_profile_action_status_default
        )
        node.create_timer(_LOOK_PERIOD, self._look)

    def start(self, target: str) -> Answer:
        """Send the probe to a view; answers when the policy node has accepted or refused."""
        if not self._client.wait_for_server(timeout_sec=_DISCOVERY):
            return Answer(False, f"nobody serves {ACTION}; start a launch file in this ROS domain")
        self._tell(Phase.ASKED, target)
        goal = NavigateToTarget.Goal(target=target)
        sent = self._client.send_goal_async(
            goal, feedback_callback=lambda message: self._on_step(target, message.feedback.decision.step)
        )
        if not _done(sent, _ANSWER):
            return self._refused(target, f"{ACTION} has not answered for {_ANSWER:g} s")
        handle = sent.result()
        if not handle.accepted:
            return self._refused(target, "the policy node refused it; its diagnostics say why")
        self._own = bytes(handle.goal_id.uuid)
        self._tell(Phase.RUNNING, target, "accepted")
        handle.get_result_async().add_done_callback(lambda done: self._on_result(target, done.result()))
        return Answer(True, "accepted")

    def cancel(self) -> Answer:
        """End every run that is under way."""
        if not self._canceller.wait_for_service(timeout_sec=_DISCOVERY):
            return Answer(False, f"nobody serves {ACTION}")
        # An empty request names all goals (action_msgs/CancelGoal).
        asked = self._canceller.call_async(CancelGoal.Request())
        if not _done(asked, _ANSWER):
            self._canceller.remove_pending_request(asked)
            return Answer(False, f"{ACTION} has not answered for {_ANSWER:g} s")
        return Answer(True, f"{len(asked.result().goals_canceling)} cancelled")

    def _tell(self, phase: Phase, target: str, words: str = "") -> None:
        self._under_way = phase in (Phase.ASKED, Phase.RUNNING)
        self._asking = phase is Phase.ASKED
        self._model.take(RunSeen(phase, target, words), time.monotonic())

    def _refused(self, target: str, why: str) -> Answer:
        self._tell(Phase.ENDED, target, why)
        return Answer(False, why)

    def _on_step(self, target: str, step: int) -> None:
        if self._under_way:
            self._tell(Phase.RUNNING, target, f"step {step}")

    def _on_result(self, target: str, response: Any) -> None:
        result = response.result
        steps = f"{result.steps} step{'' if result.steps == 1 else 's'}"
        self._tell(Phase.REACHED if result.reached else Phase.ENDED, target, f"{result.reason} ({steps})")

    def _on_status(self, statuses: GoalStatusArray) -> None:
        """Follow a run that another client began; only one that was seen under way is told of when it ends."""
        for each in statuses.status_list:
            goal = bytes(each.goal_info.goal_id.uuid)
            if goal == self._own or self._asking:
                continue
            if each.status == GoalStatus.STATUS_EXECUTING:
                self._foreign = goal
                self._tell(Phase.RUNNING, "", _ELSEWHERE)
            elif goal == self._foreign and each.status in _ENDS:
                self._foreign = None
                phase, words = _ENDS[each.status]
                self._tell(phase, "", f"{words} ({_ELSEWHERE})")

    def _look(self) -> None:
        """A policy node that is gone ends no run by itself."""
        if self._under_way and not self._client.server_is_ready():
            self._foreign = None
            self._tell(Phase.ENDED, "", "the policy node is gone")

    def close(self) -> None:
        """Give the action client back before its node goes."""
        self._client.destroy()


def _done(future: Any, seconds: float) -> bool:
    """Wait until an executor of another thread has the answer; False where it takes longer."""
    answered = threading.Event()
    future.add_done_callback(lambda _: answered.set())
    return answered.wait(seconds)
