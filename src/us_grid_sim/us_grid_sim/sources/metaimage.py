"""A tracked recording of the PLUS toolkit as a frame source."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.metaimage import Recording, check_calibration, face_pose, turned_pixels
from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.picture import Picture


class MetaImageSource:
    """The frames of a tracked MetaImage sequence, in their order, with recorded times and poses.

    The whole sequence is held in memory. Frames that the recording marks as not valid are left out and counted.
    With a calibration the pose is that of ``us_probe``, its origin at the middle of the region's top row; without
    one it is that of the marker on the probe. Either way it is given in the frame ``tracker`` [m].

    Args:
        file: the sequence.
        picture: how images, turned so that row 0 is at the skin, become frames.
        calibration: (4, 4), pixels (column, row, 0) as recorded to the probe's marker [mm].
        transform: name of the pose in the header.

    Raises:
        SourceError: the file cannot be read, or a field of its header is missing or malformed.
        FrameError: its images have the wrong size, or the region is not within them.
    """

    def __init__(
        self,
        file: Path,
        picture: Picture = Picture(),  # noqa: B008 (frozen)
        calibration: npt.ArrayLike | None = None,
        transform: str = "ProbeToTracker",
    ) -> None:
        recording = Recording.open(file)
        flips = recording.header.flips()
        try:
            frame_to_image = picture.to_image(*recording.size)
        except FrameError as error:
            raise FrameError(f"{file}: {error}") from None
        self._picture = picture
        self._frames = recording.frames(transform)
        self._images = recording.images(flips)
        self.skipped = recording.count - len(self._frames)
        """Frames left out because the recording marks them as not valid."""
        self._next = 0
        self._face = np.eye(4)
        unknown = recording.spacing == (1.0, 1.0)  # PLUS writes 1 where it does not know
        mm = (math.nan, math.nan) if unknown else recording.spacing
        if calibration is not None:
            pixels = check_calibration(calibration) @ turned_pixels(recording.size, flips) @ frame_to_image
            self._face = face_pose(pixels, (FRAME_WIDTH - 1) / 2, 0.0)
            mm = (float(np.linalg.norm(pixels[:3, 0])), float(np.linalg.norm(pixels[:3, 1])))
        info = SourceInfo(*mm, FRAME_HEIGHT * mm[1] * 1e-3, math.nan, "metaimage", file.name)
        self._info = picture.described(info)

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired; NaN where the file and the calibration do not say."""
        return self._info

    def __len__(self) -> int:
        """Frames that ``read`` gives in all."""
        return len(self._frames)

    def read(self) -> Frame | None:
        """The next valid frame, or None at the end."""
        if self._next == len(self._frames):
            return None
        tracked = self._frames[self._next]
        self._next += 1
        pose = tracked.pose @ self._face
        pose[:3, 3] *= 1e-3
        return Frame(self._picture(self._images[tracked.index]), tracked.stamp_ns, pose, "tracker")

    def close(self) -> None:
        """Let go of the sequence; nothing more is read."""
        self._next = len(self._frames)
        self._images = self._images[:0]
