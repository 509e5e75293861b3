"""What is read off one cycle and held against its limit: pure functions, no memory but a window of positions.

A value that cannot be told (NaN, a wrong shape, a time stamp from the future) is NaN, and NaN keeps no limit.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from iiwa_bridge.compiled import compiled
from iiwa_bridge.robot import JOINTS, Array, ConnectionQuality, DriveState, RobotState, SafetyState, SessionState
from iiwa_bridge.safety.limits import JointRange, MonitorLimits, Workspace

_NO_SPEED = np.zeros(3), np.zeros(JOINTS)


class Reaction(IntEnum):
    """What a violation asks for; the higher one goes before the lower."""

    HOLD = 1
    """End the motion, keep the contact and its force."""
    RETRACT = 2
    """Leave the person, then refuse to move."""
    STOP = 3
    """Stand still without feed-forward, refuse to move."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What is known in one cycle.

    Attributes:
        state: of the robot.
        tool: pose (4, 4) of ``us_probe`` by the measured position, in the patient frame [m].
        wrench: (6,) on the patient by the probe, tared, in ``us_probe`` [N, N m].
        received: when ``state`` came, on the steady clock [s].
        sent: when the last command went out, likewise.
        frame: when the last frame came, likewise; None: nobody navigates, frames do not matter.
        enabled: whether the machine moves the arm or may (``StateMachine.enabled``). Else nothing is a violation: the
            session may be in any state, the arm may be led by hand, and before the tare the force is not known.
        refused: why the guard refused the command of this cycle; empty where it did not.
    """

    state: RobotState
    tool: Array
    wrench: Array
    received: float
    sent: float
    frame: float | None
    enabled: bool
    refused: str = ""


class Reading(NamedTuple):
    """A value and its limit.

    Attributes:
        name: of the limit.
        value: what was read, in ``unit``.
        limit: the highest value allowed.
        unit: of both; empty for a count.
        reaction: to a violation.
        after: how long the limit may be passed before that is a violation [s].
        said: the whole message, where numbers would not tell.
    """

    name: str
    value: float
    limit: float
    unit: str
    reaction: Reaction
    after: float = 0.0
    said: str = ""

    def __str__(self) -> str:
        return self.said or f"{self.name} {self.value:.3g} {self.unit}".rstrip() + f", at most {self.limit:g}"


class SpeedWindow:
    """Speeds over a time, since those between two cycles are mostly noise of the clock and of the encoders.

    Args:
        length: of the window [s].
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._kept: deque[tuple[float, Array, Array]] = deque()

    def add(self, received: float, tool: Array, position: Array) -> tuple[Array, Array]:
        """Velocity of the tool (3,) [m/s] and of the joints (7,) [rad/s] over the window.

        Zero until the window is half full. A clock that stands or runs backwards tells no speed: NaN.

        Args:
            received: steady time [s].
            tool: place (3,) [m].
            position: of the joints (7,) [rad].
        """
        if self._kept and received == self._kept[-1][0]:
            # A state that is looked at again, as while none come for hours, must not fill the window.
            self._kept.pop()
        self._kept.append((received, tool.copy(), position.copy()))
        while len(self._kept) > 2 and not received - self._kept[1][0] < self._length:
            self._kept.popleft()
        then, tool_then, position_then = self._kept[0]
        passed = received - then
        if not passed >= 0.0:
            return np.full(3, math.nan), np.full(JOINTS, math.nan)
        if passed < self._length / 2.0:
            return _NO_SPEED
        return (tool - tool_then) / passed, (position - position_then) / passed


def contact_readings(wrench: Array, limits: MonitorLimits) -> tuple[Reading, ...]:
    """Of the force on the patient (6,) in ``us_probe`` [N, N m]."""
    # The sign does not matter: a strong pull by a probe that only touches says that the measurement is wrong.
    fx, fy, fz, *moment = wrench.tolist()
    along, lateral, torque = abs(fz), math.hypot(fx, fy), math.hypot(*moment)
    away = Reaction.RETRACT
    return (
        Reading("force", along, limits.force, "N", away),
        Reading("force_warning", along, limits.force_warning, "N", Reaction.HOLD, limits.force_warning_time),
        Reading("lateral_force", lateral, limits.lateral_force, "N", away, limits.lateral_force_time),
        Reading("torque", torque, limits.torque, "N m", away, limits.torque_time),
    )


