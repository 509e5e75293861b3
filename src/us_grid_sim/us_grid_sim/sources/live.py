"""Frames of a moving probe: several in the making at once, a core each, handed over in the order of their moments."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

from us_grid_sim.sources.base import Frame

_SWITCH_INTERVAL = 1e-5
"""Rendering is many short operations: a thread that waited the usual 5 ms for its turn would hold up its core [s]."""


class LiveFrames:
    """Reads a source on threads of its own; while open, the interpreter switches between threads more often.

    Args:
        read: gives the frame of this moment; called on several threads at once.
        deliver: called with each frame and the stamp it was asked for with, one at a time and in that order.
        fail: called instead, at its turn, with the error of a frame that could not be made.
        workers: frames in the making at once.
    """

    def __init__(
        self,
        read: Callable[[], Frame],
        deliver: Callable[[Frame, int], None],
        fail: Callable[[Exception], None],
        workers: int = 2,
    ) -> None:
        self._read, self._deliver, self._fail = read, deliver, fail
        self._free = threading.Semaphore(workers)
        self._last: Future[None] | None = None
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        # A frame is the work of one thread: where each had helpers of its own, they would share the cores.
        self._pool = ThreadPoolExecutor(workers, "live frames", initializer=torch.set_num_threads, initargs=(1,))

    def ask(self, stamp: int) -> bool:
        """Begin the frame of this moment, captured at ``stamp``; False where all threads are busy and none is begun."""
        if not self._free.acquire(blocking=False):
            return False
        self._last = self._pool.submit(self._make, stamp, self._last)
        return True

    def _make(self, stamp: int, before: Future[None] | None) -> None:
        try:
            outcome: Frame | Exception = self._read()
        except Exception as error:
            outcome = error
        if before is not None:
            wait([before])
        try:
            if isinstance(outcome, Exception):
                self._fail(outcome)
            else:
                self._deliver(outcome, stamp)
        finally:
            self._free.release()

    def close(self) -> None:
        """Wait for the frames in the making; no further ones can be asked for."""
        self._pool.shutdown(wait=True)
        sys.setswitchinterval(self._interval)
