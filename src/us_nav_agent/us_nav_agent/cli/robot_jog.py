"""A small move in free space: the motion of `usnav robot jog`, which runs in the process of the FRI client."""

import math
import pickle
from dataclasses import dataclass

import numpy as np
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.control.filters import Profile
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.fri.client_process import Door
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.inverse import DifferentialInverse
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.robot import Array, CommandMode, RobotCommand, RobotState, SessionState
from iiwa_bridge.safety.command_guard import CommandGuard
from iiwa_bridge.safety.limits import JointRange

from us_nav_agent.errors import UsNavAgentError

JOINTS = tuple(f"A{number}" for number in range(1, 8))
AXES = ("x", "y", "z")
MOST_DEGREES, MOST_MM = 5.0, 20.0
_TURN = (math.radians(3.0), math.radians(10.0))
"""Speed [rad/s] and acceleration [rad/s^2] of a joint."""
_SHIFT = (0.008, 0.05)
"""Likewise of the probe [m/s, m/s^2]; below the speed of an approach."""
MOST_FORCE = 5.0
"""Change of the force on the probe at which the move ends [N]."""
_THERE = 1e-6


@dataclass(frozen=True)
class Aim:
    """Where to.

    Attributes:
        axis: A1 to A7, or x, y, z of the patient frame.
        amount: degrees of a joint, millimetres along an axis; signed.

    Raises:
        UsNavAgentError: no such axis, or too far.
    """

    axis: str
    amount: float

    def __post_init__(self) -> None:
        if self.axis not in JOINTS + AXES:
            raise UsNavAgentError(f"no axis {self.axis!r}; expected A1 to A7, or x, y, z of the patient frame")
        most, unit = (MOST_DEGREES, "degrees") if self.axis in JOINTS else (MOST_MM, "mm")
        if not 0.0 < abs(self.amount) <= most:
            raise UsNavAgentError(f"a jog by {self.amount:g} {unit}; expected up to {most:g}, and not 0")

    @property
    def of_joint(self) -> bool:
        """Whether a joint moves alone."""
        return self.axis in JOINTS

    def __str__(self) -> str:
        return f"{self.axis} by {self.amount:g} {'degrees' if self.of_joint else 'mm'}"


@dataclass(frozen=True)
class Progress:
    """How far a move is: in the aim's unit, whether it has ended, why early, and what the guard cut."""

    moved: float
    ended: bool
    stopped: str
    cut: str


class Jog:
    """Moves once, from where the controller holds the arm, and then holds it there; every command goes by the guard.

    Args:
        config: of the bridge; its limits hold.
        aim: of the move.
        door: to the parent, which gets a ``Progress`` each cycle.
    """

    def __init__(self, config: BridgeConfig, aim: Aim, door: Door) -> None:
        self._config, self._aim, self._door = config, aim, door
        self._arm, layout = Arm(load_probe(config.probe)), load_layout(config.layout)
        self._patient, self._to_patient = layout.patient, np.linalg.inv(layout.patient)
        limits = self._arm.limits
        self._joints = JointRange(limits.lower, limits.upper, limits.velocity)
        self._inverse = DifferentialInverse(self._arm, layout.start, config.inverse)
        self._guard: CommandGuard | None = None
        self._way: Profile | None = None
        self._goal = math.radians(aim.amount) if aim.of_joint else aim.amount * 1e-3
        self._moved, self._stopped, self._cut = 0.0, "", ""

    def __call__(self, state: RobotState) -> RobotCommand:
        """The next command of the move."""
        if self._guard is None:
            config = self._config
            self._guard = CommandGuard(config.commands, self._joints, config.workspace, state.commanded)
        sent = self._guard.position
        wanted = self._wanted(sent, state) if state.session is SessionState.COMMANDING_ACTIVE else sent
        still = np.zeros(6) if state.command is CommandMode.WRENCH else None
        poses = self._to_patient @ self._arm.pose(sent), self._to_patient @ self._arm.pose(wanted)
        guarded = self._guard.check(RobotCommand(wanted, still), state, *poses)
        if guarded.refused:
            self._stopped = self._stopped or f"refused by the guard: {guarded.refused}"
        if guarded.cuts:
            self._cut = guarded.cuts[0].limit
        ended = bool(self._stopped) or abs(self._moved - self._goal) < _THERE
        moved = math.degrees(self._moved) if self._aim.of_joint else 1e3 * self._moved
        self._door.report(pickle.dumps(Progress(moved, ended, self._stopped, self._cut)))
        return guarded.command

    def _wanted(self, sent: Array, state: RobotState) -> Array:
        force = self._arm.external_wrench(state.position, state.external_torque)[:3]
        if self._way is None:
            speed, acceleration = _TURN if self._aim.of_joint else _SHIFT
            self._way = Profile(np.zeros(1), speed, acceleration)
            self._start, self._pose, self._force = sent, self._arm.pose(sent), force
        if np.linalg.norm(force - self._force) > MOST_FORCE:
            self._stopped = self._stopped or f"the force on the probe changed by more than {MOST_FORCE:g} N"
        if self._stopped:
            return sent
        self._moved = float(self._way.update(np.array([self._goal]), state.period)[0])
        if self._aim.of_joint:
            turned = self._start.copy()
            turned[JOINTS.index(self._aim.axis)] += self._moved
            return turned
        target = self._pose.copy()
        target[:3, 3] += self._patient[:3, AXES.index(self._aim.axis)] * self._moved
        twist = pose_error(self._arm.pose(sent), target) / state.period
        return np.asarray(sent + self._inverse.step(sent, twist, state.period).motion)


@dataclass(frozen=True)
class MakeJog:
    """Makes the move in the client's process."""

    config: BridgeConfig
    aim: Aim

    def __call__(self, door: Door) -> Jog:
        """Make it."""
        return Jog(self.config, self.aim, door)
