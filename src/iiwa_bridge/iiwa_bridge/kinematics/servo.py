"""From a pose to a twist that goes there."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pinocchio

from iiwa_bridge.kinematics.errors import KinematicsError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ServoGains:
    """How the probe goes to a pose.

    Attributes:
        linear: speed by distance [1/s].
        angular: likewise of rotation [1/s].
        max_linear: highest speed [m/s].
        max_angular: highest angular speed [rad/s].

    Raises:
        KinematicsError: a value is not a finite number above 0.
    """

    linear: float = 5.0
    angular: float = 5.0
    max_linear: float = 0.02
    max_angular: float = 0.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise KinematicsError(f"servo: {name} is {value}; expected a number above 0")


def pose_error(pose: Array, target: Array) -> Array:
    """What leads from a pose (4, 4) to another (6,): displacement [m] and rotation vector [rad], in the first's axes.

    The displacement is taken on its own and not along the screw of SE(3), so that the origin goes straight.
    """
    # Called at 1 kHz, so with few calls of numpy's: rotation and displacement are turned by one product.
    apart = target[:3].copy()
    apart[:, 3] -= pose[:3, 3]
    between = pose[:3, :3].T.dot(apart)
    error = np.empty(6)
    error[:3], error[3:] = between[:, 3], pinocchio.log3(between[:, :3])
    return error


def servo_twist(pose: Array, target: Array, gains: ServoGains) -> Array:
    """Twist (6,) of the frame at ``pose`` towards ``target``, in its own axes [m/s, rad/s].

    Proportional to the error; where a part is faster than it may be both are slowed by the same factor, so that
    displacement and rotation end together.
    """
    twist = pose_error(pose, target)
    twist[:3] *= gains.linear
    twist[3:] *= gains.angular
    linear, angular = math.hypot(*twist[:3]), math.hypot(*twist[3:])
    return twist / max(1.0, linear / gains.max_linear, angular / gains.max_angular)
