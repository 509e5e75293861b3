"""The simulated robot as a node: what is true of the probe, and errors of one line; signals stand in tests/integration.

Its place in the whole graph is tested there too.
"""

import math
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

import rclpy
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import ArmPlant, ArmState, Array
from iiwa_bridge.ros.conversions import pose_message
from iiwa_bridge.ros.running import run
from iiwa_bridge.ros.simulation_node import SimulationNode
from iiwa_bridge.simulation import simulated_robot
from iiwa_bridge.simulation.plants import ArmSetup
from rclpy.executors import SingleThreadedExecutor
from us_grid_sim.world.motion import Motion, Movement
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin
from us_nav_interfaces.msg import ProbeState

from .support_fri import free_port

pytestmark = pytest.mark.ros
LAYOUT = load_layout()


def arguments(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["robot_simulation", "--ros-args", "-p", f"port:={free_port()}", *words])


def test_a_plant_that_is_not_installed_is_one_line(
    ros_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments(monkeypatch, "-p", "plant:=ideal")
    assert run(SimulationNode) == 1
    assert 'error: no simulated arm "ideal"; installed are mock, pybullet\n' in capfd.readouterr().err


def test_a_robot_that_fails_ends_the_node_with_the_reason(
    ros_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Failing(RigidArm):
        def step(self, torque: Array, duration: float) -> ArmState:
            raise ValueError("the arm has run away")

    def make(name: str, setup: ArmSetup) -> ArmPlant:
        flat = Skin(np.zeros((2, 2)), np.full((2, 2), 1e3), 1000.0, (-0.2, -0.2), 0.4)
        return Failing(setup.model, Patient(flat, setup.patient))

    arguments(monkeypatch)
    monkeypatch.setattr(simulated_robot, "make_arm", make)
    assert run(SimulationNode) == 1
    assert "error: the simulated robot has failed: the arm has run away\n" in capfd.readouterr().err


def test_what_is_true_of_the_probe_is_told_sixty_times_a_second_over_the_body_as_it_lies_now(
    ros_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, setup: ArmSetup) -> ArmPlant:
        flat = Skin(np.zeros((2, 2)), np.full((2, 2), 1e3), 1000.0, (-0.2, -0.2), 0.4)
        risen = Motion(movement=Movement(0.01, -2.0, 1.0))
        return RigidArm(setup.model, Patient(flat, setup.patient, risen))

    arguments(monkeypatch, "-p", "start:='3,10'", "-p", "patience:=0.001")
    monkeypatch.setattr(simulated_robot, "make_arm", make)
    rclpy.init()
    node, told = SimulationNode(), list[ProbeState]()
    try:
        node.create_subscription(ProbeState, "/simulation/probe", told.append, 10)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        deadline = time.monotonic() + 30.0
        while len(told) < 30 and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    stamps = [state.header.stamp.sec + 1e-9 * state.header.stamp.nanosec for state in told]
    assert np.median(np.diff(stamps)) == pytest.approx(1 / 60, rel=0.5)
    last, start = told[-1], LAYOUT.start
    assert (last.header.frame_id, last.contact) == ("patient_body", False)
    assert math.isnan(last.force_set_point)
    upright = pose_message(np.linalg.inv(LAYOUT.patient) @ Arm().pose(start))
    # Held by soft springs the arm sags by some millimetres; the back has risen towards it by 10 mm.
    place = last.pose.position
    assert (place.x, place.y) == pytest.approx((0.06, -0.04), abs=2e-3)
    assert place.z == pytest.approx(upright.position.z + 0.010, abs=3e-3)
