"""The client in a process of its own, as its parent sees it: orders in, status out, a stop that waits for nothing."""

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from iiwa_bridge.fri.client import ClientConfig, ClientStatus
from iiwa_bridge.fri.client_session import Respond
from iiwa_bridge.fri.errors import FriProcessError
from iiwa_bridge.fri.shared import SharedPage

_START = 60.0
"""A process that is not ready after so long has failed; busy cores need some of it [s]."""
_END = 1.0
_POLL = 0.005
MAX_ORDER = 4096
"""Longest order [bytes]."""


class Door(Protocol):
    """What the motion of the bridge, in the client's process, has of its parent."""

    def orders(self) -> list[bytes]:
        """What the parent sent since the last call, oldest first."""
        ...

    def report(self, content: Any) -> None:
        """Put something beside the status, for the parent to read; it stays there until the next.

        It is pickled after the answer, so it must not change any more.
        """
        ...


MakeRespond = Callable[[Door], Respond]
"""Makes the motion in the client's process; it is pickled, so a function or class at the top of a module."""


@dataclass(frozen=True, eq=False)
class ClientReport:
    """What the client's process says.

    Attributes:
        status: of the client; None before its loop began.
        content: of the last ``Door.report``; None before the first.
        setup: what the process tried for its timing and what came of it, a line each.
        failure: why the loop ended; empty while it runs, and where it was told to end.
    """

    status: ClientStatus | None
    content: Any
    setup: tuple[str, ...]
    failure: str


class ClientProcess:
    """Starts the client and waits until its loop runs.

    The process ends with its parent, however the parent ends.

    Args:
        config: of the client.
        make_respond: makes the motion in the process.

    Raises:
        FriProcessError: it does not start.
    """

    def __init__(self, config: ClientConfig, make_respond: MakeRespond) -> None:
        self._page = SharedPage.create()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setblocking(False)
        files = (self._page.file, theirs.fileno())
        command = [sys.executable, "-m", "iiwa_bridge.fri.client_main", *map(str, files)]
        # In a session of its own: a Ctrl-C in the terminal is for the node, which stops the robot first.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=files, start_new_session=True)
        theirs.close()
        try:
            self._hand_over(pickle.dumps((config, make_respond)))
        except FriProcessError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def read(self) -> ClientReport | None:
        """What the process says now; None before it has said anything. Waits for nothing."""
        content = self._page.read()
        if content is None:
            return None
        report: ClientReport = pickle.loads(content)
        return report

    def order(self, content: bytes) -> None:
        """Send something to the motion, 1 to 4096 bytes. Waits for nothing.

        Raises:
            FriProcessError: it is too long, or the process has ended or takes no more.
        """
        if not 1 <= len(content) <= MAX_ORDER:
            raise FriProcessError(f"order of {len(content)} bytes; expected 1 to {MAX_ORDER}")
        try:
            self._orders.send(content)
        except OSError as error:
            raise FriProcessError(f"the client's process takes no order: {error}") from error

    def stop(self) -> None:
        """Tell the client to end its loop, within 10 ms. Waits for nothing."""
        self._page.stop()

    def close(self) -> None:
        """Stop the client and wait for its end."""
        self.stop()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._orders.close()
        self._page.close()

    def _hand_over(self, content: bytes) -> None:
        """Give the process what it is to run, and wait until it does."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            with stdin:
                stdin.write(content)
        except OSError as error:
            raise FriProcessError("the client's process ended at its start; its last words are above") from error
        deadline = time.monotonic() + _START
        while (report := self.read()) is None or (report.status is None and not report.failure):
            if not self.running:
                raise FriProcessError("the client's process ended at its start; its last words are above")
            if time.monotonic() > deadline:
                raise FriProcessError(f"the client's process is not ready after {_START:g} s")
            time.sleep(_POLL)
        if report.failure:
            raise FriProcessError(f"the client does not start: {report.failure}")

    def __enter__(self) -> "ClientProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
