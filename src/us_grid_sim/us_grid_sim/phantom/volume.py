"""The tissue fields of a subject: signed distances on a regular grid of 1 mm, and how they are read.

Between its points the grid is read trilinearly, so a surface is a smooth sheet and not a staircase of voxels; which
tissue a point is made of follows from the signs of the distances there (:func:`classify`).
"""

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
        rows = self.distances.view(-1, len(Field))
        return self._interpolate(rows, x, y, z).T.reshape(len(Field), *x.shape)

    def read_bone(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """The signed distance to bone alone, likewise; same shape as ``x``."""
        return self._interpolate(self.distances.view(-1, len(Field))[:, Field.BONE, None], x, y, z).view(x.shape)

    @staticmethod
    def _interpolate(rows: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows of a grid (points, fields) [mm] between its points: (x.numel(), fields) [m]."""
        place = [
            ((p.reshape(-1) - low) / SPACING).clamp(0.0, size - 1.001)
            for p, low, size in zip((x, y, z), LOWER, SHAPE, strict=True)
        ]
        corner = [p.int() for p in place]
        a, b, c = (p - i for p, i in zip(place, corner, strict=True))
        base = (corner[0] * SHAPE[1] + corner[1]) * SHAPE[2] + corner[2]
        total = torch.zeros(len(base), rows.shape[1], device=rows.device)
        for i, wa in ((0, (1.0 - a) * 1e-3), (1, a * 1e-3)):
            for j, wb in ((0, 1.0 - b), (1, b)):
                weight = wa * wb
                for k, wc in ((0, 1.0 - c), (1, c)):
                    value = rows.index_select(0, base + ((i * SHAPE[1] + j) * SHAPE[2] + k)).float()
                    total.addcmul_(value, (weight * wc).unsqueeze(1))
        return total

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
    # The three muscles of the flank share the way from the fascia to the deep wall.
    label = torch.full_like(inside[0], int(Tissue.TRANSVERSUS), dtype=torch.uint8)
    label.masked_fill_(fascia + 2.0 * deep < 0.0, int(Tissue.INTERNAL_OBLIQUE))
    label.masked_fill_(2.0 * fascia + deep < 0.0, int(Tissue.EXTERNAL_OBLIQUE))
    label.masked_fill_(inside[Field.GLUTEAL], int(Tissue.GLUTEUS))
    label.masked_fill_(~inside[Field.DEEP], int(Tissue.RETROPERITONEUM))
    erector = inside[Field.ERECTOR]
    label.masked_fill_(erector, int(Tissue.ERECTOR_SPINAE))
    label.masked_fill_(erector & inside[Field.MULTIFIDUS], int(Tissue.MULTIFIDUS))
    label.masked_fill_(inside[Field.MIDLINE], int(Tissue.LIGAMENT))
    label.masked_fill_(inside[Field.CANAL], int(Tissue.CANAL))
    label.masked_fill_(fascia < FASCIA, int(Tissue.FASCIA))
    label.masked_fill_(inside[Field.FASCIA], int(Tissue.FAT))
    label.masked_fill_(distances[Field.SKIN] < SKIN, int(Tissue.SKIN))
    label.masked_fill_(inside[Field.SKIN], int(Tissue.AIR))
    return label


def classify(distances: Tensor) -> Tensor:
    """The Tissue (uint8) where the signed distances [m] are ``distances`` (Field, ...)."""
    return soft_tissue(distances).masked_fill_(distances[Field.BONE] < 0.0, int(Tissue.BONE))
