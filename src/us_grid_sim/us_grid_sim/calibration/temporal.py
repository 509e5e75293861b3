"""How late frames are against the poses, from a motion that both see.

As in the PLUS toolkit (Lasso et al. 2014), whose calibration follows a line in the image where here all of it counts.

A frame differs from the one before the more, the further the probe has gone between them. So the change from frame to
frame, and the way of the probe over the same intervals shifted by a delay, are most alike at the delay looked for: the
maximum of their normalised cross-correlation, of ranks (Spearman), for the change grows with the way but not in
proportion: a frame can be no more than wholly another one. The poses are interpolated and not the frames, so that both
may come at any times of their own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.preprocess import Frame8

Array = npt.NDArray[np.float64]

LONGEST_DELAY = 0.5
"""Delays of up to this, of either sign, are looked for [s]."""
_STEP = 0.005
"""Between two delays that are tried [s]; the maximum is found between them, by a parabola."""
_SEGMENTS = 12
"""Parts of the recording that are drawn anew, with replacement, for the standard error."""
_DRAWS = 400
_LEAST_INTERVALS = 60
_LEAST_UNEVENNESS = 0.002
"""The probe's speed must vary by at least this, as a standard deviation [m/s]: a steady speed tells no time."""
_LEAST_CORRELATION = 0.3
_LARGEST_ERROR = 0.030
"""A delay that is less certain than a frame at 30 a second is none [s]."""
_STROKES = "20 s of strokes to and fro, some centimetres each, about one a second"
_SMALL = (100, 75)
"""Frames are compared at this size: speckle and noise, which change without a motion too, are averaged out."""


class CalibrationError(UsGridSimError):
    """A recording does not tell what is to be calibrated."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What a recording says of one motion, twice.

    Attributes:
        frame_times: (n,) when the frames were taken by their stamps, growing [s].
        changes: (n - 1,) root mean square difference of each frame from the one before [grey levels].
        pose_times: (m,) when the poses were taken by their stamps, growing [s].
        places: (m, 3) of the probe [m], in any fixed frame.
    """

    frame_times: Array
    changes: Array
    pose_times: Array
    places: Array


@dataclass(frozen=True, eq=False)
class Delay:
    """How late frames are.

    Attributes:
        delay: a frame stamped t shows what the probe saw at t - delay, t by the clock of the poses [s].
        error: its standard error [s].
        correlation: of the ranks of change and way at this delay, -1 to 1.
        delays: (k,) those tried [s].
        correlations: (k,) at each of them.
        motion: what was looked at.
    """

    delay: float
    error: float
    correlation: float
    delays: Array
    correlations: Array
    motion: Motion


def image_changes(frames: Iterable[Frame8], report: Callable[[], None] = lambda: None) -> Array:
    """How much each frame differs from the one before, (n - 1,) root mean square [grey levels].

    Args:
        frames: uint8 (height, width), all of one size.
        report: called after each frame.
    """
    changes: list[float] = []
    before: Array | None = None
    for frame in frames:
        small = cv2.resize(frame, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float64)
        if before is not None:
            changes.append(float(np.sqrt(np.mean((small - before) ** 2))))
        before = small
        report()
    return np.array(changes)


def estimate_delay(motion: Motion, seed: int = 0) -> Delay:
    """The delay of the frames, and its standard error by a bootstrap over segments of the recording.

    Args:
        motion: of both.
        seed: of the draws.

    Raises:
        CalibrationError: the recording is too short, the probe moves too little or too evenly, or the frames do not
            change with it.
    """
    inside = _inside(motion)
    changes = rankdata(motion.changes[inside])
    delays = np.arange(-LONGEST_DELAY, LONGEST_DELAY + _STEP / 2, _STEP)
    _check_motion(motion, inside, ways_between(motion, 0.0)[inside])
    ways = np.stack([rankdata(ways_between(motion, delay)[inside]) for delay in delays])
    if not np.ptp(changes) > 0.0:
        raise CalibrationError("the frames do not change; expected frames of the moving probe")
    correlations = correlate(changes, ways)
    delay, correlation = peak(delays, correlations)
    if correlation < _LEAST_CORRELATION:
        raise CalibrationError(
            f"frames and poses have no motion in common (correlation {correlation:.2f}); expected {_LEAST_CORRELATION} "
            f"or more: frames of the tracked probe itself, delayed by {LONGEST_DELAY:g} s at most"
        )
    error = _bootstrap(delays, changes, ways, np.random.default_rng(seed))
    if error > _LARGEST_ERROR or abs(delay) > LONGEST_DELAY - 2 * _STEP:
        raise CalibrationError(
            f"the delay is not told by this motion ({1e3 * delay:.0f} ms, +- {1e3 * error:.0f} ms); "
            f"expected {_STROKES}, and a delay below {LONGEST_DELAY:g} s"
        )
    return Delay(delay, error, correlation, delays, correlations, motion)


