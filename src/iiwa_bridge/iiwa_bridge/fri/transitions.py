"""Changes of the session state, each with its time and its reason."""

from collections import deque
from dataclasses import dataclass

from iiwa_bridge.robot import SessionState

_KEPT = 32


@dataclass(frozen=True)
class Transition:
    """A change of the session state.

    Attributes:
        time: by the recorder's clock [s].
        before: the state that was left.
        after: the state that was entered.
        reason: why, in a line.
    """

    time: float
    before: SessionState
    after: SessionState
    reason: str

    def __str__(self) -> str:
        return f"{self.time:.3f} s: {self.before.name} -> {self.after.name}: {self.reason}"


class TransitionLog:
    """The session state and how it came about; the last 32 transitions are kept."""

    def __init__(self) -> None:
        self.session = SessionState.IDLE
        self._kept: deque[Transition] = deque(maxlen=_KEPT)

    def go(self, session: SessionState, time: float, reason: str) -> None:
        """Enter a state; nothing where it is the state already."""
        if session is not self.session:
            self._kept.append(Transition(time, self.session, session, reason))
            self.session = session

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """The last ones, oldest first."""
        return tuple(self._kept)
