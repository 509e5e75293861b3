"""Differential inverse kinematics: within every limit whatever is asked, along the direction asked, the elbow kept."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.errors import KinematicsError
from iiwa_bridge.kinematics.inverse import DifferentialInverse, InverseConfig
from iiwa_bridge.kinematics.servo import ServoGains, pose_error, servo_twist
from iiwa_bridge.kinematics.solve import solve
from iiwa_bridge.safety.limits import CommandLimits
from scipy.optimize import linprog
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]

ARM = Arm()
LAYOUT = load_layout()
START = LAYOUT.start
CONFIG = InverseConfig()
INVERSE = DifferentialInverse(ARM, START)
PERIOD = 0.005
LOWER, UPPER = ARM.limits.lower + CONFIG.margin, ARM.limits.upper - CONFIG.margin
FASTEST = CONFIG.speed_share * ARM.limits.velocity

POSITIONS = arrays(np.float64, 7, elements=st.floats(0.0, 1.0)).map(lambda share: LOWER + share * (UPPER - LOWER))
TWISTS = arrays(np.float64, 6, elements=st.floats(-10.0, 10.0))
PERIODS = st.floats(1e-3, 1.0)


def moved(pose: Array, displacement: tuple[float, float, float], turn: tuple[float, float, float] = (0, 0, 0)) -> Array:
    """A pose displaced and turned in its own axes."""
    local = np.eye(4)
    local[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    local[:3, 3] = displacement
    return np.asarray(pose @ local)


@settings(max_examples=60, deadline=None)
@given(POSITIONS, TWISTS, PERIODS)
def test_no_limit_is_left_whatever_the_twist(q: Array, twist: Array, period: float) -> None:
    for _ in range(20):
        motion = INVERSE.step(q, twist, period).motion
        q = q + motion
        assert (np.abs(motion) <= FASTEST * period * (1.0 + 1e-12)).all()
        assert (q >= LOWER - 1e-12).all() and (q <= UPPER + 1e-12).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, 7, elements=st.floats(-1.2, 1.2)), TWISTS, PERIODS)
def test_beyond_a_limit_no_joint_goes_further_out(share: Array, twist: Array, period: float) -> None:
    q = share * ARM.limits.upper
    motion = INVERSE.step(q, twist, period).motion
    assert (motion[q >= UPPER] <= 0.0).all()
    assert (motion[q <= LOWER] >= 0.0).all()


@settings(max_examples=100, deadline=None)
@given(POSITIONS, TWISTS)
def test_away_from_singularities_the_probe_moves_along_the_twist_as_far_as_the_scale_says(
    q: Array, twist: Array
) -> None:
    step = INVERSE.step(q, twist, PERIOD)
    assume(step.singular_value > CONFIG.singular)
    assert np.allclose(ARM.jacobian(q) @ step.motion / PERIOD, step.scale * twist, atol=1e-7)


def test_a_twist_that_is_too_fast_is_slowed_and_one_that_is_not_is_kept() -> None:
    slow, fast = np.array([0.01, -0.01, 0.005, 0.02, 0.0, 0.05]), np.array([2.0, -2.0, 1.0, 4.0, 0.0, 10.0])
    assert INVERSE.step(START, slow, PERIOD).scale == 1.0
    step = INVERSE.step(START, fast, PERIOD)
    assert 0.05 < step.scale < 0.5
    assert np.isclose(np.abs(step.motion) / PERIOD, FASTEST).any()


@settings(max_examples=60, deadline=None)
@given(POSITIONS, TWISTS)
def test_the_scale_is_the_largest_that_the_limits_allow(q: Array, twist: Array) -> None:
    step = INVERSE.step(q, twist, PERIOD)
    assume(step.singular_value > CONFIG.singular and np.linalg.norm(twist) > 0.1)
    upper, lower = np.minimum(FASTEST, CONFIG.damper * (UPPER - q)), np.maximum(-FASTEST, CONFIG.damper * (LOWER - q))
    best = linprog(
        np.array([*np.zeros(7), -1.0]),
        A_eq=np.column_stack((ARM.jacobian(q), -twist)),
        b_eq=np.zeros(6),
        bounds=[*zip(lower, upper, strict=True), (0.0, 1.0)],
        options={"primal_feasibility_tolerance": 1e-10},
    )
    assert step.scale == pytest.approx(best.x[7], abs=1e-6)


def test_what_a_singularity_takes_away_moves_no_joint_and_all_else_is_kept() -> None:
    straight = np.zeros(7)
    inverse = DifferentialInverse(ARM, straight)
    directions, values, _ = np.linalg.svd(ARM.jacobian(straight))
    assert values[5] < 1e-9
    lost, kept = 0.02 * directions[:, 5], 0.02 * directions[:, values > CONFIG.singular].sum(axis=1)
    step = inverse.step(straight, kept + lost, PERIOD)
    assert step.singular_value < 1e-9
    assert np.allclose(ARM.jacobian(straight) @ step.motion / PERIOD, kept, atol=1e-9)
    assert np.abs(inverse.step(straight, lost, PERIOD).motion).max() < 1e-12


@pytest.mark.parametrize("bend", [-1.2, -0.05, -1e-6])
def test_the_motion_is_that_of_the_damped_singular_values_nearest_to_the_posture(bend: float) -> None:
    # Slow enough that no limit holds a joint back.
    q, twist = np.array([0.2, 0.6, -0.3, bend, 0.1, 0.8, 0.4]), 1e-3 * np.array([1.0, -2.0, 0.5, 1.0, 3.0, -1.0])
    left, values, right = np.linalg.svd(ARM.jacobian(q))
    short = np.maximum(0.0, 1.0 - (values / CONFIG.singular) ** 2)
    task = right[:6].T @ (values / (values**2 + CONFIG.damping**2 * short) * (left.T @ twist))
    along = np.clip(CONFIG.posture_gain * right[6] @ (START - q), -CONFIG.posture_speed, CONFIG.posture_speed)
    step = INVERSE.step(q, twist, PERIOD)
    assert step.scale == 1.0
    assert step.singular_value == pytest.approx(values[-1], abs=1e-14)
    assert step.motion / PERIOD == pytest.approx(task + along * right[6], abs=1e-9)


def test_damping_begins_without_a_jump() -> None:
    stretched = np.deg2rad([0.0, 40.0, 0.0, -1.0, 0.0, 60.0, 0.0])
    speeds = []
    for bend in np.linspace(0.2, 0.0, 2001):
        q = stretched.copy()
        q[3] = -bend
        pull = np.array([*(0.01 * ARM.pose(q)[:3, :3].T @ [0.64, 0.0, 0.77]), 0.0, 0.0, 0.0])
        speeds.append(INVERSE.step(q, pull, PERIOD).motion / PERIOD)
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.02
    assert np.abs(speeds).max() < 0.5


def go(inverse: DifferentialInverse, q: Array, target: Array, seconds: float, period: float = PERIOD) -> list[Array]:
    """Joint positions on the way to a pose, one a cycle."""
    path = [q]
    for _ in range(round(seconds / period)):
        twist = servo_twist(ARM.pose(path[-1]), target, ServoGains())
        path.append(path[-1] + inverse.step(path[-1], twist, period).motion)
    return path


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.1, 0.2, 0.0)])
@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.6, -0.8, 0.0)])
def test_a_line_of_20_mm_is_followed_within_a_tenth(
    direction: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    start, along = ARM.pose(START), np.array(direction)
    target = moved(start, (0.02 * direction[0], 0.02 * direction[1], 0.02 * direction[2]), turn)
    path = go(INVERSE, START, target, 4.0)
    places = np.array([pose_error(start, ARM.pose(q))[:3] for q in path])
    beside = places - np.outer(places @ along, along)
    assert np.linalg.norm(beside, axis=1).max() < 1e-4
    assert np.linalg.norm(pose_error(ARM.pose(path[-1]), target)) < 1e-5
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / PERIOD
    assert speeds.max() < 0.02 * 1.001


def test_the_elbow_comes_back_and_the_probe_stays() -> None:
    pose, period = ARM.pose(START), 0.02
    aside = DifferentialInverse(ARM, START + np.deg2rad([0.0, 0.0, 40.0, 0.0, 0.0, 0.0, 0.0]))
    bent = go(aside, START, pose, 6.0, period)[-1]
    assert np.rad2deg(np.abs(bent - START).max()) > 10.0
    path = go(INVERSE, bent, pose, 10.0, period)
    assert max(np.linalg.norm(pose_error(ARM.pose(q), pose)) for q in path) < 1e-3
    assert np.rad2deg(np.abs(path[-1] - START).max()) < 0.1
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < CONFIG.posture_speed * period * 1.01


def test_the_posture_gives_way_to_the_twist() -> None:
    far = replace(CONFIG, posture_gain=100.0, posture_speed=100.0)
    inverse = DifferentialInverse(ARM, START + np.deg2rad([0.0, 0.0, 40.0, 0.0, 0.0, 0.0, 0.0]), far)
    twist = np.array([0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    step = inverse.step(START, twist, PERIOD)
    assert step.scale == 1.0
    assert np.allclose(ARM.jacobian(START) @ step.motion / PERIOD, twist, atol=1e-9)
    assert np.isclose(np.abs(step.motion) / PERIOD, FASTEST).any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    for q, twist, period in (
        (np.full(7, bad), np.zeros(6), PERIOD),
        (START, np.full(6, bad), PERIOD),
        (START, np.zeros(6), bad),
        (START, np.zeros(6), 0.0),
    ):
        with pytest.raises(KinematicsError, match="expected finite numbers, the period above 0"):
            INVERSE.step(q, twist, period)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": -0.1}, "margin is -0.1"),
        ({"damper": math.nan}, "damper is nan"),
        ({"damper": 0.0}, "damper 0.0"),
        ({"speed_share": 1.5}, "a share of at most 1"),
        ({"singular": 0.0}, "singular 0.0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(KinematicsError, match=message):
        replace(CONFIG, **change)


def test_the_share_of_the_speed_and_the_damper_take_effect() -> None:
    twist = np.array([5.0, 3.0, -4.0, 9.0, -8.0, 7.0])
    slow = DifferentialInverse(ARM, START, replace(CONFIG, speed_share=0.1)).step(START, twist, PERIOD)
    assert (np.abs(slow.motion) / PERIOD <= 0.1 * ARM.limits.velocity + 1e-12).all()
    damped = DifferentialInverse(ARM, START, replace(CONFIG, damper=0.01)).step(START, twist, PERIOD)
    assert (damped.motion / PERIOD <= 0.01 * (UPPER - START) + 1e-12).all()
    assert (damped.motion / PERIOD >= 0.01 * (LOWER - START) - 1e-12).all()


@pytest.mark.parametrize("margin", [5.0, 25.0])
def test_the_margin_takes_effect(margin: float) -> None:
    inverse = DifferentialInverse(ARM, START, replace(CONFIG, margin=math.radians(margin)))
    q, down = START, ARM.pose(START)[:3, :3].T @ [0.0, 0.0, -0.2]
    for _ in range(1000):
        q = q + inverse.step(q, np.array([*down, 0.0, 0.0, 0.0]), 0.02).motion
    assert np.rad2deg(ARM.limits.margins(q).min()) == pytest.approx(margin, abs=0.01)


def test_a_posture_beyond_the_limits_is_refused() -> None:
    with pytest.raises(KinematicsError, match=r"posture .* is beyond the joint limits less 5.0 degrees"):
        DifferentialInverse(ARM, np.full(7, 3.0))


def test_the_servo_goes_straight_ahead_and_turns_about_the_shortest_axis() -> None:
    pose = ARM.pose(START)
    gains = ServoGains(linear=2.0, angular=3.0, max_linear=1.0, max_angular=1.0)
    twist = servo_twist(pose, moved(pose, (0.01, -0.02, 0.03), (0.0, 0.1, -0.05)), gains)
    assert np.allclose(twist, [0.02, -0.04, 0.06, 0.0, 0.3, -0.15], atol=1e-9)
    assert np.array_equal(servo_twist(pose, pose, gains).round(12), np.zeros(6))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, 3, elements=st.floats(-1.0, 1.0)), arrays(np.float64, 3, elements=st.floats(-1.5, 1.5)))
def test_the_servo_keeps_its_speeds_and_its_direction(displacement: Array, turn: Array) -> None:
    pose, gains = ARM.pose(START), ServoGains()
    x, y, z = displacement
    twist = servo_twist(pose, moved(pose, (x, y, z), (turn[0], turn[1], turn[2])), gains)
    assert np.linalg.norm(twist[:3]) <= gains.max_linear + 1e-9
    assert np.linalg.norm(twist[3:]) <= gains.max_angular + 1e-9
    wanted = np.array([*(gains.linear * displacement), *(gains.angular * turn)])
    assert np.allclose(twist * np.linalg.norm(wanted), wanted * np.linalg.norm(twist), atol=1e-6)


def test_gains_that_cannot_be_are_refused() -> None:
    with pytest.raises(KinematicsError, match=r"max_linear is -1\.0; expected a number above 0"):
        ServoGains(max_linear=-1.0)


def test_solve_finds_a_pose_and_says_when_there_is_none() -> None:
    pose = moved(ARM.pose(START), (0.05, -0.1, 0.08), (0.2, -0.1, 0.3))
    q = solve(ARM, pose, START)
    assert np.linalg.norm(pose_error(ARM.pose(q), pose)) < 2e-6
    with pytest.raises(KinematicsError, match=r"comes no nearer than \d+\.\d mm .* within reach and the joint limits"):
        solve(ARM, moved(ARM.pose(START), (0.0, 0.0, 1.0)), START)


def over_the_grid() -> list[Array]:
    """Poses of the probe in ``patient``: over all of the grid, above and below the plane, upright and tilted."""
    tilts = [np.zeros(3)]
    tilts += [math.radians(20.0) * np.array([math.cos(a), math.sin(a), 0.0]) for a in np.arange(12) * math.pi / 6]
    places = itertools.product((-0.15, 0.0, 0.15), (-0.11, 0.0, 0.11), (-0.06, 0.0, 0.075))
    upright = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    return [moved(moved(np.eye(4), place) @ upright, (0, 0, 0), tuple(tilt)) for place in places for tilt in tilts]


@pytest.fixture(scope="module")
def reached() -> list[Array]:
    """The joint positions of those poses."""
    return [solve(ARM, LAYOUT.patient @ pose, START) for pose in over_the_grid()]


def test_the_whole_grid_is_reached_with_tilts_far_from_joint_limits_and_singularities(reached: list[Array]) -> None:
    assert min(ARM.limits.margins(q).min() for q in reached) > 2.0 * CommandLimits().joint_margin
    assert min(np.linalg.svd(ARM.jacobian(q), compute_uv=False)[-1] for q in reached) > 1.4 * CONFIG.singular


def test_over_the_grid_the_arm_stays_clear_of_the_patient_and_of_itself(reached: list[Array], tmp_path: Path) -> None:
    pybullet = pytest.importorskip("pybullet", reason="PyBullet has no wheel for this Python (docs/robot.md)")
    from pybullet_utils.bullet_client import BulletClient

    client = BulletClient(connection_mode=pybullet.DIRECT)
    file = write_urdf(tmp_path / "robot.urdf", load_probe())
    robot = client.loadURDF(str(file), useFixedBase=True, flags=pybullet.URDF_USE_SELF_COLLISION)
    half = [0.3, 0.6, 0.1]
    patient = client.createMultiBody(0.0, client.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half))
    for q in reached:
        for joint, angle in enumerate(q):
            client.resetJointState(robot, joint, angle)
        # The patient's plane at the height of the transducer's face.
        x, y, height = LAYOUT.patient[0, 3], LAYOUT.patient[1, 3], ARM.pose(q)[2, 3]
        client.resetBasePositionAndOrientation(patient, [x, y, height - half[2]], [0.0, 0.0, 0.0, 1.0])
        client.performCollisionDetection()
        assert not client.getContactPoints(robot, robot)
        near = client.getClosestPoints(robot, patient, 0.03)
        assert {client.getJointInfo(robot, point[3])[12] for point in near} <= {b"us_probe"}
    client.disconnect()
