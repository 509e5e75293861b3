"""Client and simulated controller over real UDP, in lock-step, with faults on the wire: each ends in a stated state.

Time is the controller's: a message stands for 5 ms however long the machine takes, and an answer that does not come
within ``PATIENCE`` is missing.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from iiwa_bridge.fri.client import ClientConfig, ClientStatus
from iiwa_bridge.fri.client_session import Respond
from iiwa_bridge.fri.controller_session import ControllerConfig
from iiwa_bridge.fri.errors import FriSessionError
from iiwa_bridge.fri.messages import CommandMessage, encode_command, encode_monitoring
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.robot import (
    CellState,
    ConnectionQuality,
    ControlMode,
    DriveState,
    RobotCommand,
    RobotState,
    SafetyState,
    SessionState,
)

from .support_fri import (
    LOCALHOST,
    START,
    Faults,
    IdealCell,
    Sine,
    ThreadClient,
    Wire,
    config,
    free_port,
    impedance,
    thread_client,
    wait_until,
)

PATIENCE = 0.03
LOST = 5.0
"""The client's time-out: so long that a busy machine alone is no loss [s]."""


@dataclass
class Setup:
    """A controller, a client and the wire between them."""

    controller: SimController
    client: ThreadClient
    wire: Wire
    cell: IdealCell
    motion: Respond

    def wait(self, state: SessionState) -> None:
        session = self.controller.session
        wait_until(lambda: session.session is state, f"{state.name}, {[str(t) for t in session.transitions]}")

    def go_on(self, seconds: float) -> None:
        """Let so much time of the controller pass."""
        until = self.controller.session.time + seconds
        wait_until(lambda: self.controller.session.time >= until, f"the controller's time {until:.2f} s")

    @property
    def status(self) -> ClientStatus:
        assert self.client.error is None
        assert self.client.status is not None
        return self.client.status

    def stays_active(self, seconds: float) -> None:
        """Commanding begins, lasts for so long, and the robot follows the sine without a jump."""
        self.wait(SessionState.COMMANDING_ACTIVE)
        self.go_on(seconds)
        session = self.controller.session
        assert (session.session, session.fault) == (SessionState.COMMANDING_ACTIVE, "")
        a4 = self.cell.positions[:, 3] - START[3]
        assert 0.02 < np.abs(a4).max() < 0.0401
        assert self.status.counts.losses == 0


@contextmanager
def connected(
    faults: Faults = Faults(),  # noqa: B008
    settings: ControllerConfig | None = None,
    respond: Respond | None = None,
) -> Iterator[Setup]:
    motion, cell = respond or Sine(), IdealCell()
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(faults))
        network = SimAddress(wire.to_client, (LOCALHOST, 0), PATIENCE)
        controller = stack.enter_context(SimController(settings or config(), cell, network))
        address = (LOCALHOST, free_port())
        wire.peers = [controller.address, address]
        client = stack.enter_context(thread_client(ClientConfig(wire.to_controller, address, LOST), motion))
        yield Setup(controller, client, wire, cell, motion)


def test_commanding_is_reached_and_lasts() -> None:
    with connected() as setup:
        setup.stays_active(5.0)
        assert setup.status.counts.quality_drops == 0
        assert setup.status.counts.stale == setup.status.refused == setup.status.foreign == 0
        assert setup.status.state is not None
        assert setup.status.state.quality >= ConnectionQuality.GOOD
        assert setup.controller.session.counts.refused == 0


def test_each_answer_is_carried_out_in_the_cycle_after_its_message() -> None:
    """The robot is told what the motion asked for, in that order, and each of it once where no answer is late."""
    with connected() as setup:
        setup.stays_active(2.0)
    assert isinstance(setup.motion, Sine)
    told = [command.position for command, _ in setup.cell.told]
    asked = {id(position) for position in setup.motion.asked}
    assert len(asked) > 300
    wanted = np.array(setup.motion.asked)[:, 3]
    got = np.array(told)[:, 3]
    first = int(np.flatnonzero(got != START[3])[0])
    late = setup.controller.session.counts.unanswered
    same = np.isin(got[first : first + 300], wanted)
    assert same.all()
    assert (np.diff(got[first : first + 100]) == 0).sum() <= late, (
        "a cycle repeats a command only for want of an answer"
    )


