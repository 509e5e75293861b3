"""The bridge node: /probe/step, the operator's services and what is felt, over the bridge to a controller.

The loop runs in a process of its own (``iiwa_bridge.bridge``), so that nothing that hangs here holds it up.
"""

import math
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
from rclpy.action import ActionServer, CancelResponse
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger
from us_nav_interfaces.action import StepProbe
from us_nav_interfaces.msg import ProbeState

from iiwa_bridge.bridge import Bridge, BridgeStatus
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.orders import OrderEnd, Touch
from iiwa_bridge.ros.beside import beside
from iiwa_bridge.ros.conversions import pose_message
from iiwa_bridge.ros.emergency import serve_stop
from iiwa_bridge.ros.messages import diagnostics, joint_state, probe_state, transforms, wrench_state
from iiwa_bridge.ros.parameters import declare
from iiwa_bridge.ros.readying import make_ready
from iiwa_bridge.ros.running import run
from iiwa_bridge.ros.shutdown import leave
from iiwa_bridge.ros.waiting import wait_for_end
from iiwa_bridge.safety.machine import DEADLINES, State
from iiwa_bridge.types import StepCommand

_STATE_PERIOD = 1.0 / 30.0
_FEEDBACK_PERIOD = 0.1
_LOOK_PERIOD = 0.1
"""Between two looks whether the diagnostics have changed [s]; they are told once a second at least."""
_STEP_TIMEOUT = DEADLINES[State.APPROACHING] + DEADLINES[State.STEPPING] + 5.0
_RETRACT_TIMEOUT = DEADLINES[State.RETRACTING] + 2.0
_ORDER_TIMEOUT = 2.0
"""Of an order that is done in a cycle [s]."""
_MOVING = (State.APPROACHING, State.STEPPING)
_CANCELLED = "cancelled; the probe is held where it is"
_DEACTIVATED = "the bridge was deactivated; the probe is held where it is"


