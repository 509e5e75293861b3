"""Where along and beside the spine the probe stands: two Bayes filters, one of which counts spinous processes.

One vertebra looks like the next, but where between two of them a frame lies is seen, and the sacrum below them is like
nothing else. So along the spine the state is the vertebral level (0 at the spinous process of L5, 1 at that of L4, ...)
and how far apart this subject's vertebrae lie; a move climbs the part of a level that a column is there. Beside the
spine it is the distance from the midline. A frame multiplies either with the likelihood that the locators give.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from us_grid_sim.geometry import COLUMNS, ROW_PITCH, ROWS, Action

from us_nav_agent.belief import STEPS, Doubles, Ints, Offsets
from us_nav_agent.networks.locator import (
    ASIDE_PITCH,
    ASIDES,
    COLUMN_OFFSETS,
    FARTHEST_ASIDE,
    LEVEL_PARTS,
    LEVELS,
    LOWEST_LEVEL,
    ROW_OFFSETS,
)

CENTRES: Doubles = LOWEST_LEVEL + (np.arange(LEVELS, dtype=np.float64) + 0.5) / LEVEL_PARTS
"""The middles of the classes of the vertebral level (LEVELS,)."""
ASIDE_CENTRES: Doubles = (np.arange(ASIDES, dtype=np.float64) + 0.5) * ASIDE_PITCH - FARTHEST_ASIDE
"""The middles of the classes of the distance from the midline (ASIDES,) [m]."""
TARGET_LEVELS = {"l5": 0.0, "l4": 1.0, "l3": 2.0}
"""Vertebral level of the targets that are vertebrae."""
LANDMARK = -0.75
"""Vertebral level of the upper sacrum, which is told from all others at a sight."""
STRETCHES = np.array([0.80, 0.87, 0.93, 1.0, 1.07, 1.15, 1.25])
"""Columns from a vertebra to the next, as parts of the mean subject's."""
_FRAME_TRUST = 0.5
"""Exponent of a frame's likelihood: frames of one back err alike. Those of one place err the more alike, and a filter
that forgets nothing would come to believe an error that it looks at again and again: of the second look from a place
the exponent is a half of this, of the third a third."""
_WANDERING = 0.08
"""Standard deviation of what a move climbs beside the expected [levels]: the probe leans here and there. Measured on
the training bodies of the default cohort: 0.081 along the spine."""
_DRIFTING = 0.0015
"""Standard deviation of a move's distance from the midline beside the expected [m]: spines bend. Measured on those
bodies: 0.0015 along the spine."""
_COLUMN_ROUNDING = 0.25
"""Standard deviation of a target's column about that of its level [columns]: bins are whole, the best one counts. The
likeliest on those bodies."""
_ROW_ROUNDING = 0.004
"""Standard deviation of the distance from the midline by which the best of two rows is told [m]."""
_LEAST = 1e-6
"""Added to each probability, so that no error is for ever."""


@dataclass(frozen=True, eq=False)
class Spines:
    """What is known of the spines under the grids before a frame is seen.

    Attributes:
        climb: levels that a column is, at each of the levels (LEVELS,), in the mean subject.
        spread: standard deviation of the logarithm of the subjects' stretch.
        held_along: probability that the border holds a move to the left and to the right, by the level (2, LEVELS).
        held_beside: the same of a move up and down, by the distance from the midline (2, ASIDES).
    """

    climb: Doubles
    spread: float
    held_along: Doubles
    held_beside: Doubles


class Spine:
    """The beliefs of many runs towards one vertebra, which begin at any level and distance from the midline.

    Args:
        spines: what is known of them.
        level: of the vertebra.
        runs: how many.
    """

    def __init__(self, spines: Spines, level: float, runs: int) -> None:
        self._to_target, self._to_landmark = _columns_from(level, spines), _columns_from(LANDMARK, spines)
        share = np.exp(-((np.log(STRETCHES) / spines.spread) ** 2) / 2)
        start = np.repeat((share / share.sum())[:, None] / LEVELS, LEVELS, axis=1)
        self._along = np.tile(start, (runs, 1, 1))
        self._beside = np.full((runs, ASIDES), 1.0 / ASIDES)
        self._climbs, self._crossings = _climbs(spines), _crossings(spines)
        self._looks = _Looks(runs)

    def move(self, live: Ints, actions: Ints) -> None:
        """The runs ``live`` (n,) chose the moves ``actions`` (n,); a stop moves nothing."""
        for action, climb in self._climbs.items():
            moved = live[actions == action]
            self._along[moved] = np.matmul(self._along[moved].transpose(1, 0, 2), climb).transpose(1, 0, 2)
            self._beside[moved] = self._beside[moved] @ self._crossings[action]
        self._looks.move(live, actions)

    def see(self, live: Ints, levels: Doubles, asides: Doubles) -> None:
        """The runs ``live`` (n,) see frames of these log-probabilities, (n, LEVELS) and (n, ASIDES)."""
        trust = _FRAME_TRUST / self._looks.count(live)
        along = self._along[live] * _likelihood(levels, trust)[:, None, :]
        self._along[live] = along / along.sum(axis=(1, 2), keepdims=True)
        beside = self._beside[live] * _likelihood(asides, trust)
        self._beside[live] = beside / beside.sum(axis=1, keepdims=True)

    def levels(self, live: Ints) -> Doubles:
        """Probability (n, LEVELS) of each level for the runs ``live`` (n,)."""
        return np.asarray(self._along[live].sum(axis=1))

    def certainty(self, live: Ints) -> Doubles:
        """Probability (n,) that the level is within half a vertebra of the likeliest."""
        levels = self.levels(live)
        below = np.pad(levels.cumsum(axis=1), ((0, 0), (1, 0)))
        best, every, half = levels.argmax(axis=1), np.arange(len(live)), LEVEL_PARTS // 2
        return np.asarray(below[every, np.minimum(best + half + 1, LEVELS)] - below[every, np.maximum(best - half, 0)])

    def from_target(self, live: Ints) -> Offsets:
        """Where the runs ``live`` (n,) stand, seen from the bin that shows the vertebra best."""
        return self._offsets(live, self._to_target)

    def from_landmark(self, live: Ints) -> Offsets:
        """Where the runs ``live`` (n,) stand, seen from the landmark."""
        return self._offsets(live, self._to_landmark)

    def _offsets(self, live: Ints, columns_from: Doubles) -> Offsets:
        along = self._along[live].reshape(len(live), -1)
        return Offsets(self._beside[live] @ _rows_from_the_midline(), along @ columns_from.reshape(along.shape[1], -1))


