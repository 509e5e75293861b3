"""More bodies from the training subjects: their bones in the soft tissue of others, rendered anew.

25 subjects hardly have a heavy one among them. A variant keeps all bones of its subject and takes everything else from
a person sampled for it: soft tissue, place on the table, speckle, scanner and hand; the thickness of the fat is spread
evenly over what people have. So it is an augmentation in the body instead of in the picture, and what the data set has
no subject for: real data sets have no record to render from. No bone of a validation or test subject is in any.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.synth import keeping_memory, read_record
from us_grid_sim.dataset.virtual import grid_of, render_subject
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import Bin
from us_grid_sim.phantom.record import SubjectRecord, in_body_of, sample_subject, with_fat
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.training.run_folder import Report, TrainProgress
from us_nav_agent.workers import work_through

FAT = 0.004, 0.034
"""Least and largest thickness of skin and fat of a variant [m]: what people have, and some more."""
_THINNER = 0.003
"""Fat [m] that is taken off a variant in which a target cannot be seen, until it can."""
_VERSION = 1
"""Raise it when the same record is rendered to other frames."""
_MEMORY = 1.0
"""What a process takes that renders [GB]."""


def sample_variant(record: SubjectRecord, number: int) -> SubjectRecord:
    """Variant ``number`` of a subject."""
    rng = np.random.default_rng([record.seed, record.index, number])
    donor = sample_subject(int(rng.integers(2**31)), record.index)
    return with_fat(in_body_of(record, donor), float(rng.uniform(*FAT)))


@dataclass(frozen=True)
class _Job:
    """One variant: its record, and the file that keeps it."""

    file: Path
    record: SubjectRecord
    preprocess: Preprocess


def make_variants(
    patient_files: Sequence[Path], count: int, preprocess: Preprocess, progress: Report
) -> list[PreprocessedGrid]:
    """So many variants of each subject, in the order of the subjects; rendered once, kept in their folders.

    Args:
        patient_files: of virtual subjects.
        count: variants of each.
        preprocess: of the frames.
        progress: called at the start and after each variant.

    Raises:
        DatasetError: a subject is no virtual one.
        UsGridSimError: a variant cannot be scanned.
        UsNavAgentError: a process was ended from outside.
    """
    if not count:  # real subjects have no record to read
        return []
    jobs = [job for file in patient_files for job in _jobs(file, count, preprocess)]
    due = [job for job in jobs if not job.file.exists()]
    progress(TrainProgress("variants", len(jobs) - len(due), len(jobs)))
    with keeping_memory():
        for done, _ in enumerate(work_through(_worker, due, None, _MEMORY), start=len(jobs) - len(due) + 1):
            progress(TrainProgress("variants", done, len(jobs)))
    return [_read(job) for job in jobs]


def _jobs(patient_file: Path, count: int, preprocess: Preprocess) -> list[_Job]:
    record, _ = read_record(patient_file.parent.parent, patient_file.stem)
    jobs = []
    for number in range(count):
        variant = sample_variant(record, number)
        key = hashlib.sha256(f"{_VERSION} {preprocess!r} {variant!r}".encode()).hexdigest()[:16]
        folder = patient_file.parent.parent / f"Sacrum_{patient_file.stem}"
        jobs.append(_Job(folder / f"preprocessed_variant_{key}.npz", variant, preprocess))
    return jobs


def _worker() -> Callable[[_Job], None]:
    return _render


def _render(job: _Job) -> None:
    grid = _scanned(job)
    goals = {target.value: np.array([goal.state for goal in grid.targets[target]]) for target in Target}
    partial = job.file.with_name(f"{job.file.stem}.{os.getpid()}.partial.npz")
    np.savez(partial, frames=grid.frames, **goals)  # type: ignore[arg-type]
    partial.replace(job.file)


def _scanned(job: _Job) -> PreprocessedGrid:
    """The variant, thinner by some millimetres where a bone lies deeper than the frames reach."""
    record = job.record
    while True:
        try:
            return render_subject(record, job.file.stem, job.preprocess)
        except UsGridSimError:
            if record.fat - _THINNER < FAT[0]:
                raise
            record = with_fat(record, record.fat - _THINNER)


def _read(job: _Job) -> PreprocessedGrid:
    with np.load(job.file, allow_pickle=False) as content:
        targets = {target: tuple(map(Bin.from_state, content[target.value].tolist())) for target in Target}
        return grid_of(job.file.parent.name, np.asarray(content["frames"]), targets, job.preprocess)
