"""From a record to the tissue fields: bones, then the layers over them."""

from enum import IntEnum
from itertools import product

import numpy as np
import torch
from torch import Tensor

from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS
from us_grid_sim.phantom import pelvis
from us_grid_sim.phantom.layers import PSIS_LEVEL, Layers, compartments, fascia_surface, fat_thickness, lift_over_bone
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.spine import MM, Array, SpineLayout, Vertebra, lay_out
from us_grid_sim.phantom.vertebra import REACH, vertebra
from us_grid_sim.phantom.volume import FAR, LOWER, SHAPE, SPACING, Field, Volume

JUNCTION_X = (5.0 - (COLUMNS - 1) / 2) * COLUMN_PITCH
"""Mean place of the lumbosacral junction along x of the patient frame [m]: the sacrum lies under columns 0 to 5."""
_LIGAMENT = 0.0022
"""Half the thickness of the interspinous ligament [m] (Gray's Anatomy, 41st ed.)."""


class Structure(IntEnum):
    """Bones."""

    NONE = 0
    SACRUM = 1
    ILIUM = 2
    L5 = 3
    L4 = 4
    L3 = 5
    L2 = 6
    L1 = 7
    T12 = 8
    T11 = 9
    RIB = 10
    COCCYX = 11


def axis(number: int) -> Array:
    """Coordinates of the grid's points along an axis of the patient frame [m]."""
    return np.asarray(LOWER[number] + SPACING * np.arange(SHAPE[number]), dtype=np.float64)


def anatomical(x: Array, y: Array, record: SubjectRecord) -> tuple[Array, Array]:
    """(s, t) of the anatomical frame [m] of points (x, y) of the patient frame [m]."""
    dx, dy = x - JUNCTION_X - record.shift_x, y - record.shift_y
    cosine, sine = np.cos(record.rotation), np.sin(record.rotation)
    return cosine * dx + sine * dy, cosine * dy - sine * dx


class _Bones:
    """The signed distance to all bones and the nearest of them, put together part by part."""

    def __init__(self, s: Array, t: Array, offset: float) -> None:
        self.s, self.t = torch.from_numpy(s).float(), torch.from_numpy(t).float()
        self.a = torch.from_numpy(axis(2) - offset).float()
        self.distance = torch.full(SHAPE, FAR)
        self.nearest = torch.zeros(SHAPE, dtype=torch.uint8)

    def window(self, low: Array, high: Array, margin: float = 0.006) -> tuple[slice, slice, slice]:
        """The part of the grid that holds a box of the anatomical frame (s, t, a) [m]."""
        near = (
            (self.s > low[0] - margin)
            & (self.s < high[0] + margin)
            & (self.t > low[1] - margin)
            & (self.t < high[1] + margin)
        )
        parts = [near.any(1), near.any(0), (self.a > low[2] - margin) & (self.a < high[2] + margin)]
        return tuple(_extent(part) for part in parts)  # type: ignore[return-value]

    def add(self, part: tuple[slice, slice, slice], distance: Tensor, structure: Structure) -> None:
        """Unite with a bone whose distance [m] is known in a part of the grid."""
        nearer = distance < self.distance[part]
        self.nearest[part].masked_fill_(nearer, int(structure))
        torch.minimum(self.distance[part], distance, out=self.distance[part])

    def point(self, part: tuple[slice, slice, slice]) -> tuple[Tensor, Tensor, Tensor]:
        """(s, t, a) [m] of a part of the grid, broadcastable."""
        return self.s[part[:2]].unsqueeze(-1), self.t[part[:2]].unsqueeze(-1), self.a[part[2]]


def _extent(flags: Tensor) -> slice:
    """From the first to the last set flag."""
    found = flags.nonzero()
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


def build_bones(record: SubjectRecord, layout: SpineLayout, s: Array, t: Array, offset: float) -> tuple[Tensor, Tensor]:
    """Signed distance to bone [m] and nearest Structure on the grid; z = a + ``offset``."""
    bones = _Bones(s, t, offset)
    for place in layout.vertebrae:
        _add_vertebra(bones, place, record)
    k = MM * record.size
    level = PSIS_LEVEL * record.size
    depth = float(layout.lamina(np.array([level]))[0])
    part = bones.window(np.array([level - 0.08, -0.2, depth - 0.015]), np.array([0.07, 0.2, 0.2]))
    iliac = pelvis.ilium(bones.point(part), record, layout)
    bones.add(part, iliac, Structure.ILIUM)
    whole = torch.full(SHAPE, FAR)
    whole[part] = iliac
    low = np.array([layout.sacrum_s[0], -0.056 * record.sacrum_width * record.size, layout.sacrum_a.min() - 0.012])
    high = np.array([layout.sacrum_s[-1], -low[1], layout.sacrum_a.max() + 45 * k])
    part = bones.window(low, high)
    bones.add(part, pelvis.join(_sacrum(bones.point(part), record, layout), whole[part]), Structure.SACRUM)
    end = np.array([layout.sacrum_s[0], 0.0, layout.sacrum_a[0]])
    part = bones.window(end - np.array([0.04, 0.008, 0.01]), end + np.array([0.008, 0.008, 0.04]))
    bones.add(part, pelvis.coccyx(bones.point(part), record, layout), Structure.COCCYX)
    for place in layout.vertebrae[:2]:
        head = place.place(4.0, 0.0, -12.0)
        part = bones.window(head - k * np.array([60.0, 118.0, 15.0]), head + k * np.array([8.0, 118.0, 18.0]))
        bones.add(part, pelvis.ribs(bones.point(part), record, place), Structure.RIB)
    return bones.distance.clamp_(-FAR, FAR), bones.nearest


