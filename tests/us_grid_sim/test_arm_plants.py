"""The arms behind a torque interface, PyBullet's and the one without: how they move, and what they refuse."""

import dataclasses
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.kinematics.arm import Arm
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation
from support.arms import (
    BOB,
    CARRIAGES,
    DOWN,
    GRAVITY,
    LENGTH,
    GantryModel,
    ball,
    gantry_urdf,
    lying,
    pendulum_urdf,
    plane,
)
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import probe_pose
from us_grid_sim.world.arm import JOINT_DAMPING, TICK, ArmState
from us_grid_sim.world.contact import ContactLaw
from us_grid_sim.world.motion import Breathing, Motion, sample_motion
from us_grid_sim.world.pybullet_arm import TABLE, PyBulletArm
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import SOFTEST, STIFFEST, Patient

from iiwa_bridge import robot

Array = npt.NDArray[np.float64]
Plant = PyBulletArm | RigidArm

HELD = np.array([0.0, 0.0, CARRIAGES[2] * GRAVITY])
"""What holds the gantry."""
BREATH = Motion(Breathing(amplitude=0.004, frequency=0.25))


needs_pybullet = pytest.mark.skipif(find_spec("pybullet") is None, reason="no wheel for Python 3.12 and later")


@pytest.fixture(params=[pytest.param("pybullet", marks=needs_pybullet), "rigid"])
def gantry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Plant]]:
    """Makes the gantry of either plant over a patient."""
    made: list[Plant] = []

    def make(patient: Patient, law: ContactLaw | None = None, probe_mass: float = CARRIAGES[2]) -> Plant:
        if request.param == "pybullet":
            made.append(PyBulletArm(gantry_urdf(tmp_path, probe_mass), patient, law))
        else:
            made.append(RigidArm(GantryModel(probe_mass), patient, law, joints=3))
        return made[-1]

    yield make
    for arm in made:
        arm.close()


def run(arm: Plant, torque: Array, seconds: float) -> ArmState:
    for _ in range(round(seconds / TICK)):
        state = arm.step(torque, TICK)
    return state


BACK = ball(0.15)


# The arms.


def test_they_have_the_shape_that_the_bridge_drives(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane()))
    for name in ("reset", "step", "close"):
        wanted = inspect.signature(getattr(robot.ArmPlant, name)).parameters
        assert list(inspect.signature(getattr(type(arm), name)).parameters) == list(wanted)
    assert list(ArmState._fields) == [f.name for f in dataclasses.fields(robot.ArmState)]


def test_without_a_torque_it_falls_freely(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane()))
    arm.reset(np.array([0.0, 0.0, 1.0]))
    state = run(arm, np.zeros(3), 0.3)
    assert state.position[2] == pytest.approx(1.0 - GRAVITY * 0.3**2 / 2, abs=0.005)
    assert state.velocity[2] == pytest.approx(-GRAVITY * 0.3, rel=0.03)
    assert state.tool[:3, 3] == pytest.approx(state.position, abs=1e-7)
    assert not state.contact_force.any()


def test_a_force_accelerates_what_hangs_on_the_joint(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane()))
    arm.reset(np.array([0.0, 0.0, 0.5]))
    state = run(arm, HELD + np.array([1.5, -1.0, 0.5]), 0.1)
    assert state.velocity == pytest.approx([0.05, -0.05, 0.05], rel=0.02)


@pytest.mark.parametrize("stiffness", [SOFTEST, 1000.0, STIFFEST])
def test_pressed_with_a_force_it_comes_to_rest_where_the_spring_holds_it(
    gantry: Callable[..., Plant], stiffness: float
) -> None:
    arm = gantry(lying(plane(stiffness)), ContactLaw(dissipation=30.0))
    arm.reset(np.array([0.0, 0.0, 0.0005]))
    state = run(arm, HELD - np.array([0.0, 0.0, 1.5]), 6.0)
    assert state.position[2] == pytest.approx(-1.5 / stiffness, rel=0.01)
    assert state.contact_force == pytest.approx([0.0, 0.0, 1.5], rel=0.01, abs=1e-6)
    assert state.contact_torque == pytest.approx([0.0, 0.0, 1.5], rel=0.01, abs=1e-6)


