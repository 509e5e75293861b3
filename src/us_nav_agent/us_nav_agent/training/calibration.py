"""From the logits of a trained stop classifier to probabilities that hold, and from which of them on to stop.

Both are chosen on validation subjects. The classifier is trained on as many frames of the target as of anything else,
so its own probabilities say the target is shown far more often than it is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.dqn import MsDqnDecider, stop_probabilities
from us_nav_agent.networks.dueling import DuelingNetwork, StopClassifier
from us_nav_agent.rollout import walk

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

_ITERATIONS = 50
_THRESHOLDS = 1.0 / (1.0 + np.exp(-np.arange(-4.0, 9.25, 0.25)))


def platt_scaling(logits: npt.NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Scale a and offset b of the probabilities 1 / (1 + exp(-(a * logit + b))) that fit best (Platt 1999).

    Platt's targets are a little inside 0 and 1, so that a classifier without an error on these frames does not become
    infinitely sure of itself.

    Args:
        logits: (n,).
        labels: (n,), of both kinds.

    Raises:
        ValueError: all labels are alike.
    """
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not (positive and negative):
        raise ValueError(f"{positive} frames show the target and {negative} do not; calibration needs both kinds")
    wanted = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    spread = float(logits.std()) or 1.0
    design = np.stack([logits.astype(np.float64) / spread, np.ones(len(logits))], axis=1)
    weights = np.zeros(2)
    for _ in range(_ITERATIONS):  # Newton's method on a convex function
        p = 1.0 / (1.0 + np.exp(-design @ weights))
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (p - wanted))
        weights -= step * min(1.0, 2.0 / np.abs(step).max()) if step.any() else 0.0
    return float(weights[0] / spread), float(weights[1])


def stop_threshold(q: DuelingNetwork, stop: StopClassifier, grids: Sequence[PreprocessedGrid]) -> float:
    """The stop probability of the highest mean reachability on these subjects, the middle one of equals.

    Single frames weigh both errors alike, but a run recovers from a missed stop in the next goal bin and never from a
    stop elsewhere; so the threshold of a policy is chosen on runs. One walk without a stop tells the ends of the runs
    at any threshold: the first bin whose frame reaches it.
    """
    tables = GridTables.of(grids)
    endless = MsDqnDecider(q, stop, threshold=np.inf)
    probabilities = stop_probabilities(stop, tables.frames)
    walkers = endless.walkers(tables.frames, tables.distances.size)
    seen: list[Floats] = []

    def noted(live: Ints, frames: Ints) -> Ints:
        seen.append(probabilities[frames].astype(np.float64))
        return walkers(live, frames)

    runs = walk(noted, tables, seed=0)
    passed = runs.path[..., :-1].reshape(-1, len(seen))
    task = np.repeat(np.arange(len(tables.tasks)), tables.distances.shape[1])
    shown = tables.is_goal[task[:, None], passed]
    reached = np.array([_share_reached(np.stack(seen, axis=1) >= one, shown) for one in _THRESHOLDS])
    best = np.flatnonzero(reached == reached.max())
    return float(_THRESHOLDS[best[len(best) // 2]])


def _share_reached(stops: Labels, shown: Labels) -> float:
    """Share of runs whose first stop (n, steps) is in a goal bin (n, steps)."""
    first = stops.argmax(axis=1)[:, None]
    return float((np.take_along_axis(stops, first, axis=1) & np.take_along_axis(shown, first, axis=1)).mean())