def wrench_of_2_n(state: RobotState) -> RobotCommand:
    active = state.session is SessionState.COMMANDING_ACTIVE
    return RobotCommand(state.interpolated, np.array([0.0, 0.0, 2.0, 0.0, 0.0, 0.0]) if active else None)


def test_wrenches_reach_the_robot_in_impedance_control() -> None:
    with connected(settings=impedance(), respond=wrench_of_2_n) as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        setup.go_on(0.5)
    command, control = setup.cell.told[-1]
    assert control is ControlMode.CARTESIAN_IMPEDANCE
    assert command.wrench is not None
    assert command.wrench.tolist() == [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("multiplier", [2, 5])
def test_every_nth_message_is_answered(multiplier: int) -> None:
    with connected(settings=config(receive_multiplier=multiplier)) as setup:
        setup.stays_active(2.0)
        counts = setup.controller.session.counts
        assert counts.answers == pytest.approx(setup.controller.session.time / 0.005 / multiplier, rel=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_five_percent_loss_is_borne(seed: int) -> None:
    with connected(Faults(loss=0.05, seed=seed)) as setup:
        setup.stays_active(1.5)
        assert setup.controller.session.counts.unanswered > 10
        assert setup.status.counts.missed > 5


def test_twenty_percent_loss_keeps_the_robot_from_commanding_or_stops_it() -> None:
    with connected(Faults(loss=0.20, seed=3)) as setup:
        setup.go_on(1.5)
        session = setup.controller.session
        assert session.session in (SessionState.MONITORING_WAIT, SessionState.MONITORING_READY)
        assert session.counts.answers > 60, "the connection itself goes on"
        assert np.array_equal(setup.cell.positions[-1], setup.cell.positions[-2])


def test_loss_that_sets_in_while_commanding_stops_the_robot_with_the_reason() -> None:
    with connected(Faults(seed=4)) as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        setup.wire.faults = Faults(loss=0.20)
        wait_until(lambda: setup.controller.session.fault != "", "a fault")
        assert setup.controller.session.fault.startswith("connection quality")
        setup.wire.faults = Faults()
        wait_until(lambda: setup.status.counts.quality_drops == 1, "the client to see it")
        assert "safety stop" in setup.status.transitions[-1].reason or "quality" in setup.status.transitions[-1].reason
        setup.wait(SessionState.MONITORING_READY)
        setup.go_on(0.5)
        assert setup.controller.session.session is SessionState.MONITORING_READY, "it waits for the application"
        state = setup.status.state
        assert state is not None
        assert (state.safety, state.drive) == (SafetyState.STOP_LEVEL_1, DriveState.OFF)


def test_a_stall_of_50_ms_is_borne_and_its_burst_gets_one_answer() -> None:
    with connected() as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        before = setup.controller.session.counts.answers
        missed = setup.status.counts.missed
        setup.wire.stall(to_client=10)
        setup.stays_active(2.0)
        assert setup.status.counts.missed - missed >= 4, "not each message of the burst is answered"
        assert setup.controller.session.counts.answers > before


def test_messages_out_of_order_and_twice_are_answered_once_and_in_order() -> None:
    with connected(Faults(duplicate=0.2, swap=0.01, seed=5)) as setup:
        setup.stays_active(1.5)
        assert setup.status.counts.stale > 20
        assert setup.controller.session.counts.stale > 20
        assert isinstance(setup.motion, Sine)
        assert (np.diff([state.stamp for state in setup.motion.states]) > 0).all(), "time runs forward"


def test_garbage_and_truncated_datagrams_are_counted_and_change_nothing() -> None:
    with connected(Faults(garbage=0.2, truncate=0.2, seed=6)) as setup:
        setup.stays_active(1.5)
        assert setup.status.refused > 50
        assert setup.status.refusal != ""
        assert setup.controller.session.counts.refused > 50


def shoot(address: tuple[str, int], contents: list[bytes], times: int) -> None:
    """Datagrams from a socket that neither side knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(times):
            for content in contents:
                stranger.sendto(content, address)


FLOOD = """
import socket, sys
stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for port in sys.argv[1:]:
        stranger.sendto(b"x" * 1400, ("127.0.0.1", int(port)))
        stranger.sendto(b"", ("127.0.0.1", int(port)))
"""


def test_a_flood_of_foreign_datagrams_is_counted_and_changes_nothing() -> None:
    with connected() as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        client = setup.wire.peers[1]
        assert client is not None
        ports = map(str, (client[1], setup.controller.address[1]))
        with subprocess.Popen([sys.executable, "-c", FLOOD, *ports]) as flood:
            wait_until(lambda: min(setup.status.foreign, setup.controller.foreign) > 0, "the flood")
            try:
                setup.stays_active(2.0)
            finally:
                flood.kill()
        assert setup.status.foreign > 1000
        assert setup.controller.foreign > 1000


def test_a_second_client_that_answers_beside_the_first_moves_nothing() -> None:
    with connected() as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        jump = RobotCommand(START + 1.0)
        for _ in range(100):
            reflected = setup.status.state.stamp / 0.005 if setup.status.state else 0.0
            answers = [encode_command(CommandMessage(0, round(reflected) + ahead, jump)) for ahead in range(4)]
            shoot(setup.controller.address, answers, 1)
            setup.go_on(0.02)
        setup.stays_active(0.1)
        assert setup.controller.foreign == 400


def test_a_second_controller_is_not_heard() -> None:
    with connected() as setup:
        setup.wait(SessionState.COMMANDING_ACTIVE)
        client = setup.wire.peers[1]
        assert client is not None
        message = setup.controller.session.message(CellState(START + 1.0, np.zeros(7), np.zeros(7)))
        shoot(client, [encode_monitoring(message)], 50)
        setup.stays_active(1.0)
        assert setup.status.foreign == 50


def test_a_controller_that_is_started_again_is_commanded_again() -> None:
    with Wire(Faults()) as wire:
        address = (LOCALHOST, free_port())
        with thread_client(ClientConfig(wire.to_controller, address, LOST), Sine()) as client:
            for _ in range(2):
                network = SimAddress(wire.to_client, (LOCALHOST, 0), PATIENCE)
                with SimController(config(), IdealCell(), network) as controller:
                    wire.peers = [controller.address, address]
                    setup = Setup(controller, client, wire, IdealCell(), Sine())
                    setup.wait(SessionState.COMMANDING_ACTIVE)
                    setup.go_on(0.5)
                wait_until(lambda: setup.status.session is SessionState.IDLE, "the client to see the end")  # noqa: B023
            reasons = [change.reason for change in setup.status.transitions]
            assert reasons.count("first message of the controller") == 2
            assert setup.status.counts.losses == 0, "the controller said that it ends"


def test_a_motion_that_gives_nan_ends_the_client_and_with_it_the_robot_s_motion() -> None:
    def respond(state: RobotState) -> RobotCommand:
        return RobotCommand(np.full(7, np.nan) if state.session is SessionState.COMMANDING_ACTIVE else START)

    with connected(respond=respond) as setup:
        wait_until(lambda: setup.client.error is not None, "the client to end")
        assert "commanded position of [nan" in str(setup.client.error)
        wait_until(lambda: setup.controller.session.fault != "", "a fault")
        assert setup.controller.session.fault.startswith("connection quality")
        assert np.isfinite(setup.cell.positions).all()


def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOCALHOST, 0))
        with pytest.raises(FriSessionError, match=r"no UDP from .* Address already in use"):
            SimController(config(), IdealCell(), SimAddress((LOCALHOST, 30200), taken.getsockname()))


def test_a_port_in_use_is_not_shared() -> None:
    network = SimAddress((LOCALHOST, 30200), (LOCALHOST, free_port()))
    with SimController(config(), IdealCell(), network), pytest.raises(FriSessionError, match="Address already in use"):
        SimController(config(), IdealCell(), network)


def test_what_ends_the_robot_s_simulation_reaches_who_runs_the_controller() -> None:
    class Broken(IdealCell):
        def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
            raise ArithmeticError("the simulation diverged")

    with (
        pytest.raises(ArithmeticError, match="diverged"),
        SimController(config(), Broken(), SimAddress((LOCALHOST, free_port()), (LOCALHOST, 0), 0.01)) as controller,
    ):
        wait_until(lambda: not controller.running, "the controller to end")