def ways_between(motion: Motion, delay: float) -> Array:
    """(n - 1,) distance between the probe's places at consecutive frames' times less ``delay`` [m]."""
    times = motion.frame_times - delay
    places = np.stack([np.interp(times, motion.pose_times, axis) for axis in motion.places.T], axis=1)
    return np.asarray(np.linalg.norm(np.diff(places, axis=0), axis=1))


def correlate(changes: Array, ways: Array) -> Array:
    """Normalised correlation (k,) of ``changes`` (n,) with each row of ``ways`` (k, n); 0 where one is constant."""
    a = changes - changes.mean()
    b = ways - ways.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(a) * np.linalg.norm(b, axis=1)
    return np.asarray(np.divide(b @ a, scale, out=np.zeros(len(ways)), where=scale > 0.0))


def peak(delays: Array, correlations: Array) -> tuple[float, float]:
    """Place and height of the maximum, between the delays tried by the parabola through the three highest."""
    top = int(np.argmax(correlations))
    if not 0 < top < len(delays) - 1:
        return float(delays[top]), float(correlations[top])
    left, middle, right = correlations[top - 1 : top + 2]
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return float(delays[top] + shift * _STEP), float(middle - 0.25 * (left - right) * shift)


def _inside(motion: Motion) -> npt.NDArray[np.bool_]:
    """(n - 1,) intervals between frames that lie within the poses at every delay tried: the same for all of them."""
    begin, end = motion.frame_times[:-1] - LONGEST_DELAY, motion.frame_times[1:] + LONGEST_DELAY
    inside = (begin >= motion.pose_times[0]) & (end <= motion.pose_times[-1]) if len(motion.pose_times) else begin < 0
    if int(inside.sum()) < _LEAST_INTERVALS:
        found = f"{int(inside.sum())} frames lie {LONGEST_DELAY:g} s and more within the poses"
        raise CalibrationError(
            f"the recording is too short: {found}; expected {_LEAST_INTERVALS} or more, better {_STROKES}"
        )
    return np.asarray(inside)


def _check_motion(motion: Motion, inside: npt.NDArray[np.bool_], ways: Array) -> None:
    speeds = ways / np.diff(motion.frame_times)[inside]
    if (unevenness := float(speeds.std())) < _LEAST_UNEVENNESS:
        raise CalibrationError(
            f"too little motion: the probe's speed is {1e3 * speeds.mean():.1f} mm/s and varies by "
            f"{1e3 * unevenness:.1f} mm/s; expected {1e3 * _LEAST_UNEVENNESS:g} mm/s or more: {_STROKES}"
        )


def _bootstrap(delays: Array, changes: Array, ways: Array, rng: np.random.Generator) -> float:
    """Standard error of the delay: of recordings put together of this one's segments, drawn with replacement [s].

    Segments and not single intervals, for neighbouring ones are alike. A drawn recording's correlations follow from the
    sums over its segments.
    """
    a, b = changes - changes.mean(), ways - ways.mean(axis=1, keepdims=True)
    starts = np.array([part[0] for part in np.array_split(np.arange(len(a)), _SEGMENTS)])

    def sums(values: Array) -> Array:
        return np.add.reduceat(values, starts, axis=-1)

    count = rng.multinomial(_SEGMENTS, np.full(_SEGMENTS, 1 / _SEGMENTS), size=_DRAWS)
    n = (count @ sums(np.ones_like(a)))[:, None]
    mean_a, mean_b = (count @ sums(a))[:, None] / n, count @ sums(b).T / n
    together = count @ sums(a * b).T / n - mean_a * mean_b
    spread = ((count @ sums(a**2))[:, None] / n - mean_a**2) * (count @ sums(b**2).T / n - mean_b**2)
    drawn = np.divide(together, np.sqrt(spread), out=np.zeros_like(together), where=spread > 0.0)
    return float(np.std([peak(delays, one)[0] for one in drawn], ddof=1))
