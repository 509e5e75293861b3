"""The subject that an environment without arguments walks on."""

from functools import lru_cache

import numpy as np

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Bin
from us_grid_sim.phantom.goal import shows_sacrum
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.preprocess import Preprocess

_CONTACT_FORCE = 1.0  # [N]
_AT_ONCE = 3  # frames rendered in one call; more gain nothing and take memory


@lru_cache(maxsize=4)
def example_grid(preprocess: Preprocess) -> PreprocessedGrid:
    """One virtual subject, rendered in memory within about five seconds: one frame in each bin's centre.

    A bin's five frames are the same one; a data set made by ``usnav dataset synth`` has five different ones.
    """
    renderer = Renderer(sample_subject(seed=0))
    positions = [Bin.from_state(state) for state in range(BINS)]
    poses = np.stack([contact_pose(renderer.phantom, *position.center, _CONTACT_FORCE) for position in positions])
    frames = [
        preprocess(frame)
        for first in range(0, BINS, _AT_ONCE)
        for frame in renderer.render(poses[first : first + _AT_ONCE], _CONTACT_FORCE)
    ]
    indices = np.arange(BINS, dtype=np.int32)
    return PreprocessedGrid(
        name="example",
        goals=tuple(
            position for position, pose in zip(positions, poses, strict=True) if shows_sacrum(renderer.phantom, pose)
        ),
        bins=np.repeat(indices.reshape(ROWS, COLUMNS, 1), FRAMES_PER_BIN, axis=2),
        frames=np.stack(frames),
        indices=indices,
        preprocess=preprocess,
    )
