"""What a healthy robot tells, for tests to change a part of."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from iiwa_bridge.robot import (
    CommandMode,
    ConnectionQuality,
    ControlMode,
    DriveState,
    OperationMode,
    RobotState,
    SafetyState,
    SessionState,
)


def robot_state(stand: npt.NDArray[np.float64], /, **changes: Any) -> RobotState:
    """A robot that stands still at a joint position (7,) [rad], untouched, in WRENCH mode; but ``changes``."""
    state = RobotState(
        session=SessionState.COMMANDING_ACTIVE,
        quality=ConnectionQuality.EXCELLENT,
        period=0.005,
        safety=SafetyState.NORMAL_OPERATION,
        operation=OperationMode.AUTOMATIC_MODE,
        drive=DriveState.ACTIVE,
        control=ControlMode.CARTESIAN_IMPEDANCE,
        command=CommandMode.WRENCH,
        position=stand,
        commanded=stand,
        interpolated=stand,
        torque=np.zeros(7),
        external_torque=np.zeros(7),
        tracking=1.0,
        stamp=math.nan,
    )
    return dataclasses.replace(state, **changes)
