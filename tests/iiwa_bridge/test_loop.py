"""The whole bridge in lock-step over a simulated arm: what it is for, and that every order ends with its reason."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from iiwa_bridge.config import BridgeConfig, iiwa_probe
from iiwa_bridge.robot import ControlMode, SessionState
from iiwa_bridge.safety.limits import Workspace
from iiwa_bridge.safety.machine import DEADLINES, Event, State
from iiwa_bridge.types import StepCommand
from support.bridge_rig import NEAR, PERIOD, Rig, back, plant_of, ready_rig
from us_grid_sim.world.motion import Breathing, Motion
from us_grid_sim.world.skin import Skin


def near() -> Rig:
    """A bridge without a session yet, over a back that lies near."""
    return Rig(plant_of("rigid", back(height=NEAR), Motion()))


@pytest.mark.parametrize(
    ("kind", "stiffness", "seed", "breath"),
    [("rigid", 400.0, 7, 0.003), ("rigid", 3000.0, 11, 0.0), ("bullet", 1000.0, 3, 0.003)],
)
def test_touch_hold_step_and_retract(kind: str, stiffness: float, seed: int, breath: float, tmp_path: Path) -> None:
    motion = Motion(Breathing(breath, 0.25)) if breath else Motion()
    rig = Rig(plant_of(kind, back(stiffness, NEAR, 0.3), motion, tmp_path), seed=seed)
    rig.ready()
    assert rig.touch(force=1.5).reached
    rig.go(3.0)
    began = len(rig.trace.forces)
    rig.go(2.0)
    resting = np.array(rig.trace.forces[began:]) - 1.5
    assert np.sqrt(np.mean(resting**2)) < (0.25 if breath else 0.1)
    assert (rig.state, rig.report.contact) == (State.IN_CONTACT, True)
    before, time = rig.witness.pose, rig.controller.time
    assert rig.step(0.0, 0.02).reached
    assert rig.controller.time - time < 3.0
    assert rig.witness.pose[:2, 3] - before[:2, 3] == pytest.approx([0.0, 0.02], abs=1e-3)
    assert rig.peak < 2.5
    assert rig.done(rig.order(Event.RETRACT)).reached
    assert (rig.state, rig.witness.force) == (State.ENABLED, 0.0)
    assert rig.controller.session is SessionState.COMMANDING_ACTIVE
    rig.close()


def test_the_air_is_crossed_within_a_millimetre_and_half_a_degree_of_the_way_that_was_sent() -> None:
    rig = ready_rig()
    began = len(rig.trace.poses)
    touched = rig.touch(0.06, -0.05)
    assert touched.reached, touched.reason
    assert rig.witness.pose[:2, 3] == pytest.approx([0.06, -0.05], abs=1e-3)
    crossing = range(began, began + round(4.0 / PERIOD))
    sensing = rig.loop._sensing
    error = [sensing.over_patient(rig.trace.sent[i])[:3, 3] - rig.trace.poses[i][:3, 3] for i in crossing]
    assert np.sqrt(np.mean(np.sum(np.square(error), axis=1))) < 1e-3
    assert rig.peak < 2.5


def test_a_step_in_the_air_first_touches_where_the_probe_is() -> None:
    rig = ready_rig()
    number = rig.order(Event.STEP, StepCommand(0.01, 0.0, 1.0))
    rig.until(State.STEPPING)
    assert rig.witness.pose[:2, 3] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert rig.done(number).reached
    assert rig.witness.pose[:2, 3] == pytest.approx([0.01, 0.0], abs=1e-3)


def test_what_must_not_be_asked_for_is_refused_with_a_reason_and_moves_nothing() -> None:
    rig = near()
    rig.go(1.6)
    assert "tare first" in rig.done(rig.order(Event.ENABLE)).reason
    assert "enable first" in rig.step(0.01, 0.0).reason
    rig.ready()
    for step, reason in (
        ((0.04, 0.0, 1.0), "step of 40.0 mm; at most 30 mm"),
        ((float("nan"), 0.0, 1.0), "not finite"),
        ((0.01, 0.0, 2.1), "contact force 2.1 N"),
        ((0.01, 0.0, 0.0), "contact force 0 N"),
    ):
        ended = rig.step(*step)
        assert (ended.reached, ended.failed) == (False, True)
        assert reason in ended.reason
    assert "beyond the border" in rig.touch(0.2, 0.0).reason
    assert rig.state is State.ENABLED
    assert np.ptp(np.array(rig.trace.sent[-200:]), axis=0).max() == 0.0
    assert "without a commanding session" in without_session(rig)


def without_session(rig: Rig) -> str:
    rig.restart()
    for _ in range(25):
        rig.cycle(lost=True)
    rig.until(State.FAULT)
    rig.done(rig.order(Event.CLEAR))
    return rig.done(rig.order(Event.ENABLE)).reason


def test_steps_come_one_at_a_time() -> None:
    rig = ready_rig()
    rig.touch()
    first = rig.order(Event.STEP, StepCommand(0.01, 0.0, 1.5))
    rig.cycle()
    assert "not allowed while stepping" in rig.step(0.01, 0.0).reason
    assert rig.done(first).reached


def test_a_border_holds_a_step_back_without_failing_it() -> None:
    rig = ready_rig()
    assert rig.touch(0.0, 0.095).reached
    ended = rig.step(0.0, 0.02)
    assert (ended.reached, ended.failed) == (False, False)
    assert "border" in ended.reason
    assert rig.witness.pose[1, 3] == pytest.approx(0.101, abs=1e-3)


def test_a_step_that_a_limit_holds_up_says_which_one_it_was() -> None:
    x = np.linspace(-0.17, 0.17, 171)
    falling = np.broadcast_to(NEAR + 0.4 * np.maximum(x, 0.0)[:, None], (171, 171))
    skin = Skin(falling, np.full_like(falling, 1e3), 1000.0, (-0.17, -0.17), float(x[1] - x[0]))
    config = replace(BridgeConfig(), workspace=Workspace(upper=(0.15, 0.11, NEAR + 0.006)))
    rig = Rig(plant_of("rigid", skin, Motion()), config)
    rig.ready()
    assert rig.touch(0.0, 0.0).reached
    ended = rig.step(0.02, 0.0)
    assert ended.failed
    assert re.fullmatch(r"ended \d+\.\d mm from where it was to end; held up by workspace along z: .*", ended.reason)
    assert rig.peak < 2.5
    rig.close()


def test_a_retraction_ends_the_step_under_way_and_says_so() -> None:
    rig = ready_rig()
    rig.touch()
    step = rig.order(Event.STEP, StepCommand(0.02, 0.0, 1.5))
    rig.go(0.5)
    lift = rig.order(Event.RETRACT)
    assert rig.done(lift).reached
    (ended,) = [each for each in rig.report.ended if each.number == step]
    assert (ended.failed, ended.reason) == (True, "retract")


def test_nothing_to_touch_is_given_up_and_the_probe_goes_up_again() -> None:
    probe = iiwa_probe()
    given_up = probe.force.approach_distance / probe.force.approach_speed
    assert given_up < DEADLINES[State.APPROACHING], "it is told that nothing was there, not that time was up"
    config = BridgeConfig(probe_control=replace(probe, force=replace(probe.force, approach_distance=0.020)))
    rig = Rig(plant_of("rigid", back(height=0.2), Motion()), config)
    rig.ready()
    ended = rig.touch()
    assert ended.failed
    assert ended.reason == "no contact within 20 mm"
    rig.until(State.ENABLED)


def test_a_tare_takes_the_weight_that_the_load_data_leave_out_and_refuses_a_press() -> None:
    rig = ready_rig()
    rig.touch()
    assert "not allowed while in contact" in rig.done(rig.order(Event.TARE)).reason
    pressed = Rig(plant_of("rigid", back(stiffness=2000.0, height=-0.06), Motion()))
    pressed.go(2.5)
    assert "the probe in the air" in pressed.done(pressed.order(Event.TARE)).reason
    assert not pressed.report.tared


def test_in_position_control_nothing_is_enabled() -> None:
    rig = near()
    rig.go(2.5)
    rig.done(rig.order(Event.TARE))
    rig.spoil = lambda state: replace(state, control=ControlMode.POSITION)
    assert "expected CARTESIAN_IMPEDANCE and WRENCH" in rig.done(rig.order(Event.ENABLE)).reason


def test_the_same_seed_gives_the_same_run() -> None:
    def run() -> bytes:
        rig = near()
        rig.ready()
        rig.touch()
        return np.array(rig.trace.sent).tobytes()

    assert run() == run()
