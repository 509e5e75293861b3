"""The state machine: each pair of state and event does what the table says, and no way leads round a stop."""

import itertools
import math
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iiwa_bridge.safety.machine import DEADLINES, MOTION, TRANSITIONS, Event, Motion, State, StateMachine
from iiwa_bridge.safety.monitor import Violation
from iiwa_bridge.safety.readings import Reaction

S, E = State, Event

# Written out by hand, so that a change of the table in the code must be meant: a row an event, a column a state.
COLUMNS = (S.IDLE, S.ENABLED, S.APPROACHING, S.IN_CONTACT, S.STEPPING, S.RETRACTING, S.FAULT_RETRACTING, S.FAULT)
NAMES = dict(zip(("idle", "enab", "appr", "cont", "step", "retr", "f-re", "faul"), COLUMNS, strict=True))
EXPECTED = {
    #                       idle enab appr cont step retr f-re faul
    E.ENABLE: "             enab ---- ---- ---- ---- ---- ---- ----",
    E.DISABLE: "            ---- idle ---- ---- ---- ---- ---- ----",
    E.STEP: "               ---- appr ---- step ---- ---- ---- ----",
    E.HOLD: "               ---- enab enab cont cont ---- ---- ----",
    E.RETRACT: "            ---- retr retr retr retr ---- ---- ----",
    E.TARE: "               idle enab ---- ---- ---- ---- ---- ----",
    E.CLEAR: "              ---- ---- ---- ---- ---- ---- ---- idle",
    E.STOP: "               faul faul faul faul faul faul faul faul",
    E.CONTACT: "            ---- ---- cont ---- ---- ---- ---- ----",
    E.STEP_DONE: "          ---- ---- ---- ---- cont ---- ---- ----",
    E.LOST_CONTACT: "       ---- ---- retr retr retr ---- ---- ----",
    E.RETRACTED: "          ---- ---- ---- ---- ---- enab faul ----",
    E.VIOLATION_HOLD: "     idle enab enab cont cont retr f-re faul",
    E.VIOLATION_RETRACT: "  faul f-re f-re f-re f-re f-re f-re faul",
    E.VIOLATION_STOP: "     faul faul faul faul faul faul faul faul",
    E.COMMANDING_BEGINS: "  idle ---- ---- ---- ---- ---- ---- faul",
    E.COMMANDING_ENDS: "    idle faul faul faul faul faul faul faul",
    E.TIMEOUT: "            ---- ---- retr ---- cont faul faul ----",
}
WAYS = {
    S.IDLE: (E.COMMANDING_BEGINS,),
    S.ENABLED: (E.COMMANDING_BEGINS, E.ENABLE),
    S.APPROACHING: (E.COMMANDING_BEGINS, E.ENABLE, E.STEP),
    S.IN_CONTACT: (E.COMMANDING_BEGINS, E.ENABLE, E.STEP, E.CONTACT),
    S.STEPPING: (E.COMMANDING_BEGINS, E.ENABLE, E.STEP, E.CONTACT, E.STEP),
    S.RETRACTING: (E.COMMANDING_BEGINS, E.ENABLE, E.STEP, E.CONTACT, E.RETRACT),
    S.FAULT_RETRACTING: (E.COMMANDING_BEGINS, E.ENABLE, E.STEP, E.CONTACT, E.VIOLATION_RETRACT),
    S.FAULT: (E.COMMANDING_BEGINS, E.STOP),
}
MOVING = frozenset({S.APPROACHING, S.IN_CONTACT, S.STEPPING, S.RETRACTING})


def brought_to(state: State) -> StateMachine:
    machine = StateMachine(0.0)
    for event in WAYS[state]:
        assert machine.fire(event, 0.0).refused == ""
    assert machine.state is state
    return machine


def broken(name: str, reaction: Reaction, text: str = "") -> Violation:
    return Violation(name, 6.0, 5.0, 0.0, reaction, text or f"{name} broken")


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)), ids=lambda one: one.name)
def test_every_event_in_every_state_leads_where_it_should_or_is_refused(state: State, event: Event) -> None:
    expected = EXPECTED[event].split()[COLUMNS.index(state)]
    machine = brought_to(state)
    answer = machine.fire(event, 1.0)
    if expected == "----":
        assert (answer.state, machine.state) == (state, state)
        assert answer.refused.startswith(f"{event.value} is not allowed while {state.value}: ")
    else:
        assert answer.refused == ""
        assert answer.state is machine.state is NAMES[expected]


