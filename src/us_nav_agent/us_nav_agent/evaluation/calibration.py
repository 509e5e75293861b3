"""Whether a stated probability holds: accuracy, expected calibration error, reliability diagram."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import COLUMNS

from us_nav_agent.deciders.base import Decider
from us_nav_agent.evaluation.figures import save
from us_nav_agent.evaluation.metrics import Floats
from us_nav_agent.networks.batches import one_thread

BINS = 15
"""Classes of equal width that probabilities are put in (Guo et al. 2017)."""
_STATED, _IDEAL = "#2f7fd0", "#777777"


@dataclass(frozen=True, eq=False)
class Reliability:
    """Stated probabilities beside how often they came true, in 15 classes of equal width.

    Attributes:
        count: (15,), samples in each class.
        stated: (15,), mean probability of each; NaN of an empty one.
        found: (15,), share of each that came true; NaN of an empty one.
        accuracy: share of samples that are on the right side of 0.5.
    """

    count: npt.NDArray[np.int64]
    stated: Floats
    found: Floats
    accuracy: float

    @property
    def error(self) -> float:
        """Expected calibration error: mean of |stated - found| over the samples (Guo et al. 2017, eq. 3)."""
        filled = self.count > 0
        return float((self.count * np.abs(self.stated - self.found))[filled].sum() / self.count.sum())


def reliability(probabilities: Floats, true: npt.NDArray[np.bool_]) -> Reliability:
    """How probabilities (n,) compare with what was ``true`` (n,).

    Raises:
        ValueError: there is no sample, or a probability is not within 0 and 1.
    """
    if not len(probabilities):
        raise ValueError("no probabilities; a reliability needs at least one sample")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not within 0 and 1")
    number = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(number, minlength=BINS)
    with np.errstate(invalid="ignore"):
        stated = np.bincount(number, probabilities, BINS) / count
        found = np.bincount(number, true, BINS) / count
    return Reliability(count, stated, found, float(((probabilities >= 0.5) == true).mean()))


def stop_reliability(decider: Decider, grids: Sequence[PreprocessedGrid]) -> Reliability | None:
    """Of the probability that a frame shows the goal, for all frames of all bins; None where a decider states none."""
    probabilities, shown = [], []
    for grid in grids:
        with one_thread():
            stated = decider.stop_probabilities(grid.frames)
        if stated is None:
            return None
        goal = np.zeros(grid.bins.shape[:2], dtype=bool)
        goal.reshape(-1)[[one.row * COLUMNS + one.column for one in grid.goals]] = True
        probabilities.append(stated[grid.bins].reshape(-1))
        shown.append(np.broadcast_to(goal[..., None], grid.bins.shape).reshape(-1))
    return reliability(np.concatenate(probabilities).astype(np.float64), np.concatenate(shown))


def draw_reliability(found: Reliability, title: str, file: Path) -> Path:
    """Reliability diagram: how often each stated probability came true, and below how often it was stated."""
    figure = Figure(figsize=(6.0, 6.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[3.0, 1.0], sharex=True)
    upper.plot([0, 1], [0, 1], "--", color=_IDEAL, linewidth=1.2, label="as stated")
    filled = found.count > 0
    upper.plot(found.stated[filled], found.found[filled], "o-", color=_STATED, label="found")
    upper.set_ylabel("share of frames that show the goal")
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.02, 1.02)
    upper.legend(loc="upper left")
    upper.set_title(
        f"{title}\naccuracy {found.accuracy:.2%}, expected calibration error {found.error:.2%}, "
        f"{found.count.sum()} frames",
        fontsize=10,
    )
    centres = (np.arange(BINS) + 0.5) / BINS
    lower.bar(centres, found.count, width=0.9 / BINS, color=_STATED)
    lower.set_yscale("log")
    lower.set_ylabel("frames")
    lower.set_xlabel("stated probability that the frame shows the goal")
    return save(figure, file)
