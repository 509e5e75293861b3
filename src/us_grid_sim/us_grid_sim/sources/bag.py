"""Frames, and poses where there are any, of a rosbag2 bag (MCAP or sqlite3), ours or somebody else's."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.picture import Colours, Image, Picture

IMAGE_TOPIC, STATE_TOPIC, INFO_TOPIC = "/us/image_raw", "/probe/state", "/us/image_info"
_CHANNELS: dict[str, tuple[int, Colours]] = {
    "mono8": (1, "rgb"),
    "8UC1": (1, "rgb"),
    "rgb8": (3, "rgb"),
    "bgr8": (3, "bgr"),
}
_NEAR = 100_000_000
"""A pose belongs to a frame that was taken within so long of it [ns]."""


@dataclass(frozen=True, eq=False)
class Track:
    """Where the probe was.

    Attributes:
        stamps: (n,) int64, growing [ns].
        poses: (n, 4, 4) of ``us_probe`` [m].
        frame: tf name of the coordinate frame of the poses.
    """

    stamps: npt.NDArray[np.int64]
    poses: npt.NDArray[np.float64]
    frame: str

    def near(self, stamp: int) -> npt.NDArray[np.float64] | None:
        """The pose (4, 4) nearest in time to ``stamp`` [ns]; None where none is within 0.1 s of it."""
        if not len(self.stamps):
            return None
        nearest = int(np.abs(self.stamps - stamp).argmin())
        return self.poses[nearest] if abs(int(self.stamps[nearest]) - stamp) <= _NEAR else None


class BagReader:
    """An open bag.

    A bag of before ROS 2 Iron carries no definitions: its images are read, its poses, of a type that is ours, are not.

    Args:
        path: a bag's folder, or one .mcap or .db3 file of it.

    Raises:
        SourceError: there is no bag, or it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise SourceError(f"{path}: there is no such bag; expected its folder, or an .mcap or .db3 file")
        try:
            self._reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_KILTED))
            self._reader.open()
        except (AnyReaderError, ReaderError, OSError, ValueError, KeyError, AssertionError) as error:
            raise self._unreadable(error) from error
        if not self._of(IMAGE_TOPIC):
            held = ", ".join(sorted({connection.topic for connection in self._reader.connections})) or "nothing"
            self.close()
            raise SourceError(f"{path}: it holds {held}; expected images on {IMAGE_TOPIC}")

    @property
    def image_count(self) -> int:
        """Images in the bag."""
        return sum(connection.msgcount for connection in self._of(IMAGE_TOPIC))

    def images(self) -> Iterator[tuple[int, Image, Colours]]:
        """Stamp [ns], image and order of its colours of each message, in the order they were recorded.

        Raises:
            SourceError: the bag is cut off, or an image has another encoding.
        """
        for message in self._messages(IMAGE_TOPIC):
            yield stamp_ns(message.header.stamp), *self._image(message)

    def track(self) -> Track:
        """The poses of /probe/state; empty where there are none, or of no type that is known.

        Raises:
            SourceError: the bag is cut off.
        """
        known = self._reader.typestore.fielddefs
        states = list(self._messages(STATE_TOPIC)) if "us_nav_interfaces/msg/ProbeState" in known else []
        stamps = np.array([stamp_ns(state.header.stamp) for state in states], dtype=np.int64)
        # Growing and each once: a recorder may have noted a latched state again.
        stamps, first = np.unique(stamps, return_index=True)
        poses = np.array([_pose(states[index].pose) for index in first]).reshape(-1, 4, 4)
        told = np.isfinite(poses).all(axis=(1, 2))
        return Track(stamps[told], poses[told], states[0].header.frame_id if states else "")

    def info(self) -> SourceInfo | None:
        """The first of /us/image_info, if there is one of a type that is known."""
        if "us_nav_interfaces/msg/UltrasoundInfo" not in self._reader.typestore.fielddefs:
            return None
        for said in self._messages(INFO_TOPIC):
            return SourceInfo(
                said.mm_per_pixel_x, said.mm_per_pixel_y, said.depth, said.probe_width, "bag", said.detail
            )
        return None

    def close(self) -> None:
        """Let go of the bag."""
        self._reader.close()

    def _of(self, topic: str) -> list[Connection]:
        return [connection for connection in self._reader.connections if connection.topic == topic]

    def _messages(self, topic: str) -> Iterator[Any]:
        if not (connections := self._of(topic)):
            return
        try:
            for connection, _, data in self._reader.messages(connections):
                yield self._reader.deserialize(data, connection.msgtype)
        except (AnyReaderError, ReaderError, OSError, ValueError, KeyError, IndexError) as error:
            raise self._unreadable(error) from error

    def _image(self, message: Any) -> tuple[Image, Colours]:
        if message.encoding not in _CHANNELS:
            raise SourceError(f"{self.path}: an image is {message.encoding}; expected one of {', '.join(_CHANNELS)}")
        channels, colours = _CHANNELS[message.encoding]
        width, size = message.width * channels, message.step * message.height
        if message.step < width or len(message.data) != size:
            raise SourceError(
                f"{self.path}: an image has {len(message.data)} bytes; expected {size} in rows of {width}"
            )
        rows = np.asarray(message.data, dtype=np.uint8).reshape(message.height, message.step)[:, :width]
        return (rows if channels == 1 else rows.reshape(message.height, message.width, channels)), colours

    def _unreadable(self, error: Exception) -> SourceError:
        said = " ".join(str(error).split()) or type(error).__name__
        return SourceError(f"{self.path}: cannot be read ({said}); expected a whole bag, with its index")


class BagSource:
    """The images of a bag, with their recorded stamps. A :class:`us_grid_sim.sources.base.FrameSource`.

    A frame has the pose of /probe/state that is nearest in time, where there is one within 0.1 s.

    Args:
        path: a bag's folder, or one .mcap or .db3 file of it.
        picture: how its images become frames.

    Raises:
        SourceError: there is no bag, it is cut off, or it holds no images.
    """

    def __init__(self, path: Path, picture: Picture) -> None:
        self._bag, self._picture = BagReader(path), picture
        try:
            self._track, said = self._bag.track(), self._bag.info()
        except SourceError:
            self._bag.close()
            raise
        nan = math.nan
        self._info = picture.described(said or SourceInfo(nan, nan, FRAME_HEIGHT * nan, nan, "bag", path.name))
        self._images = self._bag.images()

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired, as the bag says; NaN where it does not."""
        return self._info

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises:
            SourceError: the bag is cut off, or an image has another encoding.
            FrameError: an image has the wrong size.
        """
        if (image := next(self._images, None)) is None:
            return None
        stamp, pixels, colours = image
        try:
            return Frame(self._picture(pixels, colours), stamp, self._track.near(stamp), self._track.frame)
        except FrameError as error:
            raise FrameError(f"{self._bag.path}: {error}") from None

    def close(self) -> None:
        """Let go of the bag; nothing more is read."""
        self._images = iter(())
        self._bag.close()


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _pose(pose: Any) -> npt.NDArray[np.float64]:
    """A geometry_msgs/Pose as (4, 4) [m]; NaN where its orientation is none."""
    turn = np.array([getattr(pose.orientation, axis) for axis in "xyzw"])
    matrix = np.full((4, 4), np.nan)
    if np.isfinite(turn).all() and np.linalg.norm(turn) > 0.0:
        matrix[:] = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(turn).as_matrix()
        matrix[:3, 3] = [getattr(pose.position, axis) for axis in "xyz"]
    return matrix