@pytest.mark.parametrize("state", State, ids=lambda one: one.name)
def test_a_stop_is_taken_in_every_state_and_its_reason_kept(state: State) -> None:
    machine = brought_to(state)
    machine.fire(E.STOP, 1.0, "the red button")
    assert machine.state is S.FAULT
    assert MOTION[machine.state] is Motion.STILL, "not a retraction: a person may hold the probe"
    assert "the red button" in machine.reasons
    assert not machine.enabled


def test_enable_needs_a_session_that_commands() -> None:
    machine = StateMachine(0.0)
    assert "commanding session" in machine.fire(E.ENABLE, 0.0).refused
    machine.fire(E.COMMANDING_BEGINS, 0.0)
    machine.fire(E.COMMANDING_ENDS, 0.0)
    assert "commanding session" in machine.fire(E.ENABLE, 0.0).refused
    machine.fire(E.COMMANDING_BEGINS, 0.0)
    assert machine.fire(E.ENABLE, 0.0).state is S.ENABLED


def test_a_session_that_began_during_a_fault_is_there_after_it() -> None:
    machine = brought_to(S.STEPPING)
    machine.fire(E.COMMANDING_ENDS, 0.0, "quality POOR")
    assert machine.reasons == ("quality POOR",)
    machine.fire(E.COMMANDING_BEGINS, 1.0)
    machine.fire(E.CLEAR, 2.0)
    assert machine.fire(E.ENABLE, 3.0).state is S.ENABLED


def test_the_first_reason_stays_in_front_and_each_is_kept_once_until_cleared() -> None:
    machine = brought_to(S.STEPPING)
    machine.violate([broken("force", Reaction.RETRACT, "force 6 N"), broken("torque", Reaction.RETRACT)], 1.0)
    for value in (7, 8, 9):
        machine.violate([broken("force", Reaction.RETRACT, f"force {value} N")], 1.1)
    machine.fire(E.RETRACTED, 2.0)
    machine.fire(E.STOP, 3.0, "the red button")
    machine.fire(E.STOP, 3.1, "the red button")
    assert machine.reasons == ("force 6 N", "torque broken", "the red button")
    machine.fire(E.CLEAR, 4.0)
    assert machine.reasons == ()


def test_of_several_violations_the_gravest_leads() -> None:
    for others, state in (
        ((), S.IN_CONTACT),
        ((Reaction.RETRACT,), S.FAULT_RETRACTING),
        ((Reaction.RETRACT, Reaction.STOP), S.FAULT),
    ):
        machine = brought_to(S.STEPPING)
        reactions = [Reaction.HOLD, *others]
        answer = machine.violate([broken(f"limit {one}", one) for one in reactions], 0.0)
        assert (answer.state, answer.refused) == (state, "")


def test_what_ends_a_motion_without_a_fault_is_told_until_the_next_motion() -> None:
    machine = brought_to(S.STEPPING)
    machine.violate([broken("frame_age", Reaction.HOLD, "no frame for 0.6 s")], 0.0)
    assert (machine.state, machine.note, machine.reasons) == (S.IN_CONTACT, "no frame for 0.6 s", ())
    machine.fire(E.STEP, 1.0)
    assert machine.note == ""
    machine.fire(E.LOST_CONTACT, 2.0, "over the edge")
    assert (machine.state, machine.note, machine.reasons) == (S.RETRACTING, "over the edge", ())


@pytest.mark.parametrize("state", DEADLINES, ids=lambda one: one.name)
def test_what_is_to_end_by_itself_has_a_deadline(state: State) -> None:
    after = NAMES[EXPECTED[E.TIMEOUT].split()[COLUMNS.index(state)]]
    for late in (DEADLINES[state], math.nan):
        machine = brought_to(state)
        assert machine.tick(DEADLINES[state] - 0.001).state is state
        assert machine.tick(late).state is after
        told = (*machine.reasons, machine.note)
        assert f"{state.value} for more than {DEADLINES[state]:g} s" in told


@pytest.mark.parametrize("state", [one for one in State if one not in DEADLINES], ids=lambda one: one.name)
def test_the_others_last(state: State) -> None:
    assert brought_to(state).tick(1e9).state is state


