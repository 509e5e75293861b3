"""The controller's session: when it lets a client command, and what makes it stop the robot."""

import re
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.fri.controller_session import ControllerConfig, ControllerSession
from iiwa_bridge.fri.errors import FriMessageError, FriSessionError, NotFiniteError
from iiwa_bridge.fri.messages import CommandMessage, MonitoringMessage
from iiwa_bridge.fri.quality import SILENCE, WINDOW, QualityWindow
from iiwa_bridge.robot import (
    Array,
    CellState,
    CommandMode,
    ConnectionQuality,
    ControlMode,
    DriveState,
    RobotCommand,
    SafetyState,
)
from iiwa_bridge.robot import SessionState as Session

from .support_fri import LIMITS, START, config, impedance

MAX_STEP = LIMITS.velocity * 0.005


class Bench:
    """A session whose robot stands ``sag`` beside what it is commanded, with a client that mirrors."""

    def __init__(self, settings: ControllerConfig, sag: float = 0.0) -> None:
        self.sag, self.sent = sag, 0
        self.session = ControllerSession(settings, self.cell(START))
        self.told = self.session.message(self.cell(START))

    def cell(self, position: Array) -> CellState:
        return CellState(position - self.sag, np.zeros(7), np.zeros(7))

    def cycle(self, answer: RobotCommand | None = None, silent: bool = False, reflected: int | None = None) -> None:
        """Answer the last message, by mirroring it where nothing else is given, and go on to the next."""
        if not silent:
            self.send(answer or self.mirrored(), reflected)
        self.session.close_cycle()
        self.told = self.session.message(self.cell(self.session.command.position))

    def send(self, command: RobotCommand | None, reflected: int | None = None, torque: Array | None = None) -> None:
        reflected = self.told.sequence if reflected is None else reflected
        self.session.receive(CommandMessage(self.sent, reflected, command, torque))
        self.sent += 1

    def mirrored(self) -> RobotCommand:
        state = self.told.state
        wrench = np.zeros(6) if state.command is CommandMode.WRENCH else None
        return RobotCommand(state.interpolated if self.session.commanding else state.commanded, wrench)

    def until(self, state: Session) -> "Bench":
        for _ in range(3 * WINDOW):
            if self.session.session is state:
                return self
            self.cycle()
        raise AssertionError(f"{state.name} not reached: {[str(t) for t in self.session.transitions]}")

    @property
    def stopped(self) -> bool:
        """Whether the robot is held where it was, without a wrench, and the messages say so."""
        self.session.close_cycle()
        self.told = self.session.message(self.cell(START))
        state, command = self.told.state, self.session.command
        return (
            state.safety is SafetyState.STOP_LEVEL_1
            and state.drive is DriveState.OFF
            and state.session <= Session.MONITORING_READY
            and self.session.control is ControlMode.POSITION
            and command.wrench is None
        )


def active(settings: ControllerConfig | None = None) -> Bench:
    return Bench(settings or config()).until(Session.COMMANDING_ACTIVE)


def moved(joint: int, distance: float) -> RobotCommand:
    position = START.copy()
    position[joint] += distance
    return RobotCommand(position)


def test_the_states_are_gone_through_in_order_each_with_its_reason() -> None:
    session = active().session
    assert [(change.after, change.reason) for change in session.transitions] == [
        (Session.MONITORING_WAIT, "the controller opened the session"),
        (Session.MONITORING_READY, "connection quality GOOD"),
        (Session.COMMANDING_WAIT, "the application started a motion"),
        (Session.COMMANDING_ACTIVE, "the commanded position agrees with the interpolated one"),
    ]


def test_commanding_waits_until_the_client_mirrors_the_interpolated_position() -> None:
    bench = Bench(config()).until(Session.COMMANDING_WAIT)
    for _ in range(20):
        bench.cycle(moved(2, 2e-4))
        assert bench.session.session is Session.COMMANDING_WAIT
        assert np.array_equal(bench.session.command.position, START), "nothing moves the robot before"
    bench.cycle()
    assert bench.session.session is Session.COMMANDING_ACTIVE


def test_a_motion_begins_where_the_robot_is_and_not_where_it_was_commanded() -> None:
    bench = Bench(impedance(), sag=0.01).until(Session.MONITORING_READY)
    stood = bench.told.state
    bench.cycle()
    assert bench.session.session is Session.COMMANDING_WAIT
    assert not np.allclose(stood.position, stood.commanded)
    assert np.array_equal(bench.told.state.interpolated, stood.position)
    assert bench.told.state.tracking == pytest.approx(0.9)


def test_while_active_the_robot_goes_where_the_answers_say() -> None:
    bench = active(impedance())
    command = RobotCommand(START + 0.9 * MAX_STEP, np.arange(6.0))
    bench.cycle(command)
    assert bench.session.command is command
    assert bench.session.control is ControlMode.CARTESIAN_IMPEDANCE
    bench.cycle(silent=True)
    assert bench.session.command is command, "a missing answer leaves what was commanded"


