"""Make virtual subjects in the published layout: eleven simulated sweeps a subject, and the record beside them.

A subject is finished when its patient file is there, which is written last. A run that was killed goes on with the
subjects that are not finished; the same seed gives the same bytes, however many processes work on it. A finished
subject without its targets, of a time before there were any, gets them; its poses follow from its record, so that
nothing is rendered.
"""

import dataclasses
import json
import multiprocessing
import os
import queue
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.layout import (
    PATIENT_FILES,
    SUBJECTS,
    SubjectWriter,
    read_subject,
    read_text,
    split_of,
    write_atomically,
)
from us_grid_sim.dataset.targets import Targets, format_targets, require_same_sacrum, targets_file
from us_grid_sim.errors import DatasetError, UsGridSimError
from us_grid_sim.geometry import BINS, COLUMN_PITCH, COLUMNS, FRAMES_PER_BIN, ROWS, Bin
from us_grid_sim.phantom.goal import FrameTruth, frame_truth, goal_bins
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.subject import Phantom, build_phantom, contact_pose
from us_grid_sim.phantom.target import Target
from us_grid_sim.processes import CONTEXT, end_with_parent, worker_pool

FRAMES_PER_SWEEP = 200
"""Frames of a sweep, as in the authors' data set."""
RENDER_BATCH = 4
"""Frames rendered in one call: as many as the processor's cache holds. With others beside it a frame may differ
by a grey level."""
_PACKED_FRAME = 110_000
"""About what a frame takes as PNG [bytes]."""
_GOOD_CONTACT = 0.9


@dataclass(frozen=True)
class SynthProgress:
    """How far a run is: frames and subjects done, of those that were missing when it began.

    A subject that lacked its targets alone counts as a subject without frames.
    """

    done_frames: int
    total_frames: int
    finished_subjects: int
    total_subjects: int


@dataclass(frozen=True)
class SweepRecord:
    """What was sampled for one sweep, an array (frames,) each: where the robot was, how hard and how tilted it held.

    Attributes:
        x, y: place in the patient frame [m].
        contact_force: [N].
        tilt, pitch, yaw: errors of the probe's orientation, as of ``contact_pose`` [rad].
        noise: number that decides the electronic noise.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    contact_force: npt.NDArray[np.float64]
    tilt: npt.NDArray[np.float64]
    pitch: npt.NDArray[np.float64]
    yaw: npt.NDArray[np.float64]
    noise: npt.NDArray[np.int64]


def subject_name(index: int) -> str:
    """Name of virtual subject ``index``; names sort as their indices."""
    return f"Virtual{index:03d}"


def cohort_record(seed: int, index: int) -> SubjectRecord:
    """Subject ``index`` of the cohort ``seed``; the test subjects were scanned with good contact, as in the paper."""
    record = sample_subject(seed, index)
    if index < SUBJECTS and split_of(index) == "test":
        return dataclasses.replace(record, contact=max(record.contact, _GOOD_CONTACT))
    return record


def sample_sweep(record: SubjectRecord, row: int, frames: int) -> SweepRecord:
    """Sample the sweep along grid row ``row``: the probe guided by hand over the skin.

    Speed, lateral drift, force and orientation vary slowly; the robot's position jitters. The worse the subject's
    contact, the more the probe leans, and now and then it lifts off for a centimetre or two.
    """
    rng = np.random.default_rng([record.seed, record.index, 1000 + row])
    poor = 1.0 - record.contact

    def slow(deviation: float, knots: int = 8) -> npt.NDArray[np.float64]:
        """A smooth random curve over the sweep with this standard deviation."""
        curve = CubicSpline(np.linspace(0, 1, knots), rng.standard_normal(knots) * deviation)
        return np.asarray(curve(np.linspace(0, 1, frames)))

    length = COLUMNS * COLUMN_PITCH
    speed = np.exp(slow(0.3))
    along = length * (np.cumsum(speed) - speed / 2) / speed.sum() - length / 2
    lift = 1.0 / (1.0 + np.exp(-(slow(1.0, 16) - 2.3 + 1.5 * poor) / 0.15))
    force = np.clip(1.3 + slow(0.35) - 0.6 * poor, 0.2, 2.0)
    return SweepRecord(
        x=along + rng.normal(0.0, 0.0003, frames),
        y=Bin(row, 0).center[1] + slow(0.0015) + rng.normal(0.0, 0.0003, frames),
        contact_force=force * (1.0 - lift),
        tilt=np.clip(slow(np.deg2rad(1.5 + 5.0 * poor)), -0.2, 0.2),
        pitch=np.clip(slow(np.deg2rad(3.0 + 3.0 * poor)), -0.2, 0.2),
        yaw=np.clip(slow(np.deg2rad(3.0 + 3.0 * poor)), -0.2, 0.2),
        noise=row * frames + np.arange(frames),
    )


def sweep_pose(phantom: Phantom, sweep: SweepRecord, frame: int) -> npt.NDArray[np.float64]:
    """Pose (4, 4) of ``us_probe`` in the patient frame [m] at a frame of a sweep."""
    held = (sweep.x, sweep.y, sweep.contact_force, sweep.tilt, sweep.pitch, sweep.yaw)
    return contact_pose(phantom, *(values[frame] for values in held))


def nearest_sweep(record: SubjectRecord, frames_per_sweep: int, bins: npt.NDArray[np.int32]) -> SweepRecord:
    """How the probe was held at the nearest frame of each of the ``bins`` (11, 15, 5), replayed from the record.

    The entries (165,) are by the bin's state.
    """
    sweeps = [sample_sweep(record, row, frames_per_sweep) for row in range(ROWS)]
    places = [divmod(int(index), frames_per_sweep) for index in bins[:, :, 0].flat]
    names = [field.name for field in dataclasses.fields(SweepRecord)]
    return SweepRecord(**{name: np.array([getattr(sweeps[row], name)[n] for row, n in places]) for name in names})


def write_virtual_subject(
    root: Path,
    record: SubjectRecord,
    frames_per_sweep: int = FRAMES_PER_SWEEP,
    report: Callable[[int], None] | None = None,
) -> Path:
    """Render and write one subject; returns its patient file.

    Args:
        root: the data set's folder.
        record: the subject.
        frames_per_sweep: frames of each of the eleven sweeps, at least five.
        report: called with the number of frames written since the last call.

    Raises:
        DatasetError: a file cannot be written, or the subject is already there.
    """
    renderer = Renderer(record)
    name = subject_name(record.index)
    targets = targets_file(root, name)
    with SubjectWriter(root, name) as writer:
        for row in range(ROWS):
            sweep = sample_sweep(record, row, frames_per_sweep)
            path = np.stack([sweep_pose(renderer.phantom, sweep, frame) for frame in range(frames_per_sweep)])
            for first in range(0, frames_per_sweep, RENDER_BATCH):
                part = slice(first, first + RENDER_BATCH)
                frames = renderer.render(path[part], sweep.contact_force[part], sweep.noise[part])
                for frame, x, y in zip(frames, sweep.x[part], sweep.y[part], strict=True):
                    writer.add(frame, x, y)
                if report:
                    report(len(frames))

        def goals(bins: npt.NDArray[np.int32]) -> Sequence[Bin]:
            """The sacrum's; those of all targets are written beside the record."""
            found = find_targets(renderer.phantom, frames_per_sweep, bins)
            write_atomically(targets, format_targets(found))
            return found[Target.SACRUM]

        write_atomically(record_file(root, name), _record_text(record, frames_per_sweep))
        return writer.finish(goals)


