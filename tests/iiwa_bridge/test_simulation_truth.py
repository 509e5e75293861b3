"""What is truly so of a simulated probe, by states that are known; and where the arm stands at first."""

import numpy as np
import pytest
from iiwa_bridge.description.grid import bin_centre
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import ArmState
from iiwa_bridge.simulation.simulated_robot import start_above
from iiwa_bridge.simulation.truth import Truth, truth_of

LAYOUT, ARM = load_layout(), Arm()
TO_PATIENT = np.linalg.inv(LAYOUT.patient)


def truth(on_patient: tuple[float, ...] = (0.0,) * 6, rise: float = 0.0) -> Truth:
    q = LAYOUT.start
    felt = ARM.contact_torque(q, -np.array(on_patient))
    state = ArmState(q, np.zeros(7), felt, ARM.pose(q), np.array(on_patient[:3]), rise)
    return truth_of(state, ARM, TO_PATIENT)


def test_in_the_air_the_pose_is_that_over_the_patient_and_nothing_is_felt() -> None:
    found = truth()
    np.testing.assert_allclose(found.pose, TO_PATIENT @ ARM.pose(LAYOUT.start), atol=1e-12)
    assert not found.contact and not found.wrench.any()


@pytest.mark.parametrize("rise", [0.004, -0.02])
def test_a_back_that_has_risen_is_a_probe_that_is_nearer(rise: float) -> None:
    shift = truth(rise=rise).pose - truth().pose
    assert shift[2, 3] == pytest.approx(rise)
    shift[2, 3] = 0.0
    assert not shift.any()


def test_the_wrench_is_that_on_the_patient() -> None:
    pressed = (0.2, -0.1, 1.5, 0.01, -0.02, 0.005)
    found = truth(pressed)
    assert found.contact
    # The arm tells torques about its joints; back at the probe they lose 0.1 %.
    assert found.wrench == pytest.approx(pressed, rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("start", ["0,0", "0,14", "10,0", "10,14", "5,7"])
def test_the_arm_stands_above_the_bin_as_high_and_upright_as_at_its_start(start: str) -> None:
    over = TO_PATIENT @ ARM.pose(start_above(start, LAYOUT, ARM))
    middle = TO_PATIENT @ ARM.pose(LAYOUT.start)
    assert tuple(over[:2, 3]) == pytest.approx(bin_centre(start), abs=1e-5)
    middle[:2, 3] = over[:2, 3]
    np.testing.assert_allclose(over, middle, atol=1e-5)


def test_without_a_bin_it_stands_as_the_layout_has_it() -> None:
    assert start_above("", LAYOUT, ARM) is LAYOUT.start
