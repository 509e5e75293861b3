"""The bridge node: /probe/step and its services over a plant. Today a mock; the robot comes behind the same names."""

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import WrenchStamped
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.action import ActionServer
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import Trigger
from us_nav_interfaces.action import StepProbe
from us_nav_interfaces.msg import ProbeState

from iiwa_bridge.errors import CommandError, IiwaBridgeError
from iiwa_bridge.loop import BridgeLoop, LoopConfig
from iiwa_bridge.plants import make_plant
from iiwa_bridge.ros.conversions import pose_message, wrench_message
from iiwa_bridge.ros.emergency import serve_stop
from iiwa_bridge.ros.shutdown import until_shutdown
from iiwa_bridge.types import StepCommand, StepResult

_STATE_PERIOD = 1.0 / 30.0


@dataclass(frozen=True)
class BridgeConfig:
    """Parameters of the node.

    Attributes:
        plant: name in the entry-point group iiwa_bridge.plants.
        start_x, start_y: where the probe first touches, in the patient frame [m].
        contact_force: of the first contact [N].
        speed: of a step on the parallel plane [m/s].
        autostart: configure, activate and enable without a lifecycle manager.
    """

    plant: str
    start_x: float
    start_y: float
    contact_force: float
    speed: float
    autostart: bool


