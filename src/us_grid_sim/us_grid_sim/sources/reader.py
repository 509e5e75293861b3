"""A device read at its own rate by a thread: the newest frame is handed over, older ones that nobody took are dropped.

A grabber that is read at the rate of who looks at it serves frames out of its own queue, older and older ones
(ros-drivers/usb_cam#319).
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.supervision import Supervisor

_LONGEST_CLOSE = 1.0
"""A device that does not return from a call for so long is left to itself when the node ends [s]."""


class Device(Protocol):
    """What gives frames at its own rate, and may be gone; it is used by one thread."""

    @property
    def info(self) -> SourceInfo:
        """How the frames are acquired, as far as that is known by now."""
        ...

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: it is not there.
        """
        ...

    def read(self) -> Frame | None:
        """The next frame, or None where none has come within a fraction of a second.

        Raises:
            FrameError: one has come that cannot be used.
            SourceError: the device is gone.
        """
        ...

    def close(self) -> None:
        """Disconnect; also where it is not connected, or has failed."""
        ...


class LiveReader:
    """Keeps a device open and its newest frame at hand; reconnects by itself, for ever.

    Args:
        device: what is read.
        supervisor: is told what happens, and says how long to wait before the next attempt.
        now: time of the frames' stamps [ns], read when a frame has come.
        delay: how long before that it was captured [s] (``usnav calibrate temporal``).
        log: called with the reason of each fault that was not the last one.
    """

    def __init__(
        self,
        device: Device,
        supervisor: Supervisor,
        now: Callable[[], int],
        delay: float,
        log: Callable[[str], None],
    ) -> None:
        self._device, self.supervisor = device, supervisor
        self._now, self._delay_ns, self._log = now, round(delay * 1e9), log
        self._said = ""
        self._newest: Frame | None = None
        self._arrived = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_open, name="frame reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def info(self) -> SourceInfo:
        """How the frames are acquired, as far as that is known by now."""
        return self._device.info

    def take(self, patience: float) -> Frame | None:
        """The newest frame that was not taken yet, waited for at most ``patience`` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest is not None, patience)
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        """End the thread and let go of the device."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST_CLOSE)

    def _keep_open(self) -> None:
        while not self._closing.is_set():
            pause = 0.0
            try:
                self._device.open()
                self.supervisor.opened()
                self._read_until_overdue()
                pause = self.supervisor.given_up()
            except Exception as error:
                # Of whatever kind: a driver's own error is no reason to give the device up.
                reason = str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
                pause = self.supervisor.failed(reason)
                self._say(reason)
            finally:
                self._device.close()
            self._closing.wait(pause)

    def _read_until_overdue(self) -> None:
        while not self._closing.is_set():
            try:
                frame = self._device.read()
            except FrameError as error:
                frame = None
                self.supervisor.refused(str(error))
                self._say(str(error))
            if frame is not None:
                self._put(replace(frame, stamp_ns=self._now() - self._delay_ns))
                self._said = ""
            if reason := self.supervisor.overdue():
                self._say(f"{reason}; opening the source again")
                return

    def _put(self, frame: Frame) -> None:
        with self._arrived:
            if self._newest is not None:
                self.supervisor.dropped()
            self._newest = frame
            self._arrived.notify()
        self.supervisor.delivered()

    def _say(self, reason: str) -> None:
        """Log a reason once, until frames come again or there is another one."""
        if reason != self._said:
            self._said = reason
            self._log(reason)
