"""Inverse kinematics to a pose, for checks at the start; not for a cycle."""

import math

import numpy as np
import numpy.typing as npt

from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.errors import KinematicsError
from iiwa_bridge.kinematics.inverse import DifferentialInverse, InverseConfig
from iiwa_bridge.kinematics.servo import pose_error

Array = npt.NDArray[np.float64]

_PERIOD = 0.2
"""Of a step [s]: the joints' velocity limits then hold a step to some 10 to 20 degrees."""
_STEPS = 200
_DISTANCE, _ANGLE = 1e-6, 1e-6


def solve(arm: Arm, pose: Array, near: Array, config: InverseConfig | None = None) -> Array:
    """A joint position (7,) at which ``us_probe`` has a pose (4, 4) in ``world``, with the elbow as at ``near`` [rad].

    Newton steps through ``DifferentialInverse`` from ``near``, which is also the posture: within the joint limits less
    the margin, and without a jump of the elbow.

    Raises:
        KinematicsError: it is not reached, or ``near`` is not within the limits.
    """
    inverse = DifferentialInverse(arm, near, config)
    q = near.copy()
    for _ in range(_STEPS):
        error = pose_error(arm.pose(q), pose)
        if np.linalg.norm(error[:3]) < _DISTANCE and np.linalg.norm(error[3:]) < _ANGLE:
            return q
        q = q + inverse.step(q, error / _PERIOD, _PERIOD).motion
    distance, angle = 1e3 * float(np.linalg.norm(error[:3])), math.degrees(float(np.linalg.norm(error[3:])))
    raise KinematicsError(
        f"the probe comes no nearer than {distance:.1f} mm and {angle:.1f} degrees to the pose at "
        f"{pose[:3, 3].round(3)} m; expected one within reach and the joint limits"
    )
