"""A way through the air to above a place: up to a height, then across it, the beam turned upright."""

import numpy as np

from iiwa_bridge.control.filters import braking_speed
from iiwa_bridge.control.lateral import LateralConfig
from iiwa_bridge.control.set_point import MotionConfig, PoseSetPoint
from iiwa_bridge.robot import Array

_THERE = 1e-6
"""Distance to the end of a way [m]."""
_UPRIGHT = 1e-3
"""Slope that is left of a beam along z of the patient."""


class Travel:
    """Moves the set point of the probe through the air, at the speed of a step.

    Args:
        pose: (4, 4) where it begins, in the patient frame [m].
        place: (x, y) above which it ends [m].
        height: above the parallel plane at which it crosses; where it begins higher it stays there [m].
        lateral: speed and acceleration.
        motion: bounds of the set point.

    Raises:
        CommandError: the beam does not point into the body.
    """

    def __init__(
        self, pose: Array, place: tuple[float, float], height: float, lateral: LateralConfig, motion: MotionConfig
    ) -> None:
        self._set_point, self._config = PoseSetPoint(pose, motion), lateral
        above = min(float(pose[2, 3]), -height)
        self._left = [np.array([pose[0, 3], pose[1, 3], above]), np.array([*place, above])]

    @property
    def ended(self) -> bool:
        """Whether the set point is there, upright and at rest."""
        return not self._left and bool(np.abs(self._set_point.slope).max() < _UPRIGHT)

    def update(self, dt: float) -> Array:
        """The set point's pose (4, 4) after another ``dt`` [s]."""
        velocity: Array = np.zeros(3)
        if self._left:
            way = self._left[0] - self._set_point.position
            distance = float(np.linalg.norm(way))
            if distance < _THERE:
                self._left.pop(0)
            else:
                speed = min(self._config.speed, braking_speed(distance, self._config.acceleration, dt))
                velocity = way * (speed / distance)
        self._set_point.move(velocity, np.zeros(2), dt)
        return self._set_point.pose