@pytest.mark.parametrize("probe_mass", [0.2, 5.0])
@pytest.mark.parametrize("stiffness", [SOFTEST, STIFFEST])
@pytest.mark.parametrize("dissipation", [0.0, 50.0])
def test_a_contact_makes_no_energy(
    gantry: Callable[..., Plant], probe_mass: float, stiffness: float, dissipation: float
) -> None:
    arm = gantry(lying(plane(stiffness)), ContactLaw(dissipation=dissipation), probe_mass)
    state = arm.reset(np.array([0.0, 0.0, 0.001]))
    pushed = np.array([0.0, 0.0, probe_mass * GRAVITY - 2.0])
    highest = []
    for _ in range(8):
        top = -1.0
        for _ in range(250):
            state = arm.step(pushed, TICK)
            top = max(top, float(state.position[2]))
        highest.append(top)
    assert max(highest) <= 0.001 + 1e-4
    assert highest[-1] <= highest[0] + 1e-6


def test_along_the_skin_friction_holds_against_a_push(gantry: Callable[..., Plant]) -> None:
    law = ContactLaw(friction=0.2, dissipation=30.0)
    arm = gantry(lying(plane(1000.0)), law)
    arm.reset(np.array([0.0, 0.0, -0.002]))
    down = HELD - np.array([0.0, 0.0, 2.0])
    creeping = run(arm, down + np.array([0.2, 0.0, 0.0]), 2.0)
    assert 0.0 < creeping.velocity[0] < law.slip
    assert creeping.contact_torque[0] == pytest.approx(-0.2, abs=0.001)
    sliding = run(arm, down + np.array([0.6, 0.0, 0.0]), 1.0)
    assert sliding.contact_torque[0] == pytest.approx(-0.4, rel=0.01)
    # In us_probe, whose y looks the other way than the world's; x is the same. On the patient, so along the motion.
    assert sliding.contact_force == pytest.approx([0.4, 0.0, 2.0], rel=0.02, abs=1e-6)


def test_breathing_reaches_the_force_on_a_probe_that_is_held(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane(1000.0), BREATH), ContactLaw(dissipation=0.0))
    arm.reset(np.array([0.0, 0.0, -0.001]))
    # Held by a stiff spring of our own, as a position-controlled robot would.
    state = arm.step(HELD, TICK)
    for _ in range(1999):
        spring = 2e5 * (-0.001 - state.position[2]) - 800.0 * state.velocity[2]
        state = arm.step(HELD + np.array([0.0, 0.0, spring]), TICK)
    assert state.contact_force[2] == pytest.approx(1000.0 * (0.001 + 0.004), rel=0.01)
    assert state.rise == BREATH.rise(2.0)[0]


def test_the_same_twice_gives_the_same_bytes_and_reset_forgets_all(gantry: Callable[..., Plant]) -> None:
    patient = lying(BACK, sample_motion(3, breathing=True, movement=True))

    def course(arm: Plant) -> bytes:
        states = [arm.reset(np.array([0.01, 0.0, 0.002]))]
        for tick in range(500):
            # At last through the skin and, in PyBullet, on to the table.
            push = np.array([0.2 * math.sin(0.02 * tick), 0.1, -1.5 if tick < 300 else -500.0])
            states.append(arm.step(HELD + push, TICK))
        return b"".join(np.asarray(value).tobytes() for s in states for value in s)

    one = gantry(patient)
    first = course(one)
    assert course(one) == first
    assert course(gantry(patient)) == first


def test_what_was_measured_stays_as_it_was(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane()))
    first = arm.reset(np.array([0.0, 0.0, -0.001]))
    kept = {name: np.copy(value) for name, value in first._asdict().items()}
    run(arm, np.zeros(3), 0.05)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(first, name), value)