def find_targets(phantom: Phantom, frames_per_sweep: int, bins: npt.NDArray[np.int32]) -> Targets:
    """The goal bins of each target, by the nearest frames of ``bins`` (11, 15, 5) of the subject's sweeps.

    Their poses are replayed from the record.
    """
    return goal_bins(nearest_truths(phantom, frames_per_sweep, bins))


def nearest_truths(phantom: Phantom, frames_per_sweep: int, bins: npt.NDArray[np.int32]) -> list[FrameTruth]:
    """What the nearest frame of each of ``bins`` (11, 15, 5) of the subject's sweeps shows, by the bin's state.

    Their poses are replayed from the record.
    """
    held = nearest_sweep(phantom.record, frames_per_sweep, bins)
    return [frame_truth(phantom, sweep_pose(phantom, held, state)) for state in range(BINS)]


def write_targets(root: Path, record: SubjectRecord, frames_per_sweep: int) -> None:
    """Write the targets of a finished subject, from its record and its bins; no frame is read or rendered.

    Raises:
        DatasetError: a file is missing, malformed or cannot be written, or the patient file names other bins of the
            sacrum than the record gives.
    """
    name = subject_name(record.index)
    subject = read_subject(_patient_file(root, record))
    targets = find_targets(build_phantom(record), frames_per_sweep, subject.bins)
    file = targets_file(root, name)
    require_same_sacrum(targets, subject.goals, file)
    write_atomically(file, format_targets(targets))


def _patient_file(root: Path, record: SubjectRecord) -> Path:
    return root / PATIENT_FILES / f"{subject_name(record.index)}.txt"


def record_file(root: Path, name: str) -> Path:
    """Where the record of a virtual subject lies."""
    return root / f"Sacrum_{name}" / "record.json"


def read_record(root: Path, name: str) -> tuple[SubjectRecord, int]:
    """The record of a virtual subject, and the frames of each of its sweeps.

    Raises:
        DatasetError: there is none, or it is malformed.
    """
    file, expected = record_file(root, name), "the record that `usnav dataset synth` writes of a virtual subject"
    text = read_text(file, expected)
    try:
        content = json.loads(text)
        return SubjectRecord.from_json(json.dumps(content["subject"])), int(content["frames_per_sweep"])
    except (KeyError, TypeError, ValueError, UsGridSimError) as error:
        raise DatasetError(file, None, f"it cannot be read ({error})", expected) from None


def _record_text(record: SubjectRecord, frames_per_sweep: int) -> str:
    content = {"subject": json.loads(record.to_json()), "frames_per_sweep": frames_per_sweep}
    return json.dumps(content, indent=1) + "\n"