class BridgeNode(LifecycleNode):
    """Lifecycle: configure makes the plant, activate runs the loop in a thread of its own."""

    def __init__(self) -> None:
        super().__init__("bridge")
        self.finished = False
        self.exit_code = 0
        self.config = self._declare()
        self._lock = threading.Lock()
        self._loop: BridgeLoop | None = None
        self._plant: Any = None
        self._thread: threading.Thread | None = None
        self._running = False
        self._ended = threading.Event()
        self._result: StepResult | None = None
        self._problem = ""
        self._late = 0
        self._states = self.create_publisher(ProbeState, "/probe/state", 10)
        self._wrenches = self.create_publisher(WrenchStamped, "/probe/wrench", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        group = ReentrantCallbackGroup()
        self._server = ActionServer(self, StepProbe, "/probe/step", self._step, callback_group=group)
        for name, act in (("enable", self._enable), ("retract", self._retract), ("tare", self._tare)):
            self.create_service(Trigger, f"/probe/{name}", act, callback_group=group)
        self.create_timer(_STATE_PERIOD, self._publish, MutuallyExclusiveCallbackGroup())
        self.create_timer(1.0, self._report, MutuallyExclusiveCallbackGroup())
        self._bias = 0.0
        if self.config.autostart:
            if self.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
                raise IiwaBridgeError(self._problem)
            self.trigger_activate()
            self._enable_loop()

    def _declare(self) -> BridgeConfig:
        def described(words: str, **limits: object) -> ParameterDescriptor:
            return ParameterDescriptor(description=words, read_only=True, **limits)

        def number(low: float, high: float) -> list[FloatingPointRange]:
            return [FloatingPointRange(from_value=low, to_value=high, step=0.0)]

        declare = self.declare_parameter
        return BridgeConfig(
            declare("plant", "mock", described("plant, by its name in iiwa_bridge.plants")).value,
            declare("start_x", 0.0, described("first contact, x [m]", floating_point_range=number(-0.14, 0.14))).value,
            declare("start_y", 0.0, described("first contact, y [m]", floating_point_range=number(-0.10, 0.10))).value,
            declare("contact_force", 1.0, described("first contact [N]", floating_point_range=number(0.1, 2.0))).value,
            declare("speed", 0.02, described("of a step [m/s]", floating_point_range=number(0.001, 0.02))).value,
            declare("autostart", True, described("configure, activate and enable by itself")).value,
        )

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the plant and place the probe."""
        try:
            self._plant = make_plant(self.config.plant)
            self._loop = BridgeLoop(self._plant, LoopConfig(speed=self.config.speed), time.monotonic)
            self._loop.place(self.config.start_x, self.config.start_y, self.config.contact_force)
        except IiwaBridgeError as error:
            self._problem = str(error)
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run the loop."""
        self._running = True
        self._thread = threading.Thread(target=self._run, name="bridge loop", daemon=True)
        self._thread.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the loop."""
        self._halt()
        return super().on_deactivate(state)

    def _enable_loop(self) -> None:
        if self._loop is not None:
            with self._lock:
                self._loop.enable()

    def _halt(self) -> None:
        self._running = False
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None

    def _run(self) -> None:
        assert self._loop is not None
        period = LoopConfig().period
        due = time.monotonic()
        while self._running:
            with self._lock:
                result = self._loop.cycle()
            if result is not None:
                self._result = result
                self._ended.set()
            due += period
            rest = due - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            else:
                self._late += 1
                due = time.monotonic()

    def _step(self, handle: Any) -> StepProbe.Result:
        answer = StepProbe.Result()
        goal = handle.request
        if self._loop is None or not self._running:
            answer.reason = "the bridge is not active"
            handle.abort()
            return answer
        try:
            with self._lock:
                self._ended.clear()
                self._loop.begin(StepCommand(goal.dx, goal.dy, goal.contact_force))
        except CommandError as error:
            answer.reason = str(error)
            handle.abort()
            return answer
        if not self._ended.wait(LoopConfig().step_timeout + 1.0) or self._result is None:
            answer.reason = "the loop gave no result in time"
            handle.abort()
            return answer
        result = self._result
        answer.pose.header.stamp = self.get_clock().now().to_msg()
        answer.pose.header.frame_id = "patient"
        answer.pose.pose = pose_message(result.measurement.pose)
        answer.reached, answer.reason = result.reached, result.reason
        if result.failed:
            handle.abort()
        else:
            handle.succeed()
        # The state of the new place goes out at once, so that whoever renders it sees it first.
        self._publish()
        return answer

    def _enable(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, BridgeLoop.enable, "enabled")

    def _retract(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, BridgeLoop.retract, "retracting")

    def _tare(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Take the force that is measured without contact as zero."""
        if self._loop is None or self._loop.measurement.contact:
            response.success = False
            response.message = "the probe touches the patient or is not there; retract it first"
            return response
        self._bias = float(self._loop.measurement.wrench[2])
        response.success, response.message = True, f"bias {self._bias:.3f} N along the beam"
        return response

    def _answer(self, response: Trigger.Response, act: Any, words: str) -> Trigger.Response:
        response.success = self._loop is not None
        response.message = words if response.success else "the bridge is not configured"
        if self._loop is not None:
            with self._lock:
                act(self._loop)
        return response

    def emergency_stop(self, reason: str) -> bool:
        """Stand still at once; True where there is something to stop. Called from an executor of its own."""
        if self._loop is None:
            return False
        # Without the lock: a stop must not wait for a cycle that hangs.
        self._loop.stop(reason)
        return True

    def _publish(self) -> None:
        if self._loop is None or not rclpy.ok():
            return
        measurement = self._loop.measurement
        wrench = measurement.wrench.copy()
        wrench[2] -= self._bias
        state = ProbeState(
            pose=pose_message(measurement.pose),
            wrench=wrench_message(wrench),
            contact=bool(measurement.contact),
            force_set_point=self._loop.force_set_point,
            fri_session_state=ProbeState.FRI_NONE,
            steps=self._loop.steps,
        )
        state.header.stamp = self.get_clock().now().to_msg()
        state.header.frame_id = "patient"
        self._states.publish(state)
        stamped = WrenchStamped(wrench=state.wrench)
        stamped.header.stamp, stamped.header.frame_id = state.header.stamp, "us_probe"
        self._wrenches.publish(stamped)

    def _report(self) -> None:
        if not rclpy.ok():
            return
        loop = self._loop
        fault = loop.fault if loop is not None else "not configured"
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if fault else DiagnosticStatus.OK,
            name="bridge",
            message=fault or ("enabled" if loop is not None and loop.enabled else "not enabled"),
            hardware_id=self.config.plant,
        )
        status.values = [KeyValue(key="late_cycles", value=str(self._late))]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def close(self) -> None:
        """Stop the loop and give the plant back."""
        self._halt()
        if self._plant is not None:
            self._plant.close()


def main() -> None:
    """Run the node."""
    rclpy.init()
    node = None
    code = 0
    try:
        with until_shutdown():
            node = BridgeNode()
            serve_stop(node.emergency_stop)
            executor = MultiThreadedExecutor(4)
            executor.add_node(node)
            while rclpy.ok():
                executor.spin_once(timeout_sec=0.1)
    except IiwaBridgeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    sys.exit(code)


if __name__ == "__main__":
    main()
