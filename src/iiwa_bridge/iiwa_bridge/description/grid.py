"""The grid of places on the parallel plane that a navigation walks over, as far as a simulation starts at one of them.

It is that of ``us_grid_sim.geometry``, which this package never imports.
"""

from iiwa_bridge.description.errors import DescriptionError

ROWS, COLUMNS = 11, 15
PITCH = 0.020
"""Distance of neighbouring bins along both axes of ``patient`` [m]."""


def bin_centre(text: str) -> tuple[float, float]:
    """Centre (x, y) of a bin, "row,column", in the patient frame [m]: the row grows with y, the column with x.

    Raises:
        DescriptionError: it is no bin of the grid.
    """
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        row = column = -1
    if not (0 <= row < ROWS and 0 <= column < COLUMNS):
        raise DescriptionError(
            f'start "{text}" is no bin; expected "row,column", rows 0 to {ROWS - 1}, columns 0 to {COLUMNS - 1}'
        )
    return (column - (COLUMNS - 1) / 2) * PITCH, (row - (ROWS - 1) / 2) * PITCH