def synthesize(
    root: Path,
    *,
    subjects: Iterable[int] = range(34),
    seed: int = 0,
    frames_per_sweep: int = FRAMES_PER_SWEEP,
    workers: int | None = None,
    progress: Callable[[SynthProgress], None] | None = None,
) -> list[Path]:
    """Write virtual subjects, those that are not there yet, and targets that lack; returns the patient files of all.

    Args:
        root: the data set's folder.
        subjects: indices within the cohort ``seed``.
        seed: of the cohort.
        frames_per_sweep: at least five frames times 15 bins are needed for bins that differ.
        workers: processes; None: as many as there are cores.
        progress: called now and then.

    Raises:
        DatasetError: another cohort lies in ``root``, the disk is full or a file cannot be written;
            finished subjects stay.
    """
    if frames_per_sweep < FRAMES_PER_BIN:
        raise DatasetError(root, None, f"{frames_per_sweep} frames a sweep", f"at least {FRAMES_PER_BIN}")
    records = [cohort_record(seed, index) for index in subjects]
    missing = [record for record in records if not _is_finished(root, record, frames_per_sweep)]
    _check_space(root, len(missing) * ROWS * frames_per_sweep * _PACKED_FRAME)
    due = [record for record in records if not _is_complete(root, record)]
    tracker = _Tracker(len(due), len(missing) * ROWS * frames_per_sweep, progress)
    count = min(workers or multiprocessing.cpu_count(), len(due))
    if count <= 1:
        for record in due:
            _complete(root, record, frames_per_sweep, tracker.add)
            tracker.finished()
    else:
        _in_parallel(root, due, frames_per_sweep, count, tracker)
    return [_patient_file(root, record) for record in records]


def _complete(root: Path, record: SubjectRecord, frames_per_sweep: int, report: Callable[[int], None]) -> None:
    """Write what lacks of a subject: all of it, or its targets alone."""
    if _patient_file(root, record).exists():
        write_targets(root, record, frames_per_sweep)
    else:
        write_virtual_subject(root, record, frames_per_sweep, report)


def _is_complete(root: Path, record: SubjectRecord) -> bool:
    """Whether a subject is there, with its targets."""
    return _patient_file(root, record).exists() and targets_file(root, subject_name(record.index)).exists()


def _is_finished(root: Path, record: SubjectRecord, frames_per_sweep: int) -> bool:
    """Whether a subject is there; DatasetError where another one of the same name is."""
    name = subject_name(record.index)
    patient_file = _patient_file(root, record)
    if not patient_file.exists():
        return False
    file = record_file(root, name)
    if not file.exists() or file.read_text() != _record_text(record, frames_per_sweep):
        raise DatasetError(
            patient_file,
            None,
            "a subject of another seed or size is already there",
            "an empty folder, or the same seed",
        )
    return True


def _check_space(root: Path, needed: int) -> None:
    """DatasetError where the disk has clearly no room for what is to come."""
    existing = next(folder for folder in (root, *root.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DatasetError(
            root, None, f"{free / 1e9:.1f} GB free", f"about {needed / 1e9:.1f} GB: free some or choose another folder"
        )


class _Tracker:
    """Adds up what was done and tells the caller."""

    def __init__(self, subjects: int, frames: int, progress: Callable[[SynthProgress], None] | None) -> None:
        self._subjects, self._frames, self._progress = subjects, frames, progress
        self._done_frames = self._done_subjects = 0

    def add(self, frames: int) -> None:
        self._done_frames += frames
        self._tell()

    def finished(self) -> None:
        self._done_subjects += 1
        self._tell()

    def _tell(self) -> None:
        if self._progress:
            self._progress(SynthProgress(self._done_frames, self._frames, self._done_subjects, self._subjects))


_reports: Any = None
"""In a worker process: the queue for numbers of frames written."""


def _start_worker(reports: Any) -> None:
    global _reports
    _reports = reports


def _work(root: Path, record: SubjectRecord, frames_per_sweep: int) -> None:
    _complete(root, record, frames_per_sweep, _reports.put)


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Processes started meanwhile keep what they free: glibc would give it back, and fetch it again for each frame."""
    settings = {"MALLOC_TRIM_THRESHOLD_": str(1 << 29), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_parallel(
    root: Path, records: list[SubjectRecord], frames_per_sweep: int, workers: int, tracker: _Tracker
) -> None:
    """Write the subjects in processes; at an error or Ctrl-C those not yet begun are dropped."""
    manager = SyncManager(ctx=CONTEXT)
    manager.start(end_with_parent)
    with manager:
        reports = manager.Queue()
        with keeping_memory(), worker_pool(workers, _start_worker, reports) as pool:
            futures = [pool.submit(_work, root, record, frames_per_sweep) for record in records]
            try:
                pending: set[Future[None]] = set(futures)
                while pending:
                    done, pending = wait(pending, timeout=0.2)
                    for frames in _drain(reports):
                        tracker.add(frames)
                    for future in done:
                        future.result()
                        tracker.finished()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _drain(reports: Any) -> Iterator[int]:
    """What lies in the queue now."""
    while True:
        try:
            yield reports.get_nowait()
        except queue.Empty:
            return
