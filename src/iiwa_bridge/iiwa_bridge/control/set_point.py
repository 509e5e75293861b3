"""The set point of the impedance: a pose that moves with bounded speed and acceleration, whatever it is asked for."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled
from iiwa_bridge.control.filters import Profile, follow, length, limited
from iiwa_bridge.control.surface import beam_of, slope_of
from iiwa_bridge.errors import CommandError

Array = npt.NDArray[np.float64]

STEEPEST = math.radians(60.0)
"""Largest angle between beam and z of the patient at which a set point may begin [rad]."""


@dataclass(frozen=True)
class MotionConfig:
    """Bounds of the set point.

    Attributes:
        speed: highest [m/s].
        acceleration: highest [m/s^2].
        tilt_speed: highest rate of the beam's slope, at least its angular speed [rad/s].
        tilt_acceleration: of the beam's slope [rad/s^2].

    Raises:
        CommandError: a value is not a finite number above 0.
    """

    speed: float = 0.060
    acceleration: float = 1.0
    tilt_speed: float = math.radians(10.0)
    tilt_acceleration: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"motion: {name} is {value}; expected a number above 0")


@compiled("float64[:,::1](float64[:])")
def rotation_onto(beam: Array) -> Array:
    """Smallest rotation (3, 3) that turns z onto a unit vector (3,) with a part along z (Rodrigues' formula)."""
    x, y, z = beam[0], beam[1], beam[2]
    share = 1.0 / (1.0 + z)
    return np.array(
        [[1.0 - x * x * share, -x * y * share, x], [-x * y * share, 1.0 - y * y * share, y], [-x, -y, z]],
    )


@compiled("float64[:,::1](float64[:], float64[:,:], float64[:])")
def _pose(beam: Array, level: Array, position: Array) -> Array:
    """(4, 4) of a beam (3,) at a position (3,), where it would be turned by ``level`` (3, 3) if it were along z."""
    onto, pose = rotation_onto(beam), np.eye(4)
    for i in range(3):
        for j in range(3):
            pose[i, j] = onto[i, 0] * level[0, j] + onto[i, 1] * level[1, j] + onto[i, 2] * level[2, j]
        pose[i, 3] = position[i]
    return pose


class PoseSetPoint:
    """Pose of ``us_probe`` in the patient frame, as it is commanded.

    The beam is turned by the smallest rotation, so that the image plane keeps its direction over the back.

    Args:
        pose: (4, 4) where it begins, at rest [m].
        config: bounds.
        tilt_limit: largest angle of the beam to z of the patient [rad]; one that begins further out comes no further.

    Raises:
        CommandError: the beam does not point into the body.
    """

    def __init__(self, pose: Array, config: MotionConfig, tilt_limit: float = STEEPEST) -> None:
        beam = pose[:3, 2]
        if beam[2] < math.cos(STEEPEST):
            angle = math.degrees(math.acos(min(max(float(beam[2]), -1.0), 1.0)))
            raise CommandError(
                f"the beam is {angle:.0f} degrees from z of the patient; point it into the body, "
                f"{math.degrees(STEEPEST):.0f} degrees at most"
            )
        self._config, self._steepest = config, math.tan(tilt_limit)
        self._level = rotation_onto(beam).T @ pose[:3, :3]
        self._slope = Profile(slope_of(beam), config.tilt_speed, config.tilt_acceleration)
        self.position: Array = pose[:3, 3].copy()
        self.velocity: Array = np.zeros(3)

    @property
    def slope(self) -> Array:
        """Slope of the surface that the beam stands on (2,)."""
        return self._slope.position

    @property
    def beam(self) -> Array:
        """Unit vector (3,) along the beam, into the body."""
        return beam_of(self.slope)

    @property
    def pose(self) -> Array:
        """(4, 4) [m]."""
        return _pose(self.beam, self._level, self.position)

    def move(self, velocity: Array, slope: Array | None, dt: float) -> None:
        """Move for ``dt`` [s].

        Args:
            velocity: that is wanted (3,) [m/s].
            slope: to turn the beam to (2,), or None: to stop turning it.
            dt: how long [s].
        """
        wanted = limited(velocity, self._config.speed)
        self.position, self.velocity = follow(self.position, self.velocity, wanted, self._config.acceleration, dt)
        before = self._slope.position
        if slope is None:
            self._slope.brake(dt)
        else:
            self._slope.update(slope, dt)
        self._slope.keep_within(max(self._steepest, length(before)), before, dt)
