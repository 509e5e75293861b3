"""The policy node: decides on frames, and steers the probe by /probe/step until the target is in view."""

import queue
import time
from copy import copy
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from us_grid_sim.errors import FrameError, UsGridSimError
from us_grid_sim.ros.beside import beside
from us_grid_sim.ros.conversions import IMAGE_QOS, LATCHED_QOS, frame_of, health, nanoseconds
from us_grid_sim.ros.running import run
from us_grid_sim.ros.shutdown import leave
from us_nav_interfaces.action import NavigateToTarget, StepProbe
from us_nav_interfaces.msg import NavDecision, ProbeState

from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.navigator import End, Navigator, NavigatorConfig, Order, Step, Wait
from us_nav_agent.policy import Decision, Policy, load_policy
from us_nav_agent.ros.conversions import decision_message

GOAL_SUCCEEDED = 4  # action_msgs/GoalStatus.STATUS_SUCCEEDED
_REPLAYED = QoSOverridingOptions([QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY])
"""Of a recorded sequence every frame counts; it is told by parameters, as ROS 2 has them for this."""
_POLL = 0.05
_POSE_WAIT = 1.0


@dataclass(frozen=True)
class PolicyNodeConfig:
    """Parameters of the node.

    Attributes:
        model: name or path of the model.
        startup_timeout: longest wait for the first frame that the node ever sees, discovery included [s].
        frame_timeout, step_timeout: longest waits of a run [s].
        max_steps: probe steps of a run that names no number.
        contact_force: held during steps [N].
        monitor: decide on every frame while no run is under way.
        autostart: configure and activate without a lifecycle manager.
    """

    model: str
    startup_timeout: float
    frame_timeout: float
    step_timeout: float
    max_steps: int
    contact_force: float
    monitor: bool
    autostart: bool


