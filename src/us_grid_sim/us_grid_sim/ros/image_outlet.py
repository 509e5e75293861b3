"""What an image source publishes: frames, how they were acquired, tracked poses, and how the source does."""

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from us_nav_interfaces.msg import ProbeState, UltrasoundInfo

from us_grid_sim.ros.conversions import (
    LATCHED_QOS,
    OFFERED_IMAGE_QOS,
    image_message,
    info_message,
    time_message,
    tracked_state,
)
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.supervision import SourceStatus, State, Supervisor

_PERIOD = 1.0
"""Diagnostics are told so often, and at each change [s]."""
_LOOK = 0.1
"""Between two looks whether they have changed [s]."""
_LEVELS = {
    State.RUNNING: DiagnosticStatus.OK,
    State.FINISHED: DiagnosticStatus.OK,
    State.STARTING: DiagnosticStatus.WARN,
}


class ImageOutlet:
    """The publishers of an image source; any thread may use them.

    Args:
        node: that publishes.
        supervisor: knows how the source does.
    """

    def __init__(self, node: Node, supervisor: Supervisor) -> None:
        self._node, self._supervisor = node, supervisor
        self._images = node.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        self._infos = node.create_publisher(UltrasoundInfo, "/us/image_info", LATCHED_QOS)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Made with the first pose: a source that is not tracked says nothing of the probe.
        self._states: Publisher | None = None
        self._said, self._info = "", SourceInfo(0.0, 0.0, 0.0, 0.0, "", "")
        self._told: SourceStatus | None = None
        self._tell_at = time.monotonic()
        # On the steady clock: with use_sim_time only the stamps follow /clock.
        node.create_timer(_LOOK, self._tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def now(self) -> int:
        """The time of ROS [ns]."""
        return int(self._node.get_clock().now().nanoseconds)

    @property
    def subscribers(self) -> int:
        """How many subscribe to the frames."""
        return int(self._images.get_subscription_count())

    def describe(self, info: SourceInfo) -> None:
        """Say how frames are acquired, where that is not what was said before."""
        # As text: NaN, which stands for what is not known, equals nothing.
        if (words := repr(info)) != self._said and rclpy.ok():
            self._said, self._info = words, info
            self._infos.publish(info_message(info, self.now()))

    def track(self) -> None:
        """Get ready for frames with poses, so that who looks for them finds the topic."""
        if self._states is None:
            self._states = self._node.create_publisher(ProbeState, "/probe/state", LATCHED_QOS)

    def show(self, frame: Frame, stamp: int) -> None:
        """Publish a frame, after the pose that it was taken from, where that is known."""
        if not rclpy.ok():
            return
        if frame.pose is not None:
            self.track()
            assert self._states is not None
            self._states.publish(tracked_state(frame.pose, frame.pose_frame, stamp))
        self._images.publish(image_message(frame.pixels, stamp))

    def _tell(self) -> None:
        """Tell the diagnostics once a second, and at once where something has changed."""
        status, now = self._supervisor.status(), time.monotonic()
        changed = self._told is None or _words(status) != _words(self._told)
        if changed or now >= self._tell_at:
            self._told, self._tell_at = status, now + _PERIOD
            self._diagnostics.publish(diagnostics(status, self._info, self.now()))


def _words(status: SourceStatus) -> tuple[State, str, int]:
    """What changes seldom."""
    return status.state, status.reason if status.state in (State.GONE, State.UNUSABLE) else "", status.reconnects


def diagnostics(status: SourceStatus, info: SourceInfo, stamp_ns: int) -> DiagnosticArray:
    """How a source does, as a message."""
    healthy = status.state in _LEVELS
    values = {
        "state": status.state.value,
        "frames": str(status.frames),
        "dropped": str(status.dropped),
        "fps": f"{status.fps:.1f}",
        "last reason": status.reason,
        "reconnects": str(status.reconnects),
    }
    told = DiagnosticStatus(
        level=_LEVELS.get(status.state, DiagnosticStatus.ERROR),
        name=f"image_source: {info.source}",
        hardware_id=info.detail,
        message=status.state.value if healthy else f"{status.state.value}: {status.reason}",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[told])
    message.header.stamp = time_message(stamp_ns)
    return message
