"""The client's session: what it answers to each message, and what it does not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.fri.client_session import ClientSession
from iiwa_bridge.fri.errors import FriSessionError
from iiwa_bridge.fri.messages import MonitoringMessage
from iiwa_bridge.robot import CommandMode, ConnectionQuality, ControlMode, DriveState, RobotCommand, SafetyState
from iiwa_bridge.robot import SessionState as Session
from support.robot_states import robot_state

MEASURED, COMMANDED, INTERPOLATED, WANTED = (np.full(7, value) for value in (0.1, 0.2, 0.3, 0.4))
WRENCH = np.arange(6.0)
TIMEOUT = 0.1


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def message(sequence: int, session: Session = Session.COMMANDING_ACTIVE, multiplier: int = 1, **changes: object):  # type: ignore[no-untyped-def]
    state = robot_state(
        MEASURED,
        session=session,
        control=ControlMode.POSITION,
        command=CommandMode.POSITION,
        commanded=COMMANDED,
        interpolated=INTERPOLATED,
        stamp=sequence * 0.005,
    )
    return MonitoringMessage(sequence, 0, multiplier, replace(state, **changes))  # type: ignore[arg-type]


def make(wanted: RobotCommand | None = None, clock: Clock | None = None) -> ClientSession:
    return ClientSession(lambda state: wanted or RobotCommand(WANTED), clock or Clock(), TIMEOUT)


def answered(session: ClientSession, told: MonitoringMessage) -> RobotCommand | None:
    session.take(told)
    answer = session.answer()
    return None if answer is None else answer.command


@pytest.mark.parametrize(
    ("state", "position"),
    [
        (Session.MONITORING_WAIT, COMMANDED),
        (Session.MONITORING_READY, COMMANDED),
        (Session.COMMANDING_WAIT, INTERPOLATED),
        (Session.COMMANDING_ACTIVE, WANTED),
    ],
)
def test_each_state_has_its_answer(state: Session, position: np.ndarray) -> None:  # type: ignore[type-arg]
    command = answered(make(), message(0, state))
    assert command is not None
    assert np.array_equal(command.position, position)
    assert command.wrench is None


def test_nothing_is_answered_in_idle_and_before_any_message() -> None:
    session = make()
    assert session.answer() is None
    assert session.session is Session.IDLE
    assert answered(session, message(0, Session.IDLE)) is None


def test_in_wrench_mode_each_commanding_answer_holds_a_wrench() -> None:
    wrench_mode = {"control": ControlMode.CARTESIAN_IMPEDANCE, "command": CommandMode.WRENCH}
    session = make(RobotCommand(WANTED, WRENCH))
    waiting = answered(session, message(0, Session.COMMANDING_WAIT, **wrench_mode))
    assert waiting is not None
    assert np.array_equal(waiting.wrench, np.zeros(6)), "the wrench counts in COMMANDING_ACTIVE, but has to be there"
    active = answered(session, message(1, **wrench_mode))
    assert active is not None
    assert np.array_equal(active.wrench, WRENCH)
    without = answered(make(), message(0, **wrench_mode))
    assert without is not None
    assert np.array_equal(without.wrench, np.zeros(6))


def test_a_wrench_without_effect_is_an_error_and_not_dropped_in_silence() -> None:
    session = make(RobotCommand(WANTED, WRENCH))
    assert answered(session, message(0, Session.MONITORING_READY)) is not None
    with pytest.raises(FriSessionError, match="wrench in command mode POSITION has no effect; it needs WRENCH"):
        answered(session, message(1))


def test_answers_are_numbered_from_zero_and_name_the_message_they_answer() -> None:
    session = make()
    numbers = []
    for sequence in (7, 8, 9):
        session.take(message(sequence))
        answer = session.answer()
        assert answer is not None
        numbers.append((answer.sequence, answer.reflected))
    assert numbers == [(0, 7), (1, 8), (2, 9)]


def test_every_nth_message_is_answered_where_the_controller_asks_for_that() -> None:
    session = make()
    replies = [answered(session, message(sequence, multiplier=3)) is not None for sequence in range(9)]
    assert replies == [False, False, True] * 3
    assert session.counts.missed == 0


def test_a_message_is_answered_once_and_an_older_one_never() -> None:
    session = make()
    assert answered(session, message(5)) is not None
    assert session.answer() is None
    assert not session.take(message(5))
    assert not session.take(message(4))
    assert session.answer() is None
    assert session.counts.stale == 2
    assert session.state is not None
    assert session.state.stamp == 5 * 0.005


def test_of_a_burst_the_newest_is_answered_and_the_others_are_missed() -> None:
    session = make()
    for sequence in (0, 1, 2, 3):
        session.take(message(sequence))
    answer = session.answer()
    assert answer is not None
    assert answer.reflected == 3
    assert session.counts.missed == 3
    session.take(message(6))
    assert session.counts.missed == 5, "4 and 5 never came"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 2**32 - 1))
def test_time_never_runs_backwards_whatever_order_messages_come_in(order: list[int], first: int) -> None:
    session, reflected = make(), []
    for place in order:
        session.take(replace(message(place), sequence=(first + place) % 2**32))
        answer = session.answer()
        if answer is not None:
            reflected.append((answer.reflected - first) % 2**32)
    assert reflected == sorted(set(reflected))
    assert session.counts.answers + session.counts.stale == len(order)


def test_without_messages_the_connection_is_lost_by_the_steady_clock() -> None:
    clock = Clock()
    session = make(clock=clock)
    session.take(message(0))
    clock.now = TIMEOUT
    session.watch()
    assert (session.lost, session.session) == (False, Session.COMMANDING_ACTIVE)
    clock.now = TIMEOUT + 0.001
    session.watch()
    assert (session.lost, session.session, session.counts.losses) == (True, Session.IDLE, 1)
    assert session.transitions[-1].reason == "no message for 100 ms"
    assert session.answer() is None, "what was not answered in time is not answered late"


def test_a_controller_that_was_started_again_is_followed_from_its_monitoring_states_on() -> None:
    clock = Clock()
    session = make(clock=clock)
    assert answered(session, message(5000)) is not None
    assert answered(session, message(0, Session.MONITORING_WAIT)) is None, "the old session is alive"
    clock.now = 1.0
    session.watch()
    assert answered(session, message(4999)) is None, "a late message of the old session commands nothing"
    assert answered(session, message(0, Session.MONITORING_WAIT)) is not None
    assert answered(session, message(1, Session.MONITORING_READY)) is not None
    assert session.counts.missed == 0


def test_after_idle_a_new_session_may_count_from_its_start_at_once() -> None:
    session = make()
    session.take(message(5000))
    session.answer()
    session.take(message(5001, Session.IDLE))
    assert answered(session, message(0, Session.MONITORING_WAIT)) is not None


def test_transitions_are_kept_with_their_reasons() -> None:
    session = make()
    drops = {"quality": ConnectionQuality.FAIR}
    stopped = {"safety": SafetyState.STOP_LEVEL_1}
    states = (Session.MONITORING_WAIT, Session.MONITORING_READY, Session.COMMANDING_WAIT, Session.COMMANDING_ACTIVE)
    for sequence, state in enumerate(states):
        session.take(message(sequence, state))
    session.take(message(4, Session.MONITORING_WAIT, **drops))
    session.take(message(5))
    session.take(message(6, Session.MONITORING_READY, **stopped))
    session.take(message(7))
    session.take(message(8, Session.MONITORING_READY, drive=DriveState.OFF))
    session.take(message(9))
    session.take(message(10, Session.MONITORING_READY))
    reasons = [transition.reason for transition in session.transitions]
    assert reasons == [
        "first message of the controller",
        "connection quality EXCELLENT",
        "the controller's application started a motion",
        "the commanded position agrees with the interpolated one",
        "connection quality FAIR",
        "the commanded position agrees with the interpolated one",
        "safety stop of the controller (STOP_LEVEL_1), connection quality EXCELLENT",
        "the commanded position agrees with the interpolated one",
        "drives OFF",
        "the commanded position agrees with the interpolated one",
        "ended by the controller's application",
    ]
    assert str(session.transitions[1]) == "0.000 s: MONITORING_WAIT -> MONITORING_READY: connection quality EXCELLENT"
    assert session.counts.quality_drops == 1
