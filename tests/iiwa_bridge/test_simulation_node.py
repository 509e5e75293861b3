"""The simulated robot as a node: what goes wrong is one line and a status; signals stand in tests/integration."""

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.robot import ArmPlant, ArmState, Array
from iiwa_bridge.ros.running import run
from iiwa_bridge.ros.simulation_node import SimulationNode
from iiwa_bridge.simulation import simulated_robot
from iiwa_bridge.simulation.plants import ArmSetup
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

from .support_fri import free_port

pytestmark = pytest.mark.ros


def arguments(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["robot_simulation", "--ros-args", "-p", f"port:={free_port()}", *words])


def test_a_plant_that_is_not_installed_is_one_line(
    ros_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments(monkeypatch, "-p", "plant:=ideal")
    assert run(SimulationNode, threads=2) == 1
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
    assert run(SimulationNode, threads=2) == 1
    assert "error: the simulated robot has failed: the arm has run away\n" in capfd.readouterr().err
