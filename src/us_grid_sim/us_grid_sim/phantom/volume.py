"""The tissue fields of a subject: signed distances on a regular grid of 1 mm, and how they are read.

Between its points the grid is read trilinearly, so a surface is a smooth sheet and not a staircase of voxels; which
tissue a point is made of follows from the signs of the distances there (:func:`classify`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from us_grid_sim.phantom.layers import FASCIA, SKIN
from us_grid_sim.phantom.tissue import Tissue

SPACING = 0.001
"""Distance of neighbouring points of the grid [m]."""
LOWER = (-0.160, -0.132, -0.010)
"""The first point of the grid in the patient frame [m]."""
SHAPE = (321, 265, 111)
"""Points along x, y and z."""
FAR = 0.02
"""Distances are held within this [m]; further off they only say inside or outside."""

_STRIDES = (SHAPE[1] * SHAPE[2], SHAPE[2], 1)
_LOW = torch.tensor(LOWER).unsqueeze(1)
_LAST = torch.tensor(SHAPE).unsqueeze(1) - 1.001


class Field(IntEnum):
    """The signed distances of a volume [m]; negative inside or above, positive outside or below."""

    SKIN = 0
    """To the skin's surface, positive in the body."""
    FASCIA = 1
    """To the outside of the fascia, positive below it."""
    BONE = 2
    ERECTOR = 3
    """To the compartment of erector spinae and multifidus."""
    MULTIFIDUS = 4
    """To the septum between the two: negative on the side of the midline."""
    DEEP = 5
    """To the deep wall of back and flank muscles, positive beyond it."""
    MIDLINE = 6
    """To the sheet of the supra- and interspinous ligaments."""
    CANAL = 7
    """To the spinal canal."""
    GLUTEAL = 8
    """To the buttock, that lies below the iliac crest."""


def trilinear(rows: Tensor, strides: Sequence[int], corner: Tensor, part: Tensor) -> Tensor:
    """The rows of a grid between its points.

    Args:
        rows: (points, fields) of the grid.
        strides: rows from a point to the next along the three axes.
        corner: (3, m) int32: the lower of the two points on either side, along each axis.
        part: (3, m) how far from there to the other, 0 to 1.

    Returns:
        (m, fields) float32.
    """
    i, j, k = strides
    around = torch.tensor([0, k, j, j + k, i, i + k, i + j, i + j + k], dtype=torch.int32, device=rows.device)
    index = corner[0] * i + corner[1] * j + corner[2] * k + around.unsqueeze(1)
    value = rows.index_select(0, index.view(-1)).float().view(2, 2, 2, *corner.shape[1:], -1)
    # As wide as a row: numbers of one shape are blended several times as fast as broadcast ones.
    for weight in part.unsqueeze(-1).expand(-1, -1, rows.shape[1]).contiguous():
        value = torch.lerp(value[0], value[1], weight)
    return value


@dataclass(frozen=True)
class Volume:
    """Tissue fields of a subject.

    Attributes:
        distances: (x, y, z, Field) float16 [mm], to keep four digits near a surface.
        nearest_bone: (x, y, z) uint8: the Structure whose surface is nearest.
    """

    distances: Tensor
    nearest_bone: Tensor

    def read(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Signed distances [m] at points of the patient frame [m], trilinearly; (Field, *x.shape) float32.

        Points beyond the grid are read at its border.
        """
        corner, part = self._place(x, y, z)
        rows = trilinear(self.distances.view(-1, len(Field)), _STRIDES, corner, part).mul_(1e-3)
        return rows.T.reshape(len(Field), *x.shape)

    def read_bone(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """The signed distance to bone alone, likewise; same shape as ``x``."""
        numbers = self.distances.view(-1, 1)[Field.BONE :]
        strides = [stride * len(Field) for stride in _STRIDES]
        return trilinear(numbers, strides, *self._place(x, y, z)).mul_(1e-3).view(x.shape)

    @staticmethod
    def _place(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The point of the grid before each point, (3, m) int32, and how far it is to the next."""
        points = torch.stack([x.reshape(-1), y.reshape(-1), z.reshape(-1)])
        place = ((points - _LOW.to(points.device)) * (1.0 / SPACING)).clamp_(min=0.0)
        place = torch.minimum(place, _LAST.to(points.device))
        corner = place.int()
        return corner, place - corner

    def read_nearest_bone(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """The Structure nearest to points of the patient frame [m]; int64, same shape."""
        index = torch.zeros_like(x, dtype=torch.int64)
        for p, low, size in zip((x, y, z), LOWER, SHAPE, strict=True):
            index = index * size + ((p - low) / SPACING).round().clamp(0, size - 1).long()
        return self.nearest_bone.reshape(-1)[index].long()

    def labels(self) -> Tensor:
        """(x, y, z) uint8: the Tissue of every point of the grid."""
        slabs = [classify(slab.movedim(-1, 0).float() * 1e-3) for slab in torch.split(self.distances, 16)]
        return torch.cat(slabs)


def soft_tissue(distances: Tensor) -> Tensor:
    """The Tissue (uint8) where the signed distances [m] are ``distances`` (Field, ...), as if there were no bone."""
    inside = distances < 0.0
    fascia, deep = distances[Field.FASCIA], distances[Field.DEEP]
    erector = inside[Field.ERECTOR]
    shapes = {
        # The three muscles of the flank share the way from the fascia to the deep wall.
        Tissue.INTERNAL_OBLIQUE: torch.add(fascia, deep, alpha=2.0) < 0.0,
        Tissue.EXTERNAL_OBLIQUE: torch.add(deep, fascia, alpha=2.0) < 0.0,
        Tissue.GLUTEUS: inside[Field.GLUTEAL],
        Tissue.RETROPERITONEUM: ~inside[Field.DEEP],
        Tissue.ERECTOR_SPINAE: erector,
        Tissue.MULTIFIDUS: erector & inside[Field.MULTIFIDUS],
        Tissue.LIGAMENT: inside[Field.MIDLINE],
        Tissue.CANAL: inside[Field.CANAL],
        Tissue.FASCIA: fascia < FASCIA,
        Tissue.FAT: inside[Field.FASCIA],
        Tissue.SKIN: distances[Field.SKIN] < SKIN,
        Tissue.AIR: inside[Field.SKIN],
    }
    number = torch.tensor(list(shapes), dtype=torch.uint8, device=distances.device)
    held = torch.stack(list(shapes.values())).view(torch.uint8)
    # The highest number that holds; 0, the deepest muscle of the flank, where none does.
    return held.mul_(number.view(-1, *[1] * fascia.dim())).amax(dim=0)


def classify(distances: Tensor) -> Tensor:
    """The Tissue (uint8) where the signed distances [m] are ``distances`` (Field, ...)."""
    return soft_tissue(distances).masked_fill_(distances[Field.BONE] < 0.0, int(Tissue.BONE))
