"""The robot as the bridge sees it: what a cycle of KUKA's Fast Robot Interface tells, and what is answered.

Joint vectors are (7,), A1 to A7. ``fri`` puts these on the wire and takes them off it; the loop reads and writes
nothing else.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

JOINTS = 7


class SessionState(IntEnum):
    """Of the connection; commands count in COMMANDING_ACTIVE alone."""

    IDLE = 0
    MONITORING_WAIT = 1
    MONITORING_READY = 2
    COMMANDING_WAIT = 3
    COMMANDING_ACTIVE = 4


class ConnectionQuality(IntEnum):
    """By the answers that came in time."""

    POOR = 0
    FAIR = 1
    GOOD = 2
    EXCELLENT = 3


class SafetyState(IntEnum):
    """Of the controller: a safety stop is one of three levels."""

    NORMAL_OPERATION = 0
    STOP_LEVEL_0 = 1
    STOP_LEVEL_1 = 2
    STOP_LEVEL_2 = 3


class OperationMode(IntEnum):
    """By the key switch."""

    TEST_MODE_1 = 0
    TEST_MODE_2 = 1
    AUTOMATIC_MODE = 2


class DriveState(IntEnum):
    """Of the motors."""

    OFF = 0
    TRANSITIONING = 1
    ACTIVE = 2


class ControlMode(IntEnum):
    """How the controller moves the arm; set by its own application."""

    POSITION = 0
    CARTESIAN_IMPEDANCE = 1
    JOINT_IMPEDANCE = 2
    NO_CONTROL = 3


class CommandMode(IntEnum):
    """What an answer may hold; WRENCH needs CARTESIAN_IMPEDANCE."""

    NO_COMMAND = 0
    POSITION = 1
    WRENCH = 2
    TORQUE = 3


@dataclass(frozen=True, eq=False)
class RobotState:
    """What the controller told in one cycle.

    Attributes:
        session: state of the connection.
        quality: of the connection.
        period: of the cycle [s].
        safety: of the controller.
        operation: by the key switch.
        drive: of the motors, the least of the seven.
        control: how the arm is moved.
        command: what an answer may hold.
        position: measured (7,) [rad].
        commanded: position that was commanded last (7,) [rad].
        interpolated: position (7,) that the controller's own motion asks for [rad]; an answer adds to it. The
            measured one where the controller tells none, which is outside of a commanding state.
        torque: measured (7,) [N m].
        external_torque: the controller's estimate of the torque by outside contact (7,) [N m].
        tracking: how well the commanded position is followed, 0 to 1; 0 where the controller tells nothing.
        stamp: of the measurement, by the controller's clock [s]; NaN where it tells none.
    """

    session: SessionState
    quality: ConnectionQuality
    period: float
    safety: SafetyState
    operation: OperationMode
    drive: DriveState
    control: ControlMode
    command: CommandMode
    position: Array
    commanded: Array
    interpolated: Array
    torque: Array
    external_torque: Array
    tracking: float
    stamp: float


@dataclass(frozen=True, eq=False)
class RobotCommand:
    """An answer to the controller.

    Attributes:
        position: (7,) that the arm is to have, or in WRENCH mode the set point of its impedance [rad].
        wrench: (6,) fed forward at the motion centre, Fx, Fy, Fz [N] and about A (z), B (y), C (x) [N m], in WRENCH
            mode; None: position alone.
    """

    position: Array
    wrench: Array | None = None


@dataclass(frozen=True, eq=False)
class ArmState:
    """A simulated arm.

    Attributes:
        position: (7,) [rad].
        velocity: (7,) [rad/s].
        contact_torque: by the contact of the probe (7,) [N m]: what an ideal sensor of external torque would tell.
        tool: pose (4, 4) of ``us_probe`` in ``world`` [m], as it truly is.
        contact_force: on the patient by the probe (3,), in ``us_probe`` [N], as it truly is.
        rise: of the patient's back towards the probe by breathing and movement, along -z of ``patient`` [m].
    """

    position: Array
    velocity: Array
    contact_torque: Array
    tool: Array
    contact_force: Array
    rise: float


class ArmPlant(Protocol):
    """A torque-controlled arm with a probe, over a patient: a simulation of it."""

    def reset(self, position: Array) -> ArmState:
        """Stand still at a joint position (7,) [rad]."""
        ...

    def step(self, torque: Array, duration: float) -> ArmState:
        """Apply joint torques (7,) [N m], gravity not made up for, for ``duration`` [s]."""
        ...

    def close(self) -> None:
        """Give back what the plant holds."""
        ...


class Cell(Protocol):
    """The robot and its own position or impedance control, which a simulated controller drives."""

    def reset(self) -> "CellState":
        """Stand still at the start."""
        ...

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> "CellState":
        """Hold a command for ``duration`` [s] in a control mode."""
        ...

    def close(self) -> None:
        """Give back what the cell holds."""
        ...


@dataclass(frozen=True, eq=False)
class CellState:
    """What the sensors of a simulated robot tell.

    Attributes:
        position: (7,) [rad].
        torque: (7,) [N m].
        external_torque: estimate of the torque by outside contact, with its noise (7,) [N m].
    """

    position: Array
    torque: Array
    external_torque: Array
