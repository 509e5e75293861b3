"""What starts a run in a launch: it waits for contact and frames, and says which is missing."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from sensor_msgs.msg import Image
from us_grid_sim.ros.conversions import OFFERED_IMAGE_QOS, image_message
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.navigate_client import NavigateClient, client_node
from us_nav_interfaces.msg import ProbeState

from .conftest import START_UP

pytestmark = pytest.mark.ros


@contextmanager
def graph(frames: bool, contact: bool) -> Iterator[None]:
    """Something that publishes the probe's state and, where it sees something, frames, 20 a second."""
    with client_node("graph") as (node, _):
        images = node.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        states = node.create_publisher(ProbeState, "/probe/state", 10)
        ended = threading.Event()

        def publish() -> None:
            while not ended.wait(0.05):
                states.publish(ProbeState(contact=contact))
                if frames:
                    images.publish(image_message(np.zeros((600, 800), np.uint8), 0))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("frames", "contact", "said"),
    [(True, False, "no contact within 2 s"), (False, True, "no frame on /us/image_raw within 2 s")],
)
def test_what_is_missing_is_said(ros_env: dict[str, str], frames: bool, contact: bool, said: str) -> None:
    with (
        graph(frames, contact),
        client_node("waits") as (node, executor),
        pytest.raises(UsNavAgentError, match=said),
    ):
        NavigateClient(node, executor).wait_for_contact(2.0)


def test_a_run_begins_when_the_contact_has_lasted_for_a_second(ros_env: dict[str, str]) -> None:
    with graph(frames=True, contact=True), client_node("waits") as (node, executor):
        begun = time.monotonic()
        NavigateClient(node, executor).wait_for_contact(30.0)
        assert 1.0 <= time.monotonic() - begun < 20.0


def test_without_a_target_the_node_ends_at_once(ros_env: dict[str, str]) -> None:
    words = [sys.executable, "-m", "us_nav_agent.ros.navigate_node", "--ros-args", "-p", "target:=''"]
    ended = subprocess.run(words, env=dict(os.environ), capture_output=True, text=True, timeout=START_UP, check=False)
    assert (ended.returncode, ended.stdout) == (0, "no target: the probe waits for `usnav navigate`\n"), ended.stderr
