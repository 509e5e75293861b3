"""Navigation over real topics and actions in separate processes, and what goes wrong there."""

import os
import re
import signal
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from support.graph import LOCALHOST, free_ports
from us_grid_sim.ros.conversions import IMAGE_QOS, image_message
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.navigate_client import StepReport, navigate
from us_nav_interfaces.action import NavigateToTarget

from .conftest import START_UP, Start, descendants

pytestmark = pytest.mark.ros


def grid(start: Start, patient_file: Path, **parameters: object):  # type: ignore[no-untyped-def]
    node = start("grid_replay_node", patient_file=patient_file, start="'5,13'", **parameters)
    node.wait_for("frames/s")
    return node


def policy(start: Start, model: Path, **parameters: object):  # type: ignore[no-untyped-def]
    node = start("policy_node", model=model, **parameters)
    node.wait_for("SHA-256")
    return node


def both(start: Start, patient_file: Path, model: Path, rate: float = 30.0, **parameters: object):  # type: ignore[no-untyped-def]
    """The grid and the policy, which come up side by side."""
    node = start("policy_node", model=model, **parameters)
    source = grid(start, patient_file, rate=rate)
    node.wait_for("SHA-256")
    return source, node


def test_a_run_gives_feedback_every_step_and_ends_with_its_limit(
    start: Start, patient_file: Path, wanderer: Path
) -> None:
    both(start, patient_file, wanderer)
    steps: list[StepReport] = []
    outcome = navigate("sacrum", 4, steps.append)
    assert (outcome.reached, outcome.steps) == (False, 4)
    assert outcome.reason == "target not in view after 4 steps"
    assert [step.step for step in steps] == [0, 1, 2, 3, 4]
    assert (steps[0].position.row, steps[0].position.column) == (5, 13)
    for before, after in pairwise(steps):
        assert after.position == before.position.moved(before.action)


def test_a_run_that_sees_its_target_is_reached_without_a_step(start: Start, patient_file: Path, stopper: Path) -> None:
    both(start, patient_file, stopper)
    outcome = navigate("sacrum", 0, lambda step: None)
    assert (outcome.reached, outcome.steps, outcome.reason) == (True, 0, "target in view")


def test_an_unknown_target_is_refused_with_those_that_are_known(
    start: Start, patient_file: Path, wanderer: Path
) -> None:
    _, node = both(start, patient_file, wanderer)
    with pytest.raises(UsNavAgentError, match="refused the goal 'kidney'"):
        navigate("kidney", 4, lambda step: None)
    node.wait_for("it finds sacrum")


def test_killing_the_image_source_ends_the_run_with_no_frame(start: Start, patient_file: Path, wanderer: Path) -> None:
    source, _ = both(start, patient_file, wanderer, frame_timeout=1.0, step_timeout=2.0)
    begun = time.monotonic()

    def kill(step: StepReport) -> None:
        if step.step == 2:
            source.process.kill()

    outcome = navigate("sacrum", 500, kill)
    assert not outcome.reached
    assert re.search(r"no frame for 1 s|no result of the probe step for 2 s|probe step failed", outcome.reason)
    assert time.monotonic() - begun < 20


def test_an_image_source_that_falls_silent_ends_the_run_with_no_frame(
    start: Start, ros_env: dict[str, str], wanderer: Path, patient_file: Path
) -> None:
    source, _ = both(start, patient_file, wanderer, frame_timeout=1.0, step_timeout=60.0)

    def freeze(step: StepReport) -> None:
        if step.step == 1:
            source.process.send_signal(signal.SIGSTOP)

    begun = time.monotonic()
    policy_waits_at_most = 60.0 + 5.0
    try:
        # Frozen while the policy waits for a frame or for a step: either wait has its deadline.
        outcome = navigate("sacrum", 500, freeze, timeout=4.0)
        assert outcome.reason.startswith("no frame for 1 s")
    except UsNavAgentError as error:
        assert "no result within 4 s" in str(error)
    assert time.monotonic() - begun < policy_waits_at_most


def test_without_any_source_the_missing_topic_is_named(start: Start, wanderer: Path) -> None:
    policy(start, wanderer, startup_timeout=0.5)
    outcome = navigate("sacrum", 4, lambda step: None)
    assert outcome.reason == "no frame for 0.5 s: nobody publishes /us/image_raw"