def test_a_torque_is_held_for_the_whole_of_a_step(gantry: Callable[..., Plant]) -> None:
    arm, push = gantry(lying(plane(), BREATH)), HELD + np.array([0.1, 0.2, -1.0])
    arm.reset(np.array([0.0, 0.0, 0.0]))
    once = arm.step(push, 0.005)
    arm.reset(np.array([0.0, 0.0, 0.0]))
    often = run(arm, push, 0.005)
    np.testing.assert_array_equal(once.position, often.position)
    np.testing.assert_array_equal(once.contact_force, often.contact_force)


@pytest.mark.parametrize("duration", [0.0, -0.001, 0.0015, 0.0004, math.nan, math.inf])
def test_a_step_is_a_multiple_of_a_millisecond(gantry: Callable[..., Plant], duration: float) -> None:
    with pytest.raises(UsGridSimError, match=r"expected a multiple of 0\.001 s"):
        gantry(lying(plane())).step(HELD, duration)


def test_an_arm_that_runs_away_is_stopped(gantry: Callable[..., Plant]) -> None:
    arm = gantry(lying(plane()))
    state = arm.reset(np.array([0.0, 0.0, 1.0]))
    with pytest.raises(UsGridSimError, match="the control of its torques is unstable"):
        for _ in range(3000):
            state = arm.step(HELD + 2500.0 * state.velocity + 1.0, TICK)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((1, 3)), np.array([0.0, np.nan, 0.0]), np.full(3, np.inf)])
def test_one_finite_number_a_joint(gantry: Callable[..., Plant], wrong: Array) -> None:
    arm = gantry(lying(plane()))
    with pytest.raises(UsGridSimError, match=r"torque is .*; expected 3 finite numbers"):
        arm.step(wrong, TICK)
    with pytest.raises(UsGridSimError, match=r"position is .*; expected 3 finite numbers"):
        arm.reset(wrong)


# PyBullet alone.


@needs_pybullet
def test_a_pendulum_swings_as_its_equation_says(tmp_path: Path) -> None:
    arm = PyBulletArm(pendulum_urdf(tmp_path), Patient(plane(), DOWN @ probe_pose(0.0, 0.0, 5.0)))
    state, start, energy = arm.reset(np.array([1.2])), 1.2, []
    lost = 0.0
    for _ in range(1500):
        state = arm.step(np.zeros(1), TICK)
        lost += JOINT_DAMPING * state.velocity[0] ** 2 * TICK
        kinetic = BOB * (LENGTH * state.velocity[0]) ** 2 / 2
        energy.append(kinetic - BOB * GRAVITY * LENGTH * math.cos(state.position[0]) + lost)
    arm.close()

    def pendulum(_: float, y: Array) -> list[float]:
        torque = -BOB * GRAVITY * LENGTH * math.sin(y[0]) - JOINT_DAMPING * y[1]
        return [y[1], torque / (BOB * LENGTH**2)]

    expected = solve_ivp(pendulum, (0.0, 1.5), [start, 0.0], rtol=1e-9, atol=1e-9).y[:, -1]
    assert state.position[0] == pytest.approx(expected[0], abs=0.01)
    assert state.velocity[0] == pytest.approx(expected[1], abs=0.05)
    whole = BOB * GRAVITY * LENGTH
    assert np.ptp(energy) < 0.02 * whole


@needs_pybullet
def test_the_table_under_the_patient_stops_the_arm(tmp_path: Path) -> None:
    arm = PyBulletArm(gantry_urdf(tmp_path), lying(plane(SOFTEST)))
    arm.reset(np.zeros(3))
    state = run(arm, HELD - np.array([0.0, 0.0, 100.0]), 1.5)
    arm.close()
    assert state.position[2] == pytest.approx(-TABLE + 0.01, abs=0.003)


@needs_pybullet
def test_a_file_that_is_no_arm_is_refused(tmp_path: Path) -> None:
    file = gantry_urdf(tmp_path)
    text = file.read_text()
    wrong = {
        "not readable as URDF": "",
        "expected one named us_probe": text.replace("us_probe", "gripper"),
        "along_y without <inertial>": text.replace(
            text[text.index('<link name="along_y">') : text.index("</link>", text.index('<link name="along_y">'))],
            '<link name="along_y">',
        ),
    }
    for message, content in wrong.items():
        file.write_text(content)
        with pytest.raises(UsGridSimError, match=message):
            PyBulletArm(file, lying(plane()))
    with pytest.raises(UsGridSimError, match="not readable as URDF"):
        PyBulletArm(tmp_path / "none.urdf", lying(plane()))