class PolicyNode(LifecycleNode):
    """Lifecycle: configure loads the model, activate decides and takes goals, deactivate ends a run."""

    def __init__(self) -> None:
        super().__init__("policy")
        self.finished = False
        self.exit_code = 0
        self.config = self._declare()
        self._policy: Policy | None = None
        self._active = False
        self._events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._navigating = False
        self._pose: PoseStamped | None = None
        self._counts = {"frames": 0, "decisions": 0, "runs": 0}
        self._target = ""
        self._problem = ""
        self._latency = 0.0
        self._open()
        if self.config.autostart:
            self._start()

    def _declare(self) -> PolicyNodeConfig:
        def described(words: str, **limits: object) -> ParameterDescriptor:
            return ParameterDescriptor(description=words, read_only=True, **limits)

        def number(low: float, high: float) -> list[FloatingPointRange]:
            return [FloatingPointRange(from_value=low, to_value=high, step=0.0)]

        steps = [IntegerRange(from_value=1, to_value=1000, step=1)]
        declare = self.declare_parameter
        values = [
            declare("model", DEFAULT_MODEL, described("name or path of the model")),
            declare(
                "startup_timeout", 10.0, described("wait for the first [s]", floating_point_range=number(0.1, 60.0))
            ),
            declare("frame_timeout", 2.0, described("wait for a frame [s]", floating_point_range=number(0.1, 60.0))),
            declare("step_timeout", 10.0, described("wait for a step [s]", floating_point_range=number(0.1, 120.0))),
            declare("max_steps", 20, described("probe steps of a run that names none", integer_range=steps)),
            declare("contact_force", 1.0, described("held during steps [N]", floating_point_range=number(0.1, 2.0))),
            declare("monitor", False, described("decide on every frame while no run is under way")),
            declare("autostart", True, described("configure and activate without a lifecycle manager")),
        ]
        return PolicyNodeConfig(*(parameter.value for parameter in values))

    def _open(self) -> None:
        """Topics and actions; they do nothing until the node is active."""
        self._decisions = self.create_publisher(NavDecision, "/us_nav/decision", LATCHED_QOS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._images: Any = None
        self.create_subscription(ProbeState, "/probe/state", self._on_state, 10)
        self._stepper = ActionClient(self, StepProbe, "/probe/step")
        self._server = ActionServer(
            self,
            NavigateToTarget,
            "/us_nav/navigate",
            execute_callback=beside(self, self._navigate),  # frames keep coming in
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )
        # On the steady clock: with use_sim_time only the stamps follow /clock.
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _start(self) -> None:
        if self.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
            raise UsNavAgentError(self._problem)
        self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model."""
        try:
            self._policy = load_policy(self.config.model)
        except (UsNavAgentError, UsGridSimError) as error:
            self._problem = str(error)
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"model {self._policy.name}, SHA-256 {self._policy.sha256[:12]}")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Decide and take goals."""
        assert self._policy is not None
        self._policy.reset()
        self._active = True
        # Not before: a sequence begins when it sees its subscribers; while inactive its first frames would be let pass.
        self._images = self.create_subscription(
            Image,
            "/us/image_raw",
            self._on_image,
            copy(IMAGE_QOS),  # it is overridden in place
            qos_overriding_options=_REPLAYED,
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Decide no more; a run under way ends."""
        self._active = False
        self.destroy_subscription(self._images)
        self._events.put(("cancel",))
        return super().on_deactivate(state)

    def _on_state(self, state: ProbeState) -> None:
        self._pose = PoseStamped(header=state.header, pose=state.pose)

    def _on_image(self, image: Image) -> None:
        if not self._active:
            return
        arrived = time.monotonic()
        self._counts["frames"] += 1
        if self._navigating:
            # A run looks at the newest frames only.
            if self._events.qsize() < 3:
                self._events.put(("frame", image, arrived))
            return
        if not self.config.monitor or self._policy is None:
            return
        try:
            step = self._policy.decisions
            decision = self._policy.act(frame_of(image))
        except FrameError as error:
            self._complain(str(error))
            return
        self._publish(decision, image, step, arrived)

    def _publish(self, decision: Decision, image: Image, step: int, arrived: float) -> NavDecision:
        assert self._policy is not None
        self._latency = time.monotonic() - arrived
        message = decision_message(decision, image.header, step, self._latency, self._policy.name, self._policy.sha256)
        self._decisions.publish(message)
        self._counts["decisions"] += 1
        return message

    def _complain(self, problem: str) -> None:
        self._problem = problem
        self.get_logger().error(problem, throttle_duration_sec=1.0)

    def _on_goal(self, goal: NavigateToTarget.Goal) -> GoalResponse:
        if not self._active or self._policy is None:
            self._complain("a goal came while the node is not active; activate it first")
            return GoalResponse.REJECT
        if goal.target not in self._policy.targets:
            known = ", ".join(self._policy.targets)
            self._complain(f"target {goal.target!r} is not one that {self._policy.name} finds; it finds {known}")
            return GoalResponse.REJECT
        if self._navigating:
            self._complain("a goal came while a run is under way; cancel that first")
            return GoalResponse.REJECT
        # From here on, for frames and goals come on the executor's thread: the run's own has the policy to itself.
        while not self._events.empty():
            self._events.get()
        self._navigating = True
        return GoalResponse.ACCEPT

    def _on_cancel(self, handle: Any) -> CancelResponse:
        self._events.put(("cancel",))
        return CancelResponse.ACCEPT

    def _navigate(self, handle: Any) -> NavigateToTarget.Result:
        self._counts["runs"] += 1
        self._target = handle.request.target
        self._report()  # a short run may be over before the timer comes: a bag is to know its target
        try:
            end = self._run(handle)
        finally:
            self._navigating = False
        self.get_logger().info(f"run ended after {end.steps} steps: {end.reason}")
        if handle.is_cancel_requested:
            handle.canceled()
        elif end.reached:
            handle.succeed()
        else:
            handle.abort()
        return NavigateToTarget.Result(reached=end.reached, steps=end.steps, reason=end.reason)

    def _run(self, handle: Any) -> End:
        """Feed a Navigator with what comes in until it ends."""
        assert self._policy is not None
        goal = handle.request
        seen = self._counts["frames"] > 0
        first = self.config.frame_timeout if seen else self.config.startup_timeout
        config = NavigatorConfig(
            goal.target,
            goal.max_steps or self.config.max_steps,
            first,
            self.config.frame_timeout,
            self.config.step_timeout,
        )
        started = self.get_clock().now().nanoseconds
        navigator = Navigator(self._policy, config, time.monotonic(), started)
        pose: PoseStamped | None = None
        while True:
            try:
                event = self._events.get(timeout=_POLL)
            except queue.Empty:
                event = ("tick",)
            if event[0] == "stepped":
                pose = event[1].result.pose
            order = self._feed(navigator, event)
            decision = order.decision if order is not None else None
            if decision is not None:
                message = self._publish(decision, event[1], self._policy.decisions - 1, event[2])
                # Before the first step only /probe/state knows where the probe is.
                place = pose or self._await_pose()
                handle.publish_feedback(NavigateToTarget.Feedback(decision=message, pose=place))
            if isinstance(order, Step):
                order = self._send(navigator, order)
            order = order or navigator.tick(time.monotonic())
            if isinstance(order, End):
                return self._explained(order)

    def _await_pose(self) -> PoseStamped:
        """The probe's pose; where /probe/state is not discovered soon, an empty one: the run goes on all the same."""
        deadline = time.monotonic() + _POSE_WAIT
        while self._pose is None and time.monotonic() < deadline:
            time.sleep(_POLL)
        return self._pose or PoseStamped()

    def _feed(self, navigator: Navigator, event: tuple[Any, ...]) -> Order:
        """Hand one event to the navigator."""
        kind, *rest = event
        now = time.monotonic()
        if kind == "frame" and navigator.waits_for is Wait.FRAME:
            image = rest[0]
            try:
                frame = frame_of(image)
            except FrameError as error:
                return navigator.on_bad_frame(str(error))
            return navigator.on_frame(frame, nanoseconds(image.header.stamp), now)
        if kind == "stepped":
            response = rest[0]
            if response.status == GOAL_SUCCEEDED:
                return navigator.on_step_done(nanoseconds(response.result.pose.header.stamp), now)
            return navigator.on_step_failed(response.result.reason or "ended by the probe's node")
        if kind == "refused":
            return navigator.on_step_failed(rest[0])
        if kind == "cancel":
            return navigator.cancel()
        return None

    def _send(self, navigator: Navigator, step: Step) -> Order:
        """Ask for a probe step; its answer comes as an event."""
        # Discovery may still be under way at a run's first step.
        if not self._stepper.wait_for_server(timeout_sec=self.config.step_timeout):
            return navigator.on_step_failed("nobody serves /probe/step; start the grid replay node or the bridge")
        goal = StepProbe.Goal(dx=step.dx, dy=step.dy, contact_force=self.config.contact_force)
        self._stepper.send_goal_async(goal).add_done_callback(self._on_accepted)
        return None

    def _on_accepted(self, future: Any) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self._events.put(("refused", "refused by the probe's node"))
            return
        handle.get_result_async().add_done_callback(lambda done: self._events.put(("stepped", done.result())))

    def _explained(self, end: End) -> End:
        """``end`` with the missing topic named where frames did not come because nobody publishes them."""
        if end.reason.startswith("no frame") and self.count_publishers("/us/image_raw") == 0:
            return End(end.reached, end.steps, f"{end.reason}: nobody publishes /us/image_raw", end.decision)
        return end

    def _report(self) -> None:
        level = DiagnosticStatus.WARN if self._problem else DiagnosticStatus.OK
        words = self._problem or ("navigating" if self._navigating else "active" if self._active else "inactive")
        values = {**self._counts, "latency_ms": round(self._latency * 1e3, 2), "target": self._target}
        now = self.get_clock().now().nanoseconds
        self._diagnostics.publish(health("policy", self.config.model, words, values, now, level))

    def close(self) -> None:
        """End a run that is under way."""
        self._active = False
        self._events.put(("cancel",))


def main() -> None:
    """Run the node."""
    leave(run(PolicyNode, (UsNavAgentError, UsGridSimError)))


if __name__ == "__main__":
    main()
