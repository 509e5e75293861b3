"""Sacrum, coccyx, iliac bones and the sacroiliac joints between them, in the anatomical frame [m]."""

import numpy as np
import torch
from torch import Tensor

from us_grid_sim.phantom.layers import PSIS_LEVEL, iliac_crest, torso
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.shapes import Point, capsule, corner, union
from us_grid_sim.phantom.spine import MM, Array, SpineLayout, Vertebra

JOINT_GAP = 0.0025
"""Width of the sacroiliac joint [m]: 2 to 3 mm (Puhakka et al. 2004, Skeletal Radiol 33:15)."""
_FORAMINA = ((0.19, 23.5, 8.5, 11.0), (0.39, 15.5, 7.5, 9.0), (0.57, 13.5, 7.0, 8.0), (0.74, 12.0, 6.0, 6.0))
"""Dorsal foramina S1 to S4: part of the sacrum's length, distance from the midline, width, depth [mm]. S1: Kim et al.
2023, Korean J Pain 36:98; S2 (29.8 (2.7) mm between both), widths and the distances along the bone: McGrath & Stringer
2011, Surg Radiol Anat 33:279; S3 and S4 continue them."""
_TUBERCLES = (0.12, 0.32, 0.52, 0.70)
"""Where the median crest is highest, S1 to S4, as parts of the sacrum's length."""
_UNROOFED = 5.0
"""Where a lamina is missing the surface lies further forward [mm]: about the thickness of the laminae, assumed."""
_HALF_WIDTH = ([0.0, 0.25, 0.5, 0.75, 0.93, 1.0], [51.8, 50.0, 40.0, 26.0, 18.0, 8.0])
"""Half the sacrum's width [mm] along it: 103.6 mm at the wings."""


def sacrum_surface(s: Array, t: Array, record: SubjectRecord, layout: SpineLayout) -> Array:
    """Coordinate a of the dorsal surface of the sacrum at (s, t) [m]: laminae, crests, foramina, hiatus and wings."""
    k = MM * record.size
    part = layout.sacrum_part(s)
    side = np.abs(t) / (k * record.sacrum_width)
    surface = layout.lamina(s) + k * (
        -2.0 * np.exp(-(((side - 9.5) / 3.5) ** 2))  # intermediate crest
        - 2.0 * np.exp(-(((side - 30.0) / 5.0) ** 2))  # lateral crest
        + 0.40 * np.maximum(side - 33.0, 0.0)
        + 12.0 * np.clip((side - 22.0) / 12.0, 0.0, 1.0) * np.clip(1.0 - part / 0.28, 0.0, 1.0)  # wings
    )
    surface = surface - _median_crest(part, record) * np.exp(-((side / 3.6) ** 2))
    hiatus = np.clip((part - record.hiatus) / 0.06, 0.0, 1.0) * np.exp(-((side / 5.0) ** 4))
    surface = surface + _UNROOFED * k * np.maximum(hiatus, _cleft(part, t, record))
    length = layout.sacrum_length / k
    for at, lateral, width, depth in _FORAMINA:
        radius = width * record.foramen / 2
        away = np.hypot((part - at) * length, side - lateral) / radius
        surface = surface + depth * k * np.exp(-(away**4))
    return np.asarray(surface)


def _median_crest(part: Array, record: SubjectRecord) -> Array:
    """Height of the median crest in the midline [m]: tubercles, fading into the hiatus, none over an open arch."""
    pairs = zip(record.tubercles, _TUBERCLES, strict=True)
    tubercles = np.max([scale * np.exp(-(((part - at) / 0.065) ** 2)) for scale, at in pairs], axis=0)
    fading = np.clip((record.hiatus + 0.05 - part) / 0.15, 0.0, 1.0)
    if record.open_arch > 0.0:
        fading = fading * (1.0 - _first_arch(part))
    return np.asarray(record.crest_height * fading * (0.35 + 0.65 * tubercles))


def _cleft(part: Array, t: Array, record: SubjectRecord) -> Array:
    """Where the arch of S1 is open: 1 within the cleft, 0 beside it."""
    if record.open_arch == 0.0:
        return np.zeros_like(part)
    return np.asarray(_first_arch(part) * np.exp(-((2.0 * t / record.open_arch) ** 4)))


def _first_arch(part: Array) -> Array:
    """1 along the arch of S1, 0 from halfway between the first two tubercles on."""
    return np.asarray(np.clip((0.22 - part) / 0.05, 0.0, 1.0))


