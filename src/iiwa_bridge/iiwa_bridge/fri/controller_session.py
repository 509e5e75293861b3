"""The controller's side of a session, without socket and without clock: its states, its checks and its messages.

The rim sends ``message`` first of all, and then in each cycle: ``receive`` the answers, ``close_cycle``, advance the
robot by ``command``, send ``message``.
"""

import math
from dataclasses import dataclass

import numpy as np

from iiwa_bridge.compiled import compiled
from iiwa_bridge.fri.errors import FriMessageError, FriSessionError, NotFiniteError
from iiwa_bridge.fri.messages import CommandMessage, MonitoringMessage, ahead, following
from iiwa_bridge.fri.quality import QualityWindow
from iiwa_bridge.fri.transitions import Transition, TransitionLog
from iiwa_bridge.robot import (
    Array,
    CellState,
    CommandMode,
    ConnectionQuality,
    ControlMode,
    DriveState,
    OperationMode,
    RobotCommand,
    RobotState,
    SafetyState,
)
from iiwa_bridge.robot import SessionState as Session

_AGREEMENT = 1e-4
"""The commanded position agrees with the interpolated one within this [rad]."""
_LOST = 0.1
"""Deviation from the commanded position at which the tracking performance is 0 [rad]."""
_ROUNDING = 1.0 + 1e-9


@compiled("f8(f8[::1], f8[::1])")
def _farthest(one: Array, other: Array) -> float:
    """The greatest distance of a joint between two positions (n,) [rad]; NaN where one is NaN."""
    farthest = 0.0
    for i in range(len(one)):
        distance = abs(one[i] - other[i])
        if not distance <= farthest and not math.isnan(farthest):
            farthest = distance
    return farthest


