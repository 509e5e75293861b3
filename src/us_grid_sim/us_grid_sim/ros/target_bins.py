"""The bins that show each target, published once for who comes early or late: bags, evaluation, people."""

import array
from collections.abc import Mapping, Sequence

import rclpy
from rclpy.node import Node
from us_nav_interfaces.msg import TargetBins

from us_grid_sim.geometry import Bin
from us_grid_sim.phantom.target import Target
from us_grid_sim.ros.conversions import LATCHED_QOS, time_message

TOPIC = "/simulation/target_bins"


def target_bins_message(subject: str, target: Target, bins: Sequence[Bin], stamp_ns: int) -> TargetBins:
    """The bins of one target on one subject."""
    message = TargetBins(subject=subject, target=target.value)
    message.rows = array.array("B", [position.row for position in bins])
    message.columns = array.array("B", [position.column for position in bins])
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = "patient"
    return message


class TargetBinsPublisher:
    """Publishes goal bins, a message a target.

    Args:
        node: that publishes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(TargetBins, TOPIC, LATCHED_QOS)

    def publish(self, subject: str, targets: Mapping[Target, Sequence[Bin]]) -> None:
        """Publish the goal bins of a subject; from any thread."""
        stamp = self._node.get_clock().now().nanoseconds
        for target, bins in targets.items():
            if rclpy.ok():
                self._publisher.publish(target_bins_message(subject, target, bins, stamp))