def sacrum(point: Point, record: SubjectRecord, surface: Tensor, slope: Tensor, part: Tensor) -> Tensor:
    """Signed distance of the sacrum.

    Args:
        point: (s, t, a) [m]; s and t of shape (m, n, 1).
        record: the subject.
        surface: :func:`sacrum_surface` at (s, t), (m, n, 1).
        slope: length of (1, its gradient), (m, n, 1).
        part: :meth:`SpineLayout.sacrum_part` at (s, t), (m, n, 1).
    """
    _, t, a = point
    k = MM * record.size
    rounding = 2.0 * k
    width = torch.from_numpy(np.interp(part.numpy(), *_HALF_WIDTH)).float() * k * record.sacrum_width
    thickness = k * (30.0 - 22.0 * part.clamp(0.0, 1.0))
    length = 107.0 * k * record.sacrum_length
    faces = (
        (surface + rounding - a) / slope,
        a - (surface + thickness - rounding),
        torch.abs(t) - (width - rounding),
        (-part) * length + rounding,
        (part - 1.0) * length + rounding,
    )
    return corner(faces, rounding)


def coccyx(point: Point, record: SubjectRecord, layout: SpineLayout) -> Tensor:
    """Signed distance of the coccyx: two segments that curve away from the skin."""
    k = MM * record.size
    slope = float((layout.sacrum_a[4] - layout.sacrum_a[0]) / (layout.sacrum_s[4] - layout.sacrum_s[0]))
    first = (float(layout.sacrum_s[0]), 0.0, float(layout.sacrum_a[0]) + 5.0 * k)
    second = (first[0] - 15.0 * k, 0.0, first[2] - 15.0 * k * slope + 3.0 * k)
    third = (second[0] - 13.0 * k, 0.0, second[2] - 13.0 * k * slope + 8.0 * k)
    return union(capsule(point, first, second, 5.5 * k), capsule(point, second, third, 4.0 * k), 2.0 * k)


def ilium(point: Point, record: SubjectRecord, layout: SpineLayout) -> Tensor:
    """Signed distance of both iliac bones: a blade from the posterior spine and the crest forwards and down.

    The crest lies right under the fascia all along; below it the gluteal surface falls away by ``ilium_flare``.
    Caudally the blade ends at the posterior inferior spine and the greater sciatic notch, medially at the joint (see
    :func:`join`).

    Args:
        point: (s, t, a) [m]; s and t of shape (m, n, 1).
        record: the subject.
        layout: its spine.
    """
    s, t, a = point
    k = MM * record.size
    s = s - 0.5 * record.ilium_tilt * torch.sign(t)
    side = t.abs().double().numpy()
    level = PSIS_LEVEL * record.size
    depth = float(layout.lamina(np.array([level]))[0]) - record.crest_height + 2.0 * k
    fall = torso(side, record) - torso(np.array(record.psis_half_distance), record)
    crest, edge = (
        torch.from_numpy(m).float() for m in (iliac_crest(side, record) + 6.0 * k, depth + np.maximum(fall, 0))
    )
    out = t.abs() - record.psis_half_distance
    tangent = float(np.tan(record.ilium_flare))
    surface = edge + tangent * (crest - s).clamp(min=0.0)
    rounding = 4.0 * k
    thickness = k * (14.0 - 4.0 * (out / 0.04).clamp(0.0, 1.0))
    # Distances to the gluteal surface and to the crest, which rises steeply, are measured across them.
    across = 1.0 / np.hypot(1.0, 1.6 * tangent)
    steep = 1.0 / np.hypot(1.0, (record.crest_level - level) / 0.052)
    faces = (
        (surface + rounding - a) * across,
        (a - surface) * across - thickness + rounding,
        (s - crest) * steep + rounding,
        (level - 0.034 * record.size - 0.5 * out.clamp(min=0.0)) - s + rounding,
        -(out + 7.0 * k - 0.25 * (a - depth).clamp(min=0.0)) + rounding,
    )
    return corner(faces, rounding)


def join(sacral: Tensor, iliac: Tensor) -> Tensor:
    """The sacrum with its lateral surface cut where the ilium begins, less the joint's gap."""
    return torch.maximum(sacral, JOINT_GAP - iliac)


def ribs(point: Point, record: SubjectRecord, vertebra: Vertebra) -> Tensor:
    """Signed distance of both ribs of a vertebra: outwards and down, towards the skin on their way."""
    s, t, a = point
    k = MM * record.size
    head = vertebra.place(4.0, 22.0, -12.0)
    start = (float(head[0]), 22.0 * k, float(head[2]))
    middle = (start[0] - 12.0 * k, 55.0 * k, start[2] - 8.0 * k)
    end = (start[0] - 45.0 * k, 110.0 * k, start[2] + 8.0 * k)
    side = (s, torch.abs(t), a)
    return union(capsule(side, start, middle, 5.0 * k), capsule(side, middle, end, 4.5 * k), 3.0 * k)
