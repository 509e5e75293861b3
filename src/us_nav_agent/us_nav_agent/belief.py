"""Where the probe may be: a Bayes filter over the offsets to a target, and what each action is then worth.

The state is the offset (rows, columns) of the probe's bin from the target's, rows and columns each on their own. A move
shifts the filter's belief, but for the part of it where the border of the grid would have held the probe; a frame
multiplies it with the likelihood that a locator gives. All opinions of where the probe is, the filter's, a tracker's
and of a vertebra that of ``spine``, are weighed alike (their geometric mean). Actions are worth what they would be if
the state were known from the next step on (QMDP; Littman, Cassandra and Kaelbling 1995).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from us_grid_sim.envs.rules import Rewards
from us_grid_sim.geometry import Action

from us_nav_agent.networks.locator import COLUMN_OFFSETS, ROW_OFFSETS

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GAMMA = 0.99
"""Discount of a step (authors' code)."""
FRAME_TRUST = 0.5
"""Exponent of a frame's likelihood: frames of one back err alike, so two of them do not say twice as much as one."""
FORGETTING = 0.02
"""Share of the prior that is mixed into the belief at each step, so that no error is for ever."""
_FALLS = 12, 19
"""From which decision of a run to which it becomes content with less: a run of the evaluation has 20."""
_NEVER_SURE = 1e-4
"""Added to each probability before opinions are multiplied."""
_HERE = ROW_OFFSETS // 2, COLUMN_OFFSETS // 2
STEPS = {Action.UP: (0, -1), Action.DOWN: (0, 1), Action.LEFT: (1, -1), Action.RIGHT: (1, 1)}
"""Axis of the offset that a move changes, and by how much."""


@dataclass(frozen=True, eq=False)
class Grids:
    """What is known of the grids before a frame is seen, for one target.

    Attributes:
        prior: of the row offset (21,) and of the column offset (29,).
        held: probability that the border holds a move, by its offset: up and down (2, 21), left and right (2, 29).
    """

    prior: tuple[Doubles, Doubles]
    held: tuple[Doubles, Doubles]


@dataclass(frozen=True, eq=False)
class Offsets:
    """What is held for true of n runs: where they stand, seen from the target.

    Attributes:
        rows: (n, 21), probability of each row offset.
        columns: (n, 29), of each column offset.
    """

    rows: Doubles
    columns: Doubles

    def here(self) -> Doubles:
        """Probability (n,) that the probe stands in a row and in a column of the target."""
        return np.asarray(self.rows[:, _HERE[0]] * self.columns[:, _HERE[1]])

    def closer(self) -> Doubles:
        """Probability (n, 4) of each move leading closer to the target."""
        return np.asarray(self._joint() @ _CLOSER)

    def values(self, shown: Doubles) -> Doubles:
        """What each action is worth (n, 5) [expected discounted return, rewards of Hase et al. 2020, table I].

        Args:
            shown: probability (n,) that a stop would be right.
        """
        rewards = Rewards()
        stop = shown * rewards.correct_stop + (1.0 - shown) * rewards.incorrect_stop
        return np.concatenate([self._joint() @ _worth(), stop[:, None]], axis=1)

    def _joint(self) -> Doubles:
        """Probability (n, 21 * 29) of each offset."""
        return (self.rows[:, :, None] * self.columns[:, None, :]).reshape(len(self.rows), -1)


def agreed(*opinions: Offsets) -> Offsets:
    """What opinions have in common: their geometric mean, scaled to a distribution. No doubt of any is final."""
    rows, columns = (
        np.exp(np.mean([np.log(part + _NEVER_SURE) for part in parts], axis=0))
        for parts in zip(*((one.rows, one.columns) for one in opinions), strict=True)
    )
    return Offsets(rows / rows.sum(axis=1, keepdims=True), columns / columns.sum(axis=1, keepdims=True))


def falling(first: float, last: float, decisions: Ints) -> Doubles:
    """Probability of the target being shown from which a run stops at these of its decisions, counted from 0.

    It is ``first`` for twelve decisions, falls in a straight line to ``last`` at the twentieth and stays there: with
    few looks left, a view that is likely the right one is worth taking.
    """
    return np.asarray(np.interp(decisions, _FALLS, (first, last)), dtype=np.float64)


class Belief:
    """The filter's beliefs of many runs towards one target.

    Attributes:
        rows: (runs, 21), probability of each row offset.
        columns: (runs, 29), of each column offset.
    """

    def __init__(self, grids: Grids, runs: int) -> None:
        self._grids = grids
        self.rows, self.columns = (np.tile(prior, (runs, 1)) for prior in grids.prior)

    def move(self, live: Ints, actions: Ints) -> None:
        """The runs ``live`` (n,) chose the moves ``actions`` (n,)."""
        for action, (axis, step) in STEPS.items():
            moved = live[actions == action]
            beliefs = (self.rows, self.columns)[axis]
            beliefs[moved] = _shifted(beliefs[moved], step, self._grids.held[axis][int(step > 0)])

    def see(self, live: Ints, rows: Doubles, columns: Doubles) -> None:
        """The runs ``live`` (n,) see frames of these log-probabilities of offsets, (n, 21) and (n, 29)."""
        for beliefs, seen, prior in zip((self.rows, self.columns), (rows, columns), self._grids.prior, strict=True):
            likelihood = FRAME_TRUST * (seen - np.log(prior))
            weighed = beliefs[live] * np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
            weighed /= weighed.sum(axis=1, keepdims=True)
            beliefs[live] = (1.0 - FORGETTING) * weighed + FORGETTING * prior

    def of(self, live: Ints) -> Offsets:
        """What is held for true of the runs ``live`` (n,)."""
        return Offsets(self.rows[live], self.columns[live])


def _shifted(beliefs: Doubles, step: int, held: Doubles) -> Doubles:
    """Beliefs (n, offsets) after a move that changes the offset by ``step``, except where the border ``held`` it."""
    moving = beliefs * (1.0 - held)
    shifted = np.zeros_like(beliefs)
    if step > 0:
        shifted[:, 1:] = moving[:, :-1]
        shifted[:, -1] += moving[:, -1]
    else:
        shifted[:, :-1] = moving[:, 1:]
        shifted[:, 0] += moving[:, 0]
    return shifted + beliefs * held


_ROWS, _COLUMNS = (
    axis.reshape(-1)
    for axis in np.meshgrid(np.arange(ROW_OFFSETS) - _HERE[0], np.arange(COLUMN_OFFSETS) - _HERE[1], indexing="ij")
)
"""Offset of each of the 21 * 29 states."""
_CLOSER = np.stack([_ROWS > 0, _ROWS < 0, _COLUMNS > 0, _COLUMNS < 0], axis=1).astype(np.float64)
"""Whether each move leads closer from each state (21 * 29, 4)."""


@lru_cache(maxsize=1)
def _worth() -> Doubles:
    """Return (21 * 29, 4) of each move from each state when all that follows is right."""
    rewards, distance = Rewards(), np.abs(_ROWS) + np.abs(_COLUMNS)
    best = [rewards.correct_stop]
    for _ in range(ROW_OFFSETS + COLUMN_OFFSETS):
        best.append(rewards.closer + GAMMA * best[-1])
    returns = np.array(best)
    nearer = rewards.closer + GAMMA * returns[np.maximum(distance - 1, 0)]
    further = rewards.further + GAMMA * returns[distance + 1]
    return np.asarray(np.where(_CLOSER > 0, nearer[:, None], further[:, None]))
