"""`usnav robot`: what is said of a controller that is silent, foreign, wrong or right; the payload; a small move."""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.control.payload import GRAVITY, identify_payload
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import (
    Array,
    ConnectionQuality,
    ControlMode,
    OperationMode,
    RobotCommand,
    RobotState,
    SafetyState,
    SessionState,
)
from support.robot_states import robot_state
from us_nav_agent.cli.robot_jog import MOST_FORCE, Aim, Jog, Progress
from us_nav_agent.cli.robot_look import Heard, findings, flange_pose
from us_nav_agent.errors import UsNavAgentError

TESTS = Path(__file__).parents[1]
START = load_layout().start
LOCALHOST = "127.0.0.1"


def state(q: Array = START, **changes: object) -> RobotState:
    fine = {"session": SessionState.MONITORING_READY, "operation": OperationMode.TEST_MODE_1, "stamp": 0.0}
    return robot_state(q, **fine | changes)


def wrong(heard: Heard) -> dict[str, str]:
    """What is not right, with what to do."""
    return {each.what: each.cure for each in findings(heard, BridgeConfig()) if not each.found}


def test_nothing_is_wrong_with_a_robot_over_the_patient_at_rest() -> None:
    assert wrong(Heard((state(),), 0, "", 0)) == {}


@pytest.mark.parametrize(
    ("change", "what", "cure"),
    [
        ({"period": 0.05}, "period", "send period of 5 ms"),
        ({"quality": ConnectionQuality.FAIR}, "quality", "direct cable"),
        ({"session": SessionState.MONITORING_WAIT}, "session", "--seconds"),
        ({"safety": SafetyState.STOP_LEVEL_1}, "safety", "emergency stop"),
        ({"operation": OperationMode.AUTOMATIC_MODE}, "key switch", "T1"),
        ({"control": ControlMode.POSITION}, "control mode", "impedance"),
        ({"external_torque": np.array([0, 3.0, 0, 0, 0, 0, 0])}, "force at rest", "load data"),
    ],
)
def test_each_thing_that_is_wrong_is_named_alone_and_with_its_cure(
    change: dict[str, object], what: str, cure: str
) -> None:
    found = wrong(Heard((state(**change),), 0, "", 0))
    assert list(found) == [what]
    assert cure in found[what]


def test_a_joint_near_its_end_and_a_probe_beside_the_patient_are_named() -> None:
    q = START.copy()
    q[0] = np.radians(168.0)
    found = wrong(Heard((state(q),), 0, "", 0))
    assert "A1" in found["joints"] and "start_deg" in found["layout"]


def test_without_a_message_only_the_connection_is_spoken_of() -> None:
    assert "firewall" in wrong(Heard((), 0, "", 0))["controller"]
    assert wrong(Heard((), 0, "", 9)) == {"controller": "name who is heard with --controller"}
    (protocol,) = wrong(Heard((), 7, "not FRI 1.15", 0)).items()
    assert protocol == ("protocol", "FRI 1.15 on the controller")


def test_the_payload_comes_out_of_poses_by_hand() -> None:
    arm, probe = Arm(), load_probe()
    mass, centre = 0.4, np.array([0.01, -0.02, 0.06])
    bias = np.linspace(-0.3, 0.3, 7)
    postures = [START, *(START + np.radians(turn) for turn in np.random.default_rng(3).uniform(-60, 60, (6, 7)))]
    poses = []
    for q in postures:
        flange = arm.pose(q) @ np.linalg.inv(probe.tool)
        # The weight acts at the load's centre: J^T m g with the Jacobian of that point, by differences.
        torque = np.zeros(7)
        for joint in range(7):
            moved = q.copy()
            moved[joint] += 1e-6
            there = arm.pose(moved) @ np.linalg.inv(probe.tool)
            shift = (there[:3, :3] @ centre + there[:3, 3]) - (flange[:3, :3] @ centre + flange[:3, 3])
            torque[joint] = mass * GRAVITY @ (shift / 1e-6)
        poses.append(flange_pose([state(q, external_torque=torque + bias)], arm, probe.tool))
    payload = identify_payload(poses)
    assert payload.mass == pytest.approx(mass, abs=1e-4)
    assert payload.centre == pytest.approx(centre, abs=1e-4)
    assert payload.bias == pytest.approx(bias, abs=1e-4)


class Door:
    """Keeps the last report of a move."""

    def orders(self) -> list[bytes]:
        return []

    def report(self, content: bytes) -> None:
        self.last: Progress = pickle.loads(content)


def run_jog(aim: Aim, touched: float = 0.0, config: BridgeConfig | None = None) -> tuple[list[Array], Door]:
    """A move of an arm that follows exactly; ``touched``: force along the beam after a second [N]."""
    door, arm = Door(), Arm()
    jog = Jog(config or BridgeConfig(), aim, door)
    sent = [START]
    for cycle in range(1500):
        torque = arm.contact_torque(sent[-1], np.array([0, 0, -touched, 0, 0, 0])) if cycle > 200 else np.zeros(7)
        command: RobotCommand = jog(
            state(sent[-1], session=SessionState.COMMANDING_ACTIVE, external_torque=torque, interpolated=START)
        )
        assert command.wrench is not None and not command.wrench.any()
        sent.append(command.position)
        if door.last.ended:
            break
    return sent, door


