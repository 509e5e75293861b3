"""How frames get from a source to its outlet: a sequence at its pace, a device at its own rate."""

import sys
import threading
import time
import traceback
from typing import Protocol

from us_grid_sim.errors import SourceError, UsGridSimError
from us_grid_sim.ros.image_outlet import ImageOutlet
from us_grid_sim.sources.base import FrameSource
from us_grid_sim.sources.config import ImageSourceConfig
from us_grid_sim.sources.reader import LiveReader
from us_grid_sim.sources.supervision import Supervisor

_LINGER = 1.0
"""After the last frame of a sequence, so that it is still delivered [s]."""
_SETTLE = 0.5
"""From the last subscriber's coming to the first frame: one that we see may not see us yet, and as a sensor-data
subscriber would miss what goes out before [s]."""
_LOOK = 0.02
"""Between two looks whether the subscribers are there [s]."""
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
        self._closing = threading.Event()
        outlet.describe(source.info)
        supervisor.opened()
        self._first = source.read()
        if self._first is not None and self._first.pose is not None:
            outlet.track()
        # A thread of its own keeps the pace better than a timer among the node's callbacks.
        self._thread = threading.Thread(target=self._run, name="frame publisher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """Play, and end the node whatever becomes of it."""
        try:
            self._play()
        except UsGridSimError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.exit_code = 1
        except Exception:
            traceback.print_exc()
            self.exit_code = 1
        finally:
            self.finished = True

    def _play(self) -> None:
        if not self._subscribed():
            return
        pace = 1.0 / self._config.rate if self._config.rate > 0 else None
        frame, due, before = self._first, time.monotonic(), None
        while frame is not None:
            # A sequence knows when its frames were captured.
            assert frame.stamp_ns is not None
            if pace is not None:
                # Moments that were missed are left out: no burst follows a frame that came late.
                due = max(due + pace, time.monotonic())
            elif before is not None:
                due += (frame.stamp_ns - before) * 1e-9
            before = frame.stamp_ns
            if self._closing.wait(due - time.monotonic()):
                return
            self._outlet.show(frame, frame.stamp_ns)
            self._supervisor.delivered()
            frame = self._source.read()
        self._supervisor.finished()
        self._closing.wait(_LINGER)

    def _subscribed(self) -> bool:
        """Wait until enough subscribers are there, and settled.

        Raises:
            SourceError: they do not come.
        """
        wanted, created, settled = self._config.wait_for_subscribers, time.monotonic(), 0.0
        while (now := time.monotonic()) < settled or not settled:
            here = self._outlet.subscribers
            settled = 0.0 if here < wanted else settled or now + _SETTLE
            if here < wanted and now - created > self._config.wait_timeout:
                raise SourceError(
                    f"{here} of {wanted} subscribers on /us/image_raw after {self._config.wait_timeout:g} s; start "
                    "them, or lower wait_for_subscribers"
                )
            if self._closing.wait(_LOOK):
                return False
        return True

    def close(self) -> None:
        """End the thread and let go of the sequence."""
        self._closing.set()
        self._thread.join(_WAIT * 2)
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
