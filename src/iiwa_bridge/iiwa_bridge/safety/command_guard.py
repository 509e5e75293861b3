"""The last thing before the wire: what is sent obeys every limit, whatever was asked for.

Each limit allows a box around the last position that was sent and holds that position itself: an arm may always stand
still, a joint that is beyond a limit may come back but not go further, and braking is never slowed. A step beyond
a limit is therefore shortened as a whole, so that the arm keeps to the way that was asked for, and the shortest step
of all limits obeys all of them. The tool's displacement is taken to shrink with the step; the curvature of the arm's
motion adds some hundredths of the speed limits at most, and the next cycle begins from the true pose.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iiwa_bridge.errors import CommandError
from iiwa_bridge.robot import JOINTS, Array, CommandMode, RobotCommand, RobotState, SessionState
from iiwa_bridge.safety.limits import CommandLimits, JointRange, Workspace
from iiwa_bridge.safety.shares import LIMITS, fastest_joint, shares, tool_jump, tool_speeds, unrigidity

_PERIODS = 0.001, 0.1
"""Shortest and longest cycle that FRI knows [s]."""
_RIGID = 1e-6
_TOOL_JUMP = 1.0
"""No arm of 0.8 m moves its tool so far in a cycle [m]."""
_WRENCH = "Fx", "Fy", "Fz", "tau_A", "tau_B", "tau_C"


@dataclass(frozen=True)
class Cut:
    """What a limit took away: ``wanted`` and ``allowed`` in the limit's own unit (of a joint: its position [rad])."""

    limit: str
    wanted: float
    allowed: float


@dataclass(frozen=True, eq=False)
class Guarded:
    """What is really to be sent.

    Attributes:
        command: the one to send; the very one that was asked for where nothing was cut.
        cuts: what was cut.
        refused: why the command was replaced by the last one that was sent; empty where it was not.
    """

    command: RobotCommand
    cuts: tuple[Cut, ...] = ()
    refused: str = ""