def motion_readings(
    tool: Array, velocity: Array, joint_velocity: Array, limits: MonitorLimits, workspace: Workspace
) -> tuple[Reading, ...]:
    """Of the tool's pose (4, 4) [m], its velocity (3,) [m/s], in the patient frame, and the joints' (7,) [rad/s]."""
    along, lateral, outside = _motion(tool, velocity, workspace.lower, workspace.upper)
    fastest = _farthest_out(joint_velocity, _NO_SPEED[1], _NO_SPEED[1])[0]
    return (
        Reading("approach_speed", along, limits.approach_speed, "m/s", Reaction.STOP),
        Reading("lateral_speed", lateral, limits.lateral_speed, "m/s", Reaction.STOP),
        Reading("joint_velocity", fastest, limits.joint_velocity, "rad/s", Reaction.STOP),
        Reading("outside", outside, limits.outside, "m", Reaction.STOP, limits.outside_time),
    )


def joint_readings(state: RobotState, joints: JointRange, limits: MonitorLimits) -> tuple[Reading, ...]:
    """Of the joints' positions against their range and against what was commanded."""
    position = shaped(state.position, (JOINTS,))
    beyond, nearest = _farthest_out(position, joints.lower, joints.upper)
    over = beyond + limits.joint_margin
    # Written where it will be read: in every cycle it would take as long as the rest.
    said = "" if over <= 0.0 else f"A{nearest + 1} is within {limits.joint_margin:.3g} rad of the end of its range"
    error = _farthest_out(shaped(state.commanded, (JOINTS,)), position, position)[0]
    return (
        Reading("joint_margin", over, 0.0, "rad", Reaction.STOP, 0.0, said),
        Reading("tracking_error", error, limits.tracking_error, "rad", Reaction.STOP, limits.tracking_time),
    )


def controller_readings(state: RobotState, limits: MonitorLimits) -> tuple[Reading, ...]:
    """Of those of the controller's own states that are not as they must be while commands count."""
    wrong: list[tuple[str, IntEnum, str]] = []
    if state.session != SessionState.COMMANDING_ACTIVE:
        wrong.append(("session", state.session, "COMMANDING_ACTIVE"))
    # Asked this way round, a state that is no number is wrong too.
    if not state.quality >= ConnectionQuality.GOOD:
        wrong.append(("quality", state.quality, "GOOD or better"))
    if state.safety != SafetyState.NORMAL_OPERATION:
        wrong.append(("safety", state.safety, "NORMAL_OPERATION"))
    if state.drive != DriveState.ACTIVE:
        wrong.append(("drive", state.drive, "ACTIVE"))
    if state.control != limits.control:
        wrong.append(("control", state.control, limits.control.name))
    return tuple(
        Reading(name, 1.0, 0.0, "", Reaction.STOP, said=f"{name} {found.name}, expected {wanted}")
        for name, found, wanted in wrong
    )


def age_readings(sample: Sample, now: float, limits: MonitorLimits) -> tuple[Reading, ...]:
    """How old the last state, command and frame are."""
    ages = [
        Reading("state_age", _age(sample.received, now), limits.state_age, "s", Reaction.STOP),
        Reading("command_age", _age(sample.sent, now), limits.command_age, "s", Reaction.STOP),
    ]
    if sample.frame is not None:
        ages.append(Reading("frame_age", _age(sample.frame, now), limits.frame_age, "s", Reaction.HOLD))
    return tuple(ages)


def shaped(value: Array, shape: tuple[int, ...]) -> Array:
    """The array if it has this shape, else one of NaN."""
    return value if getattr(value, "shape", None) == shape else np.full(shape, math.nan)


@compiled("UniTuple(f8, 3)(f8[:, :], f8[:], UniTuple(f8, 3), UniTuple(f8, 3))")
def _motion(
    tool: Array, velocity: Array, lower: tuple[float, float, float], upper: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Of a tool's pose (4, 4) [m] and velocity (3,) [m/s]: the speed along its beam, that perpendicular to it, and how
    far it is out of a box, negative inside; NaN where one is NaN.
    """
    along, square, outside = 0.0, 0.0, -math.inf
    for i in range(3):
        along += velocity[i] * tool[i, 2]
    for i in range(3):
        across, place = velocity[i] - along * tool[i, 2], tool[i, 3]
        square += across * across
        out = max(lower[i] - place, place - upper[i])
        if not out <= outside and not math.isnan(outside):
            outside = out
    return along, math.sqrt(square), outside


@compiled("Tuple((float64, int64))(float64[:], float64[:], float64[:])")
def _farthest_out(values: Array, lower: Array, upper: Array) -> tuple[float, int]:
    """How far the worst of values (n,) is out of its range, negative inside, and which one; NaN where one is NaN."""
    farthest, worst = -math.inf, 0
    for i in range(len(values)):
        out = max(lower[i] - values[i], values[i] - upper[i])
        if not out <= farthest:
            farthest, worst = out, i
        if math.isnan(farthest):
            break
    return farthest, worst


def _age(stamp: float, now: float) -> float:
    return now - stamp if now >= stamp else math.nan
