"""Reading of bags, MCAP or sqlite3, ours and others'."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError

from us_nav_agent.bags.definitions import make_typestore
from us_nav_agent.errors import BagError

IMAGE_TOPIC = "/us/image_raw"
DECISION_TOPIC = "/us_nav/decision"
STATE_TOPIC = "/probe/state"


@dataclass(frozen=True)
class BagMessage:
    """A message of a bag: its topic, when it was received [ns], and its content as a dataclass of rosbags."""

    topic: str
    time_ns: int
    message: Any


@dataclass(frozen=True)
class RecordedFrame:
    """A frame of a bag: uint8 (height, width), its capture time [ns], and when it was received [ns]."""

    pixels: npt.NDArray[np.uint8]
    stamp_ns: int
    time_ns: int


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def read_bag(path: Path, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
    """The messages of a bag in the order they were received, of these topics or of all.

    Raises:
        BagError: there is no bag, it is cut off or empty, or a message cannot be read.
    """
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    wanted = None if topics is None else set(topics)
    try:
        with AnyReader([path], default_typestore=make_typestore()) as reader:
            if reader.message_count == 0:
                raise BagError(f"{path}: the bag is empty")
            chosen = [connection for connection in reader.connections if wanted is None or connection.topic in wanted]
            if not chosen:
                held = ", ".join(sorted({connection.topic for connection in reader.connections}))
                raise BagError(f"{path}: holds none of {sorted(wanted or ())}; it holds {held}")
            for connection, time_ns, data in reader.messages(chosen):
                yield BagMessage(connection.topic, time_ns, reader.deserialize(data, connection.msgtype))
    except (AnyReaderError, ReaderError, OSError, ValueError, KeyError) as error:
        raise BagError(f"{path}: cannot be read, it may be cut off ({error or type(error).__name__})") from error


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """The frames of /us/image_raw.

    Raises:
        BagError: as ``read_bag``, or an image is not mono8.
    """
    for entry in read_bag(path, [IMAGE_TOPIC]):
        image = entry.message
        if image.encoding != "mono8" or image.step < image.width:
            raise BagError(f"{path}: an image is {image.encoding}, {image.width} wide; expected mono8")
        rows = np.asarray(image.data, dtype=np.uint8).reshape(image.height, image.step)
        yield RecordedFrame(rows[:, : image.width].copy(), stamp_ns(image.header.stamp), entry.time_ns)


def read_decisions(path: Path) -> Iterator[Any]:
    """The NavDecision messages of /us_nav/decision.

    Raises:
        BagError: as ``read_bag``.
    """
    for entry in read_bag(path, [DECISION_TOPIC]):
        yield entry.message
