"""The model of the arm: poses, Jacobian and dynamics against a product of transforms, finite differences, PyBullet."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.parameters import transform
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import robot_urdf, write_urdf
from iiwa_bridge.kinematics.arm import WRENCH_DAMPING, Arm
from iiwa_bridge.kinematics.servo import pose_error
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]

ARM = Arm()
LAYOUT = load_layout()
STRAIGHT = transform(np.array([0.0, 0.0, 0.2]), np.zeros(3))
# Of iiwa7.yaml's joints, origin [m] and axis in the parent's frame; then the flange.
CHAIN: list[tuple[tuple[float, float, float], tuple[int, int, int]]] = [
    ((0.0, 0.0, 0.1475), (0, 0, 1)),
    ((0.0, -0.0105, 0.1925), (0, 1, 0)),
    ((0.0, 0.0105, 0.2075), (0, 0, 1)),
    ((0.0, 0.0105, 0.1925), (0, -1, 0)),
    ((0.0, -0.0105, 0.2075), (0, 0, 1)),
    ((0.0, -0.0707, 0.1925), (0, 1, 0)),
    ((0.0, 0.0707, 0.091), (0, 0, 1)),
]
FLANGE = (0.0, 0.0, 0.035)

POSITIONS = arrays(np.float64, 7, elements=st.floats(-1.0, 1.0)).map(lambda share: share * ARM.limits.upper)
RATES = arrays(np.float64, 7, elements=st.floats(-2.0, 2.0))


def frames(q: Array) -> list[Array]:
    """Poses of lbr_link_0 to lbr_link_7 and lbr_link_ee in world, multiplied by hand."""
    poses = [np.eye(4)]
    for angle, (origin, axis) in zip(q, CHAIN, strict=True):
        local = np.eye(4)
        local[:3, :3] = Rotation.from_rotvec(angle * np.array(axis)).as_matrix()
        local[:3, 3] = origin
        poses.append(poses[-1] @ local)
    flange = np.eye(4)
    flange[:3, 3] = FLANGE
    return [*poses, poses[-1] @ flange]


def slope(function: Callable[[Array], Any], q: Array, step: float = 1e-6) -> Array:
    """Central differences of a function of the joint position, joints last."""
    return np.stack([(function(q + d) - function(q - d)) / (2.0 * step) for d in step * np.eye(7)], axis=-1)


@settings(max_examples=50, deadline=None)
@given(POSITIONS)
def test_the_pose_is_the_product_of_the_joints_transforms(q: Array) -> None:
    assert np.allclose(ARM.pose(q), frames(q)[-1] @ load_probe().tool, atol=1e-12)


def test_poses_known_by_hand() -> None:
    arm = Arm(replace(load_probe(), tool=STRAIGHT))
    straight_up = transform(np.array([0.0, 0.0, 1.266 + 0.2]), np.zeros(3))
    assert np.allclose(arm.pose(np.zeros(7)), straight_up, atol=1e-12)
    # A2 by 90 degrees: the arm lies along x at the height of the shoulder, the beam too.
    lying = arm.pose(np.array([0.0, math.pi / 2, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert np.allclose(lying[:3, 3], [0.926 + 0.2, 0.0, 0.34], atol=1e-12)
    assert np.allclose(lying[:3, 2], [1.0, 0.0, 0.0], atol=1e-12)
    # Elbow and wrist by 90 degrees: upper arm up, forearm along x, beam down; then A1 turns that by 90 degrees.
    bent = arm.pose(np.array([math.pi / 2, 0.0, 0.0, -math.pi / 2, 0.0, math.pi / 2, 0.0]))
    assert np.allclose(bent[:3, 3], [0.0, 0.4, 0.74 - 0.326], atol=1e-12)
    assert np.allclose(bent[:3, 2], [0.0, 0.0, -1.0], atol=1e-12)


def test_the_arm_starts_50_mm_above_the_middle_of_the_grid_with_the_beam_down_and_the_elbow_up() -> None:
    over_the_grid = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, -0.05], [0, 0, 0, 1.0]])
    error = pose_error(ARM.pose(LAYOUT.start), LAYOUT.patient @ over_the_grid)
    assert np.linalg.norm(error[:3]) < 1e-4
    assert np.linalg.norm(error[3:]) < 1e-4
    shoulder, elbow, wrist = (frames(LAYOUT.start)[number][:3, 3] for number in (2, 4, 6))
    assert elbow[2] > max(shoulder[2], wrist[2])


@settings(max_examples=25, deadline=None)
@given(POSITIONS)
def test_the_jacobian_is_the_slope_of_the_pose_in_the_probes_axes(q: Array) -> None:
    turn = ARM.pose(q)[:3, :3]
    linear = turn.T @ slope(lambda p: ARM.pose(p)[:3, 3], q)
    skew = np.einsum("ji,jkn->ikn", turn, slope(lambda p: ARM.pose(p)[:3, :3], q))
    angular = np.stack((skew[2, 1], skew[0, 2], skew[1, 0]))
    assert np.allclose(ARM.jacobian(q), np.concatenate((linear, angular)), atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(POSITIONS)
def test_gravity_is_the_slope_of_the_potential_energy(q: Array) -> None:
    robot = ET.fromstring(robot_urdf(load_probe()))
    links = [robot.find(f"link[@name='lbr_link_{name}']/inertial") for name in (*range(8), "ee")]

    def energy(p: Array) -> float:
        total = 0.0
        for pose, inertial in zip(frames(p), links, strict=True):
            center = np.array([float(number) for number in inertial.find("origin").get("xyz").split()])
            total += 9.81 * float(inertial.find("mass").get("value")) * float((pose[:3, :3] @ center + pose[:3, 3])[2])
        return total

    # The milligram at us_probe is not in the sum.
    assert np.allclose(ARM.gravity(q), slope(energy, q), atol=2e-5)


@settings(max_examples=50, deadline=None)
@given(POSITIONS)
def test_the_mass_matrix_is_symmetric_and_positive_definite(q: Array) -> None:
    inertia = ARM.mass_matrix(q)
    assert np.array_equal(inertia, inertia.T)
    assert np.linalg.eigvalsh(inertia)[0] > 1e-4


@settings(max_examples=25, deadline=None)
@given(POSITIONS, RATES, RATES)
def test_the_equation_of_motion_holds_and_coriolis_forces_only_turn_energy_over(q: Array, v: Array, a: Array) -> None:
    torque = ARM.mass_matrix(q) @ a + ARM.bias(q, v)
    assert np.allclose(ARM.inverse_dynamics(q, v, a), torque, atol=1e-9)
    assert np.allclose(ARM.bias(q, np.zeros(7)), ARM.gravity(q), atol=1e-12)
    rate = slope(ARM.mass_matrix, q) @ v
    assert v @ (ARM.bias(q, v) - ARM.gravity(q)) == pytest.approx(0.5 * v @ rate @ v, abs=1e-6)


def test_a_push_of_the_tissue_is_known_by_hand() -> None:
    # 2 N upwards at the probe, 0.61 m before the base: no torque about the vertical A1, 1.22 N m against A2.
    torque = ARM.contact_torque(LAYOUT.start, np.array([0.0, 0.0, -2.0, 0.0, 0.0, 0.0]))
    assert torque[:2] == pytest.approx([0.0, -1.22], abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(POSITIONS, arrays(np.float64, 6, elements=st.floats(-10.0, 10.0)))
def test_the_external_wrench_explains_the_torque_of_a_wrench(q: Array, wrench: Array) -> None:
    found = ARM.external_wrench(q, ARM.contact_torque(q, wrench))
    left, values, _ = np.linalg.svd(ARM.jacobian(q))
    kept = values**2 / (values**2 + WRENCH_DAMPING**2)
    assert np.allclose(found, left @ (kept * (left.T @ wrench)), atol=1e-6)


def test_over_the_patient_the_damping_of_the_wrench_is_not_felt() -> None:
    wrench = np.array([0.3, -0.4, -2.0, 0.01, 0.02, -0.03])
    found = ARM.external_wrench(LAYOUT.start, ARM.contact_torque(LAYOUT.start, wrench))
    assert np.allclose(found, wrench, atol=1e-3)


def test_what_an_arm_returned_stays_as_it_was() -> None:
    q, other = LAYOUT.start, np.full(7, 0.3)
    results = [f(q) for f in (ARM.pose, ARM.jacobian, ARM.mass_matrix, ARM.gravity)]
    results += [ARM.bias(q, other), ARM.inverse_dynamics(q, other, other)]
    before = [result.copy() for result in results]
    for f in (ARM.pose, ARM.jacobian, ARM.mass_matrix, ARM.gravity):
        f(other)
    ARM.bias(other, q)
    ARM.inverse_dynamics(other, q, q)
    assert all(type(result) is np.ndarray for result in results)
    assert all(np.array_equal(result, copy) for result, copy in zip(results, before, strict=True))


@pytest.fixture(scope="module")
def bullet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
    pybullet = pytest.importorskip("pybullet", reason="PyBullet has no wheel for this Python (docs/robot.md)")
    from pybullet_utils.bullet_client import BulletClient

    client = BulletClient(connection_mode=pybullet.DIRECT)
    file: Path = write_urdf(tmp_path_factory.mktemp("urdf") / "robot.urdf", load_probe())
    flags = pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_USE_SELF_COLLISION
    robot = client.loadURDF(str(file), useFixedBase=True, flags=flags)
    client.setGravity(0.0, 0.0, -9.81)
    yield client, robot
    client.disconnect()


def place(bullet: tuple[Any, int], q: Array) -> None:
    client, robot = bullet
    for joint, angle in enumerate(q):
        client.resetJointState(robot, joint, angle)


def test_pybullet_reads_the_same_robot(bullet: tuple[Any, int]) -> None:
    client, robot = bullet
    rng = np.random.default_rng(5)
    tool = client.getNumJoints(robot) - 1
    assert client.getJointInfo(robot, tool)[12] == b"us_probe"
    for _ in range(20):
        q = rng.uniform(0.95 * ARM.limits.lower, 0.95 * ARM.limits.upper)
        v, a = rng.normal(size=7), rng.normal(size=7)
        place(bullet, q)
        state = client.getLinkState(robot, tool, computeForwardKinematics=True)
        pose = ARM.pose(q)
        assert np.allclose(state[4], pose[:3, 3], atol=1e-6)
        assert np.allclose(Rotation.from_quat(state[5]).as_matrix(), pose[:3, :3], atol=1e-6)
        torque = client.calculateInverseDynamics(robot, q.tolist(), v.tolist(), a.tolist())
        assert np.allclose(torque, ARM.inverse_dynamics(q, v, a), atol=1e-3)


def test_the_bodies_touch_each_other_where_the_arm_folds_back(bullet: tuple[Any, int]) -> None:
    client, robot = bullet

    def touching(q: Array) -> bool:
        place(bullet, q)
        client.performCollisionDetection()
        return len(client.getContactPoints(robot, robot)) > 0

    assert not touching(np.zeros(7))
    assert not touching(LAYOUT.start)
    assert touching(np.deg2rad([-58.0, -115.0, 15.0, 115.0, -65.0, 70.0, -152.0]))  # the forearm in the base
