"""The compiled arithmetic of the simulated control, against the same in numpy, Pinocchio and scipy."""

import math

import numpy as np
import numpy.typing as npt
import pinocchio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics import servo
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.simulation import law
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]

ARM, START = Arm(), load_layout().start
STIFFNESS = np.array([3000.0, 3000.0, 300.0, 200.0, 200.0, 200.0])
SEEDS = st.integers(0, 2**32 - 1)

relaxed = settings(deadline=None, max_examples=60)


def direction(seed: int) -> Array:
    """A unit vector (3,)."""
    vector = np.random.default_rng(seed).normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


@relaxed
@given(SEEDS, st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 2.0, 3.0, math.pi - 1e-5]))
def test_a_rotation_vector_is_that_of_the_rotation(seed: int, angle: float) -> None:
    vector = angle * direction(seed)
    rotation = Rotation.from_rotvec(vector).as_matrix()
    assert law.rotation_vector(rotation) == pytest.approx(vector, abs=1e-13 if angle < 0.2 else 1e-10)
    # Pinocchio's is no more exact than this beside half a turn.
    assert law.rotation_vector(rotation) == pytest.approx(pinocchio.log3(rotation), abs=1e-12 if angle < 3.0 else 1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_half_a_turn_has_either_sign(axis: int) -> None:
    rotation = -np.eye(3)
    rotation[axis, axis] = 1.0
    assert np.abs(law.rotation_vector(rotation)) == pytest.approx(math.pi * np.eye(3)[axis], abs=1e-12)


@relaxed
@given(SEEDS)
def test_the_pose_error_is_that_of_the_servo(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose, target = (ARM.pose(START + rng.uniform(-0.5, 0.5, 7)) for _ in range(2))
    assert law.pose_error(pose, target) == pytest.approx(servo.pose_error(pose, target), abs=1e-12)


def test_the_null_space_takes_no_wrench_and_has_one_motion() -> None:
    jacobian, agility, mass = ARM.jacobian(START), ARM.agility(START), ARM.mass_matrix(START)
    damping, projector, idle_mass = law.posture_of(jacobian, agility, mass, STIFFNESS, 0.7)
    assert projector @ jacobian.T == pytest.approx(np.zeros((7, 6)), abs=1e-9)
    assert projector @ projector == pytest.approx(projector, abs=1e-9)
    assert jacobian @ agility @ projector == pytest.approx(np.zeros((6, 7)), abs=1e-9), "and moves the probe nowhere"
    idle = np.linalg.svd(jacobian)[2][6]
    assert idle_mass == pytest.approx(idle @ mass @ idle)
    assert damping == pytest.approx(damping.T)


@relaxed
@given(SEEDS)
def test_the_impedance_adds_what_its_equation_says(seed: int) -> None:
    """J^T (K e - D v + w) + N (k (q_d - q) - d dq)."""
    rng = np.random.default_rng(seed)
    q, velocity, wanted = START + rng.uniform(-0.2, 0.2, 7), rng.uniform(-1.0, 1.0, 7), START + 0.05
    wrench, damping, projector = rng.normal(size=6), rng.normal(size=(6, 6)), rng.normal(size=(7, 7))
    (pose, jacobian), target, before = ARM.look(q), ARM.pose(wanted), rng.normal(size=7)
    torque = before.copy()
    law.add_impedance(
        torque, q, velocity, pose, jacobian, wanted, target, wrench, STIFFNESS, damping, projector, 10.0, 2.0
    )
    force = STIFFNESS * servo.pose_error(pose, target) - damping @ jacobian @ velocity + wrench
    idle = projector @ (10.0 * (wanted - q) - 2.0 * velocity)
    assert torque - before == pytest.approx(jacobian.T @ force + idle, rel=1e-12, abs=1e-10)


def test_friction_takes_its_whole_against_a_motion_and_nothing_at_rest() -> None:
    torque, agility = np.ones(7), np.eye(7)
    velocity = np.array([1.0, -1.0, 0.0, 0.01, 1.0, -1.0, 0.0])
    law.rub(torque, velocity, agility, 0.3)
    assert 1.0 - torque == pytest.approx([0.3, -0.3, 0.0, 0.3 * math.tanh(1.0), 0.3, -0.3, 0.0])
    # A light joint, that a tick of friction would turn around, has a wider film: five times 0.3 N m for 1 ms.
    light = np.ones(7)
    law.rub(light, velocity, 100.0 * agility, 0.3)
    assert 1.0 - light[0] == pytest.approx(0.3 * math.tanh(1.0 / 0.15))
