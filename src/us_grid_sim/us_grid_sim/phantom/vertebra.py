"""The shape of a lumbar vertebra: body, pedicles, laminae, spinous, articular and transverse processes.

Proportions after Gray's Anatomy (41st ed., ch. 43); dimensions from :mod:`us_grid_sim.phantom.spine`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.shapes import Point, box, capsule, ellipsoid, union
from us_grid_sim.phantom.spine import MM, Vertebra

REACH = ((-36.0, 24.0), (-58.0, 58.0), (-66.0, 16.0))
"""A vertebra lies within this box of its frame (c, r, a) [mm]; of its body only the posterior part is built, the rest
lies beyond the imaging depth."""
_ALA_GAP = 2.0 * MM
"""The wing of a sacralised L5 ends this much above the sacral ala [m]: a pseudo-articulation about as wide as the
sacroiliac joint; assumed."""
_DYSPLASTIC = 20.0 * MM
"""Least height of the process at grade 0.5, where three quarters of the wing are there [m]; from 19 mm on it counts as
dysplastic (Castellvi et al. 1984, Spine 9:493)."""


def vertebra(point: Point, place: Vertebra, record: SubjectRecord) -> Tensor:
    """Signed distance [mm of the vertebra's scale] at ``point`` (c, r, a) of its frame [mm]."""
    c, r, a = point
    size, level = place.size, place.index
    side = torch.abs(r)
    mirrored = (c, side, a)
    canal = size.canal_width / 2
    lamina_a = -(size.canal_depth + 3.0)
    body = box(point, (0.0, 0.0, size.depth / 2), (size.height / 2, size.width / 2, size.depth / 2), 4.0)
    pedicle = capsule(mirrored, (5.0, canal + 4.0, 4.0), (4.0, canal + 3.0, lamina_a + 6.0), 5.0)
    # Laminae: plates that slope backwards and down to the midline, twice as high as thick.
    flat = (c / 2.2, side, a)
    lamina = capsule(flat, (-0.5, canal + 1.0, lamina_a + 5.0), (-3.6, 1.0, lamina_a - 2.0), 3.4)
    bone = union(torch.minimum(body, pedicle), lamina, 3.0)
    facet = size.facet
    upper = ellipsoid(mirrored, (13.0, facet + 1.0, lamina_a + 1.0), (9.0, 5.5, 6.5))
    lower = ellipsoid(mirrored, (-19.0, max(facet - 3.0, 10.0), lamina_a - 2.5), (10.0, 5.0, 5.5))
    bone = union(union(bone, upper, 3.0), lower, 3.0)
    bone = union(bone, _transverse(point, place, record), 4.0)
    return union(bone, _spinous(point, place, record.spinous_deviation[level] / place.scale, lamina_a), 3.0)


def _transverse(point: Point, place: Vertebra, record: SubjectRecord) -> Tensor:
    """Both transverse processes, each with its own length; slightly backwards and upwards, flat from front to back.

    Of a sacralised L5 they broaden outwards (see :class:`_Wing`), get thicker and lean forwards on the way to the ala.
    """
    c, r, a = point
    level = place.index
    left, right = record.transverse_left[level], record.transverse_right[level]
    start = place.size.canal_width / 2 + 5.0
    reach = torch.where(r > 0, right, left) * place.size.transverse_span / 2 - 4.0
    part = ((torch.abs(r) - start) / (reach - start)).clamp(0.0, 1.0)
    beyond = torch.abs(r) - (start + part * (reach - start))
    middle, height = 4.0 + 2.0 * part, 6.5 - 1.5 * part
    wing = _wing(place, record, r, part, (middle - height, middle + height))
    thickness, lean = 4.0 - 0.8 * part + 3.0 * wing.grade, 0.5 * wing.grade
    half = height + (wing.rise + wing.drop) / 2
    dc = (c - middle - (wing.rise - wing.drop) / 2) / half
    da = (a + 7.0 + 6.0 * part - lean * (middle - c)) / thickness
    k = torch.sqrt(dc**2 + da**2 + (beyond / thickness) ** 2)
    along_c, along_a = dc / half + da * lean / thickness, da / thickness
    gradient = torch.sqrt(along_c**2 + along_a**2 + (beyond / thickness**2) ** 2)
    return k * (k - 1.0) / gradient.clamp(min=1e-6)


class _Wing(NamedTuple):
    """How a transverse process of a sacralised L5 is broadened at a place; all 0 where it is normal.

    Attributes:
        grade: of its side towards the tip, falling to 0 at the root.
        rise, drop: of its edges, the upper one upwards and the lower one downwards [mm].
    """

    grade: Tensor
    rise: Tensor
    drop: Tensor


def _wing(place: Vertebra, record: SubjectRecord, r: Tensor, part: Tensor, edges: tuple[Tensor, Tensor]) -> _Wing:
    """The wing at ``r``, a ``part`` of the process from its root; ``edges``: its normal lower and upper one [mm].

    It broadens downwards, until at grade 1 it ends _ALA_GAP above the ala; where that is too near for the height of the
    grade, upwards as well.
    """
    if place.name != "L5":
        return _Wing(*[torch.zeros(())] * 3)
    lower, upper = edges
    grade = torch.where(r > 0, record.sacralised_right, record.sacralised_left)
    # The plane of the sacrum's upper edge, at right angles to s, where it meets the wing: some 6 mm behind the origin.
    along = place.rotation[0]
    ala = ((_ALA_GAP - place.clearance) / place.scale - along[1] * r + 6.0 * along[2]) / along[0]
    room = (lower - ala).clamp(min=0.0)
    lacking = (_DYSPLASTIC / place.scale - (upper - lower)) / 0.75 - room
    outwards = (part / 0.8).clamp(max=1.0)
    broad = outwards**2 * (3.0 - 2.0 * outwards)
    growth = grade * (2.0 - grade) * broad
    return _Wing(grade * broad, growth * lacking.clamp(min=0.0), growth * room)


def _spinous(point: Point, place: Vertebra, deviation: float, lamina_a: float) -> Tensor:
    """The spinous process: a sagittal plate behind the laminae with a thicker end, leaning by ``deviation`` [mm]."""
    c, r, a = point
    tip = place.spinous_tip
    part = ((a - lamina_a) / (tip - lamina_a)).clamp(0.0, 1.0)
    lean = r - deviation * part
    middle = (lamina_a + tip) / 2
    plate = box((c + 8.0 + 3.0 * part, lean, a), (0.0, 0.0, middle), (10.0, 3.2, (lamina_a - tip) / 2), 3.0)
    end_c, _, end_a = place.spinous_end
    end = ellipsoid((c, lean, a), (end_c, 0.0, end_a), (11.0, 4.6, 4.5))
    return union(plate, end, 2.0)
