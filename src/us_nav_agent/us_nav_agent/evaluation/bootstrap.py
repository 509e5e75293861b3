"""What a metric is over subjects and training seeds: mean, median, and the interval of a crossed bootstrap."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Share of the bootstrap distribution that an interval covers."""
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """A metric over seeds and subjects; all NaN where it has a value on none.

    Attributes:
        mean: over seeds and subjects.
        median: over the subjects, of the mean over seeds.
        low, high: ends of the 95 % bootstrap interval of the mean.
    """

    mean: float
    median: float
    low: float
    high: float


def summarise(values: Floats, seed: int) -> Summary:
    """Mean, median and interval of a metric's values (seeds, subjects), NaN left out.

    Raises:
        ValueError: there is no seed or no subject.
    """
    low, high = bootstrap_interval(values, seed)
    by_subject = mean_of_known(values, axis=0)
    known = by_subject[~np.isnan(by_subject)]
    median = float(np.median(known)) if known.size else float("nan")
    return Summary(float(mean_of_known(values, axis=(0, 1))), median, low, high)


def bootstrap_interval(values: Floats, seed: int) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` (seeds, subjects).

    Subjects and training seeds are drawn with replacement, each on its own, and every drawn seed is paired with every
    drawn subject (the pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1(2)): a hard subject is hard for
    all seeds, a bad seed bad on all subjects, so single values are far from independent. Runs are not drawn: those of
    one subject share its anatomy. With five subjects the interval is coarse, and no wider than from the worst of them
    to the best. Of a single seed it is the bootstrap over subjects, which says nothing of what another training would
    give.

    Draws in which no value is known are left out; (NaN, NaN) where none is known at all.

    Raises:
        ValueError: there is no seed or no subject.
    """
    if values.size == 0:
        raise ValueError("no values to resample; a metric needs at least one seed and one subject")
    rng = np.random.default_rng(seed)
    subjects, seeds = (rng.integers(count, size=(_RESAMPLES, count)) for count in values.shape[::-1])
    means = mean_of_known(values[seeds[:, :, None], subjects[:, None, :]], axis=(1, 2))
    known = means[~np.isnan(means)]
    if not known.size:
        return float("nan"), float("nan")
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return float(low), float(high)


def mean_of_known(values: Floats, axis: int | tuple[int, ...]) -> Floats:
    """Mean along ``axis`` of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
