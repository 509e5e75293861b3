"""Statistics by which B-mode pictures are compared: grey levels, speckle, and what bone does to them.

All pictures are uint8 (rows, columns) of the region under the array alone, row 0 at the skin, square pixels of the same
size [mm].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

_SKIN = 5.0
"""Nearer to the transducer [mm] no bone is looked for."""
_PATCH = 6.0
"""Edge of a patch whose speckle is measured [mm]."""
_WINDOW = (6.0, 8.0)
"""Above and below a surface [mm]: what is compared to tell bone from other bright things."""
_SHADOW = 25.0
"""Grey levels by which it must be darker behind bone than before."""


@dataclass(frozen=True)
class PictureStatistics:
    """What a set of pictures measures.

    Attributes:
        median_grey: over all pixels.
        speckle_contrast: standard deviation over mean of the grey level, median over patches that are neither black nor
            saturated.
        grain: (axial, lateral) width at half maximum of the speckle's autocorrelation in these patches [mm].
        edge: distance over which a bone's surface rises from half of its brightness [mm], median over columns.
        shadow: grey level 4 to 12 mm behind bone over that 2 to 6 mm before it, median over columns.
        bone_columns: share of columns that show bone.
    """

    median_grey: float
    speckle_contrast: float
    grain: tuple[float, float]
    edge: float
    shadow: float
    bone_columns: float


def histogram_distance(one: Sequence[Picture], other: Sequence[Picture]) -> float:
    """Earth mover's distance between the grey levels of two sets of pictures [grey levels, 0 to 255]."""
    values = np.arange(256)
    weights = [np.bincount(np.concatenate([p.ravel() for p in pictures]), minlength=256) for pictures in (one, other)]
    return float(stats.wasserstein_distance(values, values, *weights))


def bone_rows(picture: Picture, pixel: float) -> Array:
    """(columns,) row of the bone that each column shows, NaN where it shows none.

    Bone is the place where what lies before, itself among it, is brightest against what lies behind, if it is bright
    enough against it: a surface and the shadow behind.
    """
    smooth = ndimage.gaussian_filter(picture.astype(np.float64), (0.3 / pixel, 0.6 / pixel))
    above, below = (round(length / pixel) for length in _WINDOW)
    total = np.vstack([np.zeros(picture.shape[1]), np.cumsum(smooth, axis=0)])
    rows = np.arange(round(_SKIN / pixel), picture.shape[0] - below)
    before = (total[rows + 1] - total[rows + 1 - above]) / above
    skipped = round(1.0 / pixel)
    behind = (total[rows + below] - total[rows + skipped]) / (below - skipped)
    score = smooth[rows] + before - 2.0 * behind
    best = score.argmax(axis=0)
    columns = np.arange(picture.shape[1])
    found = before[best, columns] - behind[best, columns] > _SHADOW
    return np.where(found, rows[best].astype(np.float64), np.nan)


def _edges(picture: Picture, rows: Array, pixel: float) -> tuple[list[float], list[float]]:
    """Rise of the surface [mm] and shadow over foreground, for each column with bone."""
    smooth = ndimage.gaussian_filter1d(picture.astype(np.float64), 0.6 / pixel, axis=1)
    reach, edges, shadows = round(3.0 / pixel), [], []
    for column in np.flatnonzero(np.isfinite(rows)):
        row = int(rows[column])
        line = smooth[max(row - reach, 0) : row + reach, column]
        peak = int(line.argmax())
        background = np.median(line[: max(peak - round(1.0 / pixel), 1)])
        half = background + 0.5 * (line[peak] - background)
        lower = np.flatnonzero(line[:peak] < half)
        if len(lower):
            edges.append((peak - lower[-1]) * pixel)
        front = smooth[row - round(6.0 / pixel) : row - round(2.0 / pixel), column]
        back = smooth[row + round(4.0 / pixel) : row + round(12.0 / pixel), column]
        if len(front) and len(back):
            shadows.append(float(back.mean() / max(front.mean(), 1.0)))
    return edges, shadows


def _patches(picture: Picture, pixel: float) -> list[Array]:
    """Patches whose grey levels are neither near black nor saturated."""
    edge = round(_PATCH / pixel)
    rows, columns = (size // edge for size in picture.shape)
    grid = picture[: rows * edge, : columns * edge].reshape(rows, edge, columns, edge).swapaxes(1, 2)
    patches = grid.reshape(-1, edge, edge).astype(np.float64)
    return [patch for patch in patches if 40.0 < patch.mean() < 200.0 and (patch > 250).mean() < 0.02]


def _grain(patch: Array, pixel: float) -> tuple[float, float]:
    """Widths at half maximum of a patch's autocorrelation, in depth and across [mm]."""
    rows, columns = np.indices(patch.shape) - np.array(patch.shape).reshape(2, 1, 1) / 2
    basis = np.stack([np.ones(patch.size), rows.ravel(), columns.ravel(), rows.ravel() ** 2], axis=1)
    trend = basis @ np.linalg.lstsq(basis, patch.ravel(), rcond=None)[0]  # gain and attenuation change with depth
    flat = patch - trend.reshape(patch.shape)
    shape = [2 * size for size in patch.shape]
    overlap = np.outer(*(np.arange(size, 0, -1) for size in patch.shape))
    correlation = np.fft.irfft2(np.abs(np.fft.rfft2(flat, shape)) ** 2, shape)[: len(patch), : patch.shape[1]] / overlap
    widths = []
    for line in (correlation[:, 0], correlation[0]):
        line = line[: len(line) // 2] / line[0]
        first = int(np.argmax(line < 0.5)) or len(line) - 1
        widths.append(2.0 * pixel * (first - (0.5 - line[first]) / (line[first - 1] - line[first])))
    return widths[0], widths[1]


def measure(pictures: Sequence[Picture], pixel: float) -> PictureStatistics:
    """The statistics of a set of pictures with square pixels of ``pixel`` [mm]."""
    patches = [patch for picture in pictures for patch in _patches(picture, pixel)]
    grains = np.array([_grain(patch, pixel) for patch in patches]).reshape(-1, 2)
    edges: list[float] = []
    shadows: list[float] = []
    shown = []
    for picture in pictures:
        rows = bone_rows(picture, pixel)
        shown.append(np.isfinite(rows).mean())
        more_edges, more_shadows = _edges(picture, rows, pixel)
        edges += more_edges
        shadows += more_shadows
    axial, lateral = (float(value) for value in np.median(grains, axis=0)) if len(grains) else (np.nan, np.nan)
    return PictureStatistics(
        median_grey=float(np.median(np.concatenate([picture.ravel() for picture in pictures]))),
        speckle_contrast=float(np.median([p.std() / p.mean() for p in patches])) if patches else np.nan,
        grain=(axial, lateral),
        edge=float(np.median(edges)) if edges else np.nan,
        shadow=float(np.median(shadows)) if shadows else np.nan,
        bone_columns=float(np.mean(shown)),
    )
