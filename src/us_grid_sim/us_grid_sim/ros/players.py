"""How frames get from a source to its outlet: a sequence at its pace, a device at its own rate."""

import sys
import threading
import time
from typing import Protocol

from us_grid_sim.ros.image_outlet import ImageOutlet
from us_grid_sim.sources.base import Frame, FrameSource
from us_grid_sim.sources.config import ImageSourceConfig
from us_grid_sim.sources.reader import LiveReader
from us_grid_sim.sources.supervision import Supervisor

_LINGER = 1.0
"""After the last frame of a sequence, so that it is still delivered [s]."""
_SETTLE = 0.5
"""From the last subscriber's coming to the first frame: one that we see may not see us yet, and as a sensor-data
subscriber would miss what goes out before [s]."""
_WAIT = 0.2
"""Longest wait for a device's frame before a look whether the node ends [s]."""


class Player(Protocol):
    """Publishes the frames of one source.

    Attributes:
        finished: whether there is nothing more to publish.
        exit_code: of the node, 0 where all went well.
    """

    finished: bool
    exit_code: int

    def close(self) -> None:
        """Give back what is held."""
        ...


class SequencePlayer:
    """Publishes the frames of a sequence at the recorded pace or at ``rate``, once enough subscribers are there.

    Args:
        config: of the node.
        source: the sequence.
        supervisor: is told of each frame and of the end.
        outlet: where frames go.
    """

    def __init__(
        self, config: ImageSourceConfig, source: FrameSource, supervisor: Supervisor, outlet: ImageOutlet
    ) -> None:
        self.finished, self.exit_code = False, 0
        self._config, self._source, self._supervisor, self._outlet = config, source, supervisor, outlet
        self._created = time.monotonic()
        self._due = self._ends_at = 0.0
        self._begins_at: float | None = None
        self._first_stamp: int | None = None
        outlet.describe(source.info)
        supervisor.opened()
        self._next = source.read()
        if self._next is not None and self._next.pose is not None:
            outlet.track()

    @property
    def period(self) -> float:
        """Between two calls of ``play`` [s]."""
        return 1.0 / self._config.rate if self._config.rate > 0 else 0.002

    def play(self) -> None:
        """Publish the next frame when its time has come."""
        now = time.monotonic()
        if self._next is None:
            self._ends_at = self._ends_at or now + _LINGER
            self.finished = now >= self._ends_at
        elif self._first_stamp is not None or self._may_begin(now):
            self._play(self._next, now)

    def _play(self, frame: Frame, now: float) -> None:
        stamp = frame.stamp_ns if frame.stamp_ns is not None else self._outlet.now()
        if self._first_stamp is None:
            self._first_stamp, self._due = stamp, now
        if self._config.rate <= 0 and now < self._due + (stamp - self._first_stamp) * 1e-9:
            return
        self._outlet.show(frame, stamp)
        self._supervisor.delivered()
        self._next = self._source.read()
        if self._next is None:
            self._supervisor.finished()

    def _may_begin(self, now: float) -> bool:
        """Whether enough subscribers are there, and settled; ends the node where they do not come."""
        here, wanted = self._outlet.subscribers, self._config.wait_for_subscribers
        if here >= wanted:
            self._begins_at = self._begins_at or now + _SETTLE
            return now >= self._begins_at
        self._begins_at = None
        if now - self._created > self._config.wait_timeout:
            message = f"{here} of {wanted} subscribers on /us/image_raw after {self._config.wait_timeout:g} s"
            print(f"error: {message}; start them, or lower wait_for_subscribers", file=sys.stderr, flush=True)
            self.finished, self.exit_code = True, 1
        return False

    def close(self) -> None:
        """Let go of the sequence."""
        self._source.close()


class LivePlayer:
    """Publishes a device's newest frame as soon as it comes, or ``rate`` times a second; no fault ends it.

    Args:
        reader: reads the device.
        rate: most frames a second; 0: as many as come.
        outlet: where frames go.
    """

    def __init__(self, reader: LiveReader, rate: float, outlet: ImageOutlet) -> None:
        self.finished, self.exit_code = False, 0
        self._reader, self._outlet = reader, outlet
        self._period = 1.0 / rate if rate > 0 else 0.0
        self._closing = threading.Event()
        outlet.describe(reader.info)
        self._thread = threading.Thread(target=self._play, name="frame publisher", daemon=True)
        reader.start()
        self._thread.start()

    def _play(self) -> None:
        due = time.monotonic()
        while not self._closing.is_set():
            if (frame := self._reader.take(_WAIT)) is None:
                continue
            assert frame.stamp_ns is not None
            self._outlet.describe(self._reader.info)
            self._outlet.show(frame, frame.stamp_ns)
            due = max(due + self._period, time.monotonic())
            self._closing.wait(due - time.monotonic())

    def close(self) -> None:
        """End both threads and let go of the device."""
        self._closing.set()
        self._reader.close()
        self._thread.join(_WAIT * 2)
