"""Metrics as pure functions of runs: those of Hase et al. 2020 (eq. 5 and 6), how straight a run was, how far off."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import BINS, COLUMN_PITCH, COLUMNS, ROW_PITCH, Bin

from us_nav_agent.rollout import Runs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Goals = Sequence[tuple[Bin, ...]]
"""The goal bins of each subject."""


def measure(runs: Runs, goals: Goals) -> dict[str, Floats]:
    """Every metric by name, one value a subject (subjects,); NaN where a metric has none on a subject."""
    return {
        "policy_correctness": policy_correctness(runs),
        "reachability": reachability(runs),
        "path_efficiency": path_efficiency(runs, goals),
        "spl": success_weighted_by_path_length(runs, goals),
        "distance_mm": distance_mm(runs, goals),
        "actions_to_goal": actions_to_goal(runs),
        "false_stops": false_stops(runs),
    }


def policy_correctness(runs: Runs) -> Floats:
    """Mean over a subject's runs of n_correct / n_actions (subjects,), eq. 5; the stop is one of the actions."""
    return np.asarray((runs.correct / runs.actions).mean(axis=1), dtype=np.float64)


def reachability(runs: Runs) -> Floats:
    """Share of a subject's runs (subjects,) that end with a stop decision in a goal bin, eq. 6."""
    return np.asarray(runs.reached.mean(axis=1), dtype=np.float64)


def path_efficiency(runs: Runs, goals: Goals) -> Floats:
    """Shortest path over path taken, mean over a subject's runs that reached the goal (subjects,); NaN: none did.

    Both in moves, those included that a border held back. A run that starts in a goal bin is worth 1 where it stops at
    once, and 0 where it wanders off and comes back. Times the reachability it is the SPL.
    """
    return _mean_of_reached(_straightness(runs, goals), runs)


def success_weighted_by_path_length(runs: Runs, goals: Goals) -> Floats:
    """SPL: the mean over all runs of S * l / max(p, l) (subjects,).

    S is 1 where the run reached the goal and 0 elsewhere, l the shortest path, p the path taken (Anderson et al. 2018,
    On Evaluation of Embodied Navigation Agents, arXiv 1807.06757); 0 / 0 counts as 1.
    """
    return np.asarray(np.where(runs.reached, _straightness(runs, goals), 0.0).mean(axis=1), dtype=np.float64)


def distance_mm(runs: Runs, goals: Goals) -> Floats:
    """Distance of the bin that a run ended in from the nearest goal bin, centre to centre [mm], mean over a subject's
    runs (subjects,), stopped or not; 0 in a goal bin.
    """
    away = np.stack([_bins_mm(one) for one in goals])
    return np.asarray(np.take_along_axis(away, runs.state, axis=1).mean(axis=1), dtype=np.float64)


def actions_to_goal(runs: Runs) -> Floats:
    """Actions of a run that reached the goal, the stop included, mean over a subject's (subjects,); NaN: none did."""
    return _mean_of_reached(runs.actions.astype(np.float64), runs)


def false_stops(runs: Runs) -> Floats:
    """Share of a subject's runs (subjects,) that end with a stop decision outside the goal bins."""
    return np.asarray((runs.stopped & ~runs.reached).mean(axis=1), dtype=np.float64)


def shortest_moves(goals: tuple[Bin, ...]) -> Ints:
    """Moves (165,) of the shortest path from every bin to the nearest goal bin.

    The true distance over the grid. The distance by which an action counts as correct is another one: it takes the
    minima over rows and over columns apart (``us_grid_sim.geometry.goal_distance``), so beside goals that do not fill a
    rectangle it is shorter than any path.
    """
    rows, columns = _offsets(goals)
    return np.asarray((np.abs(rows) + np.abs(columns)).min(axis=0))


def _bins_mm(goals: tuple[Bin, ...]) -> Floats:
    """Distance (165,) of every bin from the nearest goal bin, centre to centre [mm]."""
    rows, columns = _offsets(goals)
    return np.asarray(1e3 * np.hypot(rows * ROW_PITCH, columns * COLUMN_PITCH).min(axis=0), dtype=np.float64)


def _offsets(goals: tuple[Bin, ...]) -> tuple[Ints, Ints]:
    """Rows and columns (goals, 165) from every goal bin to every bin."""
    rows, columns = np.divmod(np.arange(BINS), COLUMNS)
    return (
        rows - np.array([[goal.row] for goal in goals]),
        columns - np.array([[goal.column] for goal in goals]),
    )


def _straightness(runs: Runs, goals: Goals) -> Floats:
    """Shortest path over path taken (subjects, 165), of use where the goal was reached; 1 of a run without a move."""
    shortest = np.stack([shortest_moves(one) for one in goals])
    return np.where(runs.moves > 0, shortest / np.maximum(runs.moves, 1), 1.0)


def _mean_of_reached(values: Floats, runs: Runs) -> Floats:
    """Mean of ``values`` (subjects, 165) over the runs that reached the goal (subjects,); NaN where none did."""
    total, count = np.where(runs.reached, values, 0.0).sum(axis=1), runs.reached.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
