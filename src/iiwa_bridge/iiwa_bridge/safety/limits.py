"""The numbers that the command guard and the monitor hold to; docs/safety.md says where each comes from."""

import math
from dataclasses import dataclass

import numpy as np

from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.robot import JOINTS, Array, ControlMode


@dataclass(frozen=True)
class Workspace:
    """Box for the origin of ``us_probe``, in the patient frame [m]; z is into the body, so ``lower`` has the height.

    Raises:
        IiwaBridgeError: a corner is not finite, or not below the other.
    """

    lower: tuple[float, float, float] = (-0.15, -0.11, -0.20)
    upper: tuple[float, float, float] = (0.15, 0.11, 0.075)

    def __post_init__(self) -> None:
        if not all(-math.inf < low < high < math.inf for low, high in zip(self.lower, self.upper, strict=True)):
            raise IiwaBridgeError(f"workspace from {self.lower} to {self.upper} m; expected finite, the first lower")


@dataclass(frozen=True, eq=False)
class JointRange:
    """What the joints can do, by the maker; the limits below stay inside.

    Attributes:
        lower: (7,) [rad].
        upper: (7,) [rad].
        velocity: highest (7,) [rad/s]; a command beyond it is a fault of the controller.

    Raises:
        IiwaBridgeError: wrong shapes, not finite, or an empty range.
    """

    lower: Array
    upper: Array
    velocity: Array

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if np.shape(value) != (JOINTS,) or not np.isfinite(value).all():
                raise IiwaBridgeError(f"joint range: {name} is {value}; expected ({JOINTS},) finite numbers")
        if not ((self.lower < self.upper).all() and (self.velocity > 0.0).all()):
            raise IiwaBridgeError("joint range: expected lower below upper and velocities above 0, for each joint")


@dataclass(frozen=True)
class CommandLimits:
    """Of what is sent.

    Attributes:
        joint_margin: a position stays this far inside the joint range [rad].
        joint_velocity: of every joint [rad/s].
        joint_acceleration: of every joint, but for braking, which is never slowed [rad/s^2].
        lead: furthest that a joint's set point may be from the measured position [rad].
        lateral_speed: of the tool, perpendicular to the beam [m/s].
        approach_speed: of the tool, along the beam into the body [m/s].
        push: highest force fed forward along the beam into the body [N].
        pull: highest force fed forward along the beam out of the body [N].
        lateral_force: highest force fed forward along x and along y of the tool [N].
        torque: highest torque fed forward about each axis [N m].
        hold_push: of the force along the beam, what remains while a refused command is replaced [N].

    Raises:
        IiwaBridgeError: a limit is not a number above 0, or ``hold_push`` is above ``push``.
    """

    joint_margin: float = 0.07
    joint_velocity: float = 0.4
    joint_acceleration: float = 10.0
    lead: float = 0.05
    lateral_speed: float = 0.020
    approach_speed: float = 0.010
    push: float = 2.0
    pull: float = 2.0
    lateral_force: float = 2.0
    torque: float = 0.5
    hold_push: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("command limits", self)
        if not self.hold_push <= self.push:
            raise IiwaBridgeError(f"command limits: hold_push {self.hold_push} N; at most push, {self.push} N")


@dataclass(frozen=True)
class MonitorLimits:
    """Of what is measured. A name that ends in ``_time`` says how long its limit may be passed [s].

    Attributes:
        force: along the beam, above which the probe retracts at once [N].
        force_warning: along the beam, above which the probe is held when it lasts [N].
        lateral_force: perpendicular to the beam [N].
        torque: of the contact, its length [N m].
        approach_speed: of the tool along the beam into the body, over ``speed_window`` [m/s].
        lateral_speed: of the tool perpendicular to the beam, likewise [m/s].
        joint_velocity: of every joint, likewise [rad/s].
        speed_window: speeds are those over this time [s].
        outside: how far the tool may be out of the workspace [m].
        joint_margin: a joint stays this far inside its range [rad].
        tracking_error: between the commanded and the measured position of a joint [rad].
        frozen_cycles: states in a row that tell the same external torque to the bit.
        state_age: of the last robot state [s].
        command_age: of the last command [s].
        frame_age: of the last frame, while navigating [s].
        control: how the controller must move the arm while commands count.

    Raises:
        IiwaBridgeError: a limit is not a number above 0, or ``force_warning`` is not below ``force``.
    """

    force: float = 5.0
    force_warning: float = 3.0
    force_warning_time: float = 0.3
    lateral_force: float = 5.0
    lateral_force_time: float = 0.05
    torque: float = 1.0
    torque_time: float = 0.05
    approach_speed: float = 0.015
    lateral_speed: float = 0.030
    joint_velocity: float = 0.6
    speed_window: float = 0.1
    outside: float = 0.02
    outside_time: float = 0.05
    joint_margin: float = 0.0349
    tracking_error: float = 0.1
    tracking_time: float = 0.1
    frozen_cycles: int = 20
    state_age: float = 0.1
    command_age: float = 0.1
    frame_age: float = 0.5
    control: ControlMode = ControlMode.CARTESIAN_IMPEDANCE

    def __post_init__(self) -> None:
        _check_positive("monitor limits", self)
        if not self.force_warning < self.force:
            raise IiwaBridgeError(f"monitor limits: force_warning {self.force_warning} N; below force, {self.force} N")


def _check_positive(where: str, limits: CommandLimits | MonitorLimits) -> None:
    for name, value in vars(limits).items():
        if not isinstance(value, ControlMode) and not 0.0 < value < math.inf:
            raise IiwaBridgeError(f"{where}: {name} is {value}; expected a number above 0")
