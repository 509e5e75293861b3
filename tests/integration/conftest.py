"""Nodes as child processes, a small subject and a policy for the tests of whole graphs."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from us_grid_sim.dataset.synth import synthesize
from us_nav_agent.deciders import MsDqnDecider
from us_nav_agent.policy import load_policy, save_policy

MODULES = {
    "grid_replay_node": "us_grid_sim.ros.grid_replay_node",
    "image_source_node": "us_grid_sim.ros.image_source_node",
    "policy_node": "us_nav_agent.ros.policy_node",
    "recorder_node": "us_nav_agent.ros.recorder_node",
    "bridge_node": "iiwa_bridge.ros.bridge_node",
    "robot_simulation": "iiwa_bridge.ros.simulation_node",
}


START_UP = 120.0
"""Longest wait for a node to be up [s]; on cores that others keep busy its imports alone take some ten."""


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    own: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        own.update(map(int, (task / "children").read_text().split()))
    return own.union(*map(descendants, own))


class NodeProcess:
    """A node that runs, its output kept."""

    def __init__(self, name: str, environment: dict[str, str], log: Path, parameters: dict[str, object]) -> None:
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        self.log = log
        self._output = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULES[name], "--ros-args", *words],
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str, seconds: float = START_UP) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.output:
            assert self.process.poll() is None or words in self.output, f"ended without {words!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {words!r} within {seconds} s:\n{self.output}"
            time.sleep(0.05)

    def end(self, number: int = signal.SIGINT, seconds: float = 10.0) -> int:
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        self._output.close()


Start = Callable[..., NodeProcess]


@pytest.fixture
def start(ros_env: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a node by its executable's name; it is ended with the test."""
    running: list[NodeProcess] = []

    def begin(name: str, **parameters: object) -> NodeProcess:
        node = NodeProcess(name, ros_env, tmp_path / f"{name}{len(running)}.log", parameters)
        running.append(node)
        return node

    yield begin
    for node in running:
        node.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one virtual subject with one frame a bin and sweep step."""
    root = tmp_path_factory.mktemp("data")
    synthesize(root, subjects=[29], frames_per_sweep=15, workers=1)
    return root


@pytest.fixture(scope="session")
def patient_file(data: Path) -> Path:
    return data / "Patient_files" / "Virtual029.txt"


def write_model(path: Path, bias: float) -> Path:
    """The shipped model, its stop classifier's last bias shifted: it looks at frames in earnest."""
    decider = load_policy("msdqn-lite").decider
    assert isinstance(decider, MsDqnDecider)
    with torch.no_grad():
        decider.stop_classifier.head[-1].bias += bias
    return save_policy(path, decider)


@pytest.fixture(scope="session")
def wanderer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never stops."""
    return write_model(tmp_path_factory.mktemp("models") / "wanderer.safetensors", -1e4)


@pytest.fixture(scope="session")
def stopper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that stops at the first frame."""
    return write_model(tmp_path_factory.mktemp("models") / "stopper.safetensors", 1e4)