def test_where_pybullet_is_not_installed_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(UsGridSimError, match=r"Python 3\.10 or 3\.11"):
        PyBulletArm(gantry_urdf(tmp_path), lying(plane()))


@needs_pybullet
def test_closed_twice_is_closed(tmp_path: Path) -> None:
    arm = PyBulletArm(gantry_urdf(tmp_path), lying(plane()))
    arm.close()
    arm.close()


class Massless(GantryModel):
    def mass_matrix(self, q: Array) -> Array:
        return np.zeros((3, 3))


def test_a_mass_matrix_without_inverse_is_refused() -> None:
    with pytest.raises(UsGridSimError, match="has no inverse"):
        RigidArm(Massless(), lying(plane()), joints=3)


# The robot itself.

START = np.deg2rad([8.0, 70.0, -10.0, -88.0, 12.0, -40.0, 10.0])


@pytest.fixture
def iiwas(tmp_path: Path) -> Iterator[tuple[PyBulletArm, RigidArm]]:
    """Both plants with the robot, pressed some millimetres into the middle of a back that leans."""
    pose = Arm().pose(START)
    pose[:3, :3] = pose[:3, :3] @ Rotation.from_euler("xy", [0.05, 0.1]).as_matrix()
    pose[:3, 3] -= 0.003 * pose[:3, 2]
    patient = Patient(BACK, pose, BREATH)
    bullet = PyBulletArm(write_urdf(tmp_path / "iiwa.urdf", load_probe()), patient)
    yield bullet, RigidArm(Arm(), patient)
    bullet.close()


@needs_pybullet
def test_contact_torque_is_the_transposed_jacobian_times_the_wrench(iiwas: tuple[PyBulletArm, RigidArm]) -> None:
    step = 1e-3
    for arm in iiwas:
        state = arm.reset(START)
        # The virtual work of each joint: how the tool moves, by differences, times what acts on it.
        columns = []
        for joint in range(7):
            ahead, behind = (arm.reset(START + sign * step * np.eye(7)[joint]).tool for sign in (1.0, -1.0))
            turn = Rotation.from_matrix(ahead[:3, :3] @ behind[:3, :3].T).as_rotvec()
            columns.append(np.concatenate([ahead[:3, 3] - behind[:3, 3], turn]) / (2 * step))
        wrench = Arm().external_wrench(START, state.contact_torque)
        turn = state.tool[:3, :3]
        np.testing.assert_allclose(-wrench[:3], state.contact_force, rtol=1e-3, atol=1e-3)
        in_world = np.concatenate([turn @ wrench[:3], turn @ wrench[3:]])
        np.testing.assert_allclose(np.array(columns) @ in_world, state.contact_torque, atol=2e-3)
        assert 0.5 < state.contact_force[2] < 5.0
        assert np.abs(wrench[3:]).max() > 1e-3


@needs_pybullet
def test_both_plants_move_the_robot_alike(iiwas: tuple[PyBulletArm, RigidArm]) -> None:
    model = Arm()
    ends = []
    for arm in iiwas:
        arm.reset(START)
        torque = model.gravity(START) + np.array([1.0, -2.0, 0.5, 1.0, 0.2, -0.3, 0.02])
        ends.append(run(arm, torque, 0.02))
    moved = np.abs(ends[1].position - START)
    assert moved.min() > 1e-6
    assert moved.max() > 1e-4
    np.testing.assert_allclose(ends[0].position - START, ends[1].position - START, atol=0.01 * moved.max())
    np.testing.assert_allclose(ends[0].velocity, ends[1].velocity, atol=0.01 * np.abs(ends[1].velocity).max())
    np.testing.assert_allclose(ends[0].contact_torque, ends[1].contact_torque, atol=0.02)
