"""Records the topics of a run into an MCAP bag, copy-free: messages are written as they came over the wire."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from sensor_msgs.msg import Image
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.ros.running import run
from us_nav_interfaces.msg import NavDecision, ProbeState, UltrasoundInfo

from us_nav_agent.bags.record import BagWriter
from us_nav_agent.errors import BagError, UsNavAgentError

LATCHED, LIVE = "latched", "live"
TOPICS = {
    "/us/image_info": (UltrasoundInfo, "us_nav_interfaces/msg/UltrasoundInfo", LATCHED),
    "/us_nav/decision": (NavDecision, "us_nav_interfaces/msg/NavDecision", LATCHED),
    "/probe/state": (ProbeState, "us_nav_interfaces/msg/ProbeState", LIVE),
    "/diagnostics": (DiagnosticArray, "diagnostic_msgs/msg/DiagnosticArray", LIVE),
    "/us/image_raw": (Image, "sensor_msgs/msg/Image", LIVE),
}
"""What is recorded: type, its name, and how it is subscribed to.

The frames come last: sources begin when they see their subscribers, and others learn of the subscriptions of a node in
the order in which they were made, so nothing of a run is published before the recorder hears all of it.
"""
_NEVER = QosTime(0, 0)


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of the node: folder of the bag, and megabytes that stay free on its disk."""

    bag: str
    min_free_mb: int


def _profile(kind: str) -> QoSProfile:
    """How a topic is subscribed to: every message is wanted, of latched topics also what came before."""
    return QoSProfile(
        depth=100,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if kind == LATCHED else DurabilityPolicy.VOLATILE,
    )


def _offered(kind: str) -> Qos:
    """The quality of service that the bag names for a topic, for whoever plays it."""
    return Qos(
        QosHistory.KEEP_LAST,
        10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if kind == LATCHED else QosDurability.VOLATILE,
        _NEVER,
        _NEVER,
        QosLiveliness.AUTOMATIC,
        _NEVER,
        False,
    )


class RecorderNode(Node):
    """Writes every message of TOPICS into the bag until it is told to end."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.finished = False
        self.exit_code = 0
        self.config = self._declare()
        if not self.config.bag:
            raise BagError("parameter bag is empty; name the folder that the bag is to be written to")
        self._lock = threading.Lock()
        self._writer = BagWriter(Path(self.config.bag), self.config.min_free_mb * 10**6)
        self._writer.__enter__()
        for topic, (kind, name, quality) in TOPICS.items():
            self._writer.add_topic(topic, name, [_offered(quality)])
            self.create_subscription(kind, topic, self._keeper(topic), _profile(quality), raw=True)
        self.get_logger().info(f"recording to {self.config.bag}")

    def _declare(self) -> RecorderConfig:
        sizes = [IntegerRange(from_value=0, to_value=10**7, step=1)]
        free = ParameterDescriptor(description="stays free on the disk [MB]", read_only=True, integer_range=sizes)
        bag = ParameterDescriptor(description="folder of the bag, not there yet", read_only=True)
        return RecorderConfig(
            self.declare_parameter("bag", "", bag).value, self.declare_parameter("min_free_mb", 200, free).value
        )

    def _keeper(self, topic: str):  # type: ignore[no-untyped-def]
        def keep(data: bytes) -> None:
            now = self.get_clock().now().nanoseconds
            with self._lock:
                if self.finished:
                    return
                try:
                    self._writer.write(topic, now, data)
                except BagError as error:
                    self._fail(error)

        return keep

    def _fail(self, error: BagError) -> None:
        print(f"error: {error}", file=sys.stderr, flush=True)
        self.finished, self.exit_code = True, 1

    def close(self) -> None:
        """Close the bag."""
        with self._lock:
            self.finished = True
            try:
                self._writer.close()
            except BagError as error:
                self._fail(error)
        # Not by the logger: after a signal it can no longer publish.
        print(f"{self._writer.messages} messages in {self.config.bag}", flush=True)


def main() -> None:
    """Run the node."""
    sys.exit(run(RecorderNode, (UsNavAgentError, UsGridSimError), threads=2))


if __name__ == "__main__":
    main()
