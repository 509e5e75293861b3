"""A bag as the console needs it: its records in memory by time, its frames as JPEG in a file that goes with it."""

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from us_grid_sim.geometry import Action

from us_nav_agent.bags.bag import Bag
from us_nav_agent.console.messages import TOPICS, records_of
from us_nav_agent.console.records import DecisionSeen, FrameSeen, GoalsSeen, Phase, Record, RunSeen
from us_nav_agent.console.wire import jpeg
from us_nav_agent.errors import ConsoleError

LONGEST_RUN = 300.0
"""How far back the beginning of a run is looked for [s]."""


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
        duration: time of the last record [s].
        damage: what could not be read, a line each.

    Raises:
        BagError: there is no bag, or nothing of it can be read.
        ConsoleError: it holds nothing that the console shows.
    """

    def __init__(self, path: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._times: list[float] = []
        self._records: list[Record] = []
        self._goals: list[tuple[float, Record]] = []
        self._run_starts: list[float] = []
        self.frame_times: list[float] = []
        self._places: list[_Place] = []
        self._skipped: set[str] = set()
        bag = Bag(path)
        total = sum(one.count for name, one in bag.survey.topics.items() if name in TOPICS)
        if not total:
            self.close()
            raise ConsoleError(f"{path}: holds none of {', '.join(TOPICS)}; there is nothing to show")
        for done, entry in enumerate(bag.messages(TOPICS), 1):
            time = max((entry.time_ns - bag.survey.start_ns) / 1e9, self.duration)
            self._add(time, entry.topic, entry.message)
            progress(done, total)
        self.damage = [*bag.damage, *sorted(self._skipped)]

    @property
    def duration(self) -> float:
        """Time of the last record [s]."""
        return max(self._times[-1] if self._times else 0.0, self.frame_times[-1] if self.frame_times else 0.0)

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
                continue
            self._times.append(time)
            self._records.append(record)
            if isinstance(record, GoalsSeen):
                self._goals.append((time, record))
            elif isinstance(record, DecisionSeen):
                if record.step == 0:
                    self._run_starts.append(time)
                self._times.append(time)
                self._records.append(_run_of(record))

    def between(self, after: float, until: float) -> list[tuple[float, Record]]:
        """The records of times in (after, until], without frames."""
        span = slice(bisect_right(self._times, after), bisect_right(self._times, until))
        return list(zip(self._times[span], self._records[span], strict=True))

    def run_start(self, time: float) -> float:
        """When the run that is under way at ``time``, or was the last before, began [s]."""
        index = bisect_right(self._run_starts, time) - 1
        return max(self._run_starts[index] if index >= 0 else time, time - LONGEST_RUN)

    def goals_before(self, time: float) -> list[tuple[float, Record]]:
        """The goals told before ``time``: they are told once, and hold on."""
        return [(when, goals) for when, goals in self._goals if when <= time]

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


def _run_of(decision: DecisionSeen) -> RunSeen:
    """The run as a decision tells of it: a bag holds no answers of the action."""
    if decision.action is Action.STOP:
        return RunSeen(Phase.REACHED, "", f"recorded: stopped after {decision.step} steps")
    return RunSeen(Phase.RUNNING, "", f"recorded: step {decision.step}")
