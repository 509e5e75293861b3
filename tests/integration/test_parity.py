"""A policy that sees the same frames decides the same in the environment, in the node and from the bag: bit for bit."""

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.layout import read_subject
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.read import IMAGE_TOPIC, STATE_TOPIC, read_decisions
from us_nav_agent.bags.run import read_run
from us_nav_agent.policy import Decision, load_policy
from us_nav_agent.ros.navigate_client import navigate

from .conftest import Start

pytestmark = pytest.mark.ros
START, SEED, STEPS = Bin(2, 11), 5, 12


def bits(decision: object) -> tuple[object, ...]:
    """What must agree, as bits: action, Q-values, state value, stop probability and confidence."""
    q = np.asarray(decision.q_values, dtype=np.float32).tobytes()
    rest = np.array([decision.state_value, decision.stop_probability, decision.confidence], dtype=np.float32)
    return (int(decision.action), q, rest.tobytes())


def in_environment(patient_file: Path, model: Path) -> tuple[list[Decision], list[Bin]]:
    """Walk in the environment with the policy on the full frames that it shows."""
    policy = load_policy(model)
    grid = load_grid(patient_file, policy.preprocess)
    subject = read_subject(patient_file)
    env = SacrumNavEnv(subjects=[grid], stop=True, max_steps=100)
    _, info = env.reset(seed=SEED, options={"subject": 0, "start": START.state})
    policy.reset()
    decisions, places = [], []
    for _ in range(STEPS + 1):
        places.append(Bin(*info["bin"]))
        decision = policy.act(subject.frame(info["frame_index"]))
        decisions.append(decision)
        if decision.action is Action.STOP:
            break
        observation, _, _, _, info = env.step(decision.action)
        # The observation of the environment is what the policy preprocesses for itself.
        current = policy.preprocess(subject.frame(info["frame_index"]))
        assert (observation["frames"][0] == current).all()
    return decisions, places


def test_environment_node_and_bag_decide_alike_bit_for_bit(
    start: Start, patient_file: Path, wanderer: Path, tmp_path: Path
) -> None:
    recorder = start("recorder_node", bag=tmp_path / "bag")
    recorder.wait_for("recording")
    place = f"'{START.row},{START.column}'"
    nodes = (
        start("grid_replay_node", patient_file=patient_file, start=place, seed=SEED),
        start("policy_node", model=wanderer),
    )
    for node, up in zip(nodes, ("frames/s", "SHA-256"), strict=True):
        node.wait_for(up)
    outcome = navigate("sacrum", STEPS, lambda step: None, recorded=(IMAGE_TOPIC, STATE_TOPIC))
    time.sleep(1.5)
    assert outcome.steps == STEPS
    assert recorder.end() == 0

    expected, places = in_environment(patient_file, wanderer)
    recorded = list(read_decisions(tmp_path / "bag"))
    assert [bits(decision) for decision in recorded] == [bits(decision) for decision in expected]

    steps = read_run(tmp_path / "bag")
    assert [step.position for step in steps] == places
    policy = load_policy(wanderer)
    assert [bits(policy.act(step.frame)) for step in steps] == [bits(decision) for decision in expected]


def test_another_frame_is_another_decision(patient_file: Path, wanderer: Path) -> None:
    """The comparison above can fail: a brighter block of pixels changes the bits."""
    subject, policy = read_subject(patient_file), load_policy(wanderer)
    frame = subject.frame(0)
    changed = frame.copy()
    changed[200:320, 390:410] += 40
    first = bits(policy.act(frame))
    policy.reset()
    assert bits(policy.act(changed)) != first
