"""The bridge in lock-step as a product: what is lost on the wire, what does not end, and what its robot tells."""

from types import SimpleNamespace

import numpy as np
import pytest
from iiwa_bridge.lockstep import LockStep, LockStepError, Losses, Witness, sample_losses
from iiwa_bridge.lockstep_robot import PERIOD, LockStepRobot, _gaps
from support.bridge_rig import LAYOUT, NEAR, back, plant_of
from us_grid_sim.world.motion import Motion


def test_losses_are_the_seeds_and_come_again_after_a_minute() -> None:
    losses = sample_losses(0.05, seed=3)
    assert (losses.lost == sample_losses(0.05, seed=3).lost).all()
    assert (losses.lost != sample_losses(0.05, seed=4).lost).any()
    assert losses.lost.mean(axis=0) == pytest.approx([0.05, 0.05], abs=0.01)
    assert losses.of(7) == losses.of(7 + round(60.0 / PERIOD))


@pytest.mark.parametrize(("share", "lost"), [(0.0, False), (1.0, True)])
def test_nothing_or_all_is_lost(share: float, lost: bool) -> None:
    assert (sample_losses(share, seed=0).lost == lost).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(LockStepError, match="of the datagrams is lost; expected 0 to 1"):
        sample_losses(share, seed=0)


def test_message_and_answer_are_lost_each_on_its_own() -> None:
    losses = Losses(np.array([[True, False], [False, True]]))
    assert [losses.of(cycle) for cycle in range(3)] == [(True, False), (False, True), (True, False)]


def test_what_is_lost_is_missed_on_the_side_that_it_was_meant_for() -> None:
    bridge = LockStep(Witness(plant_of("rigid", back(height=NEAR), Motion())))
    bridge.go(0.1)
    bridge.cycle(lost=True)
    bridge.cycle(answer_lost=True)
    bridge.cycle()
    assert bridge.client.counts.missed == 1
    assert bridge.controller.counts.unanswered == 2
    bridge.close()


def test_an_order_that_does_not_end_is_given_up_in_the_controllers_time() -> None:
    bridge = LockStep(Witness(plant_of("rigid", back(height=NEAR), Motion())))
    with pytest.raises(LockStepError, match=r"order 99 has not ended after 0\.1 s; the machine is idle"):
        bridge.done(99, seconds=0.1)
    assert bridge.now() == pytest.approx(0.1)
    bridge.close()


def test_time_and_peak_are_those_since_the_plants_reset() -> None:
    witness = Witness(plant_of("rigid", back(height=NEAR), Motion()))
    bridge = LockStep(witness)
    bridge.go(0.02)
    assert witness.time == pytest.approx(0.02)
    witness.peak = 9.0
    witness.reset(witness.state.position)
    assert (witness.time, witness.peak) == (0.0, 0.0)
    bridge.close()


@pytest.mark.parametrize(
    ("without", "lengths"),
    [
        ("", []),
        ("." * 40, []),
        ("x" * 19, []),
        ("x" * 20, [20]),
        ("." + "x" * 25 + "." + "x" * 5 + "." + "x" * 30, [25, 30]),
    ],
)
def test_contact_is_lost_where_no_force_is_felt_for_a_tenth_of_a_second(without: str, lengths: list[int]) -> None:
    assert _gaps(np.array([each == "x" for each in without], dtype=bool)) == lengths


def test_the_robots_pose_is_that_over_the_body_as_it_lies_now() -> None:
    plant = plant_of("rigid", back(height=NEAR), Motion())
    robot = LockStepRobot(SimpleNamespace(make_plant=lambda *parts: plant, contact_force=1.0, packet_loss=0.0, seed=0))
    over = np.eye(4)
    over[:3, 3] = 0.02, -0.04, 0.01
    robot._witness.state = SimpleNamespace(tool=LAYOUT.patient @ over, rise=0.004)  # type: ignore[assignment]
    assert robot.pose[:3, 3] == pytest.approx([0.02, -0.04, 0.014]), "a back that has risen has the probe deeper in it"
    robot.close()
