"""Whether a source gives frames, why not, and when it is tried again: a state machine without threads or devices."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

_RATE_OVER = 2.0
"""The frame rate is that of the last so many seconds."""
_MOST_RATED = 512


class State(Enum):
    """What a source is doing; the value is what people read."""

    STARTING = "starting"
    RUNNING = "running"
    STALLED = "stalled"
    UNUSABLE = "unusable frames"
    GONE = "gone"
    FINISHED = "finished"


@dataclass(frozen=True)
class SourceStatus:
    """How a source does.

    Attributes:
        state: what it is doing.
        frames: given so far.
        dropped: taken from the device and not given on, since a newer one was there.
        fps: frames a second, over the last two seconds.
        reason: of its last fault, kept when it has recovered; empty: there was none.
        reconnects: times that it was opened again.
    """

    state: State
    frames: int = 0
    dropped: int = 0
    fps: float = 0.0
    reason: str = ""
    reconnects: int = 0


class Supervisor:
    """Is told what happens to a source, and knows its state; any thread may tell and ask.

    Between two attempts to open it the pause doubles up to ``longest_pause``; a usable frame makes it short again.
    Opening alone does not: a device that opens and gives nothing would be hammered.

    Args:
        stall_after: a source is stalled when it has given no usable frame for so long [s].
        first_pause, longest_pause: between attempts to open the source [s].
        clock: seconds on the steady clock.
    """

    def __init__(
        self,
        stall_after: float = 2.0,
        first_pause: float = 0.25,
        longest_pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stall_after, self._first, self._longest = stall_after, first_pause, longest_pause
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = first_pause
        self._opened = self._dropped = self._frames = 0
        self._open = False
        self._state = State.STARTING
        self._reason = ""
        self._fresh_since = clock()
        """When the last usable frame came, or the source was opened after it."""
        self._times: deque[float] = deque(maxlen=_MOST_RATED)

    def opened(self) -> None:
        """The source has been opened; a fault lasts until there is a frame."""
        with self._lock:
            self._opened += 1
            self._open = True
            self._fresh_since = self._clock()

    def delivered(self) -> None:
        """A usable frame has come."""
        with self._lock:
            self._frames += 1
            self._fresh_since = self._clock()
            self._times.append(self._fresh_since)
            self._state, self._pause = State.RUNNING, self._first

    def dropped(self) -> None:
        """A frame was left out for a newer one."""
        with self._lock:
            self._dropped += 1

    def refused(self, reason: str) -> None:
        """A frame has come that cannot be used."""
        with self._lock:
            self._state, self._reason = State.UNUSABLE, reason

    def failed(self, reason: str) -> float:
        """The source could not be opened, or is gone; returns how long to wait before it is opened again [s]."""
        with self._lock:
            self._state, self._reason = State.GONE, reason
            return self._closed()

    def overdue(self) -> str | None:
        """Why the open source should be opened again: it has given no usable frame for too long; or None."""
        with self._lock:
            if not self._is_overdue():
                return None
            if self._state is not State.UNUSABLE:
                self._state, self._reason = State.STALLED, f"no frame for {self._stall_after:g} s"
            return self._reason

    def given_up(self) -> float:
        """The overdue source has been closed; returns how long to wait before it is opened again [s]."""
        with self._lock:
            return self._closed()

    def finished(self) -> None:
        """The sequence has ended."""
        with self._lock:
            self._open, self._state = False, State.FINISHED

    def status(self) -> SourceStatus:
        """How the source does now, also where the thread that reads it hangs in the device."""
        with self._lock:
            now, state, reason = self._clock(), self._state, self._reason
            if self._is_overdue() and state in (State.STARTING, State.RUNNING):
                state, reason = State.STALLED, f"no frame for {now - self._fresh_since:.0f} s"
            reconnects = max(self._opened - 1, 0)
            return SourceStatus(state, self._frames, self._dropped, self._fps(now), reason, reconnects)

    def _closed(self) -> float:
        self._open = False
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause

    def _is_overdue(self) -> bool:
        return self._open and self._clock() - self._fresh_since > self._stall_after

    def _fps(self, now: float) -> float:
        recent = [at for at in self._times if now - at <= _RATE_OVER]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
