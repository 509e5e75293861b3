"""Runs of a policy over grids from every start, all subjects and starts in one batch (Hase et al. 2020, alg. 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance

from us_nav_agent.networks.ms_dqn import MOVES, MsDqn, StopClassifier

MAX_ACTIONS = 20
"""Actions of a test run (Hase et al. 2020, sec. IV-C)."""

Ints = npt.NDArray[np.int64]


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


def stop_probabilities(
    stop: StopClassifier, frames: npt.NDArray[np.uint8], batch: int = 256
) -> npt.NDArray[np.float32]:
    """Probability (n,) that each of the frames uint8 (n, h, w) shows the target."""
    pictures = torch.from_numpy(frames).unsqueeze(1)
    with torch.inference_mode():
        parts = [stop(pictures[first : first + batch]) for first in range(0, len(pictures), batch)]
        probabilities: npt.NDArray[np.float32] = torch.sigmoid(torch.cat(parts)).numpy()
    return probabilities


def _moves() -> Ints:
    """Next state (165, 4) of every bin and move."""
    return np.array(
        [[Bin.from_state(state).moved(Action(move)).state for move in range(MOVES)] for state in range(BINS)]
    )


def run_all(q: MsDqn, stop: StopClassifier, threshold: float, grids: Sequence[PreprocessedGrid], seed: int) -> Runs:
    """Walk every grid from every bin.

    Args:
        q: the network that chooses moves.
        stop: the classifier that is asked first.
        threshold: probability from which it stops.
        grids: the subjects, frames as the networks see them.
        seed: of the frames that are drawn in the bins.
    """
    rng = np.random.default_rng(seed)
    bank = np.concatenate([grid.frames for grid in grids])
    offsets = np.cumsum([0, *(len(grid.frames) for grid in grids)])[:-1]
    bins = np.stack([grid.bins.reshape(BINS, -1) + offset for grid, offset in zip(grids, offsets, strict=True)])
    distances = np.stack([goal_distances(grid.goals) for grid in grids])
    is_goal = np.zeros((len(grids), BINS), dtype=bool)
    for index, grid in enumerate(grids):
        is_goal[index, [goal.state for goal in grid.goals]] = True
    stops = stop_probabilities(stop, bank).astype(np.float64) >= threshold  # as exact as in Policy.act
    return _walk(q, bank, bins, distances, is_goal, stops, rng)


def _walk(
    q: MsDqn,
    bank: npt.NDArray[np.uint8],
    bins: Ints,
    distances: Ints,
    is_goal: npt.NDArray[np.bool_],
    stops: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Runs:
    shape = distances.shape
    subject = np.repeat(np.arange(shape[0]), BINS)
    state = np.tile(np.arange(BINS), shape[0])
    moves, count = _moves(), len(state)
    memory = np.zeros((count, q.config.frames), dtype=np.int64)
    chosen = np.zeros((count, q.config.actions, MOVES), dtype=np.float32)
    taken, correct = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    stopped = np.zeros(count, dtype=bool)
    for step in range(MAX_ACTIONS):
        draw = rng.integers(FRAMES_PER_BIN, size=count)
        live = np.flatnonzero(~stopped)
        frame = bins[subject[live], state[live], draw[live]]
        memory[live] = np.column_stack([frame, memory[live, :-1]]) if step else frame[:, None]
        taken[live] += 1
        halting = stops[frame]
        ended = live[halting]
        stopped[ended] = True
        correct[ended] += is_goal[subject[ended], state[ended]]
        going = live[~halting]
        if not going.size:
            break
        move = _greedy(q, bank, memory[going], chosen[going])
        chosen[going] = np.concatenate([np.eye(MOVES, dtype=np.float32)[move][:, None], chosen[going, :-1]], axis=1)
        after = moves[state[going], move]
        correct[going] += distances[subject[going], after] < distances[subject[going], state[going]]
        state[going] = after
    reached = stopped & is_goal[subject, state]
    return Runs(
        actions=taken.reshape(shape),
        correct=correct.reshape(shape),
        stopped=stopped.reshape(shape),
        state=state.reshape(shape),
        reached=reached.reshape(shape),
    )


def _greedy(
    q: MsDqn, bank: npt.NDArray[np.uint8], memory: Ints, chosen: npt.NDArray[np.float32], batch: int = 256
) -> Ints:
    """The best move (n,) for frame numbers (n, frames) and action memories (n, actions, 4)."""
    actions = torch.from_numpy(chosen.reshape(len(chosen), -1))
    best = []
    with torch.inference_mode():
        for first in range(0, len(memory), batch):
            frames = torch.from_numpy(bank[memory[first : first + batch]])
            best.append(q(frames, actions[first : first + batch]).q.argmax(dim=1).numpy())
    return np.concatenate(best)
