"""The client's loop over UDP: one answer to the newest message, and a status after it.

It runs in a process of its own (``client_process``), or on a thread where time does not matter.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from iiwa_bridge.fri.client_session import ClientCounts, ClientSession, Respond
from iiwa_bridge.fri.errors import FriMessageError
from iiwa_bridge.fri.messages import decode_monitoring, encode_command
from iiwa_bridge.fri.transitions import Transition
from iiwa_bridge.fri.udp import PORT, Address, Endpoint
from iiwa_bridge.robot import RobotState, SessionState

_WAIT = 0.01
"""Longest wait for a message before the loop looks whether it is to stop [s]."""
_KEPT = 2000
_SUMMED = 100


@dataclass(frozen=True)
class ClientConfig:
    """Where the client is and whom it hears.

    Attributes:
        controller: whose messages are answered; those of others are counted and dropped.
        address: to listen on.
        timeout: without a message for so long the connection is lost; some periods of the controller [s].
    """

    controller: Address
    address: Address = ("0.0.0.0", PORT)
    timeout: float = 0.1


@dataclass(frozen=True)
class AnswerTimes:
    """From the arrival of a message in the kernel to its answer's departure [s]: median and p99 of the last 2000
    answers, and the longest of all; NaN before the first ones.
    """

    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, eq=False)
class ClientStatus:
    """What the client knows.

    Attributes:
        time: of this status by the steady clock, which all processes of the machine share [s]; a client that hangs
            leaves it behind.
        session: state of the session; IDLE where there is none.
        state: what the controller told last; None before the first message.
        counts: of the session.
        refused: datagrams of the controller that were no monitoring message.
        refusal: why the last one of them was refused.
        foreign: datagrams of others.
        unsent: answers that the network did not take.
        times: of the answers.
        transitions: the last changes of the session state.
    """

    time: float
    session: SessionState
    state: RobotState | None
    counts: ClientCounts
    refused: int
    refusal: str
    foreign: int
    unsent: int
    times: AnswerTimes
    transitions: tuple[Transition, ...]


class _Stopwatch:
    """Times of answers; they are summed up every 100 answers, since that takes longer than an answer."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._longest, self._count = 0.0, 0
        self.times = AnswerTimes(np.nan, np.nan, np.nan)

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        self._longest = max(self._longest, seconds)
        self._count += 1
        if self._count % _SUMMED == 0:
            p50, p99 = np.percentile(self._last, (50, 99))
            self.times = AnswerTimes(float(p50), float(p99), self._longest)


class _Refusals:
    """Datagrams that were refused: how many, and why the last one."""

    def __init__(self) -> None:
        self.count, self.last = 0, ""

    def add(self, error: FriMessageError) -> None:
        self.count, self.last = self.count + 1, str(error)


def run_client(
    config: ClientConfig,
    respond: Respond,
    publish: Callable[[Callable[[], ClientStatus]], None],
    stopped: Callable[[], bool],
) -> None:
    """Answer a controller until told to stop.

    Args:
        config: of the client.
        respond: the motion of the bridge. What it raises ends the loop, and with the answers the robot's motion.
        publish: called after each message, and every 10 ms without one, with what tells the status then: it takes
            long beside a cycle, so it is for who wants it to ask.
        stopped: asked before each wait, which lasts 10 ms at most.

    Raises:
        FriSessionError: the address cannot be listened on, or ``respond`` gave what the session has no place for.
        FriMessageError: ``respond`` gave what no message can hold.
    """
    session, stopwatch = ClientSession(respond, time.monotonic, config.timeout), _Stopwatch()
    refusals = _Refusals()
    with Endpoint(config.address, config.controller) as endpoint:
        status = partial(_status, session, endpoint, stopwatch, refusals)
        while not stopped():
            arrived = 0.0
            for arrival in endpoint.receive(time.monotonic() + _WAIT):
                try:
                    if session.take(decode_monitoring(arrival.content)):
                        arrived = arrival.time
                except FriMessageError as error:
                    refusals.add(error)
            answer = session.answer()
            if answer is not None:
                endpoint.send(encode_command(answer))
                stopwatch.add(time.monotonic() - arrived)
            session.watch()
            publish(status)


def _status(session: ClientSession, endpoint: Endpoint, stopwatch: _Stopwatch, refusals: _Refusals) -> ClientStatus:
    return ClientStatus(
        time=time.monotonic(),
        session=session.session,
        state=session.state,
        counts=replace(session.counts),
        refused=refusals.count,
        refusal=refusals.last,
        foreign=endpoint.foreign,
        unsent=endpoint.unsent,
        times=stopwatch.times,
        transitions=session.transitions,
    )
