"""A picture of where the probe is: the frame that it sees, beside the grid."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.geometry import COLUMNS, FRAME_HEIGHT, FRAME_WIDTH, ROWS, Bin
from us_grid_sim.preprocess import Frame8

CELL = 24
"""Edge of a bin in the picture [px]."""
_MARGIN = 12
_HEIGHT = ROWS * CELL + 2 * _MARGIN
_WIDTH = _HEIGHT * FRAME_WIDTH // FRAME_HEIGHT

_EMPTY = (60, 60, 60)
_GOAL = (60, 170, 90)
_VISITED = (110, 120, 160)
_PROBE = (255, 190, 40)


def cell_corner(position: Bin) -> tuple[int, int]:
    """(column, row) of the top left pixel of a bin in the picture; row 0 is on top, the caudal end on the left."""
    return _WIDTH + _MARGIN + position.column * CELL, _MARGIN + position.row * CELL


def draw_view(frame: Frame8, goals: Sequence[Bin], visited: Sequence[Bin]) -> npt.NDArray[np.uint8]:
    """Draw the current frame beside the grid.

    Args:
        frame: the preprocessed frame, uint8 (height, width), stretched to 4:3.
        goals: the goal bins.
        visited: the bins of the episode in their order, the current one last.

    Returns:
        uint8 (288, 768, 3), RGB.
    """
    picture = np.zeros((_HEIGHT, _WIDTH + COLUMNS * CELL + 2 * _MARGIN, 3), dtype=np.uint8)
    picture[:, :_WIDTH] = cv2.resize(frame, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_NEAREST)[:, :, None]
    for state in range(ROWS * COLUMNS):
        position = Bin.from_state(state)
        colour = _GOAL if position in goals else _VISITED if position in visited else _EMPTY
        left, top = cell_corner(position)
        picture[top + 1 : top + CELL - 1, left + 1 : left + CELL - 1] = colour
    centers = np.array([cell_corner(position) for position in visited], dtype=np.int32) + CELL // 2
    cv2.polylines(picture, [centers.reshape(-1, 1, 2)], False, _PROBE, 1, cv2.LINE_AA)
    cv2.circle(picture, tuple(map(int, centers[-1])), CELL // 4, _PROBE, cv2.FILLED, cv2.LINE_AA)
    return picture
