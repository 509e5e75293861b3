"""The records of a recording by their time, indexed once, so that any moment of it is found at once. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from us_grid_sim.geometry import Action

from us_nav_agent.console.records import (
    DecisionSeen,
    DiagnosticSeen,
    GoalsSeen,
    JointsSeen,
    Phase,
    ProbeSeen,
    Record,
    RunSeen,
)
from us_nav_agent.console.series import SPACING, WINDOW

LONGEST_RUN = 300.0
"""How far back the beginning of a run is looked for [s]."""
_MARGIN = 1.0
"""Before the curves' window: the state that its first decision was made in [s]."""

Timed = tuple[float, Record]
"""A record and its time [s]."""


class Timeline:
    """Records other than frames, added in the order of their times.

    States and joints are sampled: one that is nearer to the last one kept than the samples of a curve is left out,
    unless the probe has come over another bin, or its contact or session has changed. Paths are therefore exact.
    """

    def __init__(self) -> None:
        self._times: list[float] = []
        self._records: list[Record] = []
        self._lines: dict[object, list[int]] = {}
        self._run_starts: list[float] = []
        self._decided: list[float] = []
        self._decisions: list[list[int]] = []

    def add(self, time: float, record: Record) -> None:
        """Take a record of ``time`` [s]; a decision tells of its run too: a bag holds no answers of the action."""
        line = self._lines.setdefault(_subject(record), [])
        if line and time - self._times[line[-1]] < SPACING and _says_no_more(record, self._records[line[-1]]):
            return
        line.append(self._keep(time, record))
        if isinstance(record, DecisionSeen):
            if record.step == 0:
                self._run_starts.append(time)
            self._decided.append(time)
            self._decisions.append([*self._state_at(record.stamp_ns), line[-1], self._keep(time, _run_of(record))])

    def _keep(self, time: float, record: Record) -> int:
        self._times.append(time)
        self._records.append(record)
        return len(self._times) - 1

    def _state_at(self, stamp_ns: int) -> Iterator[int]:
        """Where the newest state lies that is no newer than a frame's stamp."""
        for index in reversed(self._lines.get(ProbeSeen, [])):
            state = self._records[index]
            if isinstance(state, ProbeSeen) and state.stamp_ns <= stamp_ns:
                yield index
                return

    def between(self, after: float, until: float) -> list[Timed]:
        """The records of times in (after, until]."""
        return self._timed(range(bisect_right(self._times, after), bisect_right(self._times, until)))

    def leading_to(self, time: float) -> tuple[list[Timed], float]:
        """What a model has to be told before ``between`` goes on to ``time``, and from when it does [s].

        Of the run that is under way, or was the last before, each decision with the state that it was made in; then
        the newest of each kind, node and target, since what was told once holds on; then the curves' last seconds.
        """
        begin = time - WINDOW - _MARGIN
        run = bisect_right(self._run_starts, time) - 1
        start = max(self._run_starts[run] if run >= 0 else time, time - LONGEST_RUN)
        span = slice(bisect_left(self._decided, start), bisect_right(self._decided, begin))
        trail = [index for decision in self._decisions[span] for index in decision]
        end = bisect_right(self._times, begin)
        newest = [line[found - 1] for line in self._lines.values() if (found := bisect_left(line, end))]
        standing = [index for index in sorted(newest) if not isinstance(self._records[index], DecisionSeen)]
        return self._timed([*trail, *standing]), begin

    def _timed(self, indices: list[int] | range) -> list[Timed]:
        return [(self._times[index], self._records[index]) for index in indices]


def _subject(record: Record) -> object:
    """What a newer record of the same takes the place of."""
    if isinstance(record, DiagnosticSeen):
        return DiagnosticSeen, record.name
    if isinstance(record, GoalsSeen):
        return GoalsSeen, record.target
    return type(record)


def _says_no_more(record: Record, kept: Record) -> bool:
    """Whether a record, just after ``kept``, has nothing but numbers that have moved a little."""
    if isinstance(record, ProbeSeen) and isinstance(kept, ProbeSeen):
        return (record.bin, record.contact, record.session) == (kept.bin, kept.contact, kept.session)
    return isinstance(record, JointsSeen)


def _run_of(decision: DecisionSeen) -> RunSeen:
    """The run as a decision tells of it."""
    if decision.action is Action.STOP:
        return RunSeen(Phase.REACHED, "", f"recorded: stopped after {decision.step} steps")
    return RunSeen(Phase.RUNNING, "", f"recorded: step {decision.step}")
