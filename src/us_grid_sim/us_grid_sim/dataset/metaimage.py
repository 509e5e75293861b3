"""Recordings of the PLUS toolkit: tracked ultrasound as a MetaImage sequence (.mha, .igs.mha).

Lengths in a file are millimetres. Pixels are (column, row, 0); matrices (4, 4) map column vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the library's own short name)

from us_grid_sim.errors import SourceError

Matrix = npt.NDArray[np.float64]

_ORIENTATION = "UltrasoundImageOrientation"
_FLIPS = {"MF": (False, False), "UF": (True, False), "MN": (False, True), "UN": (True, True)}
"""Whether columns and rows are turned round. M, U: columns grow towards the marked, unmarked side of the probe;
F, N: rows grow away from, towards the probe. Frames here are MF."""
_ROTATION_TOLERANCE = 1e-3  # the header has six digits


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What the header says of one frame.

    Attributes:
        index: its place in the file.
        stamp_ns: when it was taken, on the recording's clock [ns].
        pose: (4, 4), the transform asked for, such as that of the marker on the probe to the tracker [mm].
    """

    index: int
    stamp_ns: int
    pose: Matrix


class Header:
    """The fields of a MetaImage header, each looked up with an error that names file and field."""

    def __init__(self, fields: Mapping[str, str], file: Path) -> None:
        self._fields = fields
        self._file = file

    def error(self, field: str, problem: str, expected: str) -> SourceError:
        """The error about ``field``."""
        return SourceError(f"{self._file}: {field}: {problem}; expected {expected}")

    def get(self, field: str, expected: str) -> str:
        """The value of ``field``; SourceError where it is missing."""
        if field not in self._fields:
            raise self.error(field, "the field is missing", expected)
        return self._fields[field].strip()

    def has_transform(self, transform: str) -> bool:
        """Whether the recording has this transform, such as ``ProbeToTracker``."""
        return f"Seq_Frame0000_{transform}Transform" in self._fields

    def flips(self, orientation: str | None = None) -> tuple[bool, bool]:
        """Whether the columns and the rows must be turned round.

        Args:
            orientation: of a recording whose header has none.
        """
        expected = "MF, UF, MN or UN, a third letter A or D may follow"
        if orientation is not None and _ORIENTATION not in self._fields:
            value = orientation
        else:
            value = self.get(_ORIENTATION, expected)
        if value[:2] not in _FLIPS or value[2:] not in ("", "A", "D"):
            raise self.error(_ORIENTATION, f"{value!r} is not read", expected)
        if orientation is not None and orientation[:2] != value[:2]:
            raise self.error(_ORIENTATION, f"it is {value!r} here and {orientation!r} by the calibration", "them equal")
        return _FLIPS[value[:2]]

    def frame(self, index: int, transform: str) -> TrackedFrame | None:
        """Frame ``index``, or None where the recording marks its image or its pose as not valid."""
        prefix = f"Seq_Frame{index:04d}_"
        pose_field = f"{prefix}{transform}Transform"
        image_status = self._fields.get(f"{prefix}ImageStatus", "OK").strip()  # older recordings have none
        if image_status != "OK" or self.get(f"{pose_field}Status", "OK or INVALID") != "OK":
            return None
        return TrackedFrame(index, self._stamp(f"{prefix}Timestamp"), self._pose(pose_field))

    def _stamp(self, field: str) -> int:
        expected = "seconds, not negative"
        value = self.get(field, expected)
        try:
            seconds = Decimal(value)
        except InvalidOperation:
            seconds = Decimal("NaN")
        if not seconds.is_finite() or seconds < 0:
            raise self.error(field, f"{value!r} is no time", expected)
        return int(seconds * 1_000_000_000)

    def _pose(self, field: str) -> Matrix:
        expected = "a rigid 4 x 4 transform: 16 numbers, row-major, mm"
        value = self.get(field, expected)
        try:
            pose = np.array([float(number) for number in value.split()]).reshape(4, 4)
        except ValueError:
            raise self.error(field, f"found {value[:60]!r}", expected) from None
        rotation = pose[:3, :3]
        rigid = np.isfinite(pose).all() and (pose[3] == (0, 0, 0, 1)).all()
        if not rigid or np.abs(rotation @ rotation.T - np.eye(3)).max() > _ROTATION_TOLERANCE:
            raise self.error(field, "the transform is not rigid", expected)
        if np.linalg.det(rotation) < 0:
            raise self.error(field, "the transform mirrors", expected)
        return pose


