"""Frame grabbers and video files, through OpenCV."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.picture import Picture


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802, D102 (OpenCV's name)

    def read(self) -> tuple[bool, npt.NDArray[np.uint8] | None]: ...  # noqa: D102

    def set(self, number: int, value: float) -> bool: ...  # noqa: D102

    def get(self, number: int) -> float: ...  # noqa: D102

    def release(self) -> None: ...  # noqa: D102


def open_v4l2(name: str) -> Capture:
    """The V4L2 device of this path or index; it may be one that cannot be opened.

    Raises:
        SourceError: there is no such device.
    """
    place = Path(f"/dev/video{name}" if name.isdecimal() else name)
    # OpenCV would say so too, in a line of its own at each attempt.
    if not place.exists():
        here = ", ".join(sorted(str(other) for other in Path("/dev").glob("video*"))) or "one: none is connected"
        raise SourceError(f"{name}: there is no such device; expected {here}")
    return cv2.VideoCapture(str(place), cv2.CAP_V4L2)  # type: ignore[return-value]


class VideoDevice:
    """A V4L2 device: a frame grabber on the scanner's video output. A :class:`us_grid_sim.sources.reader.Device`.

    Where no region is chosen the device is asked for 800 x 600; whether it gives that shows with its first frame.

    Args:
        name: path (/dev/video0) or index (0).
        picture: how its images become frames.
        connect: opens the device.
    """

    def __init__(self, name: str, picture: Picture, connect: Callable[[str], Capture] = open_v4l2) -> None:
        self._name, self._picture, self._connect = name, picture, connect
        self._capture: Capture | None = None

    @property
    def info(self) -> SourceInfo:
        """How the frames are acquired; a grabber knows nothing of the scanner."""
        return self._picture.described(_unknown("video", self._name))

    def open(self) -> None:
        """Open the device.

        Raises:
            SourceError: there is none, or another program holds it.
        """
        self._capture = self._connect(self._name)
        if not self._capture.isOpened():
            raise SourceError(f"{self._name}: cannot be opened; expected a V4L2 device that no other program holds")
        if self._picture.corner is None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, FRAME_WIDTH)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, FRAME_HEIGHT)

    def read(self) -> Frame | None:
        """The next frame; OpenCV waits for it, ten seconds at most.

        Raises:
            FrameError: it has the wrong size.
            SourceError: none came.
        """
        assert self._capture is not None
        taken, image = self._capture.read()
        if not taken or image is None:
            raise SourceError(f"{self._name}: the device gives no more images; is it unplugged, or without a signal?")
        try:
            return Frame(self._picture(image, "bgr"))
        except FrameError as error:
            raise FrameError(f"{self._name}: {error}") from None

    def close(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class VideoFile:
    """The frames of a video file, in their order. A :class:`us_grid_sim.sources.base.FrameSource`.

    A video knows no time of day: its frames are stamped from ``begin_ns`` on, at its frame rate.

    Args:
        file: anything that OpenCV's FFmpeg reads.
        picture: how its images become frames.
        begin_ns: stamp of the first frame [ns].

    Raises:
        SourceError: there is no such file, it is no video, or it names no frame rate.
        FrameError: its images have the wrong size.
    """

    def __init__(self, file: Path, picture: Picture, begin_ns: int) -> None:
        self._file, self._picture, self._begin_ns = file, picture, begin_ns
        if not file.is_file():
            raise SourceError(f"{file}: there is no such file; expected a video")
        self._capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise SourceError(f"{file}: cannot be read; expected a video that FFmpeg knows")
        self._rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not (math.isfinite(self._rate) and self._rate > 0.0):
            raise SourceError(f"{file}: names no frame rate; expected one in its header")
        try:
            picture.corner_in(
                *(int(self._capture.get(n)) for n in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            )
        except FrameError as error:
            raise FrameError(f"{file}: {error}") from None
        self._given = 0

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired; a video does not say."""
        return self._picture.described(_unknown("video", self._file.name))

    def read(self) -> Frame | None:
        """The next frame, or None at the end."""
        taken, image = self._capture.read()
        if not taken:
            return None
        stamp = self._begin_ns + round(self._given * 1e9 / self._rate)
        self._given += 1
        return Frame(self._picture(np.asarray(image, np.uint8), "bgr"), stamp)

    def close(self) -> None:
        """Let go of the file; nothing more is read."""
        self._capture.release()


def _unknown(kind: str, detail: str) -> SourceInfo:
    """What is known of frames whose source knows nothing of the scanner."""
    return SourceInfo(math.nan, math.nan, math.nan, math.nan, kind, detail)