def test_a_deadline_counts_from_the_last_change_of_state() -> None:
    machine = brought_to(S.IN_CONTACT)
    machine.fire(E.STEP, 100.0)
    assert machine.tick(107.9).state is S.STEPPING
    assert machine.tick(108.0).state is S.IN_CONTACT


@pytest.mark.parametrize(("state", "reaction"), [(S.RETRACTING, Reaction.HOLD), (S.FAULT_RETRACTING, Reaction.RETRACT)])
def test_violations_that_last_do_not_put_off_a_deadline(state: State, reaction: Reaction) -> None:
    machine = brought_to(state)
    for now in range(10):
        assert machine.violate([broken("limit", reaction)], float(now)).state is state
    assert machine.tick(10.0).state is S.FAULT


def test_given_deadlines_take_effect() -> None:
    machine = StateMachine(0.0, {S.APPROACHING: 1.0})
    for event in WAYS[S.APPROACHING]:
        machine.fire(event, 0.0)
    assert machine.tick(1.0).state is S.RETRACTING


EVENTS = st.lists(st.sampled_from(Event), max_size=40)


@given(before=EVENTS, after=EVENTS)
def test_after_a_stop_nothing_moves_without_clear_and_then_enable(before: list[Event], after: list[Event]) -> None:
    machine = StateMachine(0.0)
    for event in before:
        machine.fire(event, 0.0)
    machine.fire(E.STOP, 0.0)
    done: list[Event] = []
    for event in after:
        if machine.fire(event, 0.0).refused == "":
            done.append(event)
        if machine.enabled:
            assert E.CLEAR in done
            assert E.ENABLE in done[done.index(E.CLEAR) :]
            return


@given(EVENTS)
def test_a_fault_is_left_by_clear_alone_and_always_has_a_reason(events: list[Event]) -> None:
    machine = StateMachine(0.0)
    for event in events:
        before = machine.state
        machine.fire(event, 0.0)
        if before is S.FAULT and machine.state is not S.FAULT:
            assert (event, machine.state) == (E.CLEAR, S.IDLE)
        if before is S.FAULT_RETRACTING:
            assert machine.state in (S.FAULT_RETRACTING, S.FAULT), "no way round the fault"
        assert bool(machine.reasons) == (machine.state in (S.FAULT, S.FAULT_RETRACTING))


@given(EVENTS)
def test_nothing_is_enabled_without_a_commanding_session(events: list[Event]) -> None:
    machine, commanding = StateMachine(0.0), False
    for event in events:
        if machine.fire(event, 0.0).refused == "" and event in (E.COMMANDING_BEGINS, E.COMMANDING_ENDS):
            commanding = event is E.COMMANDING_BEGINS
        assert commanding or not machine.enabled
        assert machine.enabled or machine.state not in MOVING


@given(EVENTS, st.lists(st.sampled_from(Reaction), min_size=1))
def test_violations_are_never_refused(events: list[Event], reactions: list[Reaction]) -> None:
    machine = StateMachine(0.0)
    for event in events:
        machine.fire(event, 0.0)
    before = machine.state
    answer = machine.violate([broken(f"limit {one}", one) for one in reactions], 0.0)
    assert answer.refused == ""
    assert max(reactions) is Reaction.HOLD or before is S.FAULT or answer.state in (S.FAULT, S.FAULT_RETRACTING)


def test_a_stop_from_another_thread_is_never_lost() -> None:
    """Without the lock a transition that began before the stop would overwrite it."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            machine, go = brought_to(S.IN_CONTACT), threading.Event()

            def stop(machine: StateMachine = machine, go: threading.Event = go) -> None:
                go.wait(5.0)
                machine.fire(E.STOP, 0.0)

            thread = threading.Thread(target=stop)
            thread.start()
            go.set()
            while thread.is_alive():
                machine.fire(E.STEP, 0.0)
                machine.fire(E.STEP_DONE, 0.0)
            thread.join()
            assert machine.state is S.FAULT
    finally:
        sys.setswitchinterval(switch)


def test_every_state_has_a_motion_and_those_that_hold_still_feed_nothing_forward() -> None:
    assert set(MOTION) == set(TRANSITIONS) == set(State)
    assert {state for state, motion in MOTION.items() if motion is Motion.STILL} == {S.IDLE, S.ENABLED, S.FAULT}
