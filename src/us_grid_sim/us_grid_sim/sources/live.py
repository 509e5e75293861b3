"""Frames of a moving probe, as many in the making at once as there are processes, handed over in order.

A frame is some hundred short operations: threads of one interpreter would wait for one another.
"""

import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from typing import Any

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import SourceEndedError, SourceError
from us_grid_sim.phantom.subject import Phantom
from us_grid_sim.sources.phantom import Look

_START = 60.0
"""A process that is not ready after so long has failed [s]."""
_FRAME = 5.0
"""Likewise one that has not rendered a frame [s]."""
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Asked:
    """A frame in the making: which process makes it, None for the same frame as before, and when it was captured."""

    worker: "_Worker | None"
    stamp: int


class _Worker:
    """A process that renders, at the other end of a pipe; it ends when the pipe is closed, however we end."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", "us_grid_sim.sources.rendering", str(theirs.fileno())]
        # In a session of its own: a Ctrl-C in the terminal is for the node.
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()

    def send(self, request: Any) -> None:
        try:
            self._connection.send(request)
        except OSError as error:
            raise SourceEndedError(f"a rendering process has ended ({error})") from error

    def receive(self, deadline: float) -> Any:
        try:
            if not self._connection.poll(deadline):
                raise SourceEndedError(f"a rendering process gave no answer within {deadline:g} s")
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise SourceEndedError("a rendering process has ended; its last words are above") from error

    def close(self) -> None:
        self._connection.close()
        # It holds nothing that could be lost, and would take a while to end by itself.
        self._process.kill()
        self._process.wait()


class LiveFrames:
    """Renders a subject in processes of its own, which get ready while the caller builds the subject for :meth:`show`.

    Args:
        deliver: called with each frame (600, 800) and the stamp it was asked for with, one at a time and in that order.
        fail: called instead, at its turn, with the error of a frame that cannot be rendered; after a SourceEndedError
            no frame comes any more.
        workers: processes, each of them on a core.
    """

    def __init__(
        self,
        deliver: Callable[[Pixels, int], None],
        fail: Callable[[SourceError], None],
        workers: int = 2,
    ) -> None:
        self._deliver, self._fail = deliver, fail
        self._workers = [_Worker() for _ in range(workers)]
        self._asked: queue.Queue[_Asked | None] = queue.Queue()
        self._free = threading.Semaphore(workers)
        self._turn = 0
        self._last: Look | None = None
        self._thread = threading.Thread(target=self._hand_over, name="live frames", daemon=True)

    def show(self, phantom: Phantom) -> None:
        """Hand the subject over, once, and wait until frames of it can be asked for.

        Raises:
            SourceEndedError: a process does not start.
        """
        # As bytes: torch would share its tensors' memory, which only children of multiprocessing may.
        content = pickle.dumps(phantom)
        for worker in self._workers:
            worker.send(content)
        for worker in self._workers:
            worker.receive(_START)
        self._thread.start()

    def ask(self, look: Look, stamp: int) -> bool:
        """Begin the frame seen from ``look``, captured at ``stamp``; False where all processes are busy.

        The same ``look`` as before gives the same frame, which is not rendered again.

        Raises:
            SourceEndedError: a process has ended.
        """
        if not self._free.acquire(blocking=False):
            return False
        worker = None
        if look is not self._last:
            # In turn: the process whose turn it is has handed over its last frame.
            worker = self._workers[self._turn]
            self._turn = (self._turn + 1) % len(self._workers)
            worker.send((look.pose, look.contact_force, look.number))
            self._last = look
        self._asked.put(_Asked(worker, stamp))
        return True

    def _hand_over(self) -> None:
        """Wait for the frames in the order of their asking."""
        answer: Pixels | str = "no frame yet"
        while (asked := self._asked.get()) is not None:
            try:
                if asked.worker is not None:
                    answer = asked.worker.receive(_FRAME)
            except SourceEndedError as error:
                self._fail(error)
                return
            if isinstance(answer, str):
                self._fail(SourceError(answer))
            else:
                self._deliver(answer, asked.stamp)
            self._free.release()

    def close(self) -> None:
        """Hand over the frames in the making and end the processes."""
        if self._thread.is_alive():
            self._asked.put(None)
            self._thread.join(_FRAME)
        for worker in self._workers:
            worker.close()
