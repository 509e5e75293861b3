"""The layout of the cell: where the patient lies before the robot, and how the arm stands over the patient at first."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iiwa_bridge.description.errors import DescriptionError
from iiwa_bridge.description.parameters import check_transform, numbers, package_file, read_mapping, transform
from iiwa_bridge.robot import JOINTS

Array = npt.NDArray[np.float64]

_KEYS = ("patient_translation", "patient_rpy_deg", "start_deg")


@dataclass(frozen=True, eq=False)
class Layout:
    """Of the cell; ``world`` is the frame of ``lbr_link_0``, z up.

    Attributes:
        patient: pose (4, 4) of ``patient`` in ``world`` [m]: origin at the middle of the grid on the parallel plane,
            x caudal to cranial, y to the patient's right, z into the body, so down where the patient lies prone.
        start: joint position (7,) above the middle of the grid, beam along z of ``patient``, elbow up [rad].

    Raises:
        DescriptionError: the pose is no pose, or the joint position not 7 finite numbers.
    """

    patient: Array
    start: Array

    def __post_init__(self) -> None:
        check_transform(self.patient, "layout: patient")
        if self.start.shape != (JOINTS,) or not np.isfinite(self.start).all():
            raise DescriptionError(f"layout: start is {self.start}; expected {JOINTS} finite angles [rad]")


def load_layout(file: Path | None = None) -> Layout:
    """The layout of a parameter file, laid out as ``layout.yaml`` beside this module; None: that one.

    Raises:
        DescriptionError: the file cannot be read, or holds something else than a layout.
    """
    file = package_file("layout.yaml") if file is None else file
    content = read_mapping(file, _KEYS)
    translation, angles = (numbers(content, key, (3,), file) for key in ("patient_translation", "patient_rpy_deg"))
    start = numbers(content, "start_deg", (JOINTS,), file)
    return Layout(patient=transform(translation, np.deg2rad(angles)), start=np.deg2rad(start))