@dataclass(frozen=True, eq=False)
class Recording:
    """A tracked sequence whose header has been read; its images stay on disk until asked for.

    Attributes:
        file: the sequence.
        size: columns and rows of an image [px].
        count: images in the file.
        spacing: pixel size (x, y) [mm]; (1, 1) where PLUS did not know it.
        header: the header's fields.
    """

    file: Path
    size: tuple[int, int]
    count: int
    spacing: tuple[float, float]
    header: Header

    @classmethod
    def open(cls, file: Path) -> "Recording":
        """Read the header of ``file``.

        Raises:
            SourceError: there is no such file, or it is no MetaImage sequence of grey 8-bit images.
        """
        if not file.is_file():
            raise SourceError(f"{file}: there is no such file; expected a tracked MetaImage sequence (.mha)")
        reader = _reader(file)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise _no_sequence(file) from error
        size, pixel = reader.GetSize(), reader.GetPixelID()
        if len(size) != 3 or pixel != sitk.sitkUInt8:
            kind = f"{'x'.join(map(str, size))} {sitk.GetPixelIDValueAsString(pixel)}"
            raise SourceError(
                f"{file}: DimSize, ElementType: found {kind}; expected columns x rows x frames, MET_UCHAR"
            )
        header = Header({key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}, file)
        return cls(file, (size[0], size[1]), size[2], reader.GetSpacing()[:2], header)

    def frames(self, transform: str) -> list[TrackedFrame]:
        """The frames that the recording marks as valid, in their order.

        Raises:
            SourceError: a field is missing or malformed, or a frame is not later than the one before.
        """
        found = [self.header.frame(index, transform) for index in range(self.count)]
        frames = [frame for frame in found if frame is not None]
        for before, after in pairwise(frames):
            if after.stamp_ns <= before.stamp_ns:
                field = f"Seq_Frame{after.index:04d}_Timestamp"
                raise self.header.error(field, "it is not later than that of the frame before", "growing times")
        return frames

    def images(self, flips: tuple[bool, bool]) -> npt.NDArray[np.uint8]:
        """The images, uint8 (count, rows, columns), columns and rows turned round where ``flips`` says so.

        Raises:
            SourceError: the file is truncated.
        """
        try:
            images: npt.NDArray[np.uint8] = sitk.GetArrayFromImage(_reader(self.file).Execute())
        except RuntimeError as error:
            raise _no_sequence(self.file) from error
        flip_columns, flip_rows = flips
        return images[:, :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _reader(file: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(file))
    return reader


def _no_sequence(file: Path) -> SourceError:
    return SourceError(f"{file}: truncated or no MetaImage; expected a tracked MetaImage sequence (.mha)")


def face_pose(image_to_probe: Matrix, column: float, row: float) -> Matrix:
    """Pose (4, 4) of ``us_probe`` in the marker's frame [mm] from an image calibration.

    Args:
        image_to_probe: (4, 4), pixels (column, row, 0) to the marker's frame [mm].
        column: of the pixel at the middle of the transducer face.
        row: of that pixel.
    """
    x = image_to_probe[:3, 0] / np.linalg.norm(image_to_probe[:3, 0])
    down = image_to_probe[:3, 1]
    z = down - (down @ x) * x  # a calibration leaves the image's axes a little off the right angle
    z /= np.linalg.norm(z)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack((x, np.cross(z, x), z))
    pose[:3, 3] = image_to_probe[:3] @ (column, row, 0.0, 1.0)
    return pose


def check_calibration(matrix: npt.ArrayLike) -> Matrix:
    """``matrix`` as (4, 4) floats; SourceError where it cannot take pixels to the probe's marker."""
    calibration = np.asarray(matrix, dtype=np.float64)
    if calibration.shape != (4, 4) or not np.isfinite(calibration).all() or abs(np.linalg.det(calibration)) < 1e-12:
        raise SourceError("calibration: it is no invertible 4 x 4 matrix; expected pixels to the probe's marker [mm]")
    return calibration


def turned_pixels(size: tuple[int, int], flips: tuple[bool, bool]) -> Matrix:
    """(4, 4), pixels of the turned image to those recorded, and back: it is its own inverse.

    Args:
        size: columns and rows of the image.
        flips: whether columns and rows were turned round.
    """
    turn = np.eye(4)
    for axis in range(2):
        if flips[axis]:
            turn[axis, axis], turn[axis, 3] = -1.0, size[axis] - 1.0
    return turn