def test_outside_of_a_motion_no_mode_is_told_and_the_arm_is_held_in_position() -> None:
    bench = Bench(impedance(start=False)).until(Session.MONITORING_READY)
    for _ in range(50):
        bench.cycle()
    state = bench.told.state
    assert (state.session, state.command, state.control) == (
        Session.MONITORING_READY,
        CommandMode.NO_COMMAND,
        ControlMode.POSITION,
    )
    bench.session.start()
    assert bench.until(Session.COMMANDING_ACTIVE).told.state.command is CommandMode.WRENCH


def fault(command: RobotCommand | None, torque: Array | None = None) -> Callable[[Bench], None]:
    return lambda bench: bench.send(command, torque=torque)


BEYOND = LIMITS.upper[1] - START[1] + 0.001
FAULTS: dict[str, tuple[ControllerConfig, Callable[[Bench], None]]] = {
    r"joint A2 commanded to 2\.095 rad; its range is -2\.094 to 2\.094 rad": (config(), fault(moved(1, BEYOND))),
    r"joint A4 commanded by 0\.0227 rad in an answer; at most 0\.0113": (config(), fault(moved(3, 2 * MAX_STEP[3]))),
    r"joint A4 commanded by 0\.0227 rad": (config(), fault(moved(3, -2 * MAX_STEP[3]))),
    "wrench in control mode POSITION; it needs CARTESIAN_IMPEDANCE": (
        config(),
        fault(RobotCommand(START, np.zeros(6))),
    ),
    "wrench in control mode JOINT_IMPEDANCE; it needs CARTESIAN_IMPEDANCE": (
        config(control=ControlMode.JOINT_IMPEDANCE),
        fault(RobotCommand(START, np.zeros(6))),
    ),
    "answer with a wrench in command mode POSITION": (
        config(control=ControlMode.CARTESIAN_IMPEDANCE),
        fault(RobotCommand(START, np.zeros(6))),
    ),
    "answer without a wrench in command mode WRENCH": (impedance(), fault(RobotCommand(START))),
    "joint torque in command mode POSITION; it needs TORQUE": (config(), fault(RobotCommand(START), np.zeros(7))),
    "answer is not finite: jointPosition": (
        config(),
        lambda bench: bench.session.refuse(NotFiniteError("jointPosition of nan")),
    ),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_fault_stops_the_robot_where_it_is_and_says_why(reason: str) -> None:
    settings_, inject = FAULTS[reason]
    bench = active(settings_)
    inject(bench)
    assert re.search(reason, bench.session.fault)
    assert bench.stopped
    assert np.array_equal(bench.session.command.position, START)
    assert bench.session.transitions[-2].reason == bench.session.fault
    for _ in range(WINDOW):
        bench.cycle()
    assert bench.session.session is Session.MONITORING_READY, "no motion starts on its own after a stop"
    bench.session.start()
    bench.until(Session.COMMANDING_ACTIVE)
    assert bench.session.fault == ""


def test_a_step_as_long_as_the_velocity_limit_allows_is_no_fault() -> None:
    bench = active()
    bench.cycle(RobotCommand(START + MAX_STEP))
    bench.cycle(RobotCommand(START))
    assert bench.session.fault == ""


def test_where_every_third_message_is_answered_a_step_may_be_three_times_as_long() -> None:
    bench = active(config(receive_multiplier=3))
    bench.cycle(RobotCommand(START + 3 * MAX_STEP))
    assert bench.session.fault == ""
    bench.cycle(RobotCommand(START - 0.1 * MAX_STEP))
    assert "in an answer" in bench.session.fault


def test_garbage_is_counted_and_stops_nothing() -> None:
    bench = active()
    bench.session.refuse(FriMessageError("datagram of 3 bytes is not a FRICommandMessage"))
    bench.cycle()
    assert (bench.session.counts.refused, bench.session.session) == (1, Session.COMMANDING_ACTIVE)


def test_an_answer_that_lost_its_command_is_none_and_many_of_them_stop_the_robot() -> None:
    bench = active()
    bench.send(None)
    assert bench.session.refusal == "answer without a joint position in COMMANDING_ACTIVE"
    bench.cycle()
    assert (bench.session.session, bench.session.counts.unanswered) == (Session.COMMANDING_ACTIVE, 0)
    for _ in range(20):
        bench.send(None)
        bench.cycle(silent=True)
    assert bench.session.fault == "connection quality POOR"


@pytest.mark.parametrize("joint", [0, 3, 6])
def test_a_joint_at_nan_is_neither_tracked_nor_in_agreement(joint: int) -> None:
    nowhere = START.copy()
    nowhere[joint] = np.nan
    bench = Bench(config()).until(Session.COMMANDING_ACTIVE)
    assert bench.session.message(bench.cell(nowhere)).state.tracking == 0.0
    bench = Bench(config()).until(Session.COMMANDING_WAIT)
    bench.cycle(RobotCommand(nowhere))
    assert bench.session.session is not Session.COMMANDING_ACTIVE


def test_nan_outside_of_a_motion_is_garbage_like_any_other() -> None:
    bench = Bench(config(start=False)).until(Session.MONITORING_READY)
    bench.session.refuse(NotFiniteError("jointPosition of nan"))
    assert bench.session.fault == ""


@pytest.mark.parametrize("period", [0.001, 0.005, 0.010])
def test_a_client_that_falls_silent_stops_the_robot_within_100_ms(period: float) -> None:
    bench = active(config(period=period))
    began = bench.session.time
    while bench.session.commanding:
        bench.cycle(silent=True)
    assert bench.session.fault.startswith("connection quality")
    assert bench.session.time - began <= 0.1
    assert bench.stopped


def test_a_gap_of_50_ms_at_5_ms_a_message_is_borne() -> None:
    bench = active()
    for _ in range(10):
        bench.cycle(silent=True)
    bench.cycle()
    assert bench.session.session is Session.COMMANDING_ACTIVE


def test_late_duplicate_and_future_answers_command_nothing() -> None:
    bench = active()
    bench.cycle(RobotCommand(START + 0.5 * MAX_STEP))
    stood, answers = bench.session.command, bench.session.counts.answers
    jump = RobotCommand(START + 1.0)
    for reflected in (bench.told.sequence - 1, bench.told.sequence - 5, bench.told.sequence + 1):
        bench.send(jump, reflected)
    assert bench.session.command is stood
    assert bench.session.fault == ""
    assert (bench.session.counts.stale, bench.session.counts.answers) == (3, answers)


def test_an_answer_that_comes_a_cycle_late_still_commands_but_counts_as_missing() -> None:
    bench = active()
    late, before = bench.told.sequence, bench.session.counts.unanswered
    bench.cycle(silent=True)
    bench.send(RobotCommand(START + 0.5 * MAX_STEP), late)
    assert np.array_equal(bench.session.command.position, START + 0.5 * MAX_STEP)
    bench.session.close_cycle()
    assert bench.session.counts.unanswered == before + 2


def test_the_controller_reflects_the_number_of_the_answer_it_saw_last() -> None:
    bench = active()
    bench.cycle()
    assert bench.told.reflected == bench.sent - 1


def test_closing_the_session_holds_the_robot_and_says_idle() -> None:
    bench = active(impedance())
    bench.cycle(RobotCommand(START, np.ones(6)))
    last = bench.told.sequence
    bench.session.end()
    told: MonitoringMessage = bench.session.message(bench.cell(START))
    assert (told.state.session, told.sequence) == (Session.IDLE, last + 1), "a client takes it for a new message"
    assert bench.session.command.wrench is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period": 0.0005}, r"period of 0\.5 ms; expected whole milliseconds from 1 to 100"),
        ({"period": 0.101}, "period of 101 ms"),
        ({"receive_multiplier": 0}, "receive multiplier 0; expected 1 or more"),
        ({"command": CommandMode.TORQUE}, "command mode TORQUE; expected POSITION or WRENCH"),
        ({"command": CommandMode.WRENCH}, "command mode WRENCH in control mode POSITION; it needs CARTESIAN_IMPEDANCE"),
    ],
)
def test_a_session_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(FriSessionError, match=message):
        config(**changes)


