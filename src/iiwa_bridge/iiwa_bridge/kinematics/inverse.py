"""Differential inverse kinematics: from a wanted twist of the probe to a step of the joints within their limits.

The arm has one joint more than a twist has components, so every joint velocity that gives the twist v scaled by s is

    dq = s J# v + r n,

J# the damped inverse of the Jacobian, n (7,) the direction in which the joints move and the probe does not, r its
speed. That leaves a linear programme in the two numbers s and r with the velocity box of the joints for constraints,
which has a closed solution: the largest s in [0, 1] first (the task scaling of Flacco, De Luca and Khatib 2012, "Motion
control of redundant robots under joint constraints", here at its optimum and without iteration), then the r that is
nearest to what the elbow's posture asks for.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.errors import KinematicsError
from iiwa_bridge.kinematics.programme import joint_step

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class InverseConfig:
    """How the joints may move.

    Attributes:
        margin: distance kept to the position limits [rad].
        damper: highest speed towards a position limit, by the distance left to it [1/s] (the velocity damper of
            Faverjon and Tournassoud 1987, without its zone of influence).
        speed_share: share of the joints' velocity limits that is used.
        singular: singular value of the Jacobian (metres and radians as they are) below which its direction is damped.
        damping: damping where a singular value is zero, in the same unit.
        posture_gain: speed towards the posture, by the distance to it [1/s].
        posture_speed: highest speed towards the posture, the norm over the joints [rad/s].

    Raises:
        KinematicsError: a value is not one that it can have.
    """

    margin: float = math.radians(5.0)
    damper: float = 5.0
    speed_share: float = 0.5
    singular: float = 0.05
    damping: float = 0.05
    posture_gain: float = 1.0
    posture_speed: float = 0.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0.0):
                raise KinematicsError(f"inverse: {name} is {value}; expected a number of at least 0")
        if not 0.0 < self.speed_share <= 1.0 or self.damper == 0.0 or self.singular == 0.0 or self.damping == 0.0:
            raise KinematicsError(
                f"inverse: speed_share {self.speed_share}, damper {self.damper}, singular {self.singular}, damping "
                f"{self.damping}; expected above 0, and a share of at most 1"
            )


@dataclass(frozen=True, eq=False)
class JointStep:
    """A step of the joints.

    Attributes:
        motion: (7,) to add to the joint position [rad].
        scale: share of the twist that it does, 0 to 1; below 1 limits slow the probe on its way.
        singular_value: smallest of the Jacobian (metres and radians as they are).
    """

    motion: Array
    scale: float
    singular_value: float


class DifferentialInverse:
    """Differential inverse kinematics of an arm.

    Args:
        arm: the arm.
        posture: joint position (7,) that the elbow keeps as near to as the probe's pose allows [rad].
        config: how the joints may move.

    Raises:
        KinematicsError: the posture is not within the limits, less the margin.
    """

    def __init__(self, arm: Arm, posture: Array, config: InverseConfig | None = None) -> None:
        self._arm = arm
        self._config = InverseConfig() if config is None else config
        self._posture = posture.copy()
        self._lower = arm.limits.lower + self._config.margin
        self._upper = arm.limits.upper - self._config.margin
        self._fastest = self._config.speed_share * arm.limits.velocity
        if not ((posture >= self._lower) & (posture <= self._upper)).all():
            raise KinematicsError(
                f"posture {np.rad2deg(posture).round(1)} degrees is beyond the joint limits less "
                f"{math.degrees(self._config.margin):.1f} degrees; expected one within"
            )

    def step(self, q: Array, twist: Array, period: float) -> JointStep:
        """The joints' step from a joint position (7,) [rad] that gives a twist (6,) for ``period`` [s].

        No joint exceeds its share of the velocity limit, comes nearer to a position limit than the margin, or, where
        it is nearer already, still nearer. Along a direction that a singularity takes from the probe it moves less
        than wanted (``singular_value`` tells); all else keeps the direction of the twist.

        Raises:
            KinematicsError: joint position, twist or period are not finite, or the period is not above 0.
        """
        if not (all(map(math.isfinite, [*q.tolist(), *twist.tolist(), period])) and period > 0.0):
            raise KinematicsError(
                f"step from {q} rad with twist {twist} for {period} s; expected finite numbers, the period above 0"
            )
        config = self._config
        motion, scale, smallest = joint_step(
            q,
            self._arm.jacobian(q),
            twist,
            period,
            self._lower,
            self._upper,
            self._fastest,
            self._posture,
            config.damper,
            config.singular,
            config.damping,
            config.posture_gain,
            config.posture_speed,
        )
        return JointStep(motion, scale, smallest)