class CommandGuard:
    """Bounds one command a cycle, against the last two that were sent.

    Args:
        limits: of what is sent.
        joints: what the joints can do.
        workspace: of the tool.
        start: position (7,) that the controller tells as commanded [rad].

    Raises:
        CommandError: ``start`` is not a finite (7,); without it nothing can be held.
    """

    def __init__(self, limits: CommandLimits, joints: JointRange, workspace: Workspace, start: Array) -> None:
        if problem := _unlike(start, (JOINTS,)):
            raise CommandError(f"the commanded position {problem}; expected ({JOINTS},) finite numbers [rad] to hold")
        self._limits, self._joints = limits, joints
        self._range = joints.lower + limits.joint_margin, joints.upper - limits.joint_margin
        self._box = np.array(workspace.lower), np.array(workspace.upper)
        self._before = self._position = np.array(start, dtype=np.float64)
        self._wrench: Array | None = None
        self._allowed = _wrench_bounds(limits)

    @property
    def position(self) -> Array:
        """Position (7,) that was sent last [rad]; its tool pose goes into the next ``check``."""
        return self._position.copy()

    def check(self, command: RobotCommand, state: RobotState, sent_pose: Array, pose: Array) -> Guarded:
        """Bound a command; what comes back counts as sent.

        Outside of COMMANDING_ACTIVE the controller wants its own position back and nothing else, so it gets that.

        Args:
            command: what is asked for.
            state: what it answers.
            sent_pose: of ``us_probe`` at ``position``, (4, 4) in the patient frame [m].
            pose: of ``us_probe`` at the command's position, likewise.
        """
        if state.session is not SessionState.COMMANDING_ACTIVE:
            return self._mirror(state)
        refused = self._unfit(command, state, sent_pose, pose)
        if refused:
            return self._hold(refused, state)
        # What leaves the least comes first: that is what holds the probe up, the others may only follow from it.
        shortened = sorted(self._shortened(command.position, state, sent_pose, pose), key=lambda found: found[1])
        wrench, wrench_cuts = self._bounded(command.wrench, state)
        if not shortened and not wrench_cuts:
            return self._sent(command)
        position = command.position
        if shortened:
            share = shortened[0][1]
            position = self._position + share * (position - self._position)
        return self._sent(RobotCommand(position, wrench), (*(cut for cut, _ in shortened), *wrench_cuts))

    def _sent(self, command: RobotCommand, cuts: tuple[Cut, ...] = (), refused: str = "") -> Guarded:
        # Copies: whoever asked may write into his arrays again.
        self._before, self._position = self._position, np.array(command.position, dtype=np.float64)
        self._wrench = None if command.wrench is None else command.wrench.copy()
        return Guarded(command, cuts, refused)

    def _mirror(self, state: RobotState) -> Guarded:
        if problem := _unlike(state.interpolated, (JOINTS,)):
            refused = f"the controller's own position {problem}; expected ({JOINTS},) finite numbers [rad]"
            return self._hold(refused, state)
        self._position = np.array(state.interpolated, dtype=np.float64)
        return self._sent(RobotCommand(self._position.copy()))

    def _hold(self, refused: str, state: RobotState) -> Guarded:
        wrench = None
        if self._wrench is not None and state.command is CommandMode.WRENCH:
            wrench = self._wrench.copy()
            wrench[2] = min(wrench[2], self._limits.hold_push)
        return self._sent(RobotCommand(self._position.copy(), wrench), refused=refused)

    def _unfit(self, command: RobotCommand, state: RobotState, sent_pose: Array, pose: Array) -> str:
        """Why a command cannot be bounded and is refused as a whole; empty where it can."""
        problem = _unfit_vector("position", command.position, JOINTS, "rad")
        if command.wrench is not None:
            problem = problem or _unfit_vector("wrench", command.wrench, 6, "N, N m")
        problem = problem or _unfit_vector("measured position", state.position, JOINTS, "rad")
        if problem:
            return problem
        if not _PERIODS[0] <= state.period <= _PERIODS[1]:
            return f"cycle of {state.period} s; expected {_PERIODS[0]} to {_PERIODS[1]} s"
        if not (_rigid(sent_pose) and _rigid(pose)):
            return "the tool pose is no rigid (4, 4) pose in the patient frame [m]"
        if not tool_jump(_plain(sent_pose), _plain(pose)) <= _TOOL_JUMP:
            return f"the tool jumps by more than {_TOOL_JUMP:g} m in a cycle"
        rate, joint = fastest_joint(self._position, _plain(command.position), self._joints.velocity, state.period)
        if not rate <= 1.0:
            return f"A{joint + 1} jumps at {rate:.3g} times the highest velocity of the robot"
        return ""

    def _shortened(
        self, wanted: Array, state: RobotState, sent_pose: Array, pose: Array
    ) -> Iterator[tuple[Cut, float]]:
        """The limits that the step passes, each with the share of the step that it leaves."""
        limits, period = self._limits, state.period
        reach, change = limits.joint_velocity * period, limits.joint_acceleration * period**2
        found = shares(
            self._position,
            self._before,
            _plain(wanted),
            _plain(state.position),
            *self._range,
            reach,
            change,
            limits.lead,
            _plain(sent_pose),
            _plain(pose),
            *self._box,
        )
        for name, (share, worst, bound) in zip(LIMITS, found.tolist(), strict=True):
            if share < 1.0:
                axis = int(worst)
                if name == "workspace":
                    yield Cut(f"workspace along {'xyz'[axis]}", float(pose[axis, 3]), bound), share
                else:
                    yield Cut(f"{name} of A{axis + 1}", float(wanted[axis]), bound), share
        along, lateral = tool_speeds(_plain(sent_pose), _plain(pose), period)
        for name, speed, limit in (
            ("approach speed", along, limits.approach_speed),
            ("lateral speed", lateral, limits.lateral_speed),
        ):
            if speed > limit:
                yield Cut(name, speed, limit), limit / speed

    def _bounded(self, wrench: Array | None, state: RobotState) -> tuple[Array | None, tuple[Cut, ...]]:
        if wrench is None:
            return None, ()
        if state.command is not CommandMode.WRENCH:
            # The controller would drop it without a word.
            return None, (Cut("wrench outside of wrench mode", float(np.abs(wrench).max()), 0.0),)
        cuts = tuple(
            Cut(f"wrench {name}", value, min(max(value, low), high))
            for name, value, low, high in zip(_WRENCH, wrench.tolist(), *self._allowed, strict=True)
            if not low <= value <= high
        )
        return (np.clip(wrench, *self._allowed) if cuts else wrench), cuts


def _wrench_bounds(limits: CommandLimits) -> tuple[list[float], list[float]]:
    """Lowest and highest wrench (6,) that may be fed forward, in ``us_probe`` [N, N m]; Fz is along the beam."""
    lateral, torque = limits.lateral_force, limits.torque
    low = [-lateral, -lateral, -limits.pull, -torque, -torque, -torque]
    return low, [lateral, lateral, limits.push, torque, torque, torque]


def _unlike(value: object, shape: tuple[int, ...]) -> str:
    """How a value differs from finite numbers of this shape; empty where it does not."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return "is no array of floats"
    if value.shape != shape:
        return f"has shape {value.shape}"
    numbers = value.ravel().tolist()
    # A sum that is finite has no other terms, and takes a third of the time.
    if math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers)):
        return ""
    bad = [math.isfinite(number) for number in numbers].index(False)
    return f"holds {numbers[bad]} at {bad}"


def _unfit_vector(name: str, value: Array, length: int, unit: str) -> str:
    """Why a vector cannot be bounded; empty where it can."""
    problem = _unlike(value, (length,))
    return f"{name} {problem}; expected ({length},) finite numbers [{unit}]" if problem else ""


def _rigid(pose: Array) -> bool:
    return not _unlike(pose, (4, 4)) and unrigidity(_plain(pose)) <= _RIGID


def _plain(value: Array) -> Array:
    """As compiled functions take it: whoever asks may have other floats."""
    return np.asarray(value, dtype=np.float64)
