"""Inverse kinematics to a pose, for checks at the start; not for a cycle."""

import math
from dataclasses import replace

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
_NEAR_ENOUGH = 1e-6
"""Distance [m] and angle [rad] to the pose."""
_AT_REST = 1e-5
"""Greatest last step of a joint [rad], which is the elbow's."""


def solve(arm: Arm, pose: Array, near: Array, config: InverseConfig | None = None) -> Array:
    """The joint position (7,) nearest to ``near`` [rad] at which ``us_probe`` has a pose (4, 4) in ``world``.

    Newton steps through ``DifferentialInverse`` from ``near``, which is also the posture: within the joint limits less
    the margin, straight to the pose, without a jump of the elbow. The posture's gain and speed in ``config`` are not
    used.

    Raises:
        KinematicsError: it is not reached, or ``near`` is not within the limits.
    """
    config = InverseConfig() if config is None else config
    inverse = DifferentialInverse(arm, near, replace(config, posture_gain=1.0 / _PERIOD, posture_speed=1.0 / _PERIOD))
    q, motion = near, np.full(len(near), np.inf)
    for _ in range(_STEPS):
        error = pose_error(arm.pose(q), pose)
        if max(np.abs(error)) < _NEAR_ENOUGH and max(np.abs(motion)) < _AT_REST:
            return q
        motion = inverse.step(q, error / _PERIOD, _PERIOD).motion
        q = q + motion
    raise KinematicsError(
        f"the probe comes no nearer than {1e3 * math.hypot(*error[:3]):.1f} mm and "
        f"{math.degrees(math.hypot(*error[3:])):.1f} degrees to the pose at {pose[:3, 3].round(3)} m; "
        "expected one within reach and the joint limits"
    )
