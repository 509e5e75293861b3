"""The point spread in the image plane: a Gaussian along the beam and across it, both wider with depth."""

import torch
from torch import Tensor

from us_grid_sim.bmode.transducer import Transducer

_REACH = 2.6
"""The Gaussians end at this many standard deviations."""


class PointSpread:
    """Applies the point spread of an array to images (..., lines, samples).

    A point echo of amplitude 1 gets amplitude 1 at its centre, at every depth.

    Args:
        transducer: the array.
        device: where tensors live.
    """

    def __init__(self, transducer: Transducer, device: torch.device) -> None:
        depth = (torch.arange(transducer.samples, device=device) + 0.5) * transducer.sample_spacing
        axial = transducer.axial_width(depth) / transducer.sample_spacing
        lateral = transducer.lateral_width(depth) / transducer.pitch
        # Sharing an echo between two points has spread it by this variance on average.
        shared = 1.0 / 6.0
        self._axial = _taps(torch.sqrt(axial**2 - shared))
        self._lateral = _taps(torch.sqrt(lateral**2 - shared))

    def __call__(self, image: Tensor) -> Tensor:
        """The image with every echo spread out."""
        return _spread(_spread(image, self._axial, dim=-1), self._lateral, dim=-2)


def _taps(width: Tensor) -> Tensor:
    """(reach + 1, samples): weight of a neighbour 0, 1, ... points away, for a deviation ``width`` [points]."""
    reach = max(1, int(torch.ceil(_REACH * width.max())))
    offset = torch.arange(reach + 1, device=width.device).unsqueeze(1)
    return torch.exp(-0.5 * (offset / width) ** 2)


def _spread(image: Tensor, taps: Tensor, dim: int) -> Tensor:
    """Convolve along ``dim`` with a symmetric kernel that changes with the sample."""
    result = image * taps[0]
    size = image.shape[dim]
    for offset in range(1, len(taps)):
        low, high = image.narrow(dim, 0, size - offset), image.narrow(dim, offset, size - offset)
        # An echo spreads with the width at its own depth.
        weight_low = taps[offset, : size - offset] if dim == -1 else taps[offset]
        weight_high = taps[offset, offset:] if dim == -1 else taps[offset]
        result.narrow(dim, offset, size - offset).addcmul_(low, weight_low)
        result.narrow(dim, 0, size - offset).addcmul_(high, weight_high)
    return result