@compiled("b1(f8[::1], f8[::1], f8[::1], f8[::1], f8[::1])")
def _within(position: Array, lower: Array, upper: Array, before: Array, longest: Array) -> bool:
    """Whether each joint (n,) is in its range and goes no longer way [rad] than it may."""
    for i in range(len(position)):
        if not (lower[i] <= position[i] <= upper[i] and abs(position[i] - before[i]) <= longest[i]):
            return False
    return True


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Of the joints: lower and upper position (7,) [rad], velocity (7,) [rad/s]."""

    lower: Array
    upper: Array
    velocity: Array


@dataclass(frozen=True, eq=False)
class ControllerConfig:
    """How the controller's application sets up the session.

    Attributes:
        limits: of the joints.
        period: of the monitoring messages, whole milliseconds from 1 to 100 [s].
        receive_multiplier: the client answers every so many messages.
        control: how the arm moves while it is commanded; otherwise it is held in position.
        command: what an answer holds, POSITION or WRENCH.
        start: whether the motion starts on its own once, as soon as the quality suffices.

    Raises:
        FriSessionError: the period cannot be sent, or the modes do not go together.
    """

    limits: JointLimits
    period: float = 0.005
    receive_multiplier: int = 1
    control: ControlMode = ControlMode.POSITION
    command: CommandMode = CommandMode.POSITION
    start: bool = True

    def __post_init__(self) -> None:
        milliseconds = self.period * 1e3
        if abs(milliseconds - round(milliseconds)) > 1e-9 or not 1 <= round(milliseconds) <= 100:
            raise FriSessionError(f"period of {milliseconds:g} ms; expected whole milliseconds from 1 to 100")
        if self.receive_multiplier < 1:
            raise FriSessionError(f"receive multiplier {self.receive_multiplier}; expected 1 or more")
        if self.command not in (CommandMode.POSITION, CommandMode.WRENCH):
            raise FriSessionError(f"command mode {self.command.name}; expected POSITION or WRENCH")
        if self.command is CommandMode.WRENCH and self.control is not ControlMode.CARTESIAN_IMPEDANCE:
            raise FriSessionError(
                f"command mode WRENCH in control mode {self.control.name}; it needs CARTESIAN_IMPEDANCE"
            )


@dataclass
class ControllerCounts:
    """Answers that were taken, that came twice or late, that were no message, and messages without one in time."""

    answers: int = 0
    stale: int = 0
    refused: int = 0
    unanswered: int = 0


class ControllerSession:
    """The controller's session with one client.

    Args:
        config: of the session.
        cell: what the robot's sensors tell at the start.
    """

    def __init__(self, config: ControllerConfig, cell: CellState) -> None:
        self._config, self._cell = config, cell
        self._window = QualityWindow(config.period)
        self._log = TransitionLog()
        self._command = self._interpolated = RobotCommand(cell.position)
        # KUKA's limit is of each cycle; an answer moves the set point for as many cycles as lie between two answers.
        self._longest = config.limits.velocity * config.period * config.receive_multiplier
        self._wanted = config.start
        self._sequence = 0
        self._answered = -1
        self._reflected = 0
        self._cycles = 0
        self.fault = ""
        """Why the robot was stopped; empty without a safety stop."""
        self.refusal = ""
        """Why the last datagram that was no command message was refused."""
        self.counts = ControllerCounts()
        self._go(Session.MONITORING_WAIT, "the controller opened the session")

    @property
    def session(self) -> Session:
        """State of the session."""
        return self._log.session

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """The last changes of the session state, by the controller's time."""
        return self._log.transitions

    @property
    def quality(self) -> ConnectionQuality:
        """Of the connection."""
        return self._window.quality

    @property
    def commanding(self) -> bool:
        """Whether a motion is under way that the client overlays."""
        return self.session in (Session.COMMANDING_WAIT, Session.COMMANDING_ACTIVE)

    @property
    def control(self) -> ControlMode:
        """How the arm moves now; a safety stop and a session without a motion hold it in position."""
        return self._config.control if self.commanding else ControlMode.POSITION

    @property
    def command(self) -> RobotCommand:
        """What the robot is to hold until the next message."""
        return self._command

    @property
    def time(self) -> float:
        """Of the controller, since its start [s]."""
        return self._cycles * self._config.period

    @property
    def due(self) -> bool:
        """Whether the client has to answer the message that was sent last."""
        return self._behind() >= self._config.receive_multiplier

    def start(self) -> None:
        """Start the motion as soon as the quality suffices; acknowledges a safety stop."""
        self._wanted, self.fault = True, ""

    def end(self) -> None:
        """Close the session: the motion ends where the robot is, and the next message says IDLE."""
        self._wanted = False
        self._hold()
        self._count()
        self._go(Session.IDLE, "the controller closed the session")

    def receive(self, answer: CommandMessage) -> None:
        """Take an answer; one that is not newer than those before is counted and dropped.

        In a commanding state an answer that holds no position is no answer: it is what is left of one that lost its
        end, and a client that goes on with it stops the robot for want of answers.
        """
        newer = ahead(answer.reflected, self._answered) > 0 and ahead(answer.reflected, self._sequence) <= 0
        if not newer:
            self.counts.stale += 1
            return
        if self.commanding and answer.command is None:
            self.refuse(FriMessageError(f"answer without a joint position in {self.session.name}"))
            return
        self._answered, self._reflected = answer.reflected, answer.sequence
        self.counts.answers += 1
        if self.commanding and answer.command is not None:
            self._apply(answer.command, answer.torque)

    def refuse(self, error: FriMessageError) -> None:
        """A datagram of the client was no command message; one with NaN in it ends a motion."""
        self.counts.refused += 1
        self.refusal = str(error)
        if self.commanding and isinstance(error, NotFiniteError):
            self._stop(f"answer is not finite: {error}")

    def close_cycle(self) -> None:
        """The next message is due: judge the connection and go on."""
        missing = self.due
        self.counts.unanswered += missing
        self._window.add(not missing)
        self._count()
        quality = self._window.quality
        if self.commanding and quality < ConnectionQuality.GOOD:
            self._stop(f"connection quality {quality.name}")
        elif self.session is Session.MONITORING_READY and quality < ConnectionQuality.GOOD:
            self._go(Session.MONITORING_WAIT, f"connection quality {quality.name}")
        elif self.session is Session.MONITORING_READY and self._wanted:
            self._hold()
            self._go(Session.COMMANDING_WAIT, "the application started a motion")
        elif self.session is Session.MONITORING_WAIT and quality >= ConnectionQuality.GOOD:
            self._go(Session.MONITORING_READY, f"connection quality {quality.name}")

    def message(self, cell: CellState) -> MonitoringMessage:
        """The next monitoring message, with what the robot's sensors tell now."""
        self._cell = cell
        stopped, commanding = bool(self.fault), self.commanding
        tracking = max(0.0, 1.0 - _farthest(cell.position, self._command.position) / _LOST) if commanding else 0.0
        state = RobotState(
            session=self.session,
            quality=self._window.quality,
            period=self._config.period,
            safety=SafetyState.STOP_LEVEL_1 if stopped else SafetyState.NORMAL_OPERATION,
            operation=OperationMode.AUTOMATIC_MODE,
            drive=DriveState.OFF if stopped else DriveState.ACTIVE,
            control=self.control,
            command=self._config.command if commanding else CommandMode.NO_COMMAND,
            position=cell.position,
            commanded=self._command.position,
            interpolated=self._interpolated.position if commanding else cell.position,
            torque=cell.torque,
            external_torque=cell.external_torque,
            tracking=tracking,
            stamp=self.time,
        )
        return MonitoringMessage(self._sequence, self._reflected, self._config.receive_multiplier, state)

    def _count(self) -> None:
        self._cycles += 1
        self._sequence = following(self._sequence)

    def _behind(self) -> int:
        """Messages since the one that was answered last."""
        return ahead(self._sequence, self._answered)

    def _apply(self, command: RobotCommand, torque: Array | None) -> None:
        """Take over what an answer commands, or stop the robot."""
        why = self._objection(command, torque)
        if why:
            self._stop(why)
        elif self.session is Session.COMMANDING_ACTIVE:
            self._command = command
        elif _farthest(command.position, self._interpolated.position) <= _AGREEMENT:
            self._go(Session.COMMANDING_ACTIVE, "the commanded position agrees with the interpolated one")

    def _objection(self, command: RobotCommand, torque: Array | None) -> str:
        """Why an answer in a commanding state stops the robot; empty where it does not."""
        mode, control = self._config.command, self._config.control
        if torque is not None:
            return f"joint torque in command mode {mode.name}; it needs TORQUE"
        if command.wrench is not None and control is not ControlMode.CARTESIAN_IMPEDANCE:
            return f"wrench in control mode {control.name}; it needs CARTESIAN_IMPEDANCE"
        if (command.wrench is not None) is not (mode is CommandMode.WRENCH):
            return f"answer {'without' if command.wrench is None else 'with'} a wrench in command mode {mode.name}"
        return "" if self.session is Session.COMMANDING_WAIT else self._beyond_limits(command.position)

    def _beyond_limits(self, position: Array) -> str:
        """Which joint would leave its range or be too fast; empty where none is."""
        limits, longest = self._config.limits, self._longest * _ROUNDING
        if _within(position, limits.lower, limits.upper, self._command.position, longest):
            return ""
        for joint in np.flatnonzero((position < limits.lower) | (position > limits.upper)):
            reach = f"{limits.lower[joint]:.3f} to {limits.upper[joint]:.3f} rad"
            return f"joint A{joint + 1} commanded to {position[joint]:.3f} rad; its range is {reach}"
        steps = np.abs(position - self._command.position)
        worst = int(np.argmax(~(steps <= longest)))
        most = self._longest[worst]
        return f"joint A{worst + 1} commanded by {steps[worst]:.4f} rad in an answer; at most {most:.4f}"

    def _hold(self) -> None:
        """Drop what is commanded: the arm is to stay where it is."""
        self._command = self._interpolated = RobotCommand(self._cell.position)

    def _stop(self, reason: str) -> None:
        """Safety stop: hold the position without a wrench, until the application starts again."""
        self.fault, self._wanted = reason, False
        self._hold()
        self._go(Session.MONITORING_WAIT, reason)

    def _go(self, session: Session, reason: str) -> None:
        self._log.go(session, self.time, reason)
