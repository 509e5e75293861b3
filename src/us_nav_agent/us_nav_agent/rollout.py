"""Runs of a policy over grids from every start, all subjects and starts in one batch (Hase et al. 2020, alg. 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance

from us_nav_agent.deciders.base import Decider, Ints, Walkers

MAX_ACTIONS = 20
"""Actions of a test run (Hase et al. 2020, sec. IV-C)."""


@dataclass(frozen=True)
class Runs:
    """One run from each of the 165 bins of each subject; arrays (subjects, 165).

    Attributes:
        actions: actions taken, the stop included.
        correct: how many of them moved closer to the goal, or stopped in a goal bin.
        stopped: whether the run ended with a stop decision.
        reached: whether it ended with a stop decision in a goal bin.
        path: (subjects, 165, 21), the bins one after the other, row * 15 + column, from the start on; a move that the
            border held back stands there as the same bin again; -1 after the last one.
    """

    actions: Ints
    correct: Ints
    stopped: npt.NDArray[np.bool_]
    reached: npt.NDArray[np.bool_]
    path: Ints

    @property
    def moves(self) -> Ints:
        """Moves of each run, those included that a border held back."""
        return self.actions - self.stopped

    @property
    def state(self) -> Ints:
        """The bin that each run ended in, row * 15 + column."""
        return np.take_along_axis(self.path, self.moves[..., None], axis=-1)[..., 0]


def goal_distances(goals: tuple[Bin, ...]) -> Ints:
    """Distance (165,) of every bin to the goal [steps]."""
    return np.array([goal_distance(Bin.from_state(state), goals) for state in range(BINS)])


def _moves() -> Ints:
    """Next state (165, 5) of every bin and action."""
    return np.array([[Bin.from_state(state).moved(action).state for action in Action] for state in range(BINS)])


@dataclass(frozen=True, eq=False)
class Walks:
    """Grids to walk on, their frames in one bank.

    Attributes:
        frames: uint8 (n, h, w), those of all subjects.
        bins: int (subjects, 165, 5), each bin's five frames as numbers into ``frames``.
        distances: (subjects, 165), to the goal [steps].
        is_goal: bool (subjects, 165).
    """

    frames: npt.NDArray[np.uint8]
    bins: Ints
    distances: Ints
    is_goal: npt.NDArray[np.bool_]

    @classmethod
    def on(cls, grids: Sequence[PreprocessedGrid]) -> "Walks":
        """Put the frames of ``grids`` together."""
        offsets = np.cumsum([0, *(len(grid.frames) for grid in grids)])[:-1]
        is_goal = np.zeros((len(grids), BINS), dtype=bool)
        for index, grid in enumerate(grids):
            is_goal[index, [goal.state for goal in grid.goals]] = True
        return cls(
            np.concatenate([grid.frames for grid in grids]),
            np.stack([grid.bins.reshape(BINS, -1) + offset for grid, offset in zip(grids, offsets, strict=True)]),
            np.stack([goal_distances(grid.goals) for grid in grids]),
            is_goal,
        )


def run_all(decider: Decider, grids: Sequence[PreprocessedGrid], seed: int) -> Runs:
    """Walk every grid from every bin.

    Args:
        decider: chooses the actions.
        grids: the subjects, frames as the networks see them.
        seed: of the frames that are drawn in the bins.
    """
    walks = Walks.on(grids)
    return walk(decider.walkers(walks.frames, walks.distances.size), walks, seed)


def walk(walkers: Walkers, walks: Walks, seed: int) -> Runs:
    """Walk from every bin as ``walkers`` say, a new run for each of (subjects * 165) starts."""
    rng = np.random.default_rng(seed)
    shape = walks.distances.shape
    subject = np.repeat(np.arange(shape[0]), BINS)
    state = np.tile(np.arange(BINS), shape[0])
    moves, count = _moves(), len(state)
    taken, correct = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    stopped = np.zeros(count, dtype=bool)
    path = np.full((count, MAX_ACTIONS + 1), -1)
    path[:, 0] = state
    for step in range(MAX_ACTIONS):
        draw = rng.integers(FRAMES_PER_BIN, size=count)
        live = np.flatnonzero(~stopped)
        action = walkers(live, walks.bins[subject[live], state[live], draw[live]])
        taken[live] += 1
        ended = live[action == Action.STOP]
        stopped[ended] = True
        correct[ended] += walks.is_goal[subject[ended], state[ended]]
        going, move = live[action != Action.STOP], action[action != Action.STOP]
        if not going.size:
            break
        after = moves[state[going], move]
        correct[going] += walks.distances[subject[going], after] < walks.distances[subject[going], state[going]]
        state[going] = path[going, step + 1] = after
    reached = stopped & walks.is_goal[subject, state]
    return Runs(
        actions=taken.reshape(shape),
        correct=correct.reshape(shape),
        stopped=stopped.reshape(shape),
        reached=reached.reshape(shape),
        path=path.reshape(*shape, -1),
    )
