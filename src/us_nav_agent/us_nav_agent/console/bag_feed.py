"""A recording as a feed: looked at it goes on as far as time has passed, moved it shows what was to be seen there."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from us_nav_agent.console.feed import Playhead
from us_nav_agent.console.model import ConsoleModel, Marks, NumberedFrame, Snapshot
from us_nav_agent.console.recording import Recording
from us_nav_agent.console.records import DiagnosticSeen, Level


class BagFeed:
    """Feed and Player over a recording; it stands at the beginning.

    Args:
        recording: that is shown; it is closed with the feed.
        title: of the page.
        clock: steady time [s].
    """

    def __init__(self, recording: Recording, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self._recording, self._clock = recording, clock
        self._lock = threading.RLock()
        self._position, self._since, self._playing, self._jumps = 0.0, clock(), False, 0
        self._model, self._told, self._frame, self._moved = ConsoleModel(), 0.0, 0, True

    def playhead(self) -> Playhead:
        """As ``Player.playhead``."""
        with self._lock:
            return Playhead(self._now(), self._recording.duration, self._playing, self._jumps)

    def play(self) -> None:
        """As ``Player.play``."""
        with self._lock:
            if self._now() >= self._recording.duration:
                self.seek(0.0)
            self._position, self._since, self._playing = self._now(), self._clock(), True

    def pause(self) -> None:
        """As ``Player.pause``."""
        with self._lock:
            self._position, self._playing = self._now(), False

    def seek(self, position: float) -> None:
        """As ``Player.seek``: what is seen there is found when somebody looks, once for many moves of a slider."""
        with self._lock:
            self._position = min(max(position, 0.0), self._recording.duration)
            self._since = self._clock()
            self._jumps += 1
            self._moved = True

    def snapshot(self, marks: Marks) -> tuple[Snapshot, Marks]:
        """As ``Feed.snapshot``; times are those of the recording."""
        with self._lock:
            now = self._advance()
            told, marks = self._model.snapshot(now, marks)
            return replace(told, frame=self._numbered(told.frame)), marks

    def frame(self) -> NumberedFrame | None:
        """As ``Feed.frame``; numbered as in the recording."""
        with self._lock:
            now = self._advance()
            return self._numbered(self._model.frame(now))

    def close(self) -> None:
        """Close the recording."""
        with self._lock:
            self._recording.close()

    def _numbered(self, frame: NumberedFrame | None) -> NumberedFrame | None:
        return None if frame is None else replace(frame, number=self._frame)

    def _now(self) -> float:
        """The time in the recording; at its end it stops."""
        if not self._playing:
            return self._position
        now = self._position + self._clock() - self._since
        if now >= self._recording.duration:
            self._position, self._playing = self._recording.duration, False
            return self._position
        return now

    def _advance(self) -> float:
        """Hand the model what has come since the last look; the time now."""
        now = self._now()
        if self._moved:
            self._show_anew(now)
        for when, record in self._recording.timeline.between(self._told, now):
            self._model.take(record, when)
        self._told = now
        number = self._recording.frame_at(now)
        if number != self._frame:
            self._model.take(self._recording.frame(number), self._recording.frame_times[number - 1])
            self._frame = number
        return now

    def _show_anew(self, position: float) -> None:
        """A model as it would be had one looked from the beginning: path, map and the curves' last seconds."""
        self._model, self._frame, self._moved = ConsoleModel(), 0, False
        before, self._told = self._recording.timeline.leading_to(position)
        for when, record in before:
            self._model.take(record, when)
        for line in self._recording.damage:
            self._model.take(DiagnosticSeen("bag", Level.WARN, line, "", ()), position)