def test_quality_follows_from_the_answers_over_the_last_messages() -> None:
    window = QualityWindow(0.005)
    assert window.quality is ConnectionQuality.POOR
    seen = []
    for _ in range(WINDOW):
        window.add(True)
        seen.append(window.quality)
    assert [seen.count(quality) for quality in ConnectionQuality] == [49, 25, 20, 6]
    for _ in range(WINDOW // 5):
        window.add(False)
        for _ in range(4):
            window.add(True)
    assert window.quality is ConnectionQuality.GOOD, "one in five may be missing"


def test_five_percent_loss_each_way_is_borne_for_an_hour_and_twenty_percent_is_not() -> None:
    def below_good(loss: float) -> float:
        """Probability of more than 25 missing answers of 100, a datagram lost with probability ``loss``."""
        missing = 1 - (1 - loss) ** 2
        return sum(comb(WINDOW, k) * missing**k * (1 - missing) ** (WINDOW - k) for k in range(26, WINDOW + 1))

    messages_an_hour = 3600 / 0.005
    assert below_good(0.05) * messages_an_hour < 2.0, "each message a window of its own: an upper bound"
    assert below_good(0.20) > 0.95


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0.001, 0.005, 0.02]))
def test_quality_never_rises_with_a_missing_answer_nor_falls_with_one_in_time(
    answers: list[bool], period: float
) -> None:
    window = QualityWindow(period)
    silence = WINDOW * period
    for answered in answers:
        before = window.quality
        window.add(answered)
        silence = 0.0 if answered else silence + period
        assert (window.quality >= before) if answered else (window.quality <= before)
        assert window.quality is ConnectionQuality.POOR or silence < max(SILENCE, 2 * period) + 1e-9
