"""How much a frame looks like those that were learnt from, by the texture of its tissue at each depth.

Networks say something of any picture, and with confidence; what their own features say of strange ones is no better
than chance (docs/navigation.md). Plain statistics of the picture part them: in eight bands of depth how bright it is,
how it varies from pixel to pixel along and across the beam and over larger patches, and how much is black. The
Mahalanobis distance of these (Lee et al. 2018, of features of a network there) grows on frames that are dark, of
another organ or another scanner.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Frames = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

BANDS = 8
STATISTICS = 6 * BANDS
_PATCH = 4.0 / 96.0
"""Standard deviation of the smoothing that leaves the larger patches, as a share of the height."""
_AT_ONCE = 256
_BLACK = 8
"""Grey levels below this are black."""
_STEEPNESS = 4.0
"""How fast familiarity falls with the distance; at twice the usual limit it is 6 %."""
_USUAL = 0.995
"""Share of known frames that are familiar by more than a half."""


def texture(frames: Frames) -> Doubles:
    """Statistics (n, 48) of frames uint8 (n, h, w): six of each band of depth, the shallowest first."""
    return np.concatenate([_texture(frames[first : first + _AT_ONCE]) for first in range(0, len(frames), _AT_ONCE)])


def _texture(frames: Frames) -> Doubles:
    """The same of so few frames that their copies take no memory to speak of."""
    pictures, sigma = frames.astype(np.int32), _PATCH * frames.shape[1]
    patches = np.stack([cv2.GaussianBlur(frame.astype(np.float32), (0, 0), sigma) for frame in frames])
    mean, spread = _mean_and_spread(pictures)
    found = [
        mean,
        spread,
        _band_means(np.abs(np.diff(pictures, axis=2))),
        _band_means(np.abs(np.diff(pictures, axis=1)), frames.shape[1]),
        _mean_and_spread(patches.astype(np.float64))[1],
        _band_means(pictures < _BLACK),
    ]
    return np.stack(found, axis=2).reshape(len(frames), STATISTICS)


def _mean_and_spread(values: npt.NDArray[Any]) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation (n, 8) of each band of (n, h, w)."""
    mean = _band_means(values)
    return mean, np.sqrt(np.maximum(_band_means(values * values) - mean * mean, 0.0))


def _band_means(values: npt.NDArray[Any], height: int | None = None) -> Doubles:
    """Mean (n, 8) of each band of (n, h, w), where a frame of ``height`` rows (h) is split into bands.

    By products, for all bands at once: a frame takes a third of the time that a call of ``mean`` for each takes.
    """
    rows = values.shape[1]
    return np.asarray(values.sum(axis=2, dtype=np.float64) @ _bands(height or rows, rows) / values.shape[2])


@lru_cache
def _bands(height: int, rows: int) -> Doubles:
    """What makes means of the bands (8) of a height out of numbers for each of the first rows (rows, 8)."""
    shares = np.zeros((rows, BANDS))
    for band, within in enumerate(np.array_split(np.arange(height), BANDS)):
        within = within[within < rows]
        shares[within, band] = 1.0 / len(within)
    return shares


class Familiarity(nn.Module):
    """How familiar frames are, from 0 to 1; kept with the weights of a model.

    Attributes:
        middle: (48,), mean of the statistics of known frames.
        whitening: (48, 48), that makes them uncorrelated and of unit variance.
        limit: distance at which a frame is familiar by a half.
    """

    middle: Tensor
    whitening: Tensor
    limit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(STATISTICS, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(STATISTICS, dtype=torch.float64))
        self.register_buffer("limit", torch.ones((), dtype=torch.float64))

    @classmethod
    def learnt(cls, known: Frames, unseen: Frames) -> "Familiarity":
        """Of frames uint8 (n, h, w) that were learnt from; those (m, h, w) of other subjects say how far is usual."""
        statistics = texture(known)
        spread = statistics.std(axis=0) + 1e-3
        correlation = np.cov((statistics / spread).T) + 1e-3 * np.eye(STATISTICS)
        learnt = cls()
        learnt.middle.copy_(torch.from_numpy(statistics.mean(axis=0)))
        learnt.whitening.copy_(torch.from_numpy(np.linalg.cholesky(np.linalg.inv(correlation)).T / spread))
        learnt.limit.fill_(float(np.quantile(learnt.distance(unseen), _USUAL)))
        return learnt

    def distance(self, frames: Frames) -> Doubles:
        """Mahalanobis distance (n,) of frames uint8 (n, h, w) from the known ones; about 7 of a known one."""
        away = (texture(frames) - self.middle.numpy()) @ self.whitening.numpy().T
        return np.asarray(np.linalg.norm(away, axis=1))

    def forward(self, frames: Frames) -> Doubles:
        """Familiarity (n,) of frames uint8 (n, h, w)."""
        return np.asarray(1.0 / (1.0 + (self.distance(frames) / float(self.limit)) ** _STEEPNESS))