class _Looks:
    """How often many runs have looked from where they stand, as their own moves tell.

    Whether the border held a move is not known here: a look after it counts as one from another place.
    """

    def __init__(self, runs: int) -> None:
        self._at = np.full((runs, 2), [ROWS, COLUMNS])
        self._times = np.zeros((runs, 2 * ROWS + 1, 2 * COLUMNS + 1))

    def move(self, live: Ints, actions: Ints) -> None:
        """The runs ``live`` (n,) chose the moves ``actions`` (n,); a stop moves nothing."""
        for action, (axis, step) in STEPS.items():
            moved = live[actions == action]
            self._at[moved, axis] = np.clip(self._at[moved, axis] + step, 0, self._times.shape[1 + axis] - 1)

    def count(self, live: Ints) -> Doubles:
        """The runs ``live`` (n,) look once more; how often (n,) that makes from where they stand."""
        here = live, *self._at[live].T
        self._times[here] += 1.0
        return np.asarray(self._times[here])


def _likelihood(logs: Doubles, trust: Doubles) -> Doubles:
    return np.asarray(np.exp(trust[:, None] * (logs - logs.max(axis=1, keepdims=True))) + _LEAST)


def _climbs(spines: Spines) -> dict[Action, Doubles]:
    """Of each move: from each level to each other (stretches, LEVELS, LEVELS)."""
    climbs = {}
    for action, (axis, sense) in STEPS.items():
        step = sense * axis
        # The part of a level that the column is in whose middle lies half a column further.
        climb = step * np.interp(CENTRES + step * 0.4, CENTRES, spines.climb) / STRETCHES[:, None]
        chances = _chances(CENTRES, CENTRES + climb, _WANDERING)
        climbs[action] = _unless_held(chances, spines.held_along[int(step > 0)]) if step else chances
    return climbs


def _crossings(spines: Spines) -> dict[Action, Doubles]:
    """Of each move: from each distance from the midline to each other (ASIDES, ASIDES)."""
    crossings = {}
    for action, (axis, sense) in STEPS.items():
        step = sense * (1 - axis)
        chances = _chances(ASIDE_CENTRES, ASIDE_CENTRES + step * ROW_PITCH, _DRIFTING)
        crossings[action] = _unless_held(chances, spines.held_beside[int(step > 0)]) if step else chances
    return crossings


def _unless_held(chances: Doubles, held: Doubles) -> Doubles:
    """Chances (..., n, n) of a move, which the border holds with the probability ``held`` (n,)."""
    return np.asarray(chances * (1.0 - held[:, None]) + np.eye(len(held)) * held[:, None])


def _chances(centres: Doubles, values: Doubles, spread: float) -> Doubles:
    """Probability (..., n) of each of ``centres`` (n,) for values (...) by a normal law."""
    chances = np.exp(-((centres - values[..., None]) ** 2) / (2 * spread**2)) + _LEAST
    return np.asarray(chances / chances.sum(axis=-1, keepdims=True))


def _columns_from(level: float, spines: Spines) -> Doubles:
    """Probability (stretches, LEVELS, 29) of each column offset from ``level``, where the probe is at each level."""
    fine = np.linspace(CENTRES[0], CENTRES[-1], 16 * LEVELS)
    columns = np.concatenate([[0.0], np.cumsum(np.diff(fine) / np.interp(fine[1:], CENTRES, spines.climb))])
    away = (np.interp(CENTRES, fine, columns) - np.interp(level, fine, columns)) * STRETCHES[:, None]
    return _chances(np.arange(COLUMN_OFFSETS, dtype=np.float64) - COLUMN_OFFSETS // 2, away, _COLUMN_ROUNDING)


@lru_cache(maxsize=1)
def _rows_from_the_midline() -> Doubles:
    """Probability (ASIDES, 21) of each row offset from the row that is nearest to the midline."""
    rows = (np.arange(ROW_OFFSETS, dtype=np.float64) - ROW_OFFSETS // 2) * ROW_PITCH
    return _chances(rows, ASIDE_CENTRES, _ROW_ROUNDING)
