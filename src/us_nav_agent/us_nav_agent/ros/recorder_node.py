"""Records a graph into a bag, copy-free: messages are written as they came over the wire."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.ros.conversions import health
from us_grid_sim.ros.running import run
from us_grid_sim.ros.shutdown import leave
from us_nav_interfaces.msg import NavDecision

from us_nav_agent.bags.provenance import MODEL, PARAMETERS, PARAMETERS_AT_END, SHA256, parameter_text, software
from us_nav_agent.bags.read import DECISION_TOPIC, IMAGE_TOPIC
from us_nav_agent.bags.record import STORAGES, BagWriter
from us_nav_agent.errors import BagError, UsNavAgentError
from us_nav_agent.ros.parameter_watch import ParameterWatch
from us_nav_agent.ros.recorded_topics import RECORDER, offered, recorded_topics, subscribed

_REPORT_EVERY = 1.0
"""Between two words on how it goes [s]."""


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of the node: folder of the bag, its storage, and megabytes that stay free on its disk."""

    bag: str
    storage: str
    min_free_mb: int

    def make_writer(self) -> BagWriter:
        """What writes the bag.

        Raises:
            BagError: a parameter is wrong.
        """
        if not self.bag:
            raise BagError("parameter bag is empty; name the folder that the bag is to be written to")
        return BagWriter(Path(self.bag), self.min_free_mb * 10**6, self.storage)


class RecorderNode(Node):
    """Writes every message of ``recorded_topics`` into the bag until it is told to end.

    Args:
        overrides: parameters that are put over those of the command line.
    """

    def __init__(self, overrides: Sequence[Parameter] = ()) -> None:
        super().__init__(RECORDER, parameter_overrides=list(overrides))
        self.finished = False
        self.exit_code = 0
        self.config = self._declare()
        self._model = ""
        self._told_first: dict[str, dict[str, Any]] = {}
        self._told_last: dict[str, dict[str, Any]] = {}
        self._writer = self.config.make_writer()
        self._writer.__enter__()
        self._writer.describe(software())
        self._heard: Counter[str] = Counter()
        for topic, (kind, name, latched) in recorded_topics().items():
            self._writer.add_topic(topic, name, [offered(latched)])
            self.create_subscription(kind, topic, self._keeper(topic), subscribed(latched), raw=True)
        self._watch = ParameterWatch(self, self._on_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(_REPORT_EVERY, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f"recording to {self.config.bag}")

    def _declare(self) -> RecorderConfig:
        def described(words: str, **limits: object) -> ParameterDescriptor:
            return ParameterDescriptor(description=words, read_only=True, **limits)

        sizes = [IntegerRange(from_value=0, to_value=10**7, step=1)]
        declare = self.declare_parameter
        return RecorderConfig(
            bag=declare("bag", "", described("folder of the bag, not there yet")).value,
            storage=declare("storage", "mcap", described(f"one of {', '.join(STORAGES)}")).value,
            min_free_mb=declare(
                "min_free_mb", 200, described("stays free on the disk [MB]", integer_range=sizes)
            ).value,
        )

    def _keeper(self, topic: str) -> Callable[[bytes], None]:
        def keep(data: bytes) -> None:
            # Of the system and not of the node: with use_sim_time that one stands still where nobody publishes /clock.
            now = time.time_ns()
            if self.finished:
                return
            try:
                self._writer.write(topic, now, data)
                self._heard[topic] += 1
                if topic == DECISION_TOPIC and not self._model:
                    self._name_model(data)
            except BagError as error:
                self._fail(error)

        return keep

    def _report(self) -> None:
        """Say what came so far, each topic by its name: a run that is to be in the bag begins when all of it does."""
        frames = IMAGE_TOPIC in self._heard
        level = DiagnosticStatus.OK if frames else DiagnosticStatus.WARN
        words = "recording" if frames else f"recording, but nothing on {IMAGE_TOPIC} so far"
        now = self.get_clock().now().nanoseconds
        self._diagnostics.publish(health(RECORDER, self.config.bag, words, self._heard, now, level))

    def _name_model(self, data: bytes) -> None:
        """Keep the name of the model that made the first decision."""
        decision = deserialize_message(data, NavDecision)
        self._model = decision.model
        self._writer.describe({MODEL: decision.model, SHA256: decision.model_sha256})

    def _on_parameters(self, node: str, values: dict[str, Any]) -> None:
        """A node has told its parameters: the first time as they are at the start, the last as they are at the end."""
        if self.finished or self._told_last.get(node) == values:
            return
        self._told_first.setdefault(node, values)
        self._told_last[node] = values
        content = {PARAMETERS: self._told_first, PARAMETERS_AT_END: self._told_last}
        try:
            self._writer.describe({key: parameter_text(value) for key, value in content.items()})
        except BagError as error:
            self._fail(error)

    def _fail(self, error: BagError) -> None:
        print(f"error: {error}", file=sys.stderr, flush=True)
        self.finished, self.exit_code = True, 1

    def close(self) -> None:
        """Close the bag."""
        self.finished = True
        try:
            self._writer.close()
        except BagError as error:
            self._fail(error)
        # Not by the logger: after a signal it can no longer publish.
        print(f"{self._writer.messages} messages in {self.config.bag}", flush=True)


def record(parameters: Mapping[str, Any]) -> int:
    """Run the node with these parameters until a signal comes; the exit status."""
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return run(lambda: RecorderNode(overrides), (UsNavAgentError, UsGridSimError))


def main() -> None:
    """Run the node."""
    leave(record({}))


if __name__ == "__main__":
    main()
