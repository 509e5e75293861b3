"""Runs of a policy over grids from every start, all subjects and starts in one batch (Hase et al. 2020, alg. 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action

from us_nav_agent.deciders.base import Decider, Ints, Walkers

MAX_ACTIONS = 20
"""Actions of a test run (Hase et al. 2020, sec. IV-C)."""


@dataclass(frozen=True)
class Runs:
    """One run from each of the 165 bins of each task, as a rule one a subject; arrays (tasks, 165).

    Attributes:
        actions: actions taken, the stop included.
        correct: how many of them moved closer to the goal, or stopped in a goal bin.
        stopped: whether the run ended with a stop decision.
        reached: whether it ended with a stop decision in a goal bin.
        path: (tasks, 165, 21), the bins one after the other, row * 15 + column, from the start on; a move that the
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


def run_all(decider: Decider, grids: Sequence[PreprocessedGrid], seed: int) -> Runs:
    """Walk every grid from every bin to the grid's goals.

    Args:
        decider: chooses the actions; one that walks towards what those goals show.
        grids: the subjects, frames as the networks see them.
        seed: of the frames that are drawn in the bins.
    """
    tables = GridTables.of(grids)
    return walk(decider.walkers(tables.frames, tables.distances.size), tables, seed)


def walk(walkers: Walkers, tables: GridTables, seed: int) -> Runs:
    """Walk from every bin as ``walkers`` say, a new run for each of (tasks * 165) starts."""
    rng = np.random.default_rng(seed)
    shape = tables.distances.shape
    task = np.repeat(np.arange(shape[0]), BINS)
    state, count = np.tile(np.arange(BINS), shape[0]), task.size
    taken, correct = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    stopped, correct_action = np.zeros(count, dtype=bool), tables.correct
    path = np.full((count, MAX_ACTIONS + 1), -1)
    path[:, 0] = state
    for step in range(MAX_ACTIONS):
        draw = rng.integers(FRAMES_PER_BIN, size=count)
        live = np.flatnonzero(~stopped)
        action = walkers(live, tables.bins[tables.subject[task[live]], state[live], draw[live]])
        taken[live] += 1
        ended = live[action == Action.STOP]
        stopped[ended] = True
        correct[live] += correct_action[task[live], state[live], action]
        going, move = live[action != Action.STOP], action[action != Action.STOP]
        if not going.size:
            break
        state[going] = path[going, step + 1] = tables.next_state[state[going], move]
    reached = stopped & tables.is_goal[task, state]
    return Runs(
        actions=taken.reshape(shape),
        correct=correct.reshape(shape),
        stopped=stopped.reshape(shape),
        reached=reached.reshape(shape),
        path=path.reshape(*shape, -1),
    )