class BridgeNode(LifecycleNode):
    """Lifecycle: configure starts the bridge, activate lets orders pass, deactivate holds and disables, cleanup closes.

    ``/probe/stop`` is served elsewhere (``emergency``), by :meth:`emergency_stop`.

    Raises:
        IiwaBridgeError: the parameters are no configuration; with ``autostart`` also: the bridge does not start.
    """

    finished = False
    exit_code = 0

    def __init__(self) -> None:
        super().__init__("bridge")
        self.config = declare(self)
        layout = load_layout(self.config.bridge.layout)
        self._patient = layout.patient
        self._bridge: Bridge | None = None
        self._lock = threading.Lock()
        self._stepping, self._under_way = threading.Lock(), ""
        self._active, self._steps, self._problem = False, 0, ""
        self._frame: float | None = None
        self._frames_matter = False
        self._told: tuple[object, ...] = ()
        self._told_at = -math.inf
        self._open()
        if self.config.autostart:
            if self.trigger_configure() is not TransitionCallbackReturn.SUCCESS:
                raise IiwaBridgeError(self._problem)
            self.trigger_activate()

    def _open(self) -> None:
        """Topics, action and services."""
        self._states = self.create_publisher(ProbeState, "/probe/state", 10)
        self._wrenches = self.create_publisher(WrenchStamped, "/probe/wrench", 10)
        self._joints = self.create_publisher(JointState, "/joint_states", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Not among the wheels of ROS 2 that the project installs; there in a full ROS 2.
        self._tf_message = import_module("tf2_msgs.msg").TFMessage if find_spec("tf2_msgs") else None
        self._tf = None if self._tf_message is None else self.create_publisher(self._tf_message, "/tf", 10)
        if self.config.watch_frames:
            # As bytes: when a frame came matters here, not what it shows.
            self.create_subscription(Image, "/us/image_raw", self._on_image, qos_profile_sensor_data, raw=True)
        self._server = ActionServer(
            self, StepProbe, "/probe/step", beside(self, self._step), cancel_callback=self._on_cancel
        )
        for name, order, timeout in (
            ("enable", Bridge.enable, _ORDER_TIMEOUT),
            ("tare", Bridge.tare, _ORDER_TIMEOUT),
            ("clear", Bridge.clear, _ORDER_TIMEOUT),
            ("retract", Bridge.retract, _RETRACT_TIMEOUT),
        ):
            self.create_service(Trigger, f"/probe/{name}", beside(self, self._served(name, order, timeout)))
        # On the steady clock: with use_sim_time only the stamps follow /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_STATE_PERIOD, self._publish, clock=steady)
        self.create_timer(_LOOK_PERIOD, self._report, clock=steady)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the bridge."""
        self._problem = ""
        try:
            self._bridge = Bridge(self.config.bridge)
        except IiwaBridgeError as error:
            self._problem = str(error)
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        host, port = self.config.bridge.controller
        self.get_logger().info(f"waiting for the controller at {host}:{port}")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let orders pass."""
        status = self._status()
        if status is None or status.failure:
            self.get_logger().error(f"cannot activate: {status.failure if status else 'not configured'}")
            return TransitionCallbackReturn.FAILURE
        self._active, self._steps = True, 0
        if self.config.first_contact is not None and not status.tared:
            threading.Thread(target=self._make_ready, args=(self.config.first_contact,), daemon=True).start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold where the probe is and forbid steps; in contact it keeps its force, until it is retracted."""
        self._active = False
        # A step under way sees that and ends.
        if self._stepping.acquire(timeout=_ORDER_TIMEOUT):
            self._stepping.release()
        bridge, status = self._bridge, self._status()
        if bridge is not None and status is not None and status.machine is State.ENABLED:
            end = self._end_of(bridge.disable, _ORDER_TIMEOUT)
            if end.failed:
                self.get_logger().warning(f"not disabled: {end.reason}")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the bridge; without answers the controller stops the robot."""
        self.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Likewise."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed half-way: stop, and begin anew from unconfigured."""
        self.emergency_stop("a transition of the bridge node failed")
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def emergency_stop(self, reason: str) -> bool:
        """Stand still at once; True where there is something to stop. Takes no lock; any thread may call it."""
        bridge = self._bridge
        if bridge is None:
            return False
        bridge.stop(reason)
        return True

    def close(self) -> None:
        """Close the bridge."""
        self._active = False
        with self._lock:
            bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.close()

    def _status(self) -> BridgeStatus | None:
        """Of the bridge; None where it is not configured."""
        with self._lock:
            return None if self._bridge is None else self._bridge.status()

    def _end_of(
        self, order: Callable[[], int], timeout: float, look: Callable[[BridgeStatus], None] = lambda status: None
    ) -> OrderEnd:
        """Send an order and wait for its end."""
        try:
            number = order()
        except IiwaBridgeError as error:
            return OrderEnd(0, reached=False, failed=True, reason=str(error))
        return wait_for_end(self._status, number, timeout, look)

    def _served(self, name: str, order: Callable[[Bridge], int], timeout: float) -> Callable[..., Trigger.Response]:
        """What serves an operator's order; it answers when the order has ended."""

        def serve(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            bridge = self._bridge
            if bridge is None or (name == "enable" and not self._active):
                response.success, response.message = False, "the bridge is not active: configure and activate it"
                return response
            end = self._end_of(lambda: order(bridge), timeout)
            response.success, response.message = not end.failed, end.reason or f"{name}: done"
            return response

        return serve

    def _on_image(self, image: bytes) -> None:
        self._frame = time.monotonic()
        bridge = self._bridge
        if self._frames_matter and bridge is not None:
            bridge.frame(self._frame)

    def _on_cancel(self, handle: Any) -> CancelResponse:
        return CancelResponse.ACCEPT

    def _step(self, handle: Any) -> StepProbe.Result:
        """Carry a step out; one at a time."""
        if not self._stepping.acquire(blocking=False):
            end = OrderEnd(0, False, True, f"{self._under_way} is under way; wait for its end, or cancel it")
        else:
            self._under_way = "another step"
            try:
                end = self._carry_out(handle)
            finally:
                self._stepping.release()
        status = self._status()
        answer = StepProbe.Result(reached=end.reached, reason=end.reason)
        answer.pose.header.stamp, answer.pose.header.frame_id = self.get_clock().now().to_msg(), "patient"
        if status is not None and status.pose is not None:
            answer.pose.pose = pose_message(status.pose)
        if handle.is_cancel_requested and not end.reached:
            handle.canceled()
        elif end.failed:
            handle.abort()
        else:
            self._steps += 1
            handle.succeed()
        # The state of the new place goes out at once, so that whoever renders it sees it first.
        self._publish()
        return answer

    def _make_ready(self, place: Touch) -> None:
        """Without an operator: for simulations."""
        bridge = self._bridge
        if bridge is None:
            return

        def look(status: BridgeStatus) -> None:
            if not self._active and status.machine in _MOVING:
                bridge.hold(_DEACTIVATED)

        def status() -> BridgeStatus | None:
            return self._status() if self._active else None

        def seen() -> bool:
            return self._frame is not None or not self.config.watch_frames

        def send(order: Callable[[], int]) -> OrderEnd:
            if not self._active:
                return OrderEnd(0, False, True, "the bridge was deactivated")
            return self._end_of(order, _STEP_TIMEOUT, look)

        with self._stepping:
            self._under_way = "the first contact"
            try:
                make_ready(bridge, place, send, status, seen)
                self.get_logger().info(f"ready: in contact with {place.contact_force:g} N")
            except IiwaBridgeError as error:
                # Not where the bridge was closed: after a signal the logger can no longer publish.
                if self._bridge is bridge:
                    self.get_logger().error(str(error))
            finally:
                if self._bridge is bridge:
                    self._let_be(bridge)

    def _carry_out(self, handle: Any) -> OrderEnd:
        bridge, goal = self._bridge, handle.request
        if bridge is None or not self._active:
            return OrderEnd(0, False, True, "the bridge is not active: configure and activate it")
        told = time.monotonic()

        def look(status: BridgeStatus) -> None:
            nonlocal told
            if (handle.is_cancel_requested or not self._active) and status.machine in _MOVING:
                bridge.hold(_CANCELLED if handle.is_cancel_requested else _DEACTIVATED)
            if time.monotonic() - told > _FEEDBACK_PERIOD and status.pose is not None:
                told = time.monotonic()
                feedback = StepProbe.Feedback()
                feedback.pose.header.stamp, feedback.pose.header.frame_id = self.get_clock().now().to_msg(), "patient"
                feedback.pose.pose = pose_message(status.pose)
                handle.publish_feedback(feedback)

        try:
            if self._frame is not None:
                bridge.frame(self._frame)
                self._frames_matter = True
            step = StepCommand(goal.dx, goal.dy, goal.contact_force)
            return self._end_of(lambda: bridge.step(step), _STEP_TIMEOUT, look)
        except IiwaBridgeError as error:
            return OrderEnd(0, False, True, str(error))
        finally:
            self._let_be(bridge)

    def _let_be(self, bridge: Bridge) -> None:
        """No step is under way: frames do not matter."""
        self._frames_matter = False
        try:
            bridge.frame(None)
        except IiwaBridgeError as error:
            self.get_logger().error(str(error))

    def _publish(self) -> None:
        status = self._status() if rclpy.ok() else None
        if status is None or status.pose is None or status.position is None:
            return
        stamp = self.get_clock().now().to_msg()
        self._states.publish(probe_state(status, self._steps, stamp))
        self._wrenches.publish(wrench_state(status, stamp))
        self._joints.publish(joint_state(status.position, stamp))
        if self._tf is not None and self._tf_message is not None:
            self._tf.publish(self._tf_message(transforms=transforms(self._patient, status.pose, stamp)))

    def _report(self) -> None:
        """Tell the diagnostics once a second, and at once where something has changed."""
        if not rclpy.ok():
            return
        status, now = self._status(), time.monotonic()
        about = None if status is None else (status.machine, status.reasons, status.session, status.failure)
        if (self._active, about) == self._told and now - self._told_at < 1.0:
            return
        self._told, self._told_at = (self._active, about), now
        controller = "{}:{}".format(*self.config.bridge.controller)
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics(status, self._active, self._problem, controller, stamp))


def make() -> BridgeNode:
    """The node, and /probe/stop beside it."""
    node = BridgeNode()
    serve_stop(node.emergency_stop)
    return node


def main() -> None:
    """Run the node."""
    leave(run(make))


if __name__ == "__main__":
    main()