@pytest.mark.parametrize("amount", [-4.0, 0.5])
def test_a_jog_turns_one_joint_by_what_was_asked_and_slowly(amount: float) -> None:
    sent, door = run_jog(Aim("A6", amount))
    turned = np.degrees(sent[-1] - START)
    assert turned == pytest.approx([0, 0, 0, 0, 0, amount, 0], abs=1e-3)
    assert np.degrees(np.abs(np.diff(sent, axis=0))).max() / 0.005 <= 3.0 + 1e-6
    assert (door.last.stopped, door.last.cut) == ("", "")


@pytest.mark.parametrize(("axis", "amount"), [("x", 15.0), ("y", -15.0), ("z", -20.0), ("z", 10.0)])
def test_a_jog_along_an_axis_of_the_patient_keeps_the_others_and_the_beam(axis: str, amount: float) -> None:
    sent, door = run_jog(Aim(axis, amount))
    arm, to_patient = Arm(), np.linalg.inv(load_layout().patient)
    before, after = (to_patient @ arm.pose(q) for q in (START, sent[-1]))
    wanted = np.zeros(3)
    wanted["xyz".index(axis)] = amount
    assert 1e3 * (after - before)[:3, 3] == pytest.approx(wanted, abs=0.3)
    assert after[:3, 2] == pytest.approx(before[:3, 2], abs=2e-3)
    assert (door.last.stopped, door.last.cut) == ("", "")


def test_a_jog_that_meets_something_ends_where_it_is() -> None:
    sent, door = run_jog(Aim("z", 20.0), touched=MOST_FORCE + 1.0)
    assert "force on the probe changed" in door.last.stopped
    assert 0.0 < door.last.moved < 20.0
    assert (sent[-1] == sent[-2]).all()


@pytest.mark.parametrize(
    ("axis", "amount", "words"),
    [("A8", 1.0, "no axis"), ("A1", 5.1, "up to 5"), ("z", -21.0, "up to 20"), ("x", 0, "0")],
)
def test_a_jog_that_is_too_far_or_nowhere_is_refused(axis: str, amount: float, words: str) -> None:
    with pytest.raises(UsNavAgentError, match=words):
        Aim(axis, amount)


def usnav(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "us_nav_agent.cli.main", "robot", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, input="")


@pytest.fixture(scope="module")
def ends() -> Iterator[list[str]]:
    """Addresses of a simulated robot that runs, as options of the commands."""
    support = importlib.util.spec_from_file_location("sim_robot", TESTS / "iiwa_bridge" / "sim_robot.py")
    assert support is not None and support.origin is not None
    with free_ports() as (client, controller):
        command = [sys.executable, support.origin, "--plant", "flat"]
        command += ["--client", f"{LOCALHOST}:{client}", "--address", f"{LOCALHOST}:{controller}"]
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
        assert process.stdout is not None and "MONITORING_WAIT" in process.stdout.readline()
        yield ["--controller", f"{LOCALHOST}:{controller}", "--address", f"{LOCALHOST}:{client}"]
        process.kill()
        process.wait()


@contextmanager
def free_ports() -> Iterator[tuple[int, int]]:
    import socket

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for each in (one, two):
            each.bind((LOCALHOST, 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    yield ports


def test_check_tare_and_jog_against_a_simulated_robot(ends: list[str]) -> None:
    checked = usnav("check", *ends, "--seconds", 6)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FRI 1.15, a message each 5 ms" in checked.stdout and "wrong" not in checked.stdout
    tared = usnav("tare", *ends, "--seconds", 8)
    assert tared.returncode == 0, tared.stderr
    assert [line.split()[0] for line in tared.stdout.splitlines()] == ["Fx", "Fy", "Fz", "Tx", "Ty", "Tz"]
    moved = usnav("jog", "z", "-5", *ends, "--yes")
    assert moved.returncode == 0, moved.stderr
    assert "moved by -5.00" in moved.stdout


def test_a_jog_that_nobody_confirms_moves_nothing(ends: list[str]) -> None:
    asked = usnav("jog", "z", "-5", *ends)
    assert asked.returncode != 0
    assert "hand on the enabling switch" in asked.stdout and "moved" not in asked.stdout


def test_a_controller_that_is_not_there_is_an_error_that_says_what_to_do() -> None:
    with free_ports() as (client, controller):
        words = ["--controller", f"{LOCALHOST}:{controller}", "--address", f"{LOCALHOST}:{client}", "--seconds", "0.5"]
        checked, tared = usnav("check", *words), usnav("tare", *words)
    assert checked.returncode == 1 and "start the application on the controller" in checked.stdout
    assert tared.returncode == 1
    assert tared.stderr == "error: the controller is not heard; `usnav robot check` says why\n"


@pytest.mark.parametrize("command", ["check", "tare", "jog"])
def test_help_teaches(command: str) -> None:
    shown = usnav(command, "--help")
    assert shown.returncode == 0
    assert f"usnav robot {command}" in shown.stdout.replace("\n", " ")
