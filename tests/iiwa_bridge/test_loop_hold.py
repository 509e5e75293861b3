"""A hold ends a motion where the probe is, without a fault; what is held in contact keeps its force."""

from collections.abc import Iterator

import pytest
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand
from support.bridge_rig import Rig, ready_rig

REASON = "cancelled; the probe is held where it is"


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = ready_rig()
    yield rig
    rig.close()


def test_an_approach_that_is_held_stands_in_the_air_and_the_next_step_goes_on(rig: Rig) -> None:
    step = rig.order(Event.STEP, StepCommand(0.0, 0.0, 1.5))
    rig.go(0.3)
    assert rig.state is State.APPROACHING
    assert rig.done(rig.order(Event.HOLD, reason=REASON)).reached
    ended = rig.done(step)
    assert (ended.reached, ended.failed, ended.reason) == (False, True, REASON)
    assert (rig.state, rig.report.reasons) == (State.ENABLED, ())
    assert rig.step(0.0, 0.0).reached


def test_a_step_that_is_held_ends_with_its_reason_and_the_force_is_kept(rig: Rig) -> None:
    assert rig.touch().reached
    step = rig.order(Event.STEP, StepCommand(0.03, 0.0, 1.5))
    rig.go(0.8)
    rig.order(Event.HOLD, reason=REASON)
    ended = rig.done(step)
    assert (ended.reached, ended.failed, ended.reason) == (False, True, REASON)
    rig.go(3.0)
    assert (rig.state, rig.report.note) == (State.IN_CONTACT, REASON)
    assert rig.witness.along == pytest.approx(1.5, abs=0.3)
    assert 0.005 < rig.witness.pose[0, 3] < 0.025


def test_a_hold_is_refused_where_nothing_is_to_be_held(rig: Rig) -> None:
    rig.done(rig.order(Event.DISABLE))
    ended = rig.done(rig.order(Event.HOLD, reason=REASON))
    assert ended.reason == "hold is not allowed while idle: enable first"
