"""The simulated controller's own control, by springs and dampers that are known, and what its sensors tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.robot import Array, ControlMode, RobotCommand
from iiwa_bridge.simulation.errors import SimulationError
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.simulation.law import cartesian_damping
from iiwa_bridge.simulation.sensor import SensorConfig, TorqueSensor, sample_sensor
from support.bridge_rig import LAYOUT, back, plant_of
from us_grid_sim.world.motion import Motion

ARM = Arm()
SOFT, STIFF = ControlMode.CARTESIAN_IMPEDANCE, ControlMode.POSITION
QUIET = SensorConfig(noise=0.0, bias=0.0)


def cell(seed: int = 0, height: float = 0.05, **changes: object) -> ImpedanceCell:
    settled = ImpedanceConfig(LAYOUT.start, **changes)  # type: ignore[arg-type]
    return ImpedanceCell(plant_of("rigid", back(height=height), Motion()), Arm(), settled, seed)


def held(robot: ImpedanceCell, command: RobotCommand, seconds: float, control: ControlMode = SOFT) -> Array:
    """Joint position (7,) after a command was held."""
    state = robot.reset()
    for _ in range(round(seconds / 0.005)):
        state = robot.advance(command, control, 0.005)
    return state.position


@pytest.mark.parametrize(
    ("wrench", "twist"),
    [
        # FRI tells torques about z, y, x. 3000 N/m across, 300 N/m along the beam, 200 N m/rad.
        ([3.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1e-3, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ([0.0, 3.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1e-3, 0.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.3, 0.0, 0.0, 0.0], [0.0, 0.0, 1e-3, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1e-3]),
        ([0.0, 0.0, 0.0, 0.0, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0, 1e-3, 0.0]),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.2], [0.0, 0.0, 0.0, 1e-3, 0.0, 0.0]),
    ],
)
def test_a_wrench_stretches_the_spring_of_its_own_axis(wrench: list[float], twist: list[float]) -> None:
    position = held(cell(), RobotCommand(LAYOUT.start, np.array(wrench)), 4.0)
    stretched = pose_error(ARM.pose(LAYOUT.start), ARM.pose(position))
    assert stretched == pytest.approx(twist, abs=3e-5)


def test_what_the_control_reads_of_the_arm_in_one_pass_is_what_it_reads_by_itself() -> None:
    arm, q = Arm(), LAYOUT.start + 0.1
    pose, jacobian = arm.look(q)
    arm.look(LAYOUT.start)
    assert np.array_equal(pose, ARM.pose(q)), "and it stays as it was"
    assert jacobian == pytest.approx(ARM.jacobian(q), abs=1e-12)
    assert arm.agility(q) @ ARM.mass_matrix(q) == pytest.approx(np.eye(7), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), ratio=st.floats(0.1, 1.0))
def test_every_mode_of_the_damping_has_its_ratio(seed: int, ratio: float) -> None:
    """With x'' = -L^-1 (K x + D x') the eigenvalues of each mode are -ratio w +- i w sqrt(1 - ratio^2)."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 6))
    mass, stiffness = root @ root.T + np.eye(6), rng.uniform(100.0, 3000.0, 6)
    agility: Array = np.linalg.inv(mass)
    found, damping = cartesian_damping(agility, stiffness, ratio)
    assert found == pytest.approx(mass, rel=1e-8, abs=1e-8)
    system = np.block([[np.zeros((6, 6)), np.eye(6)], [-agility * stiffness, -agility @ damping]])
    poles = np.linalg.eigvals(system)
    assert -poles.real / np.abs(poles) == pytest.approx(np.full(12, ratio), abs=1e-4)


def test_the_elbow_goes_to_the_commanded_posture_and_the_probe_stays() -> None:
    """A joint position with the probe's pose and another elbow: the null space is soft, and goes there."""
    idle = np.linalg.svd(ARM.jacobian(LAYOUT.start))[2][6]
    position = held(cell(), RobotCommand(LAYOUT.start + 0.02 * idle), 6.0)
    assert (position - LAYOUT.start) @ idle == pytest.approx(0.02, abs=2e-3)


def test_position_control_holds_against_a_press_that_moves_the_impedance() -> None:
    # 2 mm under the skin at first: 1000 N/m push 2 N.
    stiff, soft = (held(cell(height=-0.052), RobotCommand(LAYOUT.start), 2.0, mode) for mode in (STIFF, SOFT))
    gave = [abs(float(ARM.pose(q)[2, 3] - ARM.pose(LAYOUT.start)[2, 3])) for q in (stiff, soft)]
    assert gave[0] < 6e-4
    assert gave[1] == pytest.approx(2e-3 * 1000 / 1300, rel=0.05), "springs of 300 and 1000 N/m in series"


def test_a_sample_of_the_force_along_the_beam_has_a_noise_of_a_third_of_a_newton() -> None:
    robot = cell()
    robot.reset()
    command = RobotCommand(LAYOUT.start)
    states = [robot.advance(command, SOFT, 0.005) for _ in range(1000)]
    force = [float(ARM.external_wrench(state.position, state.external_torque)[2]) for state in states]
    assert np.std(force) == pytest.approx(0.3, rel=0.1)
    assert abs(np.mean(force)) < 0.3, "and the bias is small"


def test_the_estimate_lags_behind_the_truth_by_its_time_constant() -> None:
    sensor = TorqueSensor(QUIET, sample_sensor(QUIET, 0))
    for _ in range(5):
        sensor.feel(np.ones(7), 0.001)
    assert sensor.read() == pytest.approx(np.full(7, 1.0 - np.exp(-1.0)))


def test_the_same_seed_tells_the_same_and_another_does_not() -> None:
    def told(seed: int) -> bytes:
        robot = cell(seed)
        robot.reset()
        return b"".join(robot.advance(RobotCommand(LAYOUT.start), SOFT, 0.005).external_torque for _ in range(20))

    again = cell(3)
    again.reset()
    again.advance(RobotCommand(LAYOUT.start), SOFT, 0.1)
    again.reset()
    replayed = b"".join(again.advance(RobotCommand(LAYOUT.start), SOFT, 0.005).external_torque for _ in range(20))
    assert told(3) == told(3) == replayed
    assert told(3) != told(4)


def test_friction_holds_the_arm_back_and_lets_it_be_still() -> None:
    command = RobotCommand(LAYOUT.start, np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))
    free, rubbed = (held(cell(friction=friction), command, 0.2) for friction in (0.0, 0.3))
    gone = [float(np.abs(position - LAYOUT.start).max()) for position in (free, rubbed)]
    assert 0.0 < gone[1] < 0.7 * gone[0]


def test_a_control_mode_that_is_not_simulated_is_refused() -> None:
    robot = cell()
    robot.reset()
    with pytest.raises(SimulationError, match="JOINT_IMPEDANCE is not simulated"):
        robot.advance(RobotCommand(LAYOUT.start), ControlMode.JOINT_IMPEDANCE, 0.005)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stiffness": (1.0, 2.0)}, "expected 6 stiffnesses"),
        ({"damping_ratio": 0.0}, "all of them above 0"),
        ({"friction": -1.0}, "friction is -1.0"),
        ({"posture_stiffness": float("nan")}, "all of them above 0"),
    ],
)
def test_what_is_no_impedance_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        ImpedanceConfig(LAYOUT.start, **changes)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match="start is"):
        ImpedanceConfig(np.zeros(6))
    with pytest.raises(SimulationError, match="lag is 0"):
        SensorConfig(lag=0.0)
