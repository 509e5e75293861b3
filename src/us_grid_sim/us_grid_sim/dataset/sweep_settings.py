"""What people say of a tracked sweep, in YAML or JSON: the probe's calibration, and where the patient frame lies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from us_grid_sim.dataset.metaimage import Matrix, check_calibration
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, ROW_PITCH, ROWS

_LARGEST_COSINE = 0.02  # of the angle between two given axes: 1 degree off the right angle
_LAYOUT: dict[str, float] = {
    "rows": ROWS,
    "columns": COLUMNS,
    "row_pitch_mm": ROW_PITCH * 1e3,
    "column_pitch_mm": COLUMN_PITCH * 1e3,
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Where the pixels of a recorded image lie.

    Attributes:
        image_to_probe: (4, 4), pixels (column, row, 0) as recorded to the frame of the probe's marker [mm].
        face: pixel (column, row) as recorded at the middle of the transducer face; None: the middle of the row
            nearest to the probe.
        orientation: of recordings that do not say theirs: MF, UF, MN or UN, as PLUS writes it.
    """

    image_to_probe: Matrix
    face: tuple[float, float] | None = None
    orientation: str | None = None


@dataclass(frozen=True, eq=False)
class PatientGrid:
    """Where the patient frame lies in a tracked frame.

    Attributes:
        frame: the tracked frame: ``Reference`` (a marker that moves with the patient) or ``Tracker``.
        to_frame: (4, 4) pose of the patient frame in it [mm].
    """

    frame: str
    to_frame: Matrix


def _read_mapping(file: Path, what: str, allowed: Sequence[str]) -> Mapping[str, Any]:
    """The mapping in a YAML or JSON file, with no other keys than ``allowed``."""
    expected = f"{what}: a mapping in YAML or JSON"
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise DatasetError(file, None, "the file is missing", expected) from None
    except OSError as error:
        raise DatasetError(file, None, f"the file cannot be read ({error.strerror})", expected) from error
    except json.JSONDecodeError as error:
        raise DatasetError(file, error.lineno, f"no JSON ({error.msg})", expected) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DatasetError(file, line, f"no YAML ({error.problem})", expected) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DatasetError(file, None, "it is no text", expected) from None
    if not isinstance(content, dict):
        raise DatasetError(file, None, "it holds no mapping", expected)
    for key in content:
        if key not in allowed:
            raise DatasetError(file, None, f"there is no key {key!r}", f"{what} of the keys {', '.join(allowed)}")
    return content


def _numbers(content: Mapping[str, Any], key: str, shape: tuple[int, ...], file: Path) -> npt.NDArray[np.float64]:
    expected = " x ".join(map(str, shape)) + " finite numbers"
    try:
        numbers = np.array(content[key], dtype=np.float64)
    except KeyError:
        raise DatasetError(file, None, f"{key} is missing", expected) from None
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise DatasetError(file, None, f"{key} is {str(content[key])[:60]}", expected)
    return numbers


def read_calibration(file: Path) -> Calibration:
    """Read a calibration: ``image_to_probe``, and where needed ``face_px`` and ``orientation``.

    Raises:
        DatasetError: it is missing or malformed.
        SourceError: the matrix cannot be inverted.
    """
    content = _read_mapping(file, "a calibration", ("image_to_probe", "face_px", "orientation"))
    matrix = check_calibration(_numbers(content, "image_to_probe", (4, 4), file))
    face = _numbers(content, "face_px", (2,), file) if "face_px" in content else None
    orientation = content.get("orientation")
    if orientation is not None and orientation not in ("MF", "UF", "MN", "UN"):
        raise DatasetError(file, None, f"orientation is {orientation!r}", "MF, UF, MN or UN")
    return Calibration(matrix, None if face is None else (float(face[0]), float(face[1])), orientation)


def read_grid(file: Path) -> PatientGrid:
    """Read a grid as ``format_grid`` writes it.

    Raises:
        DatasetError: it is missing or malformed, or another grid than that of the layout.
    """
    content = _read_mapping(file, "a grid", ("frame", "origin_mm", "x", "z", *_LAYOUT))
    frame = content.get("frame")
    if frame not in ("Reference", "Tracker"):
        raise DatasetError(file, None, f"frame is {frame!r}", "Reference or Tracker")
    for key, value in _LAYOUT.items():
        if content.get(key, value) != value:
            raise DatasetError(file, None, f"{key} is {content[key]}", f"{value:g}, which the layout has")
    x, z = (_unit(_numbers(content, key, (3,), file), file, key) for key in "xz")
    if abs(x @ z) > _LARGEST_COSINE:
        angle = np.rad2deg(np.arccos(x @ z))
        raise DatasetError(file, None, f"x and z are {angle:.1f} degrees apart", "90")
    return PatientGrid(frame, frame_of(_numbers(content, "origin_mm", (3,), file), x, z))


def _unit(vector: npt.NDArray[np.float64], file: Path, key: str) -> npt.NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    if length < 1e-9:
        raise DatasetError(file, None, f"{key} is zero", "a direction")
    return vector / length


def frame_of(origin: npt.ArrayLike, x: npt.NDArray[np.float64], z: npt.NDArray[np.float64]) -> Matrix:
    """Pose (4, 4) with this origin and z axis, and the x axis as near to ``x`` as a right angle to z allows."""
    z = z / np.linalg.norm(z)
    x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3] = np.column_stack((x, np.cross(z, x), z, origin))
    return pose


def format_grid(grid: PatientGrid) -> str:
    """The text of a grid file, which can be edited and given back."""

    def row(vector: npt.NDArray[np.float64]) -> str:
        return "[" + ", ".join(repr(round(float(value), 9)) for value in vector) + "]"

    axes = grid.to_frame[:3]
    lines = [
        "# Where the patient frame lies in the tracked frame. Edit it and give it back with --grid.",
        f"frame: {grid.frame}  # Reference (a marker that moves with the patient) or Tracker",
        f"origin_mm: {row(axes[:, 3])}  # the middle of the grid, bin 5,7",
        f"x: {row(axes[:, 0])}  # caudal to cranial: along a sweep; the column grows",
        f"z: {row(axes[:, 2])}  # into the body; y = z cross x is to the patient's right: the row grows",
        "# The layout's own, for the reader:",
        *(f"{key}: {value:g}" for key, value in _LAYOUT.items()),
    ]
    return "\n".join(lines) + "\n"
