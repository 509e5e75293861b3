"""Measurements as ROS 2 messages: known answers, and nothing left behind thirty times a second."""

import gc
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.ros.conversions import pose_message, wrench_message
from scipy.spatial.transform import Rotation

_TIMES = 5000
_LOST = 20.0
"""Bytes a message that memory may have grown by; what was once lost was 80 and 120."""


def pose(rotation: Rotation) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = rotation.as_matrix(), (0.1, -0.2, 0.3)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_keeps_its_place_and_turn(seed: int) -> None:
    rotation = Rotation.random(rng=np.random.default_rng(seed))
    message = pose_message(pose(rotation))
    assert (message.position.x, message.position.y, message.position.z) == (0.1, -0.2, 0.3)
    turned = message.orientation
    assert (Rotation.from_quat([turned.x, turned.y, turned.z, turned.w]).inv() * rotation).magnitude() < 1e-9


def test_half_a_turn_is_told_too() -> None:
    turned = pose_message(pose(Rotation.from_rotvec([np.pi, 0.0, 0.0]))).orientation
    assert (abs(turned.x), turned.y, turned.z, turned.w) == pytest.approx((1.0, 0.0, 0.0, 0.0), abs=1e-12)


def own_kilobytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))


def test_messages_of_what_another_process_said_leave_nothing_behind() -> None:
    said = pickle.dumps((pose(Rotation.identity()), np.arange(6.0)))

    def tell() -> None:
        placed, felt = pickle.loads(said)
        pose_message(placed)
        wrench_message(felt)

    def used() -> tuple[int, int]:
        gc.collect()
        return sys.getallocatedblocks(), own_kilobytes()

    for _ in range(_TIMES):
        tell()
    blocks, kilobytes = used()
    for _ in range(_TIMES):
        tell()
    more_blocks, more_kilobytes = used()
    assert more_blocks - blocks < 0.1 * _TIMES
    assert 1024 * (more_kilobytes - kilobytes) < _LOST * _TIMES