def _add_vertebra(bones: _Bones, place: Vertebra, record: SubjectRecord) -> None:
    """Unite with a vertebra, built in its own frame."""
    corners = np.array([place.place(*corner) for corner in product(*REACH)])
    part = bones.window(corners.min(axis=0), corners.max(axis=0), margin=0.0)
    s, t, a = bones.point(part)
    s, t, a = s - place.origin[0], t - place.origin[1], a - place.origin[2]
    r = place.rotation / place.scale
    local = [float(r[0, n]) * s + float(r[1, n]) * t + float(r[2, n]) * a for n in range(3)]
    distance = vertebra((local[0], local[1], local[2]), place, record) * place.scale
    bones.add(part, distance, Structure[place.name])


def _sacrum(point: tuple[Tensor, Tensor, Tensor], record: SubjectRecord, layout: SpineLayout) -> Tensor:
    """Signed distance of the sacrum [m] at points (m, n, 1), (m, n, 1), (p,)."""
    s, t = (p.squeeze(-1).double().numpy() for p in point[:2])
    surface = pelvis.sacrum_surface(s, t, record, layout)
    slope = np.sqrt(1.0 + sum(g**2 for g in np.gradient(surface, SPACING)))
    maps = (torch.from_numpy(m).float().unsqueeze(-1) for m in (surface, slope, layout.sacrum_part(s)))
    return pelvis.sacrum(point, record, *maps)


def first_depth(bone: Tensor) -> Array:
    """Height z of the first bone under every point of the parallel plane [m]; 1.0 where there is none."""
    inside = bone < 0.0
    index = inside.to(torch.uint8).argmax(dim=-1)
    found = inside.any(dim=-1)
    above = bone.gather(-1, (index - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1)
    below = bone.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    z = LOWER[2] + SPACING * (index - below / (below - above).clamp(max=-1e-9))
    return torch.where(found, z, 1.0).double().numpy()


def build_volume(record: SubjectRecord) -> tuple[Volume, Layers, Array]:
    """The tissue fields of a subject, its layers, and z of the first bone (x, y) [m]."""
    layout = lay_out(record)
    s, t = anatomical(*np.meshgrid(axis(0), axis(1), indexing="ij"), record)
    beside = t - layout.midline(s)
    fascia = fascia_surface(s, beside, layout, record)
    offset = 0.002 - float((fascia - fat_thickness(s, beside, record)).min())
    bone, nearest = build_bones(record, layout, s, t, offset)
    first = first_depth(bone)
    layers = compartments(s, beside, lift_over_bone(fascia + offset, first), offset, layout, record)
    distances = torch.empty(*SHAPE, len(Field), dtype=torch.float16)
    distances[..., Field.BONE] = bone.mul_(1e3)
    _soft_tissue(distances, layers, s, beside)
    distances[..., Field.CANAL] = _canal(layout, s, t, offset).mul_(1e3)
    return Volume(distances, nearest), layers, first


def _soft_tissue(distances: Tensor, layers: Layers, s: Array, t: Array) -> None:
    """Fill in all fields but bone and canal."""
    z = torch.from_numpy(axis(2)).float()

    def column(values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).float().unsqueeze(-1)

    def below(surface: Array) -> Tensor:
        """Signed distance to a height field, right to first order."""
        slope = np.sqrt(1.0 + sum(g**2 for g in np.gradient(surface, SPACING)))
        return (z - column(surface)).div_(column(slope))

    def put(field: Field, value: Tensor) -> None:
        """``value`` is overwritten: to fetch memory for another grid takes as long as to compute it."""
        distances[..., field] = value.clamp_(-FAR, FAR).mul_(1e3)

    side = np.abs(t)
    put(Field.SKIN, below(layers.skin))
    put(Field.FASCIA, below(layers.fascia))
    put(Field.DEEP, below(layers.deep_wall))
    border = below(layers.deep_border)
    put(Field.ERECTOR, torch.maximum(border, column(side - layers.lateral_border), out=border))
    # The septum leans outwards with depth, by about 15 degrees.
    leaning = column(side - layers.multifidus_border) - (z - column(layers.fascia)).mul_(0.26)
    put(Field.MULTIFIDUS, leaning.div_(float(np.hypot(1.0, 0.26))))
    put(Field.MIDLINE, column(side - _LIGAMENT))
    put(Field.GLUTEAL, column(s - layers.crest))


def _canal(layout: SpineLayout, s: Array, t: Array, offset: float) -> Tensor:
    """Signed distance to the spinal canal [m]: an ellipse that follows the posterior walls, down to S2."""
    center_s, center_a = layout.profile(0.0, 0.0, -9.0)
    half_depth, half_width = 0.0085, 0.0115
    sacral = np.array([-0.03, 0.0])
    line = np.interp(
        s, np.r_[sacral, center_s], np.r_[layout.lamina(sacral) + 0.012, center_a], left=1.0, right=center_a[-1]
    )
    middle = torch.from_numpy(line + offset).float().unsqueeze(-1)
    across = torch.from_numpy((t - layout.midline(s)) / half_width).float().unsqueeze(-1)
    k = (torch.from_numpy(axis(2)).float() - middle).div_(half_depth).square_().add_(across**2).sqrt_()
    return k.sub_(1.0).mul_(half_depth).clamp_(-FAR, FAR)
