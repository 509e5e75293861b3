"""The image source node over the wire: what it says of a source that comes and goes, and where its subject is seen."""

import socket
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pyigtl import ImageMessage, OpenIGTLinkServer
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from us_grid_sim.ros.conversions import IMAGE_QOS, frame_of
from us_grid_sim.ros.image_source_parameters import declare

from .conftest import START_UP, Start

pytestmark = pytest.mark.ros


@pytest.fixture
def node(ros_env: dict[str, str]) -> Iterator[Node]:
    rclpy.init()
    made = Node("listener")
    yield made
    made.destroy_node()
    rclpy.shutdown()


def spin_until(node: Node, condition: Callable[[], bool], what: str, each: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + START_UP
    while not condition():
        assert time.monotonic() < deadline, what
        each()
        rclpy.spin_once(node, timeout_sec=0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_goes_and_comes_back_is_told_in_the_diagnostics_and_its_frames_come_again(
    node: Node, start: Start
) -> None:
    port = free_port()
    told: list[DiagnosticStatus] = []
    frames: list[Image] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda message: told.append(message.status[0]), 10)
    node.create_subscription(Image, "/us/image_raw", frames.append, IMAGE_QOS)
    picture = np.zeros((1, 616, 820), np.uint8)
    picture[0, :, :300] = 99
    message = ImageMessage(picture)
    source = start("image_source_node", source="openigtlink", port=port, roi="middle", mirror_columns=True)
    spin_until(node, lambda: bool(told) and told[-1].message.startswith("gone: openigtlink"), "gone before it came")
    assert told[-1].level == DiagnosticStatus.ERROR
    for _ in range(2):
        server = OpenIGTLinkServer(port=port)
        send = partial(server.send_message, message, wait=False)
        frames.clear()
        spin_until(node, lambda: len(frames) >= 3 and told[-1].message == "running", "frames again", send)
        server.stop()
        spin_until(node, lambda: told[-1].message.startswith("gone: "), "gone again")
    shown = frame_of(frames[-1])
    assert shown[0, 799] == 99 and shown[0, 0] == 0, "mirrored"
    values = {pair.key: pair.value for pair in told[-1].values}
    assert int(values["frames"]) >= 6 and int(values["reconnects"]) >= 1
    assert source.end() == 0
    assert "the server has closed the connection" in source.output


def test_each_parameter_reaches_the_configuration(ros_env: dict[str, str]) -> None:
    given = {
        "source": "bag", "file": "f", "device": "d", "host": "h", "port": 7, "igtl_device": "i", "roi": "middle",
        "mirror_columns": True, "mirror_rows": True, "mm_per_pixel_x": 0.1, "mm_per_pixel_y": 0.2, "calibration": "c",
        "seed": 1, "subject": 2, "rate": 3.0, "delay": 0.25, "stall_after": 5.0, "wait_for_subscribers": 6,
        "wait_timeout": 7.0,
    }  # fmt: skip
    rclpy.init()
    node = Node("parameters", parameter_overrides=[Parameter(name, value=value) for name, value in given.items()])
    try:
        assert vars(declare(node)) == given
    finally:
        node.destroy_node()
        rclpy.shutdown()
