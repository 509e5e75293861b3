"""The shape of a lumbar vertebra: body, pedicles, laminae, spinous, articular and transverse processes.

Proportions after Gray's Anatomy (41st ed., ch. 43); dimensions from :mod:`us_grid_sim.phantom.spine`.
"""

import torch
from torch import Tensor

from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.shapes import Point, box, capsule, ellipsoid, union
from us_grid_sim.phantom.spine import Vertebra

REACH = ((-36.0, 24.0), (-58.0, 58.0), (-66.0, 16.0))
"""A vertebra lies within this box of its frame (c, r, a) [mm]; of its body only the posterior part is built, the rest
lies beyond the imaging depth."""


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
    """Both transverse processes, each with its own length; slightly backwards and upwards, flat from front to back."""
    c, r, a = point
    level = place.index
    left, right = record.transverse_left[level], record.transverse_right[level]
    start = place.size.canal_width / 2 + 5.0
    reach = torch.where(r > 0, right, left) * place.size.transverse_span / 2 - 4.0
    part = ((torch.abs(r) - start) / (reach - start)).clamp(0.0, 1.0)
    beyond = torch.abs(r) - (start + part * (reach - start))
    height, thickness = 6.5 - 1.5 * part, 4.0 - 0.8 * part
    dc, da = (c - 4.0 - 2.0 * part) / height, (a + 7.0 + 6.0 * part) / thickness
    k = torch.sqrt(dc**2 + da**2 + (beyond / thickness) ** 2)
    gradient = torch.sqrt((dc / height) ** 2 + (da / thickness) ** 2 + (beyond / thickness**2) ** 2)
    return k * (k - 1.0) / gradient.clamp(min=1e-6)


def _spinous(point: Point, place: Vertebra, deviation: float, lamina_a: float) -> Tensor:
    """The spinous process: a sagittal plate behind the laminae with a thicker end, leaning by ``deviation`` [mm]."""
    c, r, a = point
    tip = place.spinous_tip
    part = ((a - lamina_a) / (tip - lamina_a)).clamp(0.0, 1.0)
    lean = r - deviation * part
    middle = (lamina_a + tip) / 2
    plate = box((c + 8.0 + 3.0 * part, lean, a), (0.0, 0.0, middle), (10.0, 3.2, (lamina_a - tip) / 2), 3.0)
    end = ellipsoid((c + 11.5, lean, a), (0.0, 0.0, tip + 4.5), (11.0, 4.6, 4.5))
    return union(plate, end, 2.0)
