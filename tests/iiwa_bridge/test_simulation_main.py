"""The simulated robot from the command line: plants by name, the session's changes said as they come."""

import argparse
import math
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.robot import ArmPlant, ArmState, Array, CommandMode, ControlMode, SessionState
from iiwa_bridge.simulation import plants
from iiwa_bridge.simulation.main import address, main, parse
from iiwa_bridge.simulation.plants import GROUP, ArmSetup
from iiwa_bridge.simulation.simulated_robot import SimulatedRobot
from support.bridge_rig import LAYOUT
from us_grid_sim.world.motion import sample_motion
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

from .support_fri import LOCALHOST, Sine, free_port, thread_client, wait_until

ASKED: list[ArmSetup] = []


def make_flat(setup: ArmSetup) -> ArmPlant:
    """A plant as an entry of the group makes it: the mock over a plane."""
    ASKED.append(setup)
    assert setup.urdf.read_text().startswith("<robot")
    flat = Skin(np.zeros((2, 2)), np.full((2, 2), 1e3), 1000.0, (-0.2, -0.2), 0.4)
    return RigidArm(setup.model, Patient(flat, setup.patient, sample_motion(setup.seed, setup.breathing, False)))


def make_broken(setup: ArmSetup) -> ArmPlant:
    raise ValueError("no back today")


def make_failing(setup: ArmSetup) -> ArmPlant:
    """A plant that fails at its first step."""

    class Failing(RigidArm):
        def step(self, torque: Array, duration: float) -> ArmState:
            raise ValueError("the arm has run away")

    flat = Skin(np.zeros((2, 2)), np.full((2, 2), 1e3), 1000.0, (-0.2, -0.2), 0.4)
    return Failing(setup.model, Patient(flat, setup.patient))


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:make_{name}", GROUP) for name in ("flat", "broken", "failing")]
    loaded = {"flat": make_flat, "broken": make_broken, "failing": make_failing}
    monkeypatch.setattr(EntryPoint, "load", lambda self: loaded[self.name])
    monkeypatch.setattr(plants, "entry_points", lambda group: entries if group == GROUP else [])


def run(plant: str, *more: str) -> int:
    here = ["--client", f"{LOCALHOST}:{free_port()}", "--address", f"{LOCALHOST}:{free_port()}"]
    return main(["--plant", plant, *here, "--seconds", "0.3", *more])


def test_a_plant_is_made_as_the_command_line_asks_and_the_session_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flat", "--subject", "7", "--seed", "5", "--breathing", "--period", "10") == 0
    assert "IDLE -> MONITORING_WAIT: the controller opened the session" in capsys.readouterr().out
    setup = ASKED[-1]
    assert (setup.subject, setup.seed, setup.breathing, setup.movement) == (7, 5, True, False)
    assert np.array_equal(setup.patient, LAYOUT.patient)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        ("robot", 'no simulated arm "robot"; installed are broken, failing, flat'),
        ("broken", 'simulated arm "broken" cannot be made: no back today'),
        ("failing", "the simulated robot has failed: the arm has run away"),
    ],
)
def test_a_plant_that_cannot_be_made_or_that_fails_is_an_error_of_one_line(
    plant: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(plant) == 1
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_client_of_positions_moves_the_arm_as_kukas_joint_sine_example_does() -> None:
    here, there = (LOCALHOST, free_port()), (LOCALHOST, free_port())
    asked = ["--plant", "flat", "--client", f"{here[0]}:{here[1]}", "--address", f"{there[0]}:{there[1]}"]
    config, _ = parse([*asked, "--patience", "5", "--command", "position"])
    motion = Sine()
    with SimulatedRobot(config) as robot, thread_client(ClientConfig(there, here, 10.0), motion):
        # A quarter of a period: A4 stands where the sine turns.
        wait_until(lambda: motion.since is not None and robot.time > motion.since + 1.0, "1 s of motion")
        assert robot.session is SessionState.COMMANDING_ACTIVE
        state = motion.states[-1]
    assert (state.command, state.control) == (CommandMode.POSITION, ControlMode.POSITION)
    assert state.position[3] - state.interpolated[3] == pytest.approx(0.04, abs=0.004)


def test_addresses_are_host_and_port() -> None:
    assert address("192.170.10.2:30200") == ("192.170.10.2", 30200)
    for text in ("30200", "host", "host:port", ":1"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected HOST:PORT"):
            address(text)
    config, seconds = parse(["--plant", "flat", "--client", "a:1", "--once"])
    assert (config.client, config.address, config.restart, seconds) == (("a", 1), ("0.0.0.0", 30200), False, math.inf)
    assert config.command is CommandMode.WRENCH
