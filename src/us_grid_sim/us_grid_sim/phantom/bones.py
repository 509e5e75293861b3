"""Depth of the first bone below the skin, over the anatomical plane of the lower back.

The anatomical plane: s along the spine, 0 at the lumbosacral junction, cranial positive; t lateral, 0 at the midline,
to the patient's right positive [m]. A bone is a height field: depth below the bottom of the subcutaneous fat [m].

Dimensions, for a body size of 1: vertebrae 36 mm apart (body 27 mm and disc 9 mm), transverse processes spanning 71 mm
at L1 to 92 mm at L5 (Panjabi et al. 1992, Spine 17:299), spinous processes reaching to some millimetres below the
fascia, laminae about 25 mm deeper (Gray's Anatomy, 41st ed., ch. 43); sacrum 105 mm wide at S1, 105 mm long dorsally,
four pairs of foramina about 15 to 20 mm off the midline (ibid.); posterior superior iliac spines about 90 mm apart at
the level of S2, iliac crest at the level of L4 (ibid., ch. 78); twelfth rib from the level of T12, downwards and out.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from us_grid_sim.phantom.record import SubjectRecord

Array = npt.NDArray[np.float64]

NO_BONE = 0.2
"""Depth given where no bone lies within reach of a frame [m]."""

LEVEL = 0.036
SACRUM_LENGTH = 0.105


class Structure(IntEnum):
    """What a scan line can meet first."""

    NONE = 0
    SACRUM = 1
    ILIUM = 2
    L5 = 3
    L4 = 4
    L3 = 5
    L2 = 6
    L1 = 7
    RIB = 8


def _bump(distance: Array, radius: float) -> Array:
    """How much deeper a rounded bone lies ``distance`` from its crest: half a circle's profile, NO_BONE beyond it."""
    inside = np.abs(distance) < radius
    drop = radius - np.sqrt(np.maximum(radius**2 - distance**2, 0.0))
    return np.where(inside, 0.5 * drop, NO_BONE)


def sacrum(s: Array, t: Array, record: SubjectRecord) -> Array:
    """Dorsal surface of the sacrum with median crest and foramina."""
    k = record.size
    along = np.clip(-s / (SACRUM_LENGTH * k), 0.0, 1.0)
    half_width = k * (0.052 - 0.036 * along**1.2)
    depth = 0.010 * record.muscle + record.sacral_slope * SACRUM_LENGTH * k * (1.0 - along) ** 1.3
    depth = (
        depth + 0.10 * np.abs(t) - 0.5 * depth * np.exp(-((t / (0.004 * k)) ** 2)) * (0.8 + 0.2 * np.cos(along * 25))
    )
    for level in range(4):
        for side in (-1, 1):
            hole_s, hole_t = -k * (0.018 + 0.022 * level), side * k * (0.020 - 0.0018 * level)
            radius = 0.0045 * k
            depth = depth + 0.009 * np.exp(-(((s - hole_s) ** 2 + (t - hole_t) ** 2) / radius**2))
    inside = (s < 0) & (s > -SACRUM_LENGTH * k) & (np.abs(t) < half_width)
    return np.where(inside, depth, NO_BONE)


def vertebra(level: int, s: Array, t: Array, record: SubjectRecord) -> Array:
    """Dorsal surface of lumbar vertebra ``level``, 1 to 5: spinous, articular and transverse processes and laminae."""
    k = record.size
    middle = k * LEVEL * (5.5 - level)
    along, deep = s - middle, record.muscle
    lamina = 0.030 * deep + 0.35 * np.abs(t)
    bone = np.where((np.abs(along) < 0.010 * k) & (np.abs(t) < 0.015 * k), lamina, NO_BONE)
    spinous = 0.005 + _bump(t, 0.0045 * k) + 0.10 * np.abs(along + 0.004)
    bone = np.minimum(bone, np.where(np.abs(along + 0.004 * k) < 0.012 * k, spinous, NO_BONE))
    half_span = k * (0.0355 + 0.0026 * (level - 1))
    transverse = 0.038 * deep + 0.06 * np.abs(t) + _bump(along - 0.004 * k, 0.006 * k)
    bone = np.minimum(bone, np.where((np.abs(t) > 0.012 * k) & (np.abs(t) < half_span), transverse, NO_BONE))
    for side in (-1, 1):
        radius = np.hypot((along + 0.016 * k) / 1.3, t - side * 0.018 * k)
        bone = np.minimum(bone, 0.029 * deep + _bump(radius, 0.009 * k))
    return bone


def ilium(s: Array, t: Array, record: SubjectRecord) -> Array:
    """Posterior part of both iliac bones: crest, posterior superior spine and gluteal surface."""
    k = record.size
    along = s - 0.5 * record.ilium_tilt * np.sign(t)
    side = np.abs(t)
    # The crest runs from the spine (45 mm lateral, level of S2) up and out to the level of L4.
    crest_s = k * (-0.038 + 0.095 * np.clip((side / k - 0.045) / 0.060, 0.0, 1.0) ** 0.8)
    below = crest_s - along
    surface = 0.004 + 0.003 * (side / k - 0.045) / 0.060 + 0.45 * np.maximum(below, 0.0)
    inside = (side > 0.041 * k) & (below > -0.004) & (below < 0.10 * k)
    return np.where(inside, surface + 0.5 * np.maximum(0.047 * k - side, 0.0), NO_BONE)


def rib(s: Array, t: Array, record: SubjectRecord) -> Array:
    """The twelfth rib of either side."""
    k = record.size
    side = np.abs(t)
    middle = k * (0.200 - 0.75 * (side / k - 0.035))
    inside = (side > 0.040 * k) & (side < 0.105 * k)
    return np.where(inside, 0.026 * record.muscle + _bump(s - middle, 0.007 * k) - 0.10 * (side - 0.04), NO_BONE)


def first_bone(s: Array, t: Array, record: SubjectRecord) -> tuple[Array, npt.NDArray[np.int64]]:
    """Depth below the fat [m] of the first bone at (s, t), and which Structure it is; same shape as ``s``."""
    fields = {
        Structure.SACRUM: sacrum(s, t, record),
        Structure.ILIUM: ilium(s, t, record),
        Structure.RIB: rib(s, t, record),
    }
    for level in range(1, 6):
        fields[Structure(8 - level)] = vertebra(level, s, t, record)
    depths = np.stack(list(fields.values()))
    nearest = depths.argmin(axis=0)
    depth = depths.min(axis=0)
    structure = np.array([int(name) for name in fields])[nearest]
    return depth, np.where(depth < NO_BONE, structure, int(Structure.NONE))
