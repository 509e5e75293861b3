"""The small subject that an environment without arguments walks on."""

from functools import lru_cache

import numpy as np

from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Bin
from us_grid_sim.preprocess import Preprocess


@lru_cache(maxsize=1)
def example_grid() -> PreprocessedGrid:
    """One made-up subject with one frame a bin, uint8 (165, 84, 84): speckle, brighter towards the goals."""
    rng = np.random.default_rng(0)
    goals = (Bin(5, 1), Bin(5, 2))
    speckle = rng.rayleigh(20.0, (BINS, 84, 84))
    gain = np.array(
        [1 + 3 * np.exp(-np.hypot(*np.subtract(divmod(state, COLUMNS), (5, 1.5))) / 3) for state in range(BINS)]
    )
    frames = np.clip(speckle * gain[:, None, None], 0, 255).astype(np.uint8)
    indices = np.arange(BINS, dtype=np.int32)
    bins = np.repeat(indices.reshape(ROWS, COLUMNS, 1), FRAMES_PER_BIN, axis=2)
    return PreprocessedGrid("example", goals, bins, frames, indices, Preprocess(84, 84))
