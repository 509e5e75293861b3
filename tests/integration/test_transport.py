"""Frames in shared memory: whoever is held up for a moment finds them still there."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from support import frame_listener
from us_grid_sim.ros.conversions import OFFERED_IMAGE_QOS, nanoseconds

from .conftest import START_UP, Start

pytestmark = pytest.mark.ros

HELD_UP = 0.12
"""Four frames long [s]: no more than a subscriber of sensor data keeps."""


@pytest.fixture
def listener(ros_env: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A subscriber of sensor data that writes the stamp of each frame into a file."""
    heard = tmp_path / "heard"
    with heard.open("w") as out:
        process = subprocess.Popen([sys.executable, frame_listener.__file__], env=ros_env, stdout=out, text=True)
        yield process, heard
        process.kill()
        process.wait()


def test_a_subscriber_that_is_held_up_for_four_frames_loses_none(
    ros_env: dict[str, str], start: Start, patient_file: Path, listener: tuple[subprocess.Popen[str], Path]
) -> None:
    """The middleware's own shared memory holds one frame of 480 kB: the next one would overwrite it."""
    process, heard = listener
    stamps: list[int] = []
    rclpy.init()
    node = Node("reference")
    node.create_subscription(
        Image, "/us/image_raw", lambda image: stamps.append(nanoseconds(image.header.stamp)), OFFERED_IMAGE_QOS
    )
    start("grid_replay_node", patient_file=patient_file, rate=30.0).wait_for("frames/s")

    def listen(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.02)

    deadline = time.monotonic() + START_UP
    while not (stamps and heard.read_text()):
        assert time.monotonic() < deadline, "nobody hears a frame"
        listen(0.1)
    for _ in range(10):
        process.send_signal(signal.SIGSTOP)
        listen(HELD_UP)
        process.send_signal(signal.SIGCONT)
        listen(0.3)
    listen(1.0)
    node.destroy_node()
    rclpy.shutdown()

    found = list(map(int, heard.read_text().split()))
    common = [stamp for stamp in stamps if found[0] <= stamp <= found[-1]]
    assert len(common) > 60
    assert [stamp for stamp in common if stamp not in set(found)] == []
