"""A bag as the console needs it: its records in memory by time, its frames as JPEG in a file that goes with it."""

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from us_nav_agent.bags.bag import Bag
from us_nav_agent.console.messages import TOPICS, records_of
from us_nav_agent.console.records import FrameSeen
from us_nav_agent.console.timeline import Timeline
from us_nav_agent.console.wire import jpeg
from us_nav_agent.errors import ConsoleError


@dataclass(frozen=True)
class _Place:
    """Where a frame lies in the file, and its stamp [ns]."""

    offset: int
    length: int
    stamp_ns: int


class Recording:
    """The records of a bag; times in seconds from its first message on, never falling.

    Args:
        path: of the bag.
        progress: told how many messages have been read, of how many.

    Attributes:
        duration: time of the last message [s].
        timeline: the records, without frames.
        frame_times: of each frame [s].
        damage: what could not be read, a line each.

    Raises:
        BagError: there is no bag, or nothing of it can be read.
        ConsoleError: it holds nothing that the console shows.
    """

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self.duration = 0.0
        self.timeline = Timeline()
        self.frame_times: list[float] = []
        self._places: list[_Place] = []
        self._skipped: set[str] = set()
        bag = Bag(path)
        total = sum(one.count for name, one in bag.survey.topics.items() if name in TOPICS)
        if not total:
            self.close()
            raise ConsoleError(f"{path}: holds none of {', '.join(TOPICS)}; there is nothing to show")
        for done, entry in enumerate(bag.messages(TOPICS), 1):
            self.duration = max((entry.time_ns - bag.survey.start_ns) / 1e9, self.duration)
            self._add(self.duration, entry.topic, entry.message)
            progress(done, total)
        self.damage = [*bag.damage, *sorted(self._skipped)]

    def _add(self, time: float, topic: str, message: Any) -> None:
        try:
            records = records_of(topic, message)
        except ConsoleError as error:
            self._skipped.add(str(error))
            return
        for record in records:
            if isinstance(record, FrameSeen):
                data = jpeg(record.pixels)
                self._places.append(_Place(self._file.tell(), len(data), record.stamp_ns))
                self._file.write(data)
                self.frame_times.append(time)
            else:
                self.timeline.add(time, record)

    def frame_at(self, time: float) -> int:
        """The number, from 1, of the newest frame at ``time``; 0: none yet."""
        return bisect_right(self.frame_times, time)

    def frame(self, number: int) -> FrameSeen:
        """The frame of this number."""
        place = self._places[number - 1]
        self._file.seek(place.offset)
        data = np.frombuffer(self._file.read(place.length), dtype=np.uint8)
        return FrameSeen(np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8), place.stamp_ns)

    def close(self) -> None:
        """Forget the frames."""
        self._file.close()
