"""From an image, as a device or a file gives it, to a frame: grey, region of interest, mirroring, pixel size."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.preprocess import Frame8
from us_grid_sim.sources.base import SourceInfo

Image = npt.NDArray[np.uint8]
"""An image before it is a frame: (height, width) grey or (height, width, 3) coloured."""
Colours = Literal["rgb", "bgr"]
Corner = tuple[int, int] | Literal["middle"] | None

_GREY = {"rgb": cv2.COLOR_RGB2GRAY, "bgr": cv2.COLOR_BGR2GRAY}


@dataclass(frozen=True)
class Picture:
    """How images become frames, the same for every source. Nothing is resized: that would change the pixel size.

    Attributes:
        corner: (column, row) of the 800 x 600 region's top left pixel, in the image before it is mirrored; "middle";
            or None, where images are 800 x 600 as they come.
        mirror_columns, mirror_rows: whether left and right, top and bottom, change places.
        mm_per_pixel: (x, y), size of a pixel [mm]; None: what the source says of itself.
    """

    corner: Corner = None
    mirror_columns: bool = False
    mirror_rows: bool = False
    mm_per_pixel: tuple[float, float] | None = None

    def __call__(self, image: Image, colours: Colours = "rgb") -> Frame8:
        """The frame, uint8 (600, 800), its memory its own, of an image.

        Args:
            image: uint8, grey or coloured.
            colours: the order of the channels of a coloured one.

        Raises:
            FrameError: the image is not of 8 bits, or has no region of 800 x 600 where it is wanted.
        """
        check_image(image)
        x, y = self.corner_in(image.shape[1], image.shape[0])
        frame = grey(image[y : y + FRAME_HEIGHT, x : x + FRAME_WIDTH], colours)
        turned = frame[:: -1 if self.mirror_rows else 1, :: -1 if self.mirror_columns else 1]
        return np.array(turned, order="C")

    def corner_in(self, width: int, height: int) -> tuple[int, int]:
        """(column, row) of the region's top left pixel in an image of this size.

        Raises:
            FrameError: the region does not lie within the image; with no corner, the image is not 800 x 600.
        """
        spare = width - FRAME_WIDTH, height - FRAME_HEIGHT
        size = f"image is {width}x{height}; expected {FRAME_WIDTH}x{FRAME_HEIGHT}"
        if self.corner is None:
            if spare == (0, 0):
                return 0, 0
            cure = ': choose the region with roi, as "x,y" or "middle"' if min(spare) >= 0 else ""
            raise FrameError(f"{size}{cure}")
        if min(spare) < 0:
            raise FrameError(f"{size} or more")
        x, y = (spare[0] // 2, spare[1] // 2) if self.corner == "middle" else self.corner
        if not (0 <= x <= spare[0] and 0 <= y <= spare[1]):
            raise FrameError(
                f"image is {width}x{height}, the region of {FRAME_WIDTH}x{FRAME_HEIGHT} at {x},{y} is not within it; "
                f"expected a corner from 0,0 to {spare[0]},{spare[1]}"
            )
        return x, y

    def to_image(self, width: int, height: int) -> npt.NDArray[np.float64]:
        """(4, 4), pixels (column, row, 0) of the frame to those of an image of this size.

        Raises:
            FrameError: as ``corner_in``.
        """
        matrix = np.eye(4)
        matrix[:2, 3] = self.corner_in(width, height)
        for axis, (mirrored, last) in enumerate(
            ((self.mirror_columns, FRAME_WIDTH - 1), (self.mirror_rows, FRAME_HEIGHT - 1))
        ):
            if mirrored:
                matrix[axis, axis] = -1.0
                matrix[axis, 3] += last
        return matrix

    def described(self, info: SourceInfo) -> SourceInfo:
        """What is said of the source, with the pixel size that was given here."""
        if self.mm_per_pixel is None:
            return info
        x, y = self.mm_per_pixel
        return replace(info, mm_per_pixel_x=x, mm_per_pixel_y=y, depth=FRAME_HEIGHT * y * 1e-3)


def check_image(image: Image) -> None:
    """Raise FrameError unless ``image`` is uint8, (height, width) or (height, width, 3)."""
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2:
        size = "x".join(str(n) for n in image.shape)
        raise FrameError(f"image is {size} {image.dtype}; expected rows x columns, or rows x columns x 3, of uint8")


def grey(image: Image, colours: Colours = "rgb") -> Frame8:
    """The luma of an image (ITU-R BT.601, as OpenCV has it), uint8 (height, width); a grey one is given back itself."""
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, _GREY[colours]).astype(np.uint8, copy=False)


def parse_corner(text: str) -> Corner:
    """The corner that a parameter names: "x,y", "middle", or nothing.

    Raises:
        SourceError: it is written in another way.
    """
    if text in ("", "middle"):
        return "middle" if text else None
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        expected = '"x,y" of the region\'s corner, "middle", or nothing for images of 800x600'
        raise SourceError(f'parameter roi is "{text}"; expected {expected}') from None
    return x, y


def pixel_size(x: float, y: float) -> tuple[float, float] | None:
    """The pixel size [mm] of two parameters, each 0 where the source's own word is to be taken.

    Raises:
        SourceError: one of them is given, the other is not.
    """
    if x == y == 0.0:
        return None
    if not (x > 0.0 and y > 0.0 and math.isfinite(x * y)):
        raise SourceError(f"parameters mm_per_pixel_x, _y are {x:g}, {y:g}; expected both above 0, or both 0 (unknown)")
    return x, y
