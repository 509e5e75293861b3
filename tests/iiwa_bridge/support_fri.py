"""For the tests of FRI: a robot that does as it is told, a wire with seeded faults, and motions of a client."""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from iiwa_bridge.fri.client import ClientConfig, ClientStatus, run_client
from iiwa_bridge.fri.client_process import Door
from iiwa_bridge.fri.client_session import Respond
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.robot import Array, CellState, CommandMode, ControlMode, RobotCommand, RobotState, SessionState

LIMITS = JointLimits(
    lower=-np.radians([170, 120, 170, 120, 170, 120, 175]),
    upper=np.radians([170, 120, 170, 120, 170, 120, 175]),
    velocity=np.radians([98, 98, 100, 130, 140, 180, 180]),
)
"""Of the LBR iiwa 7 R800."""
START = np.array([0.1, 0.5, -0.2, -1.2, 0.0, 0.9, 0.3])
LOCALHOST = "127.0.0.1"


def config(**changes: object) -> ControllerConfig:
    return ControllerConfig(LIMITS, **changes)  # type: ignore[arg-type]


def impedance(**changes: object) -> ControllerConfig:
    return config(control=ControlMode.CARTESIAN_IMPEDANCE, command=CommandMode.WRENCH, **changes)


class IdealCell:
    """A robot that stands where it is told to, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[RobotCommand, ControlMode]] = []

    def reset(self) -> CellState:
        return self._at(START)

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
        self.told.append((command, control))
        return self._at(command.position)

    def close(self) -> None:
        pass

    def _at(self, position: Array) -> CellState:
        return CellState(position, np.zeros(7), np.zeros(7))

    @property
    def positions(self) -> Array:
        """(cycles, 7) [rad]."""
        return np.array([START] + [command.position for command, _ in self.told])


@dataclass
class Sine:
    """A joint sine on A4 over the interpolated position: 0.04 rad at 0.25 Hz of the controller's time."""

    states: list[RobotState] = field(default_factory=list)
    asked: list[Array] = field(default_factory=list)
    since: float | None = None

    def __call__(self, state: RobotState) -> RobotCommand:
        self.states.append(state)
        if state.session is not SessionState.COMMANDING_ACTIVE:
            self.since = None
            return RobotCommand(state.commanded)
        self.since = state.stamp if self.since is None else self.since
        away = np.zeros(7)
        away[3] = 0.04 * np.sin(2 * np.pi * 0.25 * (state.stamp - self.since))
        self.asked.append(state.interpolated + away)
        return RobotCommand(self.asked[-1])


@dataclass(frozen=True)
class Faults:
    """What the wire does to datagrams in both directions: probabilities of each, drawn from the seed."""

    loss: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    garbage: float = 0.0
    truncate: float = 0.0
    seed: int = 0


class Wire:
    """A proxy between controller and client; each of them takes it for the other."""

    def __init__(self, faults: Faults) -> None:
        self.faults, self._rng = faults, np.random.default_rng(faults.seed)
        self._ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for end in self._ends:
            end.bind((LOCALHOST, 0))
        self.to_client, self.to_controller = (end.getsockname() for end in self._ends)
        """Where the controller sends to, and where the client sends to."""
        self.peers: list[tuple[str, int] | None] = [None, None]
        """Addresses of the controller and of the client."""
        self._swapped: dict[int, bytes] = {}
        self._stalled: list[bytes] = []
        self._stall = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def stall(self, to_client: int) -> None:
        """Hold so many messages of the controller back, and then let them go at once."""
        self._stall = to_client

    def _run(self) -> None:
        while not self._ended.is_set():
            for end in select.select(self._ends, [], [], 0.02)[0]:
                side = self._ends.index(end)
                for content in self._mangled(end.recv(2048)):
                    self._pass(side, content)

    def _mangled(self, content: bytes) -> list[bytes]:
        faults, draw = self.faults, self._rng.random
        contents = []
        if draw() < faults.garbage:
            contents.append(self._rng.bytes(int(self._rng.integers(1, 2000))))
        if draw() < faults.truncate:
            contents.append(content[: int(self._rng.integers(len(content)))])
        contents.extend([content] * (0 if draw() < faults.loss else 2 if draw() < faults.duplicate else 1))
        return contents

    def _pass(self, side: int, content: bytes) -> None:
        """Send on what came from the controller (side 0) or the client (1); late, if that is drawn."""
        if side == 0 and self._stall:
            self._stall -= 1
            self._stalled.append(content)
            if self._stall == 0:
                while self._stalled:
                    self._send(side, self._stalled.pop(0))
        elif side not in self._swapped and self._rng.random() < self.faults.swap:
            self._swapped[side] = content
        else:
            self._send(side, content)
            if side in self._swapped:
                self._send(side, self._swapped.pop(side))

    def _send(self, side: int, content: bytes) -> None:
        peer = self.peers[1 - side]
        if peer is not None:
            self._ends[1 - side].sendto(content, peer)

    def __enter__(self) -> "Wire":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for end in self._ends:
            end.close()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        port: int = sock.getsockname()[1]
        return port


class ThreadClient:
    """The client's loop on a thread."""

    def __init__(self, settings: ClientConfig, respond: Respond) -> None:
        self.status: ClientStatus | None = None
        self.error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, respond), daemon=True)
        self._thread.start()

    def _run(self, settings: ClientConfig, respond: Respond) -> None:
        try:
            run_client(settings, respond, self._publish, self._ended.is_set)
        except Exception as error:
            self.error = error

    def _publish(self, status: Callable[[], ClientStatus]) -> None:
        self.status = status()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


@contextmanager
def thread_client(settings: ClientConfig, respond: Respond) -> Iterator[ThreadClient]:
    client = ThreadClient(settings, respond)
    try:
        yield client
    finally:
        client.stop()


def wait_until(happened: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.002)


class Ordered:
    """A motion in the client's process: A1 goes by what the parent orders [rad], which is reported back."""

    def __init__(self, door: Door) -> None:
        self._door, self._offset = door, 0.0

    def __call__(self, state: RobotState) -> RobotCommand:
        for order in self._door.orders():
            (self._offset,) = struct.unpack("d", order)
            self._door.report(order)
        away = np.zeros(7)
        away[0] = self._offset
        return RobotCommand(state.interpolated + away)


def make_broken(door: Door) -> Respond:
    raise ValueError("no such motion")


def respond_with_nan(state: RobotState) -> RobotCommand:
    return RobotCommand(np.full(7, np.nan))


def make_nan(door: Door) -> Respond:
    return respond_with_nan
