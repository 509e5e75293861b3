"""The bridge as its parent sees it: orders in, a status out, and a stop that waits for nothing.

The loop runs in the client's process (``fri.client_process``); nothing that hangs here holds it up.
"""

import pickle
import threading
import time
from dataclasses import dataclass, replace
from types import TracebackType

from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.fri.client_process import ClientProcess, Door
from iiwa_bridge.fri.errors import FriProcessError
from iiwa_bridge.loop import Loop
from iiwa_bridge.orders import FrameSeen, LoopReport, Order, OrderEnd, Touch
from iiwa_bridge.robot import Array, ConnectionQuality, RobotCommand, RobotState, SessionState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand

_LONGEST_REASON = 500
"""[characters]; an order has a longest length."""


@dataclass(frozen=True, eq=False)
class BridgeStatus:
    """What the bridge knows.

    Attributes:
        machine: state of the state machine; None before the controller's first message.
        reasons: why it is in fault, the first one first.
        note: why the last motion ended early without a fault.
        pose: (4, 4) of ``us_probe`` in the patient frame, as measured [m]; None before the first message.
        wrench: (6,) on the patient by the probe in ``us_probe``, tared [N, N m]; None likewise.
        position: of the joints (7,) [rad]; None likewise.
        contact: whether the probe touches, by its force.
        force_set_point: contact force that is asked for [N]; 0 where none is.
        tared: whether a tare was taken.
        session: state of the session with the controller.
        quality: of the connection; POOR without one.
        session_reason: why the session came to its state.
        cycle_p99: from the arrival of a message to its answer, 99 % of the last 2000 are faster [s]; NaN at first.
        missed_cycles: messages of the controller that got no answer.
        quality_drops: times that the quality fell below GOOD.
        state_age: since the last message that was answered [s]; infinite before it.
        cuts: cycles in which the guard took something away from a command.
        cut: what it took away last.
        ended: the last orders that ended, oldest first.
        setup: what the process tried for its timing and what came of it, a line each.
        failure: why the process has ended; empty while it runs.
    """

    machine: State | None
    reasons: tuple[str, ...]
    note: str
    pose: Array | None
    wrench: Array | None
    position: Array | None
    contact: bool
    force_set_point: float
    tared: bool
    session: SessionState
    quality: ConnectionQuality
    session_reason: str
    cycle_p99: float
    missed_cycles: int
    quality_drops: int
    state_age: float
    cuts: int
    cut: str
    ended: tuple[OrderEnd, ...]
    setup: tuple[str, ...]
    failure: str


class _Served:
    """The loop behind the door of its process: orders to it before a cycle, its report out after it."""

    def __init__(self, loop: Loop, door: Door) -> None:
        self._loop, self._door = loop, door

    def __call__(self, state: RobotState) -> RobotCommand:
        for content in self._door.orders():
            self._loop.take(pickle.loads(content))
        command = self._loop(state)
        self._door.report(self._loop.report)
        return command


def _content(order: Order) -> bytes:
    """An order as it goes to the process."""
    return pickle.dumps(replace(order, reason=order.reason[:_LONGEST_REASON]))


@dataclass(frozen=True)
class _MakeServed:
    """Makes the loop in its process; this is what goes there."""

    config: BridgeConfig

    def __call__(self, door: Door) -> _Served:
        return _Served(Loop(self.config, time.monotonic), door)


class Bridge:
    """Starts the client with the loop in it. Any thread may call any method; none but ``close`` waits.

    An order is told by its number; how it ended stands in ``BridgeStatus.ended``.

    Args:
        config: of the bridge.

    Raises:
        FriProcessError: the client does not start; the message says why.
    """

    def __init__(self, config: BridgeConfig) -> None:
        client = ClientConfig(config.controller, config.address, config.timeout)
        self._process = ClientProcess(client, _MakeServed(config))
        self._number, self._lock = 0, threading.Lock()

    @property
    def pid(self) -> int:
        """Of the client's process."""
        return self._process.pid

    def enable(self) -> int:
        """Allow steps; needs a commanding session and a tare."""
        return self._order(Event.ENABLE)

    def disable(self) -> int:
        """Forbid steps, the probe in the air."""
        return self._order(Event.DISABLE)

    def clear(self) -> int:
        """Leave the fault, after its cause is gone."""
        return self._order(Event.CLEAR)

    def hold(self, reason: str) -> int:
        """End a step or an approach where the probe is, without a fault; in contact it keeps its force."""
        return self._order(Event.HOLD, reason=reason)

    def retract(self) -> int:
        """Lift the probe from the skin; ends when it is lifted."""
        return self._order(Event.RETRACT)

    def tare(self) -> int:
        """Take what is felt at rest, in the air, for nothing."""
        return self._order(Event.TARE)

    def step(self, command: StepCommand) -> int:
        """Step on the parallel plane; without contact the probe first approaches where it is."""
        return self._order(Event.STEP, command)

    def touch(self, place: Touch) -> int:
        """Cross the air to above a place and touch the skin there; ends with the contact."""
        return self._order(Event.STEP, place)

    def frame(self, seen: float | None) -> None:
        """Tell when the last frame came, by ``time.monotonic``; None: nobody navigates, and frames do not matter.

        Raises:
            FriProcessError: the process has ended.
        """
        self._process.order(pickle.dumps(FrameSeen(seen)))

    def stop(self, reason: str) -> None:
        """Stop the robot, in every state; waits for nothing, takes no lock, raises nothing.

        The loop takes it with its next cycle: the arm stands still as softly as its impedance, without feed-forward,
        and the session lives. Where the process takes no orders the client's stop flag ends it: without answers the
        controller stops the robot by itself. A loop that hangs gives no answers either.
        """
        try:
            self._process.order(_content(Order(0, Event.STOP, reason=reason)))
        except FriProcessError:
            self._process.stop()

    def status(self) -> BridgeStatus:
        """What the bridge knows now."""
        said = self._process.read()
        assert said is not None and said.status is not None, "the process is ready when its parent has started it"
        client, state = said.status, said.status.state
        report: LoopReport | None = said.content
        failure = said.failure
        if not failure and not self._process.running:
            failure = "the client's process has ended"
        alone = client.session is SessionState.IDLE or state is None
        return BridgeStatus(
            machine=None if report is None else report.machine,
            reasons=() if report is None else report.reasons,
            note="" if report is None else report.note,
            pose=None if report is None else report.pose,
            wrench=None if report is None else report.wrench,
            position=None if state is None else state.position,
            contact=report is not None and report.contact,
            force_set_point=0.0 if report is None else report.force_set_point,
            tared=report is not None and report.tared,
            session=client.session,
            quality=ConnectionQuality.POOR if alone or state is None else state.quality,
            session_reason=client.transitions[-1].reason if client.transitions else "no message of the controller yet",
            cycle_p99=client.times.p99,
            missed_cycles=client.counts.missed,
            quality_drops=client.counts.quality_drops,
            state_age=float("inf") if report is None else time.monotonic() - report.time,
            cuts=0 if report is None else report.cuts,
            cut="" if report is None else report.cut,
            ended=() if report is None else report.ended,
            setup=said.setup,
            failure=failure,
        )

    def close(self) -> None:
        """End the client's process and wait for its end; the controller stops the robot for want of answers."""
        self._process.close()

    def _order(self, event: Event, aim: StepCommand | Touch | None = None, reason: str = "") -> int:
        """Send an order; its number.

        Raises:
            FriProcessError: the process has ended or takes no more.
        """
        with self._lock:
            self._number += 1
            number = self._number
        self._process.order(_content(Order(number, event, aim, reason)))
        return number

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
