"""What the readers of both storages have in common: topics, serialized messages, and what they say of a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Bytes = bytes | memoryview


@dataclass(frozen=True)
class Topic:
    """A topic of a bag.

    Attributes:
        name: such as /us/image_raw.
        type: such as sensor_msgs/msg/Image.
        encoding: of its messages; ROS 2's is cdr.
        definition: text of the message definition in the bag; empty where it holds none.
        definition_format: ros2msg or ros2idl; empty where there is no definition.
        qos: the offered quality of service, YAML as rosbag2 writes it; empty where it is not in the bag.
    """

    name: str
    type: str
    encoding: str = "cdr"
    definition: str = ""
    definition_format: str = ""
    qos: str = ""


class RawMessage(NamedTuple):
    """A serialized message, and when it was received [ns]."""

    topic: Topic
    time_ns: int
    data: Bytes


@dataclass
class Findings:
    """What reading a file brings to light beside its messages.

    Attributes:
        topics: by name, those without a message too.
        damage: what could not be read, and why, a line each.
        metadata: rosbag2's metadata.yaml as the file itself holds it; empty where it does not.
    """

    topics: dict[str, Topic] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    metadata: str = ""

    def say(self, line: str) -> None:
        """Note damage, each line once."""
        if line not in self.damage:
            self.damage.append(line)


Scan = Callable[[Path, Findings], Iterator[RawMessage]]
"""Reads a file from front to back as far as it can be read; in the order in which the messages were written."""
