"""What every frame source looks like from outside."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Frame:
    """One B-mode frame.

    Attributes:
        pixels: uint8 (600, 800), row 0 at the skin.
        stamp_ns: capture time of the source's own clock [ns]; None: the reader stamps it on arrival.
        pose: (4, 4) pose of ``us_probe`` in the frame ``pose_frame`` [m]; None: not tracked.
        pose_frame: tf name of the coordinate frame of ``pose``.
    """

    pixels: npt.NDArray[np.uint8]
    stamp_ns: int | None = None
    pose: npt.NDArray[np.float64] | None = field(default=None)
    pose_frame: str = "patient"


@dataclass(frozen=True)
class SourceInfo:
    """What UltrasoundInfo says of a source: pixel size [mm], depth and probe width [m], kind and name."""

    mm_per_pixel_x: float
    mm_per_pixel_y: float
    depth: float
    probe_width: float
    source: str
    detail: str


class FrameSource(Protocol):
    """A source of frames, read at the caller's rate or at its own."""

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired."""
        ...

    def read(self) -> Frame | None:
        """The next frame, or None where the sequence has ended.

        Raises:
            SourceError: the source has failed.
        """
        ...

    def close(self) -> None:
        """Give back what the source holds."""
        ...
