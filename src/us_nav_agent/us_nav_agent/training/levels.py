"""Where along and beside the spine the training frames lie, as the records of virtual subjects tell."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.synth import FRAMES_PER_SWEEP, read_record, record_file
from us_grid_sim.dataset.virtual import virtual_levels
from us_grid_sim.geometry import BINS, COLUMNS, ROWS
from us_grid_sim.phantom.record import SubjectRecord

from us_nav_agent.networks.locator import (
    ASIDE_PITCH,
    ASIDES,
    FARTHEST_ASIDE,
    HIGHEST_LEVEL,
    LEVEL_PARTS,
    LEVELS,
    LOWEST_LEVEL,
)
from us_nav_agent.spine import CENTRES, Spines
from us_nav_agent.training.run_folder import Report, TrainProgress
from us_nav_agent.training.variants import sample_variant
from us_nav_agent.workers import work_through

Doubles = npt.NDArray[np.float64]
Levels = npt.NDArray[np.float32]
"""(..., 2): vertebral level, and the distance from the spine's midline [m], of ``virtual_levels``."""

_VERSION = 1
"""Raise it when the same record has other levels."""
_MEMORY = 1.0
"""What a process takes that builds a body [GB]."""
_UNKNOWN = np.full((BINS, 2), np.nan, dtype=np.float32)
OVER_THE_SPINE = 0.018
"""Farthest from the midline that a frame shows the spinous processes [m]."""
_LEAST_SPREAD = 0.02
"""No few subjects are so alike that the next one has to be as they are."""


@dataclass(frozen=True)
class _Job:
    """One body: its record, the frames of each of its sweeps, and the file that keeps its levels."""

    file: Path
    record: SubjectRecord
    frames: int


def bodies_levels(patient_files: Sequence[Path], variants: int, progress: Report) -> Levels:
    """Levels (bodies, 165, 2) of subjects and, after them all, so many variants of each; computed once, then kept.

    Those of people, of whom there is no record and no variant, are not known (NaN).

    Args:
        patient_files: of the subjects.
        variants: of each.
        progress: called at the start and after each body.

    Raises:
        DatasetError: a record is malformed.
        UsNavAgentError: a process was ended from outside.
    """
    jobs = [_jobs(file, variants) for file in patient_files]
    every = [job for of_one in jobs for job in of_one]
    due = [job for job in every if not job.file.exists()]
    progress(TrainProgress("levels", len(every) - len(due), len(every)))
    for done, _ in enumerate(work_through(_worker, due, None, _MEMORY), start=len(every) - len(due) + 1):
        progress(TrainProgress("levels", done, len(every)))
    found = [[np.load(job.file) for job in of_one] or [_UNKNOWN] for of_one in jobs]
    return np.stack([of_one[0] for of_one in found] + [one for of_one in found for one in of_one[1:]])


def known_spines(levels: Levels) -> Spines | None:
    """Spines as those of subjects whose bins have these levels (subjects, 165, 2); None where no subject's are known.

    Levels and distances that were never seen are held by no border, and no border is certain.
    """
    levels = levels[np.isfinite(levels).all(axis=(1, 2))]
    if not len(levels):
        return None
    level, aside = np.moveaxis(levels.astype(np.float64).reshape(-1, ROWS, COLUMNS, 2), 3, 0)
    over = (np.abs(aside[:, :, 1:]) < OVER_THE_SPINE) & (np.abs(aside[:, :, :-1]) < OVER_THE_SPINE)
    steps, middles = np.diff(level, axis=2), (level[:, :, 1:] + level[:, :, :-1]) / 2
    whole = np.arange(LOWEST_LEVEL, HIGHEST_LEVEL) + 0.5
    near = [over & (np.abs(middles - one) <= 0.5) for one in whole]
    seen = [bool(one.any()) for one in near]
    mean = [steps[one].mean() for one in near if one.any()]
    climb = np.interp(CENTRES, whole[seen], mean)
    relative = steps / np.interp(middles, CENTRES, climb)
    stretches = [relative[body][over[body]].mean() for body in range(len(level)) if over[body].any()]
    return Spines(
        climb,
        max(float(np.std(np.log(stretches))), _LEAST_SPREAD),
        _held(level, (level[:, :, 0], level[:, :, -1]), LEVELS, LOWEST_LEVEL, 1 / LEVEL_PARTS),
        _held(aside, (aside[:, 0], aside[:, -1]), ASIDES, -FARTHEST_ASIDE, ASIDE_PITCH),
    )


def _held(values: Doubles, at_border: tuple[Doubles, Doubles], size: int, first: float, width: float) -> Doubles:
    """Share (2, size) of the values of each class that lie at either border."""

    def counted(those: Doubles) -> Doubles:
        classes = np.clip((those.ravel() - first) // width, 0, size - 1).astype(np.int64)
        return np.bincount(classes, minlength=size).astype(np.float64)

    return np.stack([(counted(border) + 0.05) / (counted(values) + 1.0) for border in at_border])


def _jobs(patient_file: Path, variants: int) -> list[_Job]:
    root, name = patient_file.parent.parent, patient_file.stem
    kept = record_file(root, name)
    if not kept.exists():
        return []
    record, frames = read_record(root, name)
    bodies = [(record, frames), *((sample_variant(record, number), FRAMES_PER_SWEEP) for number in range(variants))]
    keys = [hashlib.sha256(f"{_VERSION} {body!r}".encode()).hexdigest()[:16] for body in bodies]
    return [_Job(kept.with_name(f"levels_{key}.npy"), *body) for key, body in zip(keys, bodies, strict=True)]


def _worker() -> Callable[[_Job], None]:
    return _keep_levels


def _keep_levels(job: _Job) -> None:
    partial = job.file.with_name(f"{job.file.stem}.{os.getpid()}.partial.npy")
    np.save(partial, virtual_levels(job.record, job.frames))
    partial.replace(job.file)
