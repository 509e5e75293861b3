"""Where each frame was taken: the table ``sacrum_sweep_data.csv``, and the bins that follow from it.

Two kinds of table are read, told apart by the header:

- ours, ``frame,patient_x_m,patient_y_m``: metres in the patient frame (see us_grid_sim.geometry);
- the published one, whose names and unit are not documented: frame index, the robot's x across the spine (it
  grows with the grid's row), the robot's y along the spine (it grows with the column), more columns ignored.
  The values are millimetres where the positions span more than 5, else metres (a back is 0.2 to 0.5 m long),
  and are turned and centred into the patient frame.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import DatasetError, Report, raise_fault
from us_grid_sim.geometry import COLUMNS, FRAMES_PER_BIN, ROWS, Bin

HEADER = ("frame", "patient_x_m", "patient_y_m")
MAX_FRAMES = 1_000_000
"""More frames than any subject has; a larger index is a broken line."""
_LARGEST_SPAN_IN_METRES = 5.0
_RESOLUTION = 1e-9  # distances closer than this [m] are ties: they differ by rounding alone


def parse_sweep_data(text: str, file: Path, report: Report = raise_fault) -> npt.NDArray[np.float64]:
    """Read the table.

    Args:
        text: the whole file.
        file: where it comes from, for messages.
        report: called with each fault; where it returns, reading goes on without the row at fault.

    Returns:
        float64 (n, 2): (x, y) of frame i in row i, in the patient frame [m]; NaN where the table has no position.

    Raises:
        DatasetError: with the file, the line and what was expected there.
    """
    lines = text.splitlines()
    rows = list(csv.reader(lines))
    if not rows or len(rows[0]) < 3 or _is_number(rows[0][0]):
        report(DatasetError(file, 1, "there is no header row", f"a header such as '{','.join(HEADER)}'"))
        return np.empty((0, 2))
    table = _parse_rows(rows, file, report)
    if len(table) == 0:
        report(DatasetError(file, 2, "the table has no rows", "a row for each frame"))
        return np.empty((0, 2))
    ours = tuple(name.strip() for name in rows[0][:3]) == HEADER
    places = table[:, 1:] if ours else _from_robot(table[:, 1:])
    positions = np.full((int(table[:, 0].max()) + 1, 2), np.nan)
    positions[table[:, 0].astype(np.intp)] = places
    return positions


def _parse_rows(rows: Sequence[Sequence[str]], file: Path, report: Report) -> npt.NDArray[np.float64]:
    """The first three columns (n, 3) as numbers; the frame indices are whole and stand there once."""
    table = []
    seen: set[float] = set()
    for line, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        try:
            values = [float(cell) if cell.strip() else math.nan for cell in cells[:3]]
        except ValueError:
            values = []
        if len(values) < 3 or math.inf in map(abs, values):
            report(DatasetError(file, line, f"found {','.join(cells[:3])!r}", "numbers 'frame index, x, y'"))
        elif not (values[0].is_integer() and 0 <= values[0] < MAX_FRAMES) or values[0] in seen:
            report(DatasetError(file, line, f"frame index {cells[0]!r}", "a whole number from 0, each frame once"))
        else:
            seen.add(values[0])
            table.append(values)
    return np.array(table, dtype=np.float64).reshape(-1, 3)


def _from_robot(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Robot positions (n, 2), across and along the spine, as patient positions (n, 2): along and across [m]."""
    if np.isnan(places).all():
        return places
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    unit = 1e-3 if np.nanmax(high - low) > _LARGEST_SPAN_IN_METRES else 1.0
    patient: npt.NDArray[np.float64] = ((places - (low + high) / 2) * unit)[:, ::-1]
    return patient


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def format_sweep_data(positions: npt.NDArray[np.float64]) -> str:
    """The table of ``positions`` (n, 2) in the patient frame [m], to the last bit."""
    lines = [",".join(HEADER)]
    lines += [f"{index},{float(x)!r},{float(y)!r}" for index, (x, y) in enumerate(positions)]
    return "\n".join(lines) + "\n"


def bins_from_positions(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The five frames nearest to each bin's centre, nearest first, ties by index.

    Args:
        positions: (n, 2), x and y of each frame in the patient frame [m]; frames at NaN belong nowhere.

    Returns:
        int32 (11, 15, 5) of indices into ``positions``.

    Raises:
        ValueError: fewer than five frames have a position.
    """
    known = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if len(known) < FRAMES_PER_BIN:
        raise ValueError(f"{len(known)} frames have a position; a bin needs {FRAMES_PER_BIN}")
    centers = np.array([[Bin(row, column).center for column in range(COLUMNS)] for row in range(ROWS)])
    distances = np.linalg.norm(centers[:, :, None, :] - positions[known], axis=-1)
    order = np.argsort(np.round(distances / _RESOLUTION), axis=-1, kind="stable")[:, :, :FRAMES_PER_BIN]
    return known[order].astype(np.int32)
