"""Between our arrays and ROS 2 messages."""

import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Pose
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from us_nav_interfaces.msg import ProbeState, UltrasoundInfo

from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.sources.base import SourceInfo

IMAGE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST)
"""How frames are subscribed to, as sensor data: the newest ones, none sent again."""
OFFERED_IMAGE_QOS = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST)
"""How frames are published: a recorder may ask for every one and may be held up for a second (14 MB wait for it), and
whoever asks for sensor data gets just that."""
LATCHED_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Reliable, and the last ones are kept for those who come late."""


def time_message(nanoseconds: int) -> Time:
    """A stamp [ns] as a message."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return Time(sec=seconds, nanosec=rest)


def nanoseconds(stamp: Any) -> int:
    """A stamp message in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def image_message(pixels: npt.NDArray[np.uint8], stamp_ns: int) -> Image:
    """A frame uint8 (height, width) as a mono8 image in us_image."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="mono8", step=pixels.shape[1])
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = "us_image"
    # Of all ways to fill the field only an array("B") is quick (ros2/rclpy#763).
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data)
    message.data = data
    return message


def frame_of(image: Image) -> npt.NDArray[np.uint8]:
    """The frame uint8 (600, 800) in an image message, without a copy.

    Raises:
        FrameError: another encoding or size, or the data do not fit the size that it names.
    """
    if image.encoding != "mono8" or (image.width, image.height) != (FRAME_WIDTH, FRAME_HEIGHT):
        raise FrameError(
            f"frame on /us/image_raw is {image.width}x{image.height} {image.encoding}; "
            f"expected {FRAME_WIDTH}x{FRAME_HEIGHT} mono8"
        )
    if image.step < image.width or len(image.data) != image.step * image.height:
        raise FrameError(
            f"frame on /us/image_raw has {len(image.data)} bytes in rows of {image.step}; "
            f"expected {FRAME_WIDTH * FRAME_HEIGHT} bytes in rows of {FRAME_WIDTH}"
        )
    rows = np.frombuffer(image.data, dtype=np.uint8).reshape(image.height, image.step)
    return rows[:, : image.width]


def pose_message(pose: npt.NDArray[np.float64]) -> Pose:
    """A pose (4, 4) [m] as a message, unit quaternion xyzw."""
    message = Pose()
    message.position.x, message.position.y, message.position.z = (float(value) for value in pose[:3, 3])
    turned = Rotation.from_matrix(pose[:3, :3]).as_quat()
    message.orientation.x, message.orientation.y, message.orientation.z, message.orientation.w = map(float, turned)
    return message


def info_message(info: SourceInfo, stamp_ns: int) -> UltrasoundInfo:
    """How frames were acquired, as a message."""
    message = UltrasoundInfo(
        height=FRAME_HEIGHT,
        width=FRAME_WIDTH,
        mm_per_pixel_x=info.mm_per_pixel_x,
        mm_per_pixel_y=info.mm_per_pixel_y,
        depth=info.depth,
        probe_width=info.probe_width,
        source=info.source,
        detail=info.detail,
    )
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = "us_image"
    return message


def tracked_state(pose: npt.NDArray[np.float64], frame_id: str, stamp_ns: int, steps: int = 0) -> ProbeState:
    """A probe state that knows nothing but a pose: no force is measured and there is no FRI session."""
    message = ProbeState(pose=pose_message(pose), fri_session_state=ProbeState.FRI_NONE, steps=steps)
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = frame_id
    message.force_set_point = float("nan")
    for vector in (message.wrench.force, message.wrench.torque):
        vector.x = vector.y = vector.z = float("nan")
    return message


def health(
    name: str,
    hardware: str,
    words: str,
    values: Mapping[str, object],
    stamp_ns: int,
    level: bytes = DiagnosticStatus.OK,
) -> DiagnosticArray:
    """How a node is, as a message for /diagnostics: what it does in a word, and its figures."""
    said = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    status = DiagnosticStatus(level=level, name=name, hardware_id=hardware, message=words, values=said)
    message = DiagnosticArray(status=[status])
    message.header.stamp = time_message(stamp_ns)
    return message
