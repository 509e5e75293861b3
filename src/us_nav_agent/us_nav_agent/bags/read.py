"""Reading of bags, MCAP or sqlite3, ours and others'."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from us_nav_agent.bags.bag import Bag, BagMessage
from us_nav_agent.errors import BagError

__all__ = [
    "DECISION_TOPIC",
    "IMAGE_TOPIC",
    "STATE_TOPIC",
    "BagMessage",
    "RecordedFrame",
    "pixels_of",
    "read_bag",
    "read_decisions",
    "read_frames",
    "stamp_ns",
]

IMAGE_TOPIC = "/us/image_raw"
DECISION_TOPIC = "/us_nav/decision"
STATE_TOPIC = "/probe/state"


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
    """The messages of a bag in the order they were written, of these topics or of all; of a damaged one what is left.

    Raises:
        BagError: there is no bag, it is empty, holds none of the topics, or nothing of it can be read.
    """
    bag = Bag(path)
    held = bag.survey.topics
    if not bag.survey.messages:
        why = f", what there is cannot be read: {'; '.join(bag.damage)}" if bag.damage else ""
        raise BagError(f"{path}: the bag is empty{why}")
    wanted = None if topics is None else set(topics)
    if wanted is not None and not wanted & set(held):
        raise BagError(f"{path}: holds none of {sorted(wanted)}; it holds {', '.join(sorted(held))}")
    yield from bag.messages(wanted)


def pixels_of(image: Any) -> npt.NDArray[np.uint8]:
    """The pixels uint8 (height, width) of a mono8 image, a view of its data.

    Raises:
        BagError: another encoding, or the data do not fit the size that it names.
    """
    if image.encoding != "mono8":
        raise BagError(f"an image is {image.encoding}, {image.width} wide; expected mono8")
    if image.step < image.width or len(image.data) != image.step * image.height:
        size = f"{image.width}x{image.height}"
        raise BagError(f"an image of {size} has {len(image.data)} bytes in rows of {image.step}")
    rows = np.asarray(image.data, dtype=np.uint8).reshape(image.height, image.step)
    return rows[:, : image.width]


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """The frames of /us/image_raw.

    Raises:
        BagError: as ``read_bag``, or an image is not mono8.
    """
    for entry in read_bag(path, [IMAGE_TOPIC]):
        try:
            pixels = pixels_of(entry.message).copy()
        except BagError as error:
            raise BagError(f"{path}: {error}") from None
        yield RecordedFrame(pixels, stamp_ns(entry.message.header.stamp), entry.time_ns)


def read_decisions(path: Path) -> Iterator[Any]:
    """The NavDecision messages of /us_nav/decision.

    Raises:
        BagError: as ``read_bag``.
    """
    for entry in read_bag(path, [DECISION_TOPIC]):
        yield entry.message
