"""The bridge in lock-step as a product: what is lost on the wire, what does not end, and what its robot tells."""

from types import SimpleNamespace

import numpy as np
import pytest
from iiwa_bridge.lockstep import LockStep, LockStepError, Witness
from iiwa_bridge.lockstep_robot import LockStepRobot, _gaps
from support.bridge_rig import LAYOUT, NEAR, back, plant_of
from us_grid_sim.world.motion import Motion


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
