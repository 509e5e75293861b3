"""The client's side of a session, without socket and without clock: what to answer to each monitoring message.

KUKA's own client (FRI client SDK 1.15) answers in every state but IDLE, every n-th message where the controller asks
for that, with its command messages numbered from 0. It mirrors the commanded position in the monitoring states and the
interpolated one in COMMANDING_WAIT. In WRENCH mode each answer of a commanding state has to hold a wrench.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iiwa_bridge.fri.errors import FriSessionError
from iiwa_bridge.fri.messages import CommandMessage, MonitoringMessage, ahead, following
from iiwa_bridge.fri.transitions import Transition, TransitionLog
from iiwa_bridge.robot import CommandMode, ConnectionQuality, DriveState, RobotCommand, RobotState, SafetyState
from iiwa_bridge.robot import SessionState as Session

Respond = Callable[[RobotState], RobotCommand]
"""The motion of the bridge: asked once for each answer, in every state; what it says counts in COMMANDING_ACTIVE."""
Clock = Callable[[], float]


@dataclass
class ClientCounts:
    """What happened in a session, counted along.

    Attributes:
        answers: that were given.
        missed: messages of the controller that never came, or came together with a newer one.
        stale: messages that came twice or after a newer one.
        quality_drops: times that the quality fell below GOOD.
        losses: times that the connection was lost.
    """

    answers: int = 0
    missed: int = 0
    stale: int = 0
    quality_drops: int = 0
    losses: int = 0


class ClientSession:
    """Follows a controller's session and answers it.

    Args:
        respond: asked for the command of each answer.
        clock: steady time [s].
        timeout: without a message for so long the connection is lost [s].
    """

    def __init__(self, respond: Respond, clock: Clock, timeout: float) -> None:
        self._respond, self._clock, self._timeout = respond, clock, timeout
        self._log = TransitionLog()
        self._newest: MonitoringMessage | None = None
        self._taken = clock()
        self._pending = False
        self._since_answer = 0
        self._sequence = 0
        self.counts = ClientCounts()

    @property
    def session(self) -> Session:
        """State of the session; IDLE before the first message and after the connection was lost."""
        return self._log.session

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """The last changes of the session state."""
        return self._log.transitions

    @property
    def state(self) -> RobotState | None:
        """What the newest message told; None before the first."""
        return None if self._newest is None else self._newest.state

    @property
    def lost(self) -> bool:
        """Whether nothing has come for the time-out."""
        return self._clock() - self._taken > self._timeout

    def take(self, message: MonitoringMessage) -> bool:
        """Look at a message; False where it is not newer than what was seen, and changes nothing.

        A controller that was started again counts from its start: after a loss its messages are taken too, but not
        in a commanding state, which a controller reaches with answers only.
        """
        self.watch()
        newest, state = self._newest, message.state
        gap = 1 if newest is None else ahead(message.sequence, newest.sequence)
        again = self.session is Session.IDLE and state.session <= Session.MONITORING_READY
        if gap == 0 or (gap < 0 and not again):
            self.counts.stale += 1
            return False
        connected = newest is not None and self.session is not Session.IDLE
        missed = (gap - 1 if connected else 0) + self._pending
        before = newest.state if newest is not None and connected else None
        drop = before is not None and state.quality < ConnectionQuality.GOOD <= before.quality
        self.counts.missed += missed
        self.counts.quality_drops += drop
        self._newest, self._taken = message, self._clock()
        self._log.go(state.session, self._taken, _reason(before, state))
        self._since_answer += state.session is not Session.IDLE
        self._pending = state.session is not Session.IDLE and self._since_answer >= message.receive_multiplier
        return True

    def answer(self) -> CommandMessage | None:
        """The answer to the newest message, once; None where none is due.

        Raises:
            FriSessionError: a wrench is asked for in a mode that has none.
        """
        if not self._pending or self._newest is None:
            return None
        command = _command(self._newest.state, self._respond(self._newest.state))
        message = CommandMessage(self._sequence, self._newest.sequence, command)
        self._sequence, self._since_answer, self._pending = following(self._sequence), 0, False
        self.counts.answers += 1
        return message

    def watch(self) -> None:
        """Give the session up where nothing has come for the time-out."""
        if self.lost and self.session is not Session.IDLE:
            self._pending = False
            self.counts.losses += 1
            self._log.go(Session.IDLE, self._clock(), f"no message for {self._timeout * 1e3:.0f} ms")


def _command(state: RobotState, wanted: RobotCommand) -> RobotCommand:
    """What is sent in a state, where the bridge wants ``wanted``."""
    if state.session < Session.COMMANDING_WAIT:
        return RobotCommand(state.commanded)
    still = np.zeros(6) if state.command is CommandMode.WRENCH else None
    if state.session is Session.COMMANDING_WAIT:
        return RobotCommand(state.interpolated, still)
    if wanted.wrench is None:
        return RobotCommand(wanted.position, still)
    if state.command is not CommandMode.WRENCH:
        raise FriSessionError(f"a wrench in command mode {state.command.name} has no effect; it needs WRENCH")
    return wanted


def _reason(before: RobotState | None, after: RobotState) -> str:
    """Why the controller went to another state, as far as its messages tell."""
    if before is None:
        return "first message of the controller"
    if after.session > before.session:
        return {
            Session.MONITORING_WAIT: "the controller opened a session",
            Session.MONITORING_READY: f"connection quality {after.quality.name}",
            Session.COMMANDING_WAIT: "the controller's application started a motion",
            Session.COMMANDING_ACTIVE: "the commanded position agrees with the interpolated one",
        }[after.session]
    if after.safety is not SafetyState.NORMAL_OPERATION:
        return f"safety stop of the controller ({after.safety.name}), connection quality {after.quality.name}"
    if after.quality < ConnectionQuality.GOOD:
        return f"connection quality {after.quality.name}"
    if after.drive is not DriveState.ACTIVE:
        return f"drives {after.drive.name}"
    return "ended by the controller's application"
