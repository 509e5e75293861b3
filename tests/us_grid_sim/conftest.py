"""A small data set that the tests of this folder share."""

from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset.layout import SubjectWriter
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, Bin

GOALS = (Bin(5, 1), Bin(5, 2))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a data set of two subjects, a frame in each bin's centre; frame i of subject s has the grey i + 40 s."""
    root = tmp_path_factory.mktemp("data")
    for number in range(2):
        with SubjectWriter(root, f"Subject{number:02d}") as writer:
            for state in range(BINS):
                grey = np.full((FRAME_HEIGHT, FRAME_WIDTH), state + 40 * number, np.uint8)
                writer.add(grey, *Bin.from_state(state).center)
            writer.finish(lambda _: GOALS)
    return root
