"""Faults of the whole, in lock-step over the mock: each ends in a stated state, the true force below 5 N throughout."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from iiwa_bridge.kinematics.inverse import JointStep
from iiwa_bridge.orders import FrameSeen
from iiwa_bridge.robot import ConnectionQuality, SessionState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand
from support.bridge_rig import NEAR, PERIOD, Rig, back, plant_of, ready_rig
from us_grid_sim.world.motion import Motion, Movement

MOST = 5.0
"""True force on the patient that no fault may reach [N]."""


def amid_a_step(rig: Rig) -> Rig:
    assert rig.touch().reached
    rig.go(1.0)
    rig.order(Event.STEP, StepCommand(0.02, 0.0, 1.5))
    rig.go(0.4)
    assert rig.state is State.STEPPING
    return rig


@cache
def stepping_once() -> Rig:
    return amid_a_step(ready_rig())


def stepping() -> Rig:
    """A bridge amid a step; the way there is simulated once, and each test gets its copy."""
    return stepping_once().copy()


def stands(rig: Rig) -> None:
    """The arm is sent nowhere, and nothing is fed forward."""
    began = len(rig.trace.sent)
    rig.go(0.5)
    assert np.ptp(np.array(rig.trace.sent[began:]), axis=0).max() == 0.0
    wrench = rig.controller.command.wrench
    assert wrench is None or not wrench.any()
    assert rig.peak < MOST


def test_five_percent_loss_is_lived_through() -> None:
    rig, draw = stepping(), np.random.default_rng(5).random
    for _ in range(round(3.0 / PERIOD)):
        rig.cycle(lost=draw() < 0.05)
    assert rig.report.ended[-1].reached
    assert (rig.state, rig.peak < MOST) == (State.IN_CONTACT, True)


def test_twenty_percent_loss_each_way_ends_in_a_fault_with_the_reason() -> None:
    rig, draw = stepping(), np.random.default_rng(6).random
    for _ in range(round(2.0 / PERIOD)):
        rig.cycle(lost=draw() < 0.36)
    assert rig.state is State.FAULT
    assert "quality" in rig.report.reasons[0]
    assert not rig.controller.commanding
    assert rig.peak < MOST


def test_a_stall_of_50_ms_is_lived_through_and_nothing_jumps() -> None:
    rig = stepping()
    for _ in range(10):
        rig.cycle(lost=True)
    rig.go(2.5)
    assert rig.report.ended[-1].reached
    assert rig.report.cuts == 0
    assert rig.peak < MOST


def test_a_silent_bridge_is_stopped_by_the_controller_within_100_ms() -> None:
    rig = stepping()
    silent = rig.controller.time
    while rig.controller.commanding:
        rig.cycle(lost=True)
    assert rig.controller.time - silent <= 0.1
    rig.go(1.0)
    assert rig.state is State.FAULT
    stands(rig)


def test_after_the_controller_was_started_again_the_operator_goes_on_from_where_the_probe_is() -> None:
    rig = stepping()
    rig.restart()
    for _ in range(25):
        rig.cycle(lost=True)
    rig.until(State.FAULT)
    assert "the controller ended the motion" in rig.report.reasons[0]
    rig.go(1.5)
    assert rig.controller.session is SessionState.COMMANDING_ACTIVE
    for event in (Event.CLEAR, Event.ENABLE, Event.RETRACT):
        assert rig.done(rig.order(event)).reached
    assert rig.witness.force == 0.0
    assert rig.touch().reached
    assert rig.peak < MOST


@pytest.mark.parametrize(
    ("motion", "said"), [(np.full(7, np.nan), "position holds nan"), (np.full(7, 0.5), "jumps at")], ids=["nan", "jump"]
)
def test_nan_and_jumps_are_not_sent(motion: np.ndarray, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = stepping()
    monkeypatch.setattr(rig.loop._inverse, "step", lambda *_: JointStep(motion, 1.0, 1.0))
    sent = rig.trace.sent[-1]
    rig.until(State.FAULT, seconds=0.1)
    assert said in rig.report.reasons[0]
    assert np.isfinite(np.array(rig.trace.sent)).all()
    assert np.abs(rig.trace.sent[-1] - sent).max() < 1e-2
    assert rig.controller.session is SessionState.COMMANDING_ACTIVE
    stands(rig)


def test_a_way_out_of_the_workspace_is_cut_at_its_side() -> None:
    rig = stepping()
    rig.until(State.IN_CONTACT)
    rig.done(rig.order(Event.RETRACT))
    for _ in range(12):
        rig.done(rig.order(Event.RETRACT))
    assert rig.report.cuts > 0
    assert min(pose[2, 3] for pose in rig.trace.poses) == pytest.approx(-0.20, abs=2e-3)
    assert rig.peak < MOST


def test_a_person_who_moves_20_mm_towards_the_probe_within_a_second() -> None:
    rig = Rig(plant_of("rigid", back(height=NEAR), Motion(movement=Movement(0.02, 5.0, 1.0))))
    rig.ready()
    amid_a_step(rig)
    assert rig.controller.time < 5.0
    rig.go(6.5 - rig.controller.time)
    assert rig.state in (State.IN_CONTACT, State.STEPPING, State.RETRACTING, State.FAULT)
    assert 2.5 < rig.peak < MOST


@pytest.mark.parametrize(
    ("force", "why", "ends"),
    [
        (0.8, "no contact within 10 mm", State.ENABLED),
        (1.5, r"approach_speed 0\.01[5-9]\d* m/s, at most 0\.015", State.FAULT),
    ],
    ids=["searched, given up and lifted", "thrown out by the spring faster than the monitor allows"],
)
def test_over_an_edge_the_probe_leaves_the_skin(force: float, why: str, ends: State) -> None:
    rig = Rig(plant_of("rigid", back(height=NEAR, edge=0.012), Motion()))
    rig.ready()
    assert rig.touch(force=force).reached
    rig.go(1.0)
    ended = rig.step(0.03, 0.0, force)
    assert ended.failed
    assert re.fullmatch(why, ended.reason)
    rig.go(5.0)
    assert (rig.state, rig.witness.force) == (ends, 0.0)
    assert rig.peak < MOST


def test_a_frozen_image_source_ends_the_step_and_keeps_the_force() -> None:
    rig = stepping()
    number = rig.report.ended[-1].number + 1
    rig.loop.take(FrameSeen(rig.now()))
    ended = rig.done(number)
    assert ended.failed
    assert ended.reason.startswith("frame_age 0.5")
    rig.go(2.0)
    assert rig.state is State.IN_CONTACT
    assert rig.witness.along == pytest.approx(1.5, abs=0.4)
    rig.loop.take(FrameSeen(None))
    assert rig.step(0.0, 0.01).reached


def rigs() -> Iterator[tuple[State, Rig]]:
    """A bridge in each state from which an operator may stop it."""
    rig = Rig(plant_of("rigid", back(height=NEAR), Motion()))
    rig.go(1.0)
    yield State.IDLE, rig
    yield State.ENABLED, ready_rig()
    rig = ready_rig()
    rig.order(Event.STEP, StepCommand(0.0, 0.0, 1.5))
    rig.go(0.3)
    yield State.APPROACHING, rig
    yield State.STEPPING, stepping()
    rig = stepping()
    rig.until(State.IN_CONTACT)
    yield State.IN_CONTACT, rig
    rig = stepping()
    rig.order(Event.RETRACT)
    rig.go(0.2)
    yield State.RETRACTING, rig
    rig = stepping()
    pressed = rig.robot.external_torque + rig.cell._arm.contact_torque(rig.robot.position, [0, 0, -9.0, 0, 0, 0])
    rig.spoil = lambda state: replace(state, external_torque=pressed + 1e-3 * state.external_torque)
    rig.go(0.02)
    yield State.FAULT_RETRACTING, rig
    rig = stepping()
    rig.order(Event.STOP)
    rig.cycle()
    yield State.FAULT, rig


def test_the_emergency_stop_holds_in_every_state() -> None:
    seen = set()
    for state, rig in rigs():
        assert rig.state is state
        seen.add(state)
        rig.order(Event.STOP, reason="the operator's word")
        rig.cycle()
        assert rig.state is State.FAULT
        assert "the operator's word" in " ".join(rig.report.reasons)
        rig.cycle()
        stands(rig)
    assert seen == set(State)


def test_a_force_above_5_n_retracts_and_ends_in_fault() -> None:
    """The estimate is false, so the true force stays low; what counts is the answer."""
    rig = stepping()
    extra = rig.cell._arm.contact_torque(rig.robot.position, np.array([0.0, 0.0, -6.0, 0.0, 0.0, 0.0]))
    rig.spoil = lambda state: replace(state, external_torque=state.external_torque + extra)
    rig.until(State.FAULT_RETRACTING, seconds=0.1)
    assert any(reason.startswith("force ") for reason in rig.report.reasons)
    rig.until(State.FAULT)
    assert rig.witness.force == 0.0
    stands(rig)


def test_a_bad_connection_that_the_controller_bears_stops_the_bridge() -> None:
    rig = stepping()
    rig.spoil = lambda state: replace(state, quality=ConnectionQuality.FAIR)
    rig.cycle()
    assert rig.state is State.FAULT
    assert rig.report.reasons == ("quality FAIR, expected GOOD or better",)
    rig.spoil = lambda state: state
    stands(rig)


def test_a_loop_that_was_held_up_for_longer_than_a_command_may_be_old_stands() -> None:
    rig = stepping()
    rig.delay = 0.2
    rig.cycle()
    assert rig.state is State.FAULT
    assert any(reason.startswith("command_age") for reason in rig.report.reasons)
