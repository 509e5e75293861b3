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

Array = npt.NDArray[np.float64]

_FLAT = 1e-9
"""Share of a joint in the self motion below which it has none."""
_STILL = 1e-9
"""Speed [rad/s] below which nothing is moved; as little as that a joint is held back without slowing the probe."""


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
        if not (np.isfinite(q).all() and np.isfinite(twist).all() and math.isfinite(period) and period > 0.0):
            raise KinematicsError(
                f"step from {q} rad with twist {twist} for {period} s; expected finite numbers, the period above 0"
            )
        lower, upper = self._box(q, period)
        task, free, smallest = self._split(q, twist)
        scale, along = _largest_scale(task, free, lower, upper, self._towards_posture(q, free))
        # What leaves the box here is rounding, or below _STILL.
        velocity = np.minimum(np.maximum(scale * task + along * free, lower), upper)
        return JointStep(period * velocity, scale, smallest)

    def _box(self, q: Array, period: float) -> tuple[Array, Array]:
        """Least and greatest joint velocity (7,) [rad/s]; standing still is always in between."""
        config = self._config
        fastest = config.speed_share * self._arm.limits.velocity
        share = min(config.damper, 1.0 / period)
        upper = np.minimum(np.maximum(share * (self._upper - q), 0.0), fastest)
        return -np.minimum(np.maximum(share * (q - self._lower), 0.0), fastest), upper

    def _towards_posture(self, q: Array, free: Array) -> float:
        """The speed along n that the posture asks for [rad/s]."""
        config = self._config
        wanted = config.posture_gain * float(free @ (self._posture - q))
        return min(max(wanted, -config.posture_speed), config.posture_speed)

    def _split(self, q: Array, twist: Array) -> tuple[Array, Array, float]:
        """J# v (7,), n (7,) and the smallest singular value.

        Numerical filtering (Maciejewski and Klein 1988; the damping as in Chiaverini 1997): a singular value s
        below ``singular`` is inverted as s / (s^2 + damping^2 (1 - (s / singular)^2)), the others exactly.
        """
        left, values, right = np.linalg.svd(self._arm.jacobian(q))
        config = self._config
        short = np.maximum(0.0, 1.0 - (values / config.singular) ** 2)
        inverted = values / (values**2 + config.damping**2 * short)
        return right[:6].T @ (inverted * (left.T @ twist)), right[6], float(values[-1])


def _largest_scale(task: Array, free: Array, lower: Array, upper: Array, wanted: float) -> tuple[float, float]:
    """The largest s in [0, 1] for which some r has lower <= s task + r free <= upper, and the r nearest to ``wanted``.

    Fourier-Motzkin elimination of r: joint i holds r in [l_i - s c_i, u_i - s c_i] with c_i = task_i / free_i. These
    intervals meet as long as l_i - s c_i <= u_j - s c_j for all i and j. The box holds 0, so s = 0 is always allowed.
    """
    # Plain numbers: with seven joints numpy's calls take longer than what they compute.
    scale = 1.0
    intervals = []
    for speed, share, least, greatest in zip(task.tolist(), free.tolist(), lower.tolist(), upper.tolist(), strict=True):
        if abs(share) > _FLAT:
            ends = least / share, greatest / share
            intervals.append((min(ends), max(ends), speed / share))
        elif abs(speed) > _STILL:
            scale = min(scale, max(greatest / speed, least / speed))
    for low, _, slope in intervals:
        for _, high, other in intervals:
            if other - slope > _STILL:
                scale = min(scale, (high - low) / (other - slope))
    low = max(low - scale * slope for low, _, slope in intervals)
    high = min(high - scale * slope for _, high, slope in intervals)
    return scale, min(max(wanted, low), high)
