"""A UDP socket that hears one peer only, and never waits longer than it is told."""

import select
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType

from iiwa_bridge.fri.errors import FriSessionError
from iiwa_bridge.fri.messages import MAX_DATAGRAM

Address = tuple[str, int]

PORT = 30200
"""KUKA's default on both ends."""
_TIMESTAMPS = 35
"""SO_TIMESTAMPNS of Linux, which Python does not name."""
_STAMP = struct.Struct("@qq")
_NOTES = 64
"""Room for the time stamp beside a datagram [bytes]."""
_BATCH = 64
"""Datagrams that are taken off the socket at a time."""
_SELDOM = 8
"""Others are counted every so many looks, since a look that finds nothing costs an exception."""
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Arrival:
    """A datagram of the peer.

    Attributes:
        content: of the datagram; one byte longer than a message may be where it was longer still.
        time: when the kernel received it, by the steady clock [s].
    """

    content: bytes
    time: float


class Endpoint:
    """A bound socket and the peer that it talks to.

    The socket is connected to the peer, so that the kernel sorts out what others send: a flood of theirs neither wakes
    who waits here nor pushes the peer's datagrams out. What others send goes to a second socket on the same port, which
    is there to count it.

    Args:
        address: to listen on.
        peer: whose datagrams are taken.

    Raises:
        FriSessionError: the address cannot be listened on, or there is no way to the peer.
    """

    def __init__(self, address: Address, peer: Address) -> None:
        self._socket, self._others = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        try:
            for each in (self._socket, self._others):
                each.setblocking(False)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._others.bind(self._socket.getsockname())
            for each in (self._socket, self._others):
                # Nobody else is to share the port.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            self._socket.connect(peer)
        except OSError as error:
            self.close()
            raise FriSessionError(f"no UDP from {address} to {peer}: {error}") from error
        # A burst is to wait, not to push out the newest message.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._looks = 0
        self.foreign = 0
        """Datagrams of others; of a flood only a part is counted."""
        self.unsent = 0
        """Datagrams that the network did not take, or that nobody listened for."""

    @property
    def address(self) -> Address:
        """What is listened on; the port is the one found where 0 was asked for."""
        host, port = self._socket.getsockname()
        return host, port

    def receive(self, deadline: float) -> list[Arrival]:
        """What has come, at most 64 datagrams, waiting for it until ``deadline`` of the steady clock; empty where
        nothing came, and where the network told that the peer does not listen.
        """
        # Not poll, which waits for whole milliseconds: the simulated controller paces its cycle by this.
        ready = select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]
        self._looks += 1
        if self._looks % _SELDOM == 0:
            self._count_others()
        arrivals: list[Arrival] = []
        while ready and len(arrivals) < _BATCH:
            try:
                content, notes, _, _ = self._socket.recvmsg(MAX_DATAGRAM + 1, _NOTES)
            except OSError:
                break
            arrivals.append(Arrival(content, time.monotonic() - _age(notes)))
        return arrivals

    def _count_others(self) -> None:
        for _ in range(_BATCH):
            try:
                self._others.recv(1)
            except OSError:
                break
            self.foreign += 1

    def send(self, content: bytes) -> None:
        """Send a datagram to the peer; one that the network does not take is lost, as any may be."""
        try:
            self._socket.send(content)
        except OSError:
            self.unsent += 1

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
        self._others.close()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _age(notes: list[tuple[int, int, bytes]]) -> float:
    """How long ago the kernel received a datagram [s], so that an answer's time holds the wait for a core.

    The kernel stamps by the wall clock alone; a step of that clock in between may spoil one figure and nothing else.
    """
    for level, kind, content in notes:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPS):
            seconds, nanoseconds = _STAMP.unpack(content)
            return max(0.0, float(time.time_ns() - seconds * 10**9 - nanoseconds) * 1e-9)
    return 0.0
