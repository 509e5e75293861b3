"""Virtual subjects in memory, one frame a bin: where hundreds are wanted, and none of them on disk."""

import numpy as np
import numpy.typing as npt

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.sweep_data import bins_from_positions
from us_grid_sim.dataset.synth import (
    FRAMES_PER_SWEEP,
    RENDER_BATCH,
    SweepRecord,
    find_targets,
    nearest_sweep,
    nearest_truths,
    sample_sweep,
    sweep_pose,
)
from us_grid_sim.dataset.targets import Targets
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import Phantom, build_phantom
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

Array = npt.NDArray[np.float64]


def render_subject(record: SubjectRecord, name: str, preprocess: Preprocess) -> PreprocessedGrid:
    """A subject as its data set would be read, but with the nearest frame of each bin alone; its targets are all known.

    Raises:
        UsGridSimError: the probe would stand beyond the subject's back, or nothing of a target is seen.
    """
    renderer = Renderer(record)
    bins = _swept_bins(record, FRAMES_PER_SWEEP)
    held = nearest_sweep(record, FRAMES_PER_SWEEP, bins)
    poses = np.stack([sweep_pose(renderer.phantom, held, state) for state in range(BINS)])
    targets = find_targets(renderer.phantom, FRAMES_PER_SWEEP, bins)
    return grid_of(name, render_bins(renderer, poses, held, preprocess), targets, preprocess)


def virtual_targets(phantom: Phantom) -> Targets:
    """The goal bins of each target that a data set of this subject has, without its frames; some 4 s.

    Raises:
        UsGridSimError: nothing of a target is seen.
    """
    return find_targets(phantom, FRAMES_PER_SWEEP, _swept_bins(phantom.record, FRAMES_PER_SWEEP))


def virtual_levels(record: SubjectRecord, frames_per_sweep: int) -> npt.NDArray[np.float32]:
    """Where along the spine the nearest frame of each bin of a subject's data set lies, without its frames; 1 s.

    Args:
        record: the subject.
        frames_per_sweep: of its data set.

    Returns:
        (165, 2) by the bin's state: the vertebral level (``FrameTruth.level``), and how far beside the spine's midline
        the probe stands, to the right positive [m].
    """
    truths = nearest_truths(build_phantom(record), frames_per_sweep, _swept_bins(record, frames_per_sweep))
    return np.array([(truth.level, truth.midline) for truth in truths], dtype=np.float32)


def _swept_bins(record: SubjectRecord, frames_per_sweep: int) -> npt.NDArray[np.int32]:
    """The frames of each bin that the subject's sweeps give."""
    sweeps = [sample_sweep(record, row, frames_per_sweep) for row in range(ROWS)]
    return bins_from_positions(np.concatenate([np.stack([sweep.x, sweep.y], axis=1) for sweep in sweeps]))


def render_bins(renderer: Renderer, poses: Array, held: SweepRecord, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """The preprocessed frames uint8 (165, height, width) at poses (165, 4, 4) of ``us_probe`` in the patient frame [m].

    Args:
        renderer: of the subject.
        poses: by the bin's state.
        held: how hard the probe is held there, and the noise; entries (165,).
        preprocess: of each frame.
    """
    frames = []
    for first in range(0, BINS, RENDER_BATCH):
        part = slice(first, first + RENDER_BATCH)
        rendered = renderer.render(poses[part], held.contact_force[part], held.noise[part])
        frames += [preprocess(frame) for frame in rendered]
    return np.stack(frames)


def grid_of(name: str, frames: npt.NDArray[np.uint8], targets: Targets, preprocess: Preprocess) -> PreprocessedGrid:
    """The grid of frames uint8 (165, height, width), by the bin's state; all five frames of a bin are that one."""
    numbers = np.arange(BINS, dtype=np.int32)
    return PreprocessedGrid(
        name=name,
        goals=targets[Target.SACRUM],
        bins=numbers.reshape(ROWS, COLUMNS, 1).repeat(FRAMES_PER_BIN, axis=2),
        frames=frames,
        indices=numbers,
        preprocess=preprocess,
        targets=targets,
    )
