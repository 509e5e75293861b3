"""The spine of a toy subject."""

import numpy as np
from us_grid_sim.geometry import BINS, COLUMNS, ROW_PITCH, Bin
from us_nav_agent.training.levels import Levels


def toy_levels(l5: Bin, climb: float = 0.85) -> Levels:
    """Levels (165, 2) of a straight spine whose L5 lies in the middle of a bin, and that a column climbs by so much."""
    rows, columns = np.divmod(np.arange(BINS), COLUMNS)
    return np.stack([(columns - l5.column) * climb, (rows - l5.row) * ROW_PITCH], axis=1).astype(np.float32)
