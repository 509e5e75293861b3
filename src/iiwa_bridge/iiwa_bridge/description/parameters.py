"""Reads parameter files: YAML mappings whose keys are all known and whose values are finite numbers."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from scipy.spatial.transform import Rotation

from iiwa_bridge.description.errors import DescriptionError

Array = npt.NDArray[np.float64]


def package_file(name: str) -> Path:
    """A file that comes with this package."""
    return Path(str(files("iiwa_bridge.description") / name))


def read_mapping(file: Path, keys: Iterable[str]) -> Mapping[str, Any]:
    """The mapping in a YAML file.

    Args:
        file: the file.
        keys: that it holds, all of them and no other.

    Raises:
        DescriptionError: the file cannot be read, is no YAML mapping, or its keys are not those.
    """
    keys = sorted(keys)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DescriptionError(f"{file} cannot be read ({error.strerror}); expected a parameter file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise DescriptionError(f"{file} is no YAML ({why}); expected the keys {', '.join(keys)}") from error
    if not isinstance(content, dict) or sorted(map(str, content)) != keys:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else "no mapping"
        raise DescriptionError(f"{file} holds {found or 'nothing'}; expected the keys {', '.join(keys)}")
    return content


def numbers(content: Mapping[str, Any], key: str, shape: tuple[int, ...], file: Path) -> Array:
    """The numbers under ``key`` in the mapping of ``file``, as an array of this shape.

    Raises:
        DescriptionError: they are not numbers, not finite, or not as many.
    """
    try:
        array = np.array(content[key], dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        expected = f"{' x '.join(map(str, shape))} finite numbers" if shape else "a finite number"
        raise DescriptionError(f"{file}: {key} is {str(content[key])[:60]}; expected {expected}")
    return array


def transform(translation: Array, angles: Array) -> Array:
    """Pose (4, 4) from a translation (3,) [m] and URDF's angles (3,) [rad]: about x, then y, then z of the parent."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    pose[:3, 3] = translation
    return pose


def check_transform(pose: Array, what: str) -> None:
    """Raise DescriptionError unless ``pose`` is a (4, 4) rotation and translation."""
    rigid = pose.shape == (4, 4) and bool(np.isfinite(pose).all()) and np.array_equal(pose[3], [0.0, 0.0, 0.0, 1.0])
    if rigid:
        turn = pose[:3, :3]
        rigid = np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) and float(np.linalg.det(turn)) > 0.0
    if not rigid:
        raise DescriptionError(f"{what} is no pose; expected (4, 4) with a rotation and the last row 0 0 0 1")
