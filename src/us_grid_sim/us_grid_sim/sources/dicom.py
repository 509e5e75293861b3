"""DICOM ultrasound multi-frame images (Ultrasound Multi-frame Image Storage, PS3.3 A.7) as a frame source."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.picture import Picture

_TWO_DIMENSIONAL, _CENTIMETRES = 1, 3
"""Region Spatial Format (0018,6012) and Physical Units (0018,6024 and 6026), PS3.3 C.8.5.5.1."""


class DicomSource:
    """The frames of a multi-frame image, in their order. A :class:`us_grid_sim.sources.base.FrameSource`.

    The size of a pixel is that of the first two-dimensional region in centimetres (SequenceOfUltrasoundRegions). The
    frames are stamped from ``begin_ns`` on, by FrameTime, or FrameTimeVector, or CineRate. Frames are decoded one at a
    time.

    Args:
        file: the image.
        picture: how its images become frames.
        begin_ns: stamp of the first frame [ns].

    Raises:
        SourceError: the file cannot be read, holds no frames or does not say how fast they were taken.
        FrameError: they have the wrong size.
    """

    def __init__(self, file: Path, picture: Picture, begin_ns: int) -> None:
        self._file, self._picture = file, picture
        self._data = _read(file)
        try:
            picture.corner_in(int(self._data.Columns), int(self._data.Rows))
        except FrameError as error:
            raise FrameError(f"{file}: {error}") from None
        count = int(self._data.get("NumberOfFrames", 1))
        self._stamps = iter(begin_ns + np.round(1e6 * _times(self._data, count, file)).astype(np.int64))
        self._images = self._decoded()

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired; NaN where the file does not say."""
        x, y = _pixel_size(self._data)
        info = SourceInfo(x, y, FRAME_HEIGHT * y * 1e-3, math.nan, "dicom", self._file.name)
        return self._picture.described(info)

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises:
            SourceError: its pixels cannot be decoded.
        """
        try:
            image = next(self._images, None)
        # What the decoders raise is theirs: each plugin has errors of its own.
        except Exception as error:
            raise SourceError(f"{self._file}: the frames cannot be decoded ({error}); expected whole frames") from error
        return None if image is None else Frame(self._picture(image), int(next(self._stamps)))

    def close(self) -> None:
        """Let go of the image; nothing more is read."""
        self._images = iter(())

    def _decoded(self) -> Iterator[npt.NDArray[np.uint8]]:
        palette = self._data.PhotometricInterpretation == "PALETTE COLOR"
        inverted = self._data.PhotometricInterpretation == "MONOCHROME1"
        for image in iter_pixels(self._data):
            if palette:
                yield (apply_color_lut(image, self._data) >> 8).astype(np.uint8)
            else:
                yield 255 - image if inverted else image


def _read(file: Path) -> Dataset:
    if not file.is_file():
        raise SourceError(f"{file}: there is no such file; expected a DICOM multi-frame image")
    try:
        data = dcmread(file)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise SourceError(f"{file}: cannot be read ({error}); expected a DICOM multi-frame image") from None
    for name in ("Columns", "Rows", "PhotometricInterpretation", "PixelData"):
        if name not in data:
            raise SourceError(f"{file}: {name} is missing; expected an image of one or more frames")
    return data


def _times(data: Dataset, count: int, file: Path) -> npt.NDArray[np.float64]:
    """(count,) when each frame was taken, since the first [ms]."""
    if increments := data.get("FrameTimeVector"):
        times: npt.NDArray[np.float64] = np.cumsum(np.atleast_1d(np.array(increments, dtype=np.float64)))
        if len(times) != count:
            raise SourceError(f"{file}: FrameTimeVector has {len(times)} values; expected {count}, one a frame")
        return np.asarray(times - times[0])
    rate = float(data.get("CineRate") or data.get("RecommendedDisplayFrameRate") or 0.0)
    period = float(data.get("FrameTime") or (1e3 / rate if rate > 0 else 0.0))
    if not (math.isfinite(period) and period > 0.0):
        raise SourceError(f"{file}: FrameTime is missing; expected FrameTime, FrameTimeVector or CineRate above 0")
    return period * np.arange(count, dtype=np.float64)


def _pixel_size(data: Dataset) -> tuple[float, float]:
    """(x, y) of a pixel [mm], NaN where no region is calibrated."""
    for region in data.get("SequenceOfUltrasoundRegions") or ():
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        if region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL and units == (_CENTIMETRES, _CENTIMETRES):
            return 10.0 * abs(float(region.PhysicalDeltaX)), 10.0 * abs(float(region.PhysicalDeltaY))
    return math.nan, math.nan
