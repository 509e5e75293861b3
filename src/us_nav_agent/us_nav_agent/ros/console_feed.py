"""The console's live feed: what the graph of this process's ROS domain publishes, and the orders to it."""

import os
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from us_grid_sim.phantom.target import Target
from us_grid_sim.ros.conversions import LATCHED_QOS
from us_nav_interfaces.msg import NavDecision, ProbeState, TargetBins

from us_nav_agent.bags.read import DECISION_TOPIC, IMAGE_TOPIC, STATE_TOPIC
from us_nav_agent.console.feed import Answer
from us_nav_agent.console.messages import DIAGNOSTICS_TOPIC, GOALS_TOPIC, JOINTS_TOPIC, records_of
from us_nav_agent.console.model import ConsoleModel, Marks, NumberedFrame, Snapshot
from us_nav_agent.console.records import DiagnosticSeen, FrameSeen, Level
from us_nav_agent.errors import ConsoleError
from us_nav_agent.ros.console_run import RunOrders
from us_nav_agent.ros.emergency_stop import EmergencyStop
from us_nav_agent.ros.spinning import Spinner

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_LIVE = QoSProfile(depth=10)
"""Volatile: what was kept from before the console came would be old, and shown as new."""
_SUBSCRIPTIONS = {
    IMAGE_TOPIC: (Image, _NEWEST),
    DECISION_TOPIC: (NavDecision, _LIVE),
    STATE_TOPIC: (ProbeState, _LIVE),
    JOINTS_TOPIC: (JointState, _LIVE),
    DIAGNOSTICS_TOPIC: (DiagnosticArray, _LIVE),
    GOALS_TOPIC: (TargetBins, LATCHED_QOS),
}
_LONGEST_DELAY = 10.0
"""Beyond it a stamp tells of clocks that differ (simulated time, another machine), and no longer of a delay [s]."""


class ConsoleFeed:
    """Feed and Orders on a context and threads of its own, so that signals are left to the server."""

    targets = tuple(target.value for target in Target)

    def __init__(self) -> None:
        self.title = f"ROS domain {os.environ.get('ROS_DOMAIN_ID', '0')}"
        self._model = ConsoleModel()
        self._stop = EmergencyStop()
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node("usnav_console", context=self._context)
        for topic, (kind, quality) in _SUBSCRIPTIONS.items():
            self._node.create_subscription(kind, topic, self._taker(topic), quality)
        self._run = RunOrders(self._node, self._model)
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._spinner = Spinner(executor, "console feed")

    def _taker(self, topic: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            now = time.monotonic()
            try:
                for record in records_of(topic, message):
                    seen = self._timed(record) if isinstance(record, FrameSeen) else record
                    self._model.take(seen, now)
            except ConsoleError as error:
                self._model.take(DiagnosticSeen("console", Level.ERROR, str(error), "", ()), now)

        return take

    def _timed(self, frame: FrameSeen) -> FrameSeen:
        """The frame with its delay since capture, where the clocks tell."""
        delay = (self._node.get_clock().now().nanoseconds - frame.stamp_ns) / 1e9
        return FrameSeen(frame.pixels, frame.stamp_ns, delay if 0.0 <= delay < _LONGEST_DELAY else None)

    def snapshot(self, marks: Marks) -> tuple[Snapshot, Marks]:
        """As ``Feed.snapshot``."""
        return self._model.snapshot(time.monotonic(), marks)

    def frame(self) -> NumberedFrame | None:
        """As ``Feed.frame``."""
        return self._model.frame(time.monotonic())

    def start(self, target: str) -> Answer:
        """As ``Orders.start``."""
        return self._run.start(target)

    def cancel(self) -> Answer:
        """As ``Orders.cancel``."""
        return self._run.cancel()

    def stop(self) -> Answer:
        """As ``Orders.stop``."""
        return self._stop.press()

    def close(self) -> None:
        """End threads and contexts."""
        self._spinner.close()
        self._run.close()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
        self._stop.close()
