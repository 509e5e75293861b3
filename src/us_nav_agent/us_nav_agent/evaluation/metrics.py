"""The metrics of Hase et al. 2020 as pure functions of runs: policy correctness (eq. 5) and reachability (eq. 6)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from us_nav_agent.rollout import Runs

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Share of the bootstrap distribution that an interval covers."""
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """A metric over subjects.

    Attributes:
        mean, median: over the subjects.
        low, high: ends of the 95 % bootstrap interval of the mean.
    """

    mean: float
    median: float
    low: float
    high: float


def policy_correctness(runs: Runs) -> Floats:
    """Mean over a subject's runs of n_correct / n_actions (subjects,), eq. 5; the stop is one of the actions."""
    return np.asarray((runs.correct / runs.actions).mean(axis=1), dtype=np.float64)


def reachability(runs: Runs) -> Floats:
    """Share of a subject's runs (subjects,) that end with a stop decision in a goal bin, eq. 6."""
    return np.asarray(runs.reached.mean(axis=1), dtype=np.float64)


def bootstrap_interval(values: Floats, seed: int) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` (n,), subjects drawn with replacement.

    Subjects are drawn and not runs: the runs of one subject share its anatomy and are far from independent. With
    five subjects the interval is coarse, and no wider than from the worst of them to the best.

    Raises:
        ValueError: there is no value.
    """
    if values.size == 0:
        raise ValueError("no values to resample; a metric needs at least one subject")
    draws = np.random.default_rng(seed).integers(values.size, size=(_RESAMPLES, values.size))
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(values[draws].mean(axis=1), (tail, 1.0 - tail))
    return float(low), float(high)


def summarise(values: Floats, seed: int) -> Summary:
    """Mean, median and interval of one value a subject (n,)."""
    low, high = bootstrap_interval(values, seed)
    return Summary(float(values.mean()), float(np.median(values)), low, high)
