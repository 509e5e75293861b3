"""The slope of the skin under the probe, from the path of the contact points, and the beam that stands on it.

A surface is taken for its depth z(x, y) over the parallel plane of the patient frame, and its tangent plane for the
state (z, dz/dx, dz/dy) of a Kalman filter that travels with the probe: a way (dx, dy) adds dz/dx dx + dz/dy dy to the
depth and, since a back is curved, uncertainty to the slopes. Every contact point is a measurement of the depth. How
the body breathes is no noise from cycle to cycle but stays for about a second, so a measurement counts by the time
that it stood for. (Kalman filter: Thrun, Burgard, Fox, Probabilistic Robotics, 2005, sec. 3.2.)

What a tilted transducer feels, moment and lateral force, says less than this: docs/force_control.md.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.control.filters import limited
from iiwa_bridge.errors import CommandError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceConfig:
    """What is expected of a surface and of the beam on it.

    Attributes:
        slope_deviation: of the slope at the first contact from the one that the beam then stands on [rad].
        bending: variance of the slope that a way adds [rad^2/m]; a tenth of a radian over 20 mm is 0.5.
        depth_deviation: of a contact point from the surface at rest, as by breathing [m].
        memory: for how long such a deviation stays [s].
        tilt_limit: largest angle of the beam to z of the patient [rad].

    Raises:
        CommandError: a value is not a finite number above 0, or the tilt beyond 45 degrees.
    """

    slope_deviation: float = 0.15
    bending: float = 0.5
    depth_deviation: float = 0.0015
    memory: float = 1.0
    tilt_limit: float = math.radians(15.0)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"surface: {name} is {value}; expected a number above 0")
        if self.tilt_limit > math.pi / 4.0:
            raise CommandError(f"surface: tilt_limit is {math.degrees(self.tilt_limit):g} degrees; at most 45 degrees")


def beam_of(slope: Array) -> Array:
    """Unit vector (3,) into the body across a surface of slope (dz/dx, dz/dy), in the patient frame."""
    normal: Array = np.array([-slope[0], -slope[1], 1.0])
    return normal / float(np.linalg.norm(normal))


def slope_of(beam: Array) -> Array:
    """Slope (2,) of the surface that a beam (3,) with a part into the body stands on; undoes ``beam_of``."""
    return -beam[:2] / float(beam[2])


class SurfaceEstimator:
    """Slope of the surface, from contact points.

    Args:
        point: first contact, in the patient frame (3,) [m].
        slope: on which the beam stands there (2,).
        config: what is expected.
    """

    def __init__(self, point: Array, slope: Array, config: SurfaceConfig) -> None:
        self._config = config
        self._place: Array = np.array(point[:2], dtype=float)
        self._state: Array = np.array([point[2], *slope])
        self._covariance = np.diag([config.depth_deviation, config.slope_deviation, config.slope_deviation]) ** 2

    @property
    def slope(self) -> Array:
        """(dz/dx, dz/dy) where the probe is (2,)."""
        return self._state[1:].copy()

    @property
    def beam_slope(self) -> Array:
        """Slope (2,) that the beam is to stand on: the surface's, within the limit of its tilt."""
        return limited(self._state[1:], math.tan(self._config.tilt_limit))

    def update(self, point: Array, dt: float) -> None:
        """Take a contact point (3,) in the patient frame [m] that stood for ``dt`` [s]."""
        self._travel(point[:2] - self._place)
        self._place = np.array(point[:2], dtype=float)
        noise = self._config.depth_deviation**2 * self._config.memory / dt
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + noise)
        self._state = self._state + gain * (point[2] - self._state[0])
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])

    def _travel(self, way: Array) -> None:
        transition = np.eye(3)
        transition[0, 1:] = way
        self._state = transition @ self._state
        self._covariance = transition @ self._covariance @ transition.T
        bent = self._config.bending * float(np.linalg.norm(way))
        self._covariance[[1, 2], [1, 2]] += bent
