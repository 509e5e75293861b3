"""From an 800 x 600 frame to the small picture that a network looks at: the same code in training, node and bag."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH

Frame8 = npt.NDArray[np.uint8]


def check_frame(frame: Frame8) -> None:
    """Raise FrameError unless ``frame`` is a uint8 grey image of 600 rows and 800 columns."""
    if frame.dtype != np.uint8 or frame.shape != (FRAME_HEIGHT, FRAME_WIDTH):
        size = "x".join(str(n) for n in reversed(frame.shape))
        raise FrameError(f"frame is {size} {frame.dtype}; expected {FRAME_WIDTH}x{FRAME_HEIGHT} uint8 (mono8)")


@dataclass(frozen=True)
class Preprocess:
    """Crop to a region of interest and resize by area averaging.

    Attributes:
        height, width: size of the result [px].
        roi: (x, y, width, height) of the region in the frame [px].
    """

    height: int
    width: int
    roi: tuple[int, int, int, int] = (0, 0, FRAME_WIDTH, FRAME_HEIGHT)

    def __call__(self, frame: Frame8) -> Frame8:
        """The small picture, uint8 (height, width), of ``frame``, uint8 (600, 800)."""
        check_frame(frame)
        x, y, width, height = self.roi
        crop = frame[y : y + height, x : x + width]
        return cv2.resize(crop, (self.width, self.height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
