"""Tracked ultrasound recorded with the PLUS toolkit: a MetaImage sequence (.mha, .igs.mha)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the library's own short name)

from us_grid_sim.errors import SourceError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.sources.base import Frame, SourceInfo

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
        probe_to_tracker: (4, 4) pose of the marker on the probe [mm].
    """

    index: int
    stamp_ns: int
    probe_to_tracker: Matrix


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

    def flips(self) -> tuple[bool, bool]:
        """Whether the columns and the rows must be turned round."""
        expected = "MF, UF, MN or UN, a third letter A or D may follow"
        value = self.get(_ORIENTATION, expected)
        if value[:2] not in _FLIPS or value[2:] not in ("", "A", "D"):
            raise self.error(_ORIENTATION, f"{value!r} is not read", expected)
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


class MetaImageSource:
    """The frames of a tracked MetaImage sequence, in their order, with recorded times and poses.

    The whole sequence is held in memory. Frames that the recording marks as not valid are left out and counted.
    With a calibration the pose is that of ``us_probe``, its origin at the middle of the region's top row; without
    one it is that of the marker on the probe. Either way it is given in the frame ``tracker`` [m].

    Args:
        file: the sequence.
        roi: (x, y, 800, 600), the region that becomes the frame, in the image turned so that row 0 is at the skin;
            None: the middle of the image.
        calibration: (4, 4), pixels (column, row, 0) as recorded to the probe's marker [mm].
        transform: name of the pose in the header.

    Raises:
        SourceError: the file cannot be read, a field of its header is missing or malformed, or the region does
            not fit.
    """

    def __init__(
        self,
        file: Path,
        roi: tuple[int, int, int, int] | None = None,
        calibration: npt.ArrayLike | None = None,
        transform: str = "ProbeToTracker",
    ) -> None:
        self._file = file
        fields, images, spacing = _read(file)
        header = Header(fields, file)
        flip_columns, flip_rows = header.flips()
        images = images[:, :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        x, y = _corner(file, roi, images.shape[2], images.shape[1])
        self._images = images[:, y : y + FRAME_HEIGHT, x : x + FRAME_WIDTH]
        found = [header.frame(index, transform) for index in range(len(images))]
        self._frames = [frame for frame in found if frame is not None]
        self._check_order(header)
        self.skipped = len(found) - len(self._frames)
        """Frames left out because the recording marks them as not valid."""
        self._next = 0
        self._face = np.eye(4)
        mm = (math.nan, math.nan) if spacing == (1.0, 1.0) else spacing  # PLUS writes 1 where it does not know
        if calibration is not None:
            turned = _calibration(calibration) @ _turn(images.shape[2], images.shape[1], flip_columns, flip_rows)
            self._face = face_pose(turned, x + (FRAME_WIDTH - 1) / 2, y)
            mm = (float(np.linalg.norm(turned[:3, 0])), float(np.linalg.norm(turned[:3, 1])))
        self._info = SourceInfo(*mm, FRAME_HEIGHT * mm[1] * 1e-3, math.nan, "metaimage", file.name)

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
        pose = tracked.probe_to_tracker @ self._face
        pose[:3, 3] *= 1e-3
        return Frame(np.ascontiguousarray(self._images[tracked.index]), tracked.stamp_ns, pose, "tracker")

    def close(self) -> None:
        """Let go of the sequence; nothing more is read."""
        self._next = len(self._frames)
        self._images = self._images[:0]

    def _check_order(self, header: Header) -> None:
        for before, after in zip(self._frames, self._frames[1:], strict=False):
            if after.stamp_ns <= before.stamp_ns:
                field = f"Seq_Frame{after.index:04d}_Timestamp"
                raise header.error(field, "it is not later than that of the frame before", "growing times")


def _read(file: Path) -> tuple[dict[str, str], npt.NDArray[np.uint8], tuple[float, float]]:
    """The header's fields, the images uint8 (n, rows, columns) and the pixel size (x, y) [mm]."""
    if not file.is_file():
        raise SourceError(f"{file}: there is no such file; expected a tracked MetaImage sequence (.mha)")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
        size, pixel = reader.GetSize(), reader.GetPixelID()
        if len(size) != 3 or pixel != sitk.sitkUInt8:
            kind = f"{'x'.join(map(str, size))} {sitk.GetPixelIDValueAsString(pixel)}"
            raise SourceError(
                f"{file}: DimSize, ElementType: found {kind}; expected columns x rows x frames, MET_UCHAR"
            )
        images = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise SourceError(f"{file}: truncated or no MetaImage; expected a tracked MetaImage sequence (.mha)") from error
    spacing = reader.GetSpacing()
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}, images, (spacing[0], spacing[1])


def _corner(file: Path, roi: tuple[int, int, int, int] | None, width: int, height: int) -> tuple[int, int]:
    """The top left pixel of the region in an image of ``width`` by ``height``."""
    if width < FRAME_WIDTH or height < FRAME_HEIGHT:
        raise SourceError(f"{file}: DimSize: images of {width}x{height}; expected {FRAME_WIDTH}x{FRAME_HEIGHT} or more")
    if roi is None:
        roi = ((width - FRAME_WIDTH) // 2, (height - FRAME_HEIGHT) // 2, FRAME_WIDTH, FRAME_HEIGHT)
    x, y = roi[:2]
    if tuple(roi[2:]) != (FRAME_WIDTH, FRAME_HEIGHT):
        raise SourceError(f"{file}: roi {tuple(roi)}; expected (x, y, {FRAME_WIDTH}, {FRAME_HEIGHT})")
    if not (0 <= x <= width - FRAME_WIDTH and 0 <= y <= height - FRAME_HEIGHT):
        raise SourceError(f"{file}: roi {tuple(roi)} is not within the image; expected one within {width}x{height}")
    return x, y


def _calibration(matrix: npt.ArrayLike) -> Matrix:
    calibration = np.asarray(matrix, dtype=np.float64)
    if calibration.shape != (4, 4) or not np.isfinite(calibration).all() or abs(np.linalg.det(calibration)) < 1e-12:
        raise SourceError("calibration: it is no invertible 4 x 4 matrix; expected pixels to the probe's marker [mm]")
    return calibration


def _turn(width: int, height: int, flip_columns: bool, flip_rows: bool) -> Matrix:
    """(4, 4), pixels of the turned image to those recorded."""
    turn = np.eye(4)
    if flip_columns:
        turn[0, 0], turn[0, 3] = -1.0, width - 1.0
    if flip_rows:
        turn[1, 1], turn[1, 3] = -1.0, height - 1.0
    return turn
