"""Septa of fat and perimysium of muscle: thin sheets of collagen, fixed in the tissue.

A smooth random field is stretched along the fibres of a muscle and along the skin in fat. The septa of fat are where
it is zero, sheets that close around lobules; the perimysium of muscle is where it is high, strands along the fibres,
of which a transverse frame shows dots and short strokes.
"""

import math

import torch
from torch import Tensor

from us_grid_sim.phantom.tissue import FIBRE_ANGLE, Tissue
from us_grid_sim.phantom.volume import trilinear

_SIZE = 48
_SMOOTH = 2.0
"""Standard deviation of the blur that makes the field smooth [points]."""
_FAT = (0.0030, 0.0030, 0.0008)
_MUSCLE = (0.0080, 0.0009, 0.00035)
"""Distance of the field's points along fibre (or skin), across it, and in depth [m]: fascicles of 1 to 3 mm (Gray's
Anatomy, 41st ed., ch. 5), lobules of fat of 5 to 10 mm."""


def make_texture(seed: int) -> Tensor:
    """A periodic Gaussian random field, mean 0, standard deviation 1: (49, 49, 49), the last planes as the first."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fftn(torch.randn(_SIZE, _SIZE, _SIZE, generator=generator))
    frequency = torch.fft.fftfreq(_SIZE)
    response = torch.exp(-2.0 * (torch.pi * _SMOOTH * frequency) ** 2)
    field = torch.fft.ifftn(spectrum * response[:, None, None] * response[:, None] * response).real
    periodic = torch.arange(_SIZE + 1) % _SIZE
    return torch.as_tensor((field - field.mean()) / field.std())[periodic][:, periodic][:, :, periodic]


def collagen(field: Tensor, is_muscle: Tensor) -> Tensor:
    """Share of collagen, 0 to 1, where the field has a value: strands in muscle, sheets elsewhere."""
    return torch.where(is_muscle, torch.sigmoid((field - 1.0) / 0.18), torch.exp(-((field / 0.18) ** 2)))


def fibre_angles(pennation: float) -> Tensor:
    """(number of tissues,) angles of the fibres against the spine, ``pennation`` times the mean; NaN: no muscle."""
    return torch.tensor([pennation * FIBRE_ANGLE.get(tissue, math.nan) for tissue in Tissue])


def read_texture(
    field: Tensor, angles: Tensor, label: Tensor, side: Tensor, place: Tensor, scale: float = 1.0
) -> Tensor:
    """The field's value where the tissue is ``label``; same shape.

    Args:
        field: of :func:`make_texture`.
        angles: of :func:`fibre_angles`.
        label: Tissue.
        side: negative left of the spine, positive right of it.
        place: (3, ...) in the patient frame [m].
        scale: of fascicles and lobules.
    """
    angle = angles[label.long()]
    is_muscle = ~angle.isnan()
    angle = angle.nan_to_num_().mul_(-torch.sign(side))
    along = place[0] * torch.cos(angle) + place[1] * torch.sin(angle)
    across = place[1] * torch.cos(angle) - place[0] * torch.sin(angle)
    muscle, fat = (
        scale * torch.tensor(spacing, device=side.device).view(3, *[1] * side.dim()) for spacing in (_MUSCLE, _FAT)
    )
    return _read_periodic(field, torch.stack([along, across, place[2]]) / torch.where(is_muscle, muscle, fat))


def _read_periodic(field: Tensor, points: Tensor) -> Tensor:
    """Trilinear at points (3, ...), the field continued periodically; its border is there twice."""
    place = torch.remainder(points.flatten(1), _SIZE)
    # Rounding may make a remainder as large as the divisor.
    corner = place.int().clamp_(max=_SIZE - 1)
    strides = ((_SIZE + 1) ** 2, _SIZE + 1, 1)
    return trilinear(field.view(-1, 1), strides, corner, place - corner).view(points.shape[1:])
