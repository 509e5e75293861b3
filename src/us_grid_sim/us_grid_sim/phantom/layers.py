"""Skin, fat, fascia and muscle compartments as surfaces over the parallel plane.

All maps have shape (x, y), SPACING apart (see :mod:`us_grid_sim.phantom.volume`), and hold z of the patient frame or
lengths [m].
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.spine import Array, SpineLayout
from us_grid_sim.phantom.unevenness import Uneven, uneven

SKIN = 0.002
"""Thickness of the skin of the back [m] (Laurent et al. 2007, Vaccine 25:6423: 1.9 to 2.5 mm)."""
FASCIA = 0.0009
"""Thickness of the posterior layer of the thoracolumbar fascia [m] (Barker & Briggs 1999, Spine 24:1757: 0.5 to 0.6 mm;
with the aponeurosis below it about 1 mm)."""
PSIS_LEVEL = -0.040
"""s of the posterior superior iliac spines in the mean adult, just below the second sacral tubercle [m]."""
_COVER = 0.002
"""Least thickness of supraspinous ligament and periosteum between fascia and bone [m]."""
_SUBSAMPLE = 0.001
_BULK = 0.012
"""By how much the muscles lift the fascia at most: what varies with :mod:`us_grid_sim.phantom.unevenness` [m]."""


@dataclass(frozen=True)
class Layers:
    """Surfaces of a subject.

    Attributes:
        skin: of the skin's outside.
        fascia: of the fascia's outside: fat lies above.
        deep_border: where the erector spinae ends in depth.
        lateral_border: of the erector spinae from the midline.
        multifidus_border: of the multifidus from the midline, at the fascia.
        deep_wall: where the muscles of the back and the flank end in depth.
        crest: s of the iliac crest above which the flank, below which the buttock lies.
    """

    skin: Array
    fascia: Array
    deep_border: Array
    lateral_border: Array
    multifidus_border: Array
    deep_wall: Array
    crest: Array


def midline_profile(layout: SpineLayout, record: SubjectRecord) -> tuple[Array, Array]:
    """(s, a) of the fascia in the midline [m]: a smooth curve stretched over spinous processes and sacral crest."""
    tip_s, tip_a = zip(
        *(
            vertebra.place(-10.0, 0.0, vertebra.spinous_tip * record.spinous_length[vertebra.index])[[0, 2]]
            for vertebra in reversed(layout.vertebrae)
        ),
        strict=True,
    )
    part = np.array([0.95, 0.70, 0.52, 0.32])
    crest_s = layout.sacrum_s[-1] - part * layout.sacrum_length
    crest_a = layout.lamina(crest_s) - np.array([0.0, 1.0, 1.0, 1.0]) * record.crest_height
    s = np.arange(-0.25, 0.30, _SUBSAMPLE)
    profile = np.interp(s, np.r_[crest_s, tip_s], np.r_[crest_a, tip_a]) - _COVER
    # Below the sacrum the profile goes on into the cleft, above T11 on along the back.
    below, above = s < crest_s[0], s > tip_s[-1]
    profile[below] += 0.35 * (crest_s[0] - s[below])
    profile[above] -= 0.10 * (s[above] - tip_s[-1])
    stretched = ndimage.grey_erosion(profile, size=31)
    return s, ndimage.gaussian_filter1d(stretched, 14.0, mode="nearest")


def fat_thickness(s: Array, t: Array, record: SubjectRecord) -> Array:
    """Thickness of skin and subcutaneous fat [m]: thin over the spine, thicker over sacrum, buttock and flank."""
    side = np.abs(t)
    lateral = 0.7 + 0.3 * np.clip(side / 0.025, 0.0, 1.0)
    lateral = lateral + (record.fat_lateral - 1.0) * np.clip((side - 0.03) / 0.06, 0.0, 1.0)
    sacral = 1.0 + (record.fat_sacral - 1.0) / (1.0 + np.exp((s + 0.01) / 0.012))
    lumps = np.exp(uneven(Uneven.FAT, s, t, record))
    return np.asarray(SKIN + 0.001 + np.maximum(record.fat - SKIN - 0.001, 0.001) * lateral * sacral * lumps)


def _sigmoid(value: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-value)))


def torso(side: Array, record: SubjectRecord) -> Array:
    """How much deeper than in the midline the ellipse of the torso lies ``side`` from it [m]."""
    part = np.clip(side / record.half_width, 0.0, 0.97)
    return np.asarray(record.half_width * record.flatness * (1.0 - np.sqrt(1.0 - part**2)))


def iliac_crest(side: Array, record: SubjectRecord) -> Array:
    """Coordinate s of the iliac crest ``side`` from the midline [m]: from the spine at S2 up to its highest point."""
    out = np.clip((side - record.psis_half_distance) / 0.052, 0.0, 1.0)
    level = PSIS_LEVEL * record.size
    return np.asarray(level + (record.crest_level - level) * out**0.8)


def fascia_surface(s: Array, t: Array, layout: SpineLayout, record: SubjectRecord) -> Array:
    """Coordinate a of the fascia at (s, t) [m], t from the midline: ellipse of the torso, muscles and buttocks."""
    side = np.abs(t)
    lumbar = _sigmoid((s - 0.005) / 0.012)
    bulge = (1.0 - np.exp(-((side / 0.016) ** 2))) * np.exp(-((np.maximum(side - 0.045, 0.0) / 0.03) ** 2))
    muscle = (record.groove + 0.05 * (record.muscle - 1.0)) * lumbar * bulge * (1.0 + record.asymmetry * np.sign(t))
    muscle = muscle + _BULK * bulge * uneven(Uneven.FASCIA, s, t, record)
    buttock = record.gluteal_bulge * _sigmoid((side - 0.045) / 0.010) * _sigmoid((-0.050 - s) / 0.015)
    return np.asarray(np.interp(s, *midline_profile(layout, record)) + torso(side, record) - muscle - buttock)


def lift_over_bone(fascia: Array, first_bone: Array) -> Array:
    """The fascia lifted where bone would come through it, smoothly; both maps z [m]."""
    excess = np.maximum(fascia - (first_bone - _COVER), 0.0)
    return np.asarray(fascia - ndimage.gaussian_filter(ndimage.grey_dilation(excess, size=(15, 15)), 4.0))


def compartments(
    s: Array, t: Array, fascia: Array, offset: float, layout: SpineLayout, record: SubjectRecord
) -> Layers:
    """Borders of the muscles under a fascia.

    The erector spinae reaches about 75 mm from the midline at L3 and narrows to the posterior iliac spine; in depth it
    ends at the transverse processes. The multifidus widens from L1 to the sacrum (Macintosh et al. 1986, Clin Biomech
    1:196). Quadratus lumborum (Gray's Anatomy, 41st ed.: about 16 mm) and the three muscles of the flank (together 20
    to 25 mm; Rankin et al. 2006, Muscle Nerve 34:320) lie before and beside them.
    """
    bulk = record.muscle * (1.0 + record.asymmetry * np.sign(t))
    tip_s, tip_a = layout.profile(4.0, 0.0, -9.0)
    transverse = np.interp(s, np.r_[layout.sacrum_s[::6], tip_s], np.r_[layout.sacrum_a[::6] + 0.004, tip_a]) + offset
    lateral = np.interp(s, [-0.10, -0.04, 0.03, 0.09, 0.20], [0.012, 0.045, 0.066, 0.075, 0.070]) * bulk
    lateral = lateral * (1.0 + uneven(Uneven.ERECTOR, s, t, record))
    multifidus = np.interp(s, [-0.09, -0.05, 0.0, 0.03, 0.09, 0.16], [0.004, 0.024, 0.033, 0.028, 0.016, 0.009]) * bulk
    multifidus = multifidus * (1.0 + uneven(Uneven.MULTIFIDUS, s, t, record))
    part = np.clip(np.abs(t) / lateral, 0.0, 1.0)
    middle = np.interp(s, *midline_profile(layout, record)) + offset
    thickness = np.maximum(transverse - middle, 0.004) * (1.0 + uneven(Uneven.DEEP, s, t, record))
    deep = fascia + thickness * np.sqrt(1.0 - 0.98 * part**4)
    beside = _sigmoid((np.abs(t) - lateral - 0.004) / 0.005)
    pelvic = _sigmoid((-s - 0.01) / 0.006)
    flank = record.flank * (1.0 + uneven(Uneven.WALL, s, t, record))
    wall = (1.0 - beside) * (deep + 0.016 * flank) + beside * (fascia + 0.023 * flank) + 0.06 * pelvic
    return Layers(
        skin=fascia - fat_thickness(s, t, record),
        fascia=fascia,
        deep_border=deep,
        lateral_border=lateral,
        multifidus_border=multifidus,
        deep_wall=wall,
        crest=iliac_crest(np.abs(t), record),
    )
