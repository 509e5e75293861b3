"""From evidence to probabilities that hold, and from which of them on to stop.

A stop classifier is trained on as many frames of the target as of anything else, so its own probabilities say
the target is shown far more often than it is. Scale, offset and threshold are chosen on validation subjects.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.belief import falling
from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.dqn import MsDqnDecider, stop_probabilities
from us_nav_agent.networks.dueling import DuelingNetwork, StopClassifier
from us_nav_agent.rollout import walk

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

_ITERATIONS = 50
_LONGEST_STEP = 10.0
_FIRST = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_LAST = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
_THRESHOLDS = 1.0 / (1.0 + np.exp(-np.arange(-4.0, 9.25, 0.25)))


def fit_logistic(design: Doubles, labels: Labels) -> Doubles:
    """Weights w (k,) of the probabilities 1 / (1 + exp(-design @ w)) that fit best; design (n, k).

    The wanted probabilities are a little inside 0 and 1 (Platt 1999), so that evidence without an error on these
    samples does not become infinitely sure of itself.

    Raises:
        ValueError: all labels are alike.
    """
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not (positive and negative):
        raise ValueError(f"{positive} samples show the target and {negative} do not; calibration needs both kinds")
    wanted = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    spread = np.maximum(np.abs(design).max(axis=0), 1e-9)
    scaled, weights = design / spread, np.zeros(design.shape[1])
    for _ in range(_ITERATIONS):  # Newton's method on a convex function
        p = 1.0 / (1.0 + np.exp(-scaled @ weights))
        hessian = (scaled * (p * (1.0 - p))[:, None]).T @ scaled + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(hessian, scaled.T @ (p - wanted))
        weights -= step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), _LONGEST_STEP))
    return np.asarray(weights / spread)


def platt_scaling(logits: npt.NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Scale a and offset b of the best fitting probabilities 1 / (1 + exp(-(a * logit + b))) (Platt 1999).

    Raises:
        ValueError: all labels are alike.
    """
    scale, offset = fit_logistic(np.stack([logits.astype(np.float64), np.ones(len(logits))], axis=1), labels)
    return float(scale), float(offset)


def stop_threshold(q: DuelingNetwork, stop: StopClassifier, grids: Sequence[PreprocessedGrid]) -> float:
    """The highest stop probability by which runs on these subjects end no worse than by the best (cautious_threshold).

    Single frames weigh both errors alike, but a run recovers from a missed stop in the next goal bin and never from a
    stop elsewhere; so the threshold of a policy is chosen on runs. One walk without a stop tells the ends of the runs
    at any threshold.
    """
    tables = GridTables.of(grids)
    probabilities = stop_probabilities(stop, tables.frames)
    walkers = MsDqnDecider(q, stop, threshold=np.inf).walkers(tables.frames, tables.distances.size)
    seen: list[Doubles] = []

    def noted(live: Ints, frames: Ints) -> Ints:
        seen.append(probabilities[frames].astype(np.float64))
        return walkers(live, frames)

    path = walk(noted, tables, seed=0).path
    return cautious_threshold(np.stack(seen, axis=1), worth_of_stops(tables, path), len(grids))


def shown_along(tables: GridTables, path: Ints) -> Labels:
    """Whether the goal is shown at each of the 20 decisions of walks without a stop, (runs, 20)."""
    shown = np.stack([goal[bins] for goal, bins in zip(tables.is_goal, path[..., :-1], strict=True)])
    return shown.reshape(-1, shown.shape[-1])


def worth_of_stops(tables: GridTables, path: Ints) -> Doubles:
    """What a stop at each of the 20 decisions of walks is worth, (runs, 20).

    Nothing elsewhere than in the goal; there the fewest actions that would do over those that it took, as success
    weighted by path length (Anderson et al. 2018), so that neither a wrong stop nor dallying pays.
    """
    shown = shown_along(tables, path)
    fewest = tables.distances.reshape(-1, 1) + 1.0
    taken = np.arange(shown.shape[1]) + 1.0
    return np.where(shown, fewest / np.maximum(fewest, taken), 0.0)


def cautious_threshold(probabilities: Doubles, worth: Doubles, subjects: int) -> float:
    """The highest threshold at which runs are worth no less than at the best one, by one standard error.

    A stop elsewhere ends a run for good, a stop too late costs a move or two. Where the subjects cannot tell two
    thresholds apart, the higher one is the safer (Breiman et al. 1984, the one standard error rule).

    Args:
        probabilities: (runs, steps), along walks without a stop; a run ends at the first that reaches the threshold.
        worth: (runs, steps), of an end there; a run without an end is worth nothing.
        subjects: that the runs are of, as many runs each, one subject after the other; a single one tells of no error.
    """
    by_subject = _worth_by_threshold(probabilities, worth).reshape(len(_THRESHOLDS), subjects, -1).mean(axis=2)
    best = int(by_subject.mean(axis=1).argmax())
    lost = by_subject[best] - by_subject
    error = lost.std(axis=1, ddof=1) / np.sqrt(subjects) if subjects > 1 else 0.0
    return float(_THRESHOLDS[np.flatnonzero(lost.mean(axis=1) <= error).max()])


def falling_threshold(probabilities: Doubles, worth: Doubles) -> tuple[float, float]:
    """The first and the last threshold (``belief.falling``) by which runs are worth most; of equals the highest.

    Worth counts by its third root, so that reaching the goal weighs more than the shortest way there: a way twice as
    long as it need be costs 21 %.

    Args:
        probabilities: (runs, steps), along walks without a stop.
        worth: (runs, steps), of an end there (``worth_of_stops``).
    """
    steps, counted = np.arange(probabilities.shape[1]), np.cbrt(worth)

    def of(pair: tuple[float, float]) -> float:
        return float(_worth_of_first(probabilities >= falling(*pair, steps), counted).mean())

    return max(((first, last) for first in _FIRST for last in _LAST if last <= first), key=of)


def _worth_by_threshold(probabilities: Doubles, worth: Doubles) -> Doubles:
    """Worth of the first stop of each run at each threshold, (thresholds, runs)."""
    return np.stack([_worth_of_first(probabilities >= one, worth) for one in _THRESHOLDS])


def _worth_of_first(stops: Labels, worth: Doubles) -> Doubles:
    """Worth of the first stop of each run (runs,); nothing without one."""
    first = stops.argmax(axis=1)[:, None]
    ends = np.take_along_axis(stops, first, axis=1)
    return np.asarray((ends * np.take_along_axis(worth, first, axis=1))[:, 0])
