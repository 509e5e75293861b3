"""The console's model: records go in as they come, a snapshot of what is to be seen comes out. Pure; any thread."""

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from us_grid_sim.geometry import Bin

from us_nav_agent.console.records import (
    DecisionSeen,
    DiagnosticSeen,
    FrameSeen,
    GoalsSeen,
    JointsSeen,
    Phase,
    ProbeSeen,
    Record,
    RunSeen,
)
from us_nav_agent.console.series import Sample, Series

LONGEST_PATH = 500
"""Bins of a path that are kept; a policy that decides on every frame walks for ever."""
_PLACES = 256
"""Probe states that are kept to find where a frame was taken; 4 s at 60 a second."""
_RATE_WINDOW = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Seen(Generic[T]):
    """A record and its age [s] at the moment of the snapshot."""

    record: T
    age: float


@dataclass(frozen=True)
class NumberedFrame:
    """The newest frame, numbered from 1, and its age [s]."""

    number: int
    record: FrameSeen
    age: float


@dataclass(frozen=True)
class Snapshot:
    """What is to be seen at a moment.

    Attributes:
        now: the moment, on the feed's own steady time [s]; the time of the samples too.
        age: of the newest record [s]; None: there was none yet.
        frame: the newest.
        frame_rate: frames a second over the last two seconds.
        decision, probe, joints: the newest of each.
        diagnostics: the newest of each node, by name.
        path: bins of the run, one a decision that found the probe elsewhere than the one before.
        values: V of each visited bin, the newest.
        goals: bins by target.
        subject: whose back the goals are of.
        run: where the run stands.
        force: samples (time, force, set point) that are new [s, N, N].
        joint_angles: samples (time, angles) that are new [s, rad].
    """

    now: float
    age: float | None
    frame: NumberedFrame | None
    frame_rate: float
    decision: Seen[DecisionSeen] | None
    probe: Seen[ProbeSeen] | None
    joints: Seen[JointsSeen] | None
    diagnostics: tuple[Seen[DiagnosticSeen], ...]
    path: tuple[Bin, ...]
    values: dict[Bin, float]
    goals: dict[str, tuple[Bin, ...]]
    subject: str
    run: RunSeen
    force: list[Sample]
    joint_angles: list[Sample]


@dataclass(frozen=True)
class Marks:
    """How many samples of each plot a viewer has been given."""

    force: int = 0
    joints: int = 0


class ConsoleModel:
    """Keeps the newest of everything, the path of the run and thirty seconds of curves; its memory does not grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: float | None = None
        self._frames = 0
        self._frame: tuple[FrameSeen, float] | None = None
        self._arrivals: deque[float] = deque(maxlen=256)
        self._decision: tuple[DecisionSeen, float] | None = None
        self._joints: tuple[JointsSeen, float] | None = None
        self._places: deque[tuple[ProbeSeen, float]] = deque(maxlen=_PLACES)
        self._diagnostics: dict[str, tuple[DiagnosticSeen, float]] = {}
        self._path: deque[Bin] = deque(maxlen=LONGEST_PATH)
        self._values: dict[Bin, float] = {}
        self._goals: dict[str, tuple[Bin, ...]] = {}
        self._subject = ""
        self._run = RunSeen(Phase.IDLE, "")
        self._force, self._joint_angles = Series(), Series()

    def take(self, record: Record, now: float) -> None:
        """Take a record that came at ``now`` [s]."""
        with self._lock:
            if isinstance(record, RunSeen):
                # Said by the console itself, not by the graph: no sign of life.
                self._run = record
                return
            self._newest = now
            if isinstance(record, FrameSeen):
                self._frames += 1
                self._frame = record, now
                self._arrivals.append(now)
            elif isinstance(record, DecisionSeen):
                self._decide(record, now)
            elif isinstance(record, ProbeSeen):
                self._places.append((record, now))
                self._force.add(now, record.force, record.set_point)
            elif isinstance(record, JointsSeen):
                self._joints = record, now
                self._joint_angles.add(now, *record.angles)
            elif isinstance(record, DiagnosticSeen):
                self._diagnostics[record.name] = record, now
            else:
                self._know(record)

    def _decide(self, decision: DecisionSeen, now: float) -> None:
        self._decision = decision, now
        if decision.step == 0:
            self._path.clear()
            self._values.clear()
        place = self._place_at(decision.stamp_ns)
        if place is None:
            return
        if not self._path or self._path[-1] != place:
            self._path.append(place)
        if math.isfinite(decision.state_value):
            self._values[place] = decision.state_value

    def _place_at(self, stamp_ns: int) -> Bin | None:
        """The bin under the probe when the frame of ``stamp_ns`` was taken: by the last state that is not newer."""
        for probe, _ in reversed(self._places):
            if probe.stamp_ns <= stamp_ns:
                return probe.bin
        return None

    def _know(self, goals: GoalsSeen) -> None:
        if goals.subject != self._subject:
            self._goals, self._subject = {}, goals.subject
        self._goals[goals.target] = goals.bins

    def frame(self, now: float) -> NumberedFrame | None:
        """The newest frame alone."""
        with self._lock:
            return self._numbered(now)

    def _numbered(self, now: float) -> NumberedFrame | None:
        return None if self._frame is None else NumberedFrame(self._frames, self._frame[0], now - self._frame[1])

    def snapshot(self, now: float, marks: Marks | None = None) -> tuple[Snapshot, Marks]:
        """What is to be seen at ``now`` [s], of the curves what ``marks`` has not; and the marks after it."""
        marks = marks or Marks()
        with self._lock:
            probe = self._places[-1] if self._places else None
            told = Snapshot(
                now=now,
                age=None if self._newest is None else now - self._newest,
                frame=self._numbered(now),
                frame_rate=self._rate(now),
                decision=_aged(self._decision, now),
                probe=_aged(probe, now),
                joints=_aged(self._joints, now),
                diagnostics=tuple(Seen(said, now - came) for said, came in self._diagnostics.values()),
                path=tuple(self._path),
                values=dict(self._values),
                goals=dict(self._goals),
                subject=self._subject,
                run=self._run,
                force=self._force.since(marks.force),
                joint_angles=self._joint_angles.since(marks.joints),
            )
            return told, Marks(self._force.count, self._joint_angles.count)

    def _rate(self, now: float) -> float:
        recent = [time for time in self._arrivals if time > now - _RATE_WINDOW]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0


def _aged(kept: tuple[T, float] | None, now: float) -> Seen[T] | None:
    return None if kept is None else Seen(kept[0], now - kept[1])
