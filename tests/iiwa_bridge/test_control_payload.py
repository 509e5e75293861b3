"""Payload and tare: found from poses that tell them, refused from those that do not."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.control.payload import GRAVITY, STILL, PayloadError, StaticPose, identify_payload, tare, wrench_pose
from iiwa_bridge.description.grid import bin_centre
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics.arm import WRENCH_DAMPING, Arm
from iiwa_bridge.kinematics.solve import solve
from iiwa_bridge.kinematics.wrench import explaining_wrench
from iiwa_bridge.simulation.sensor import SensorConfig
from scipy.spatial.transform import Rotation
from us_grid_sim.geometry import probe_pose

Array = npt.NDArray[np.float64]

MASS = 0.83
CENTRE = np.array([0.004, -0.011, 0.087])
WRENCH_BIAS = np.array([0.4, -0.3, 0.6, 0.02, -0.05, 0.01])
TILTS = [[0, 0, 0], [90, 0, 0], [0, 90, 0], [180, 0, 0], [45, 30, 0], [-60, 20, 40]]


def rotation(degrees: list[int]) -> Array:
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def load(turned: Array) -> Array:
    """Of the payload on the flange, in world axes (6,), by mechanics."""
    force = MASS * GRAVITY
    return np.concatenate([force, np.cross(turned @ CENTRE, force)])


def read_wrench(turned: Array, noise: Array) -> StaticPose:
    in_flange = np.kron(np.eye(2), turned.T) @ load(turned)
    return wrench_pose(turned, in_flange + WRENCH_BIAS + noise)


def test_a_payload_and_the_bias_of_a_wrench_are_found_to_the_last_digit_without_noise() -> None:
    payload = identify_payload([read_wrench(rotation(tilt), np.zeros(6)) for tilt in TILTS])
    assert payload.mass == pytest.approx(MASS, abs=1e-9)
    assert payload.centre == pytest.approx(CENTRE, abs=1e-9)
    assert payload.bias == pytest.approx(WRENCH_BIAS, abs=1e-9)
    assert payload.residual < 1e-9


def test_with_noise_the_residual_is_the_noise_and_the_mass_is_near() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.02, (len(TILTS), 6))
    payload = identify_payload([read_wrench(rotation(t), n) for t, n in zip(TILTS, noise, strict=True)])
    assert payload.mass == pytest.approx(MASS, abs=0.01)
    assert payload.centre == pytest.approx(CENTRE, abs=0.005)
    assert 0.01 < payload.residual < 0.03


@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_joint_torques_tell_the_same_through_the_jacobian(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bias = rng.normal(0.0, 0.5, 7)
    poses = []
    for turned in Rotation.random(12, rng=rng).as_matrix():
        jacobian = rng.normal(0.0, 0.5, (6, 7))
        poses.append(StaticPose(turned, jacobian, jacobian.T @ load(turned) + bias))
    payload = identify_payload(poses)
    assert payload.mass == pytest.approx(MASS, abs=1e-6)
    assert payload.centre == pytest.approx(CENTRE, abs=1e-6)
    assert payload.bias == pytest.approx(bias, abs=1e-6)


def test_what_the_payload_weighs_is_what_the_sensor_reads() -> None:
    payload = identify_payload([read_wrench(rotation(tilt), np.zeros(6)) for tilt in TILTS])
    turned = rotation([10, -70, 33])
    assert payload.wrench(turned) + payload.bias == pytest.approx(read_wrench(turned, np.zeros(6)).reading, abs=1e-9)


@pytest.mark.parametrize(
    ("tilts", "message"),
    [
        ([[0, 0, 0]] * 5, "add poses"),
        ([[0, 0, 0], [0, 0, 90], [0, 0, 45]], "the centre of mass along z .* the flange's z axis level"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], r"condition number \d+, at most 100"),
    ],
)
def test_poses_that_do_not_differ_enough_are_refused_with_what_to_add(tilts: list[list[int]], message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        identify_payload([read_wrench(rotation(tilt), np.zeros(6)) for tilt in tilts])


def test_no_pose_and_no_payload_are_refused() -> None:
    with pytest.raises(PayloadError, match="no pose"):
        identify_payload([])
    with pytest.raises(PayloadError, match="mass is"):
        identify_payload([wrench_pose(rotation(tilt), WRENCH_BIAS) for tilt in TILTS])


def window(samples: int = 200, noise: float = 0.3) -> Array:
    deviations = np.array([noise] * 3 + [noise / 10] * 3)
    return np.random.default_rng(1).normal(0.0, deviations, (samples, 6))


def test_a_tare_is_the_mean_less_the_payload() -> None:
    payload = np.array([0.0, 3.0, -8.0, 0.1, 0.0, 0.0])
    bias = tare(window(2000) + payload + WRENCH_BIAS, payload)
    assert bias == pytest.approx(WRENCH_BIAS, abs=0.03)


@pytest.mark.parametrize("corner", ["0,0", "0,14", "10,0", "10,14"])
@pytest.mark.parametrize("height", [-0.05, 0.03])
def test_what_a_tare_takes_for_still_lies_well_above_the_noise_wherever_a_run_may_begin(
    corner: str, height: float
) -> None:
    """Joint torques tell more of a wrench in some poses than in others; over the grid its corners are the worst."""
    layout, arm = load_layout(), Arm()
    _, jacobian = arm.look(solve(arm, layout.patient @ probe_pose(*bin_centre(corner), height), layout.start))
    torques = np.eye(7) * SensorConfig().noise
    felt = np.stack([explaining_wrench(jacobian, torque, WRENCH_DAMPING) for torque in torques])
    assert (1.5 * np.sqrt((felt**2).sum(axis=0)) <= STILL).all()


def test_a_tare_is_refused_in_contact_in_motion_and_from_a_moment() -> None:
    touching = np.array([0.0, 0.0, -2.0, 0.0, 0.0, 0.0])
    swinging = np.sin(np.linspace(0.0, 20.0, 200))[:, None] * np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    with pytest.raises(PayloadError, match=r"2\.\d N is left"):
        tare(window() + touching, np.zeros(6))
    with pytest.raises(PayloadError, match="not still: Ty"):
        tare(window() + swinging, np.zeros(6))
    with pytest.raises(PayloadError, match="50 samples"):
        tare(window(50), np.zeros(6))
    broken = window()
    broken[3, 2] = np.nan
    with pytest.raises(PayloadError, match="not still: Fz"):
        tare(broken, np.zeros(6))
