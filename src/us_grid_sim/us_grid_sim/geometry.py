"""The parallel plane, its grid of bins, the pixels of a frame, and the coordinate frames between them.

Coordinate frames (right-handed, metres; 4 x 4 matrices map column vectors of the child to the parent):

- ``patient``: origin at the middle of the grid on the parallel plane, x caudal to cranial, y to the
  patient's right, z into the body (the patient lies prone, so z is anterior).
- ``us_probe``: origin at the middle of the transducer face, x along the image's columns, y out of plane
  (elevational), z into the body. Over a bin the image plane is transverse: x of the probe is y of the
  patient, y of the probe is minus x of the patient.
- ``us_image``: pixels, (column, row), row 0 at the skin.

Grid of Hase et al. 2020: 11 rows (sweeps parallel to the spine, 20 mm apart) by 15 columns (position
along the spine, column 0 caudal). The row grows with y, the column with x.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

ROWS = 11
COLUMNS = 15
BINS = ROWS * COLUMNS
FRAMES_PER_BIN = 5
ROW_PITCH = 0.020
"""Distance of neighbouring sweeps [m] (Hase et al. 2020, sec. IV-B)."""
COLUMN_PITCH = 0.020
"""Length of one of the 15 segments of a sweep [m]; the paper gives no length, a sweep of 0.3 m covers L1 to S5."""

FRAME_HEIGHT = 600
FRAME_WIDTH = 800
DEPTH = 0.070
"""Imaging depth shown by the 600 rows of a frame [m] (Hase et al. 2020, sec. IV-A)."""
PIXEL_SIZE = DEPTH / FRAME_HEIGHT
"""Edge of a (square) pixel [m]."""
PROBE_WIDTH = 0.050
"""Length of the linear array [m]; the columns of a frame beyond it are black."""


class Action(IntEnum):
    """The moves on the grid and the stop, numbered as in the authors' code."""

    UP = 0
    DOWN = 1
    LEFT = 2
    RIGHT = 3
    STOP = 4


_MOVES = {Action.UP: (-1, 0), Action.DOWN: (1, 0), Action.LEFT: (0, -1), Action.RIGHT: (0, 1), Action.STOP: (0, 0)}


@dataclass(frozen=True, order=True)
class Bin:
    """One bin of the grid.

    Raises:
        ValueError: row is not in 0 to 10, or column not in 0 to 14.
    """

    row: int
    column: int

    def __post_init__(self) -> None:
        if not (0 <= self.row < ROWS and 0 <= self.column < COLUMNS):
            raise ValueError(
                f"bin ({self.row}, {self.column}) is off the grid; rows are 0 to {ROWS - 1}, columns 0 to {COLUMNS - 1}"
            )

    @property
    def state(self) -> int:
        """The number row * 15 + column."""
        return self.row * COLUMNS + self.column

    @classmethod
    def from_state(cls, state: int) -> "Bin":
        """The bin of number ``state``, 0 to 164."""
        return cls(*divmod(state, COLUMNS))

    def moved(self, action: Action) -> "Bin":
        """The neighbour that ``action`` leads to; at the border the move has no effect."""
        rows, columns = _MOVES[action]
        return Bin(
            min(max(self.row + rows, 0), ROWS - 1),
            min(max(self.column + columns, 0), COLUMNS - 1),
        )

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the bin's centre in the patient frame [m]."""
        return (
            (self.column - (COLUMNS - 1) / 2) * COLUMN_PITCH,
            (self.row - (ROWS - 1) / 2) * ROW_PITCH,
        )

    @classmethod
    def nearest(cls, x: float, y: float) -> "Bin":
        """The bin whose centre is nearest to (x, y) in the patient frame [m]."""
        column = round(x / COLUMN_PITCH + (COLUMNS - 1) / 2)
        row = round(y / ROW_PITCH + (ROWS - 1) / 2)
        return cls(min(max(row, 0), ROWS - 1), min(max(column, 0), COLUMNS - 1))


def displacement(action: Action) -> tuple[float, float]:
    """The step (dx, dy) of ``action`` on the parallel plane, in the patient frame [m]."""
    rows, columns = _MOVES[action]
    return columns * COLUMN_PITCH, rows * ROW_PITCH


def goal_distance(position: Bin, goals: tuple[Bin, ...]) -> int:
    """Distance of ``position`` to the goal bins, in steps.

    As in the authors' code the two minima are taken separately:
    min over goals of the row difference plus min over goals of the column difference.

    Raises:
        ValueError: there is no goal bin.
    """
    if not goals:
        raise ValueError("a subject without goal bins has no distance to the goal")
    rows = min(abs(position.row - goal.row) for goal in goals)
    columns = min(abs(position.column - goal.column) for goal in goals)
    return rows + columns


def probe_pose(x: float, y: float, z: float = 0.0) -> npt.NDArray[np.float64]:
    """Pose (4, 4) of ``us_probe`` in the patient frame [m], image plane transverse, beam along z."""
    pose = np.eye(4)
    pose[:3, :3] = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    pose[:3, 3] = x, y, z
    return pose
