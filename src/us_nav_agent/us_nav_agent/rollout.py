"""Runs of a policy over grids from every start, all subjects and starts in one batch (Hase et al. 2020, alg. 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance

from us_nav_agent.deciders import Chooser, Decider, Ints
from us_nav_agent.networks.ms_dqn import MOVES

MAX_ACTIONS = 20
"""Actions of a test run (Hase et al. 2020, sec. IV-C)."""


@dataclass(frozen=True)
class Runs:
    """One run from each of the 165 bins of each subject; arrays (subjects, 165).

    Attributes:
        actions: actions taken, the stop included.
        correct: how many of them moved closer to the goal, or stopped in a goal bin.
        stopped: whether the run ended with a stop decision.
        state: the bin that it ended in, row * 15 + column.
        reached: whether it ended with a stop decision in a goal bin.
    """

    actions: Ints
    correct: Ints
    stopped: npt.NDArray[np.bool_]
    state: Ints
    reached: npt.NDArray[np.bool_]


def goal_distances(goals: tuple[Bin, ...]) -> Ints:
    """Distance (165,) of every bin to the goal [steps]."""
    return np.array([goal_distance(Bin.from_state(state), goals) for state in range(BINS)])


def _moves() -> Ints:
    """Next state (165, 4) of every bin and move."""
    return np.array(
        [[Bin.from_state(state).moved(Action(move)).state for move in range(MOVES)] for state in range(BINS)]
    )


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
    return walk(decider.chooser(walks.frames), walks, decider.config.frames, decider.config.actions, seed)


def walk(choose: Chooser, walks: Walks, frames: int, actions: int, seed: int) -> Runs:
    """Walk from every bin with memories of ``frames`` frames and ``actions`` actions, as ``choose`` says."""
    rng = np.random.default_rng(seed)
    shape = walks.distances.shape
    subject = np.repeat(np.arange(shape[0]), BINS)
    state = np.tile(np.arange(BINS), shape[0])
    moves, one_hot, count = _moves(), np.eye(MOVES, dtype=np.float32), len(state)
    memory = np.zeros((count, frames), dtype=np.int64)
    chosen = np.zeros((count, actions, MOVES), dtype=np.float32)
    taken, correct = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    stopped = np.zeros(count, dtype=bool)
    for step in range(MAX_ACTIONS):
        draw = rng.integers(FRAMES_PER_BIN, size=count)
        live = np.flatnonzero(~stopped)
        frame = walks.bins[subject[live], state[live], draw[live]]
        memory[live] = np.column_stack([frame, memory[live, :-1]]) if step else frame[:, None]
        action = choose(memory[live], chosen[live])
        taken[live] += 1
        ended = live[action == Action.STOP]
        stopped[ended] = True
        correct[ended] += walks.is_goal[subject[ended], state[ended]]
        going, move = live[action != Action.STOP], action[action != Action.STOP]
        if not going.size:
            break
        chosen[going] = np.concatenate([one_hot[move][:, None], chosen[going]], axis=1)[:, :actions]
        after = moves[state[going], move]
        correct[going] += walks.distances[subject[going], after] < walks.distances[subject[going], state[going]]
        state[going] = after
    reached = stopped & walks.is_goal[subject, state]
    return Runs(
        actions=taken.reshape(shape),
        correct=correct.reshape(shape),
        stopped=stopped.reshape(shape),
        state=state.reshape(shape),
        reached=reached.reshape(shape),
    )
