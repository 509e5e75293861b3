"""How a back differs from place to place: smooth random maps over the parallel plane.

No layer of a real back is as even as a few scales of it would have it. Skinfolds one centimetre apart differ (Hume &
Marfell-Jones 2008, J Sports Sci 26:1333); in a general population of men without complaints one level's paraspinal
muscle was more than 10 % larger on one side in every third to fifth (Fortin et al. 2013, Phys Ther 93:1540).
"""

from enum import IntEnum

import numpy as np
from scipy import ndimage

from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.spine import Array

_LENGTH = 0.028
"""Distance of the random values that are interpolated [m]: a little less than a vertebral level."""
_LOW = (-0.30, -0.20)
_KNOTS = (24, 16)


class Uneven(IntEnum):
    """What varies; each has a map of its own."""

    FAT = 0
    FASCIA = 1
    ERECTOR = 2
    MULTIFIDUS = 3
    DEEP = 4
    WALL = 5


def uneven(what: Uneven, s: Array, t: Array, record: SubjectRecord) -> Array:
    """Relative deviation at (s, t) of the anatomical frame [m]: mean 0, standard deviation about ``unevenness``."""
    knots = np.random.default_rng([record.uneven_seed, int(what)]).standard_normal(_KNOTS)
    places = [(p - low) / _LENGTH for p, low in zip((s, t), _LOW, strict=True)]
    return np.asarray(record.unevenness * ndimage.map_coordinates(knots, places, order=3, mode="nearest"))