class Camera:
    """A publisher of images in the test's own process."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("camera")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.publisher = self.node.create_publisher(Image, "/us/image_raw", IMAGE_QOS)

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *details: object) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def run(self, pixels: np.ndarray, seconds: float = 10.0, cancel_after: float | None = None) -> tuple[str, float]:
        """Publish a picture at 20 Hz while a run goes on; its reason, and seconds from a cancel to its end."""
        client = ActionClient(self.node, NavigateToTarget, "/us_nav/navigate")
        assert client.wait_for_server(START_UP)
        goal = client.send_goal_async(NavigateToTarget.Goal(target="sacrum", max_steps=100))
        result, cancelled, begun = None, None, time.monotonic()
        while result is None or not result.done():
            stamp = self.node.get_clock().now().nanoseconds
            self.publisher.publish(image_message(pixels, stamp))
            self.executor.spin_once(timeout_sec=0.05)
            if goal.done() and result is None:
                result = goal.result().get_result_async()
            if cancel_after is not None and cancelled is None and time.monotonic() - begun > cancel_after:
                goal.result().cancel_goal_async()
                cancelled = time.monotonic()
            assert time.monotonic() - begun < seconds, "the run does not end"
        return result.result().result.reason, time.monotonic() - (cancelled or begun)


def test_a_frame_of_the_wrong_size_ends_the_run_and_says_what_is_right(start: Start, wanderer: Path) -> None:
    policy(start, wanderer)
    with Camera() as camera:
        reason, _ = camera.run(np.zeros((480, 640), np.uint8))
    assert reason == "frame on /us/image_raw is 640x480 mono8; expected 800x600 mono8"


def test_without_a_probe_the_missing_action_is_named(start: Start, wanderer: Path) -> None:
    policy(start, wanderer, step_timeout=1.0)
    with Camera() as camera:
        reason, _ = camera.run(np.zeros((600, 800), np.uint8), seconds=15.0)
    assert reason.startswith("probe step failed: nobody serves /probe/step")


def test_a_cancel_is_honoured_within_one_step(start: Start, patient_file: Path, wanderer: Path) -> None:
    # At two frames a second a run of 100 steps takes far longer than this test.
    both(start, patient_file, wanderer, rate=2.0)
    rclpy.init()
    node = Node("canceller")
    try:
        client = ActionClient(node, NavigateToTarget, "/us_nav/navigate")
        assert client.wait_for_server(START_UP)
        seen: list[int] = []
        sent = client.send_goal_async(
            NavigateToTarget.Goal(target="sacrum", max_steps=100),
            feedback_callback=lambda message: seen.append(message.feedback.decision.step),
        )
        deadline = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.05)
        at_cancel = len(seen)
        sent.result().cancel_goal_async()
        ended = sent.result().get_result_async()
        rclpy.spin_until_future_complete(node, ended, timeout_sec=60.0)
        assert ended.result().result.reason == "cancelled"
        assert len(seen) <= at_cancel + 1
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_a_corrupt_model_is_one_clear_error_and_no_node(start: Start, wanderer: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    content = bytearray(wanderer.read_bytes())
    content[-10] ^= 0xFF
    broken.write_bytes(content)
    broken.with_suffix(".sha256").write_text(wanderer.with_suffix(".sha256").read_text())
    node = start("policy_node", model=broken)
    assert node.process.wait(START_UP) == 1
    assert re.search(r"error: .*broken\.safetensors: corrupt, its SHA-256 is", node.output)
    assert "Traceback" not in node.output


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_every_node_ends_cleanly_within_two_seconds_and_leaves_no_process_behind(
    start: Start, patient_file: Path, wanderer: Path, tmp_path: Path, number: int
) -> None:
    here, there = free_ports(2)
    nodes = [
        start("grid_replay_node", patient_file=patient_file),
        start("policy_node", model=wanderer),
        start("recorder_node", bag=tmp_path / "bag"),
        start("robot_simulation", port=there, client_port=here, patience=0.1),
        start("bridge_node", controller_host=LOCALHOST, controller_port=there, host=LOCALHOST, port=here),
        start("image_source_node", source="phantom", rate=2.0),
    ]
    words = ("frames/s", "SHA-256", "recording", "COMMANDING_ACTIVE", "waiting for the controller", "phantom")
    for node, up in zip(nodes, words, strict=True):
        node.wait_for(up)
    assert "memory lock: " in nodes[3].output
    left = set[int]().union(*(descendants(node.process.pid) for node in nodes))
    assert len(left) == 3, "the FRI client of the bridge, and two that render"
    # On a core that is shared everything takes as many times as long as there are others.
    shared = max(1.5, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
    for node in nodes:
        begun = time.monotonic()
        # Twice: from the terminal, and from a launcher that passes it on.
        node.process.send_signal(number)
        time.sleep(0.02)
        assert node.end(number, seconds=60.0) == 0, node.output
        assert time.monotonic() - begun < 2.0 * shared, node.log.stem
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]
    assert not [node.output for node in nodes if "Traceback" in node.output]
    assert (tmp_path / "bag" / "metadata.yaml").exists(), "the bag is whole"
