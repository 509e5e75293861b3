"""Ground truth of a frame: which structure each scan line meets first, and whether the sacrum is shown."""

import numpy as np
import numpy.typing as npt

from us_grid_sim.geometry import DEPTH, PROBE_WIDTH
from us_grid_sim.phantom.bones import Structure
from us_grid_sim.phantom.subject import Array, Phantom, sample

GOAL_QUALITY = 0.45
"""A frame shows the sacrum when its view quality is at least this."""


def scan_points(pose: Array, lines: int) -> tuple[Array, Array, Array]:
    """(x, y, z) in the patient frame [m] of the transducer face under each of ``lines`` scan lines."""
    lateral = (np.arange(lines) + 0.5) / lines * PROBE_WIDTH - PROBE_WIDTH / 2
    points = pose[:3, :1] * lateral + pose[:3, 3:4]
    return points[0], points[1], points[2]


def structures(phantom: Phantom, pose: Array, lines: int = 96) -> tuple[npt.NDArray[np.int64], Array]:
    """The Structure (lines,) that each scan line of a frame meets first, and its depth below the transducer [m].

    Lines that meet no bone within the imaging depth are NONE, at depth NaN.
    """
    x, y, z = scan_points(pose, lines)
    depth = sample(phantom.bone, x, y) - (z - sample(phantom.skin, x, y))
    found = sample(phantom.structure, x, y, nearest=True).astype(np.int64)
    seen = (depth < DEPTH) & (depth > 0) & (found != Structure.NONE)
    return np.where(seen, found, int(Structure.NONE)), np.where(seen, depth, np.nan)


def sacrum_view(phantom: Phantom, pose: Array) -> float:
    """Quality of the view of the sacrum, 0 to 1.

    The share of scan lines whose first bone is the sacrum, times how well the median crest is centred:
    1 in the middle of the image, 0 at its edge.
    """
    found, _ = structures(phantom, pose)
    share = float((found == Structure.SACRUM).mean())
    offset = abs(float(sample(phantom.lateral, pose[0:1, 3], pose[1:2, 3])[0]))
    return share * max(0.0, 1.0 - offset / (PROBE_WIDTH / 2))


def shows_sacrum(phantom: Phantom, pose: Array) -> bool:
    """Whether a frame at ``pose`` shows the sacrum: its view quality reaches GOAL_QUALITY."""
    return sacrum_view(phantom, pose) >= GOAL_QUALITY
