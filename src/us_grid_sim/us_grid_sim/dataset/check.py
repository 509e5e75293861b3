"""Every fault of a data set, ours or anybody's: a pure generator over the files, which goes on after each fault."""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.layout import (
    FRAMES_FOLDER,
    PATIENT_FILES,
    TABLE,
    frame_name,
    list_subjects,
    read_text,
    subject_folder,
)
from us_grid_sim.dataset.patient_file import PatientFile, parse_patient_file
from us_grid_sim.dataset.png import HEADER_BYTES, frame_fault, header_fault
from us_grid_sim.dataset.sweep_data import HEADER, MAX_FRAMES, bins_from_positions, parse_sweep_data
from us_grid_sim.dataset.targets import TARGETS, parse_targets, require_same_sacrum
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, Bin

Severity = Literal["error", "warning"]

_FRAME = f"a grey 8-bit PNG of {FRAME_WIDTH}x{FRAME_HEIGHT} pixels that shows something"
_NUMBER = re.compile(r"sacrum_translation([0-9]{4}|[1-9][0-9]{4,})\.png")
_BESIDE_FRAMES = (TABLE, FRAMES_FOLDER, "*.json", "*.yaml", "preprocessed_*.npz")
_BESIDE_SUBJECTS = (PATIENT_FILES, "Sacrum_*", ".*", "*.md", "*.txt", "*.json", "*.yaml", "*.py", "LICEN[CS]E*")
_TIE = 1e-6  # [m]; frames this close are as near as one another


@dataclass(frozen=True)
class Fault:
    """One fault of a data set.

    Attributes:
        severity: error: a reader stops or is misled; warning: it may be meant so.
        path: the file or folder.
        place: the line, frame or bin in it; empty where the whole file is meant.
        found: what is wrong.
        expected: what would be right.
    """

    severity: Severity
    path: Path
    place: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f": {self.place}" if self.place else ""
        return f"{self.severity}: {self.path}{place}: {self.found}; expected {self.expected}"


Progress = Callable[[int, int], None]
"""Called with the frames looked at and the frames in all."""


@dataclass(frozen=True, eq=False)
class _Subject:
    """What lies on disk of one subject: its patient file, its folder, and its frames' folder and their numbers."""

    patient_file: Path
    text: str
    patient: PatientFile
    table: Path
    frames_dir: Path
    numbers: tuple[int, ...]


def check_dataset(
    root: Path, *, quick: bool = False, workers: int | None = None, progress: Progress | None = None
) -> Iterator[Fault]:
    """Find every fault of the data set in ``root``.

    Args:
        root: its folder.
        quick: of the frames, look at the headers alone.
        workers: threads that decode frames; by default one a core.
        progress: called after each frame.
    """
    try:
        files = list_subjects(root)
    except DatasetError as error:
        yield _of(error)
        return
    subjects = []
    for file in files:
        faults: list[Fault] = []
        subject = _open(root, file, faults)
        yield from faults
        if subject is not None:
            subjects.append(subject)
    yield from _stray_in_root(root, files, subjects)
    total, done = sum(len(subject.numbers) for subject in subjects), 0
    look = partial(_frame_fault, quick=quick)
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        try:
            for subject in subjects:
                yield from _check_texts(subject)
                yield from _check_targets(subject)
                for fault in pool.map(look, [subject] * len(subject.numbers), subject.numbers):
                    done += 1
                    if progress:
                        progress(done, total)
                    if fault:
                        yield fault
        finally:
            pool.shutdown(cancel_futures=True)


def _of(error: DatasetError) -> Fault:
    place = "" if error.line is None else f"line {error.line}"
    return Fault("error", error.file, place, error.problem, error.expected)


# ---------------------------------------------------------------- patient file and folders


def _open(root: Path, file: Path, faults: list[Fault]) -> _Subject | None:
    """The subject of a patient file, and its faults up to where its frames lie; None where they lie nowhere."""

    def report(error: DatasetError) -> None:
        faults.append(_of(error))

    try:
        text = read_text(file, "a patient file")
    except DatasetError as error:
        report(error)
        return None
    patient = parse_patient_file(text, file, report)
    if patient.name and patient.name != file.stem:
        found = f"the name is {patient.name!r}"
        faults.insert(0, Fault("error", file, "line 1", found, f"{file.stem!r}, the file's"))
    by_file = subject_folder(root, file.stem).is_dir() or not patient.name
    name = file.stem if by_file else patient.name
    usual = subject_folder(root, name) / FRAMES_FOLDER
    frames_dir = root / patient.frames_folder
    if not patient.frames_folder:
        frames_dir = usual
    if not frames_dir.is_dir():
        found = f"the folder {patient.frames_folder!r} does not exist"
        if not usual.is_dir():
            faults.append(Fault("error", file, "line 2", found, f"it or {usual}"))
            return None
        if patient.frames_folder:
            expected = f"{usual.relative_to(root)}/, which readers take instead"
            faults.append(Fault("warning", file, "line 2", found, expected))
        frames_dir = usual
    return _Subject(file, text, patient, usual.parent / TABLE, frames_dir, _frame_numbers(frames_dir))


def _frame_numbers(folder: Path) -> tuple[int, ...]:
    matches = (_NUMBER.fullmatch(entry.name) for entry in folder.iterdir())
    return tuple(sorted(int(match[1]) for match in matches if match))


def _stray_in_root(root: Path, files: Sequence[Path], subjects: Sequence[_Subject]) -> Iterator[Fault]:
    """What a data set does not hold: files of another kind, and subjects that no patient file names."""
    yield from _stray(root, _BESIDE_SUBJECTS, "patient files, subjects' folders and words for people")
    yield from _stray(root / PATIENT_FILES, ("*.txt",), "patient files <Name>.txt")
    named = {subject.table.parent for subject in subjects} | {subject_folder(root, file.stem) for file in files}
    for folder in sorted(set(root.glob("Sacrum_*")) - named):
        yield Fault("warning", folder, "", "no patient file names it", f"{PATIENT_FILES}/<Name>.txt, or no such folder")


def _stray(folder: Path, patterns: Iterable[str], expected: str) -> Iterator[Fault]:
    for entry in sorted(folder.iterdir()):
        if not any(fnmatch(entry.name, pattern) for pattern in patterns):
            yield Fault("warning", entry, "", "it does not belong here", expected)


# ---------------------------------------------------------------- table, numbers, bins


def _check_texts(subject: _Subject) -> Iterator[Fault]:
    """What the texts and the frames' names say of one another."""
    if subject.table.parent.is_dir():
        yield from _stray(subject.table.parent, _BESIDE_FRAMES, f"{FRAMES_FOLDER}, {TABLE} and records")
    for entry in sorted(subject.frames_dir.iterdir()):
        if not _NUMBER.fullmatch(entry.name):
            yield Fault("warning", entry, "", "it does not belong here", f"frames {frame_name(0)} and on")
    yield from _holes(subject)
    faults: list[Fault] = []
    positions, ours = _read_table(subject, faults)
    yield from faults
    if positions is None:
        return
    beyond = list(_beyond(subject, max(len(positions), _frame_count(subject))))
    yield from beyond
    misleading = beyond or any(fault.severity == "error" for fault in faults)
    if not misleading and (subject.patient.bins >= 0).all():
        yield from _not_nearest(subject, positions, ours)


def _check_targets(subject: _Subject) -> Iterator[Fault]:
    """What is wrong with the goal bins of all targets, where they are there."""
    file = subject.table.with_name(TARGETS)
    if not file.exists():
        return
    try:
        targets = parse_targets(read_text(file, "the goal bins of each target"), file)
        if subject.patient.goals:
            require_same_sacrum(targets, subject.patient.goals, file)
    except DatasetError as error:
        yield _of(error)


def _holes(subject: _Subject) -> Iterator[Fault]:
    """Frames that are missing below the last one, neighbours in one fault."""
    if not subject.numbers:
        yield Fault("error", subject.frames_dir, "", "it holds no frame", f"frames {frame_name(0)} and on")
        return
    missing = sorted(set(range(subject.numbers[-1])) - set(subject.numbers))
    for _, group in groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        place = f"frame {run[0]}" if len(run) == 1 else f"frames {run[0]} to {run[-1]}"
        expected = f"every number from 0 to {subject.numbers[-1]}"
        yield Fault("error", subject.frames_dir, place, "missing", expected)


def _read_table(subject: _Subject, faults: list[Fault]) -> tuple[npt.NDArray[np.float64] | None, bool]:
    """The positions, None where there is no table, and whether the table has our header."""
    before = len(faults)
    try:
        text = read_text(subject.table, "the table of the frames' positions")
    except DatasetError as error:
        faults.append(_of(error))
        return None, False
    positions = parse_sweep_data(text, subject.table, lambda error: faults.append(_of(error)))
    rows = list(csv.reader(text.splitlines()[:1]))
    ours = bool(rows) and tuple(name.strip() for name in rows[0][:3]) == HEADER
    if not len(positions):
        return None, ours
    faults += _table_lines(subject.table, text, ours)
    count = sum(1 for line in text.splitlines()[1:] if line.strip())
    if count != (frames := _frame_count(subject)) and len(faults) == before:
        faults.append(Fault("error", subject.table, "", f"{count} rows", f"{frames}, one for each frame"))
    return positions, ours


def _frame_count(subject: _Subject) -> int:
    """The frames, those among it that are missing and named elsewhere."""
    return subject.numbers[-1] + 1 if subject.numbers else 0


def _table_lines(table: Path, text: str, ours: bool) -> Iterator[Fault]:
    """Rows that can be read, but are out of order or without a position."""
    last, seen = -1.0, set()
    for line, cells in enumerate(csv.reader(text.splitlines()), start=1):
        try:
            index, x, y = (float(cell) if cell.strip() else np.nan for cell in cells[:3])
        except ValueError:
            continue  # the header, or a row that the reader has named
        if not (index.is_integer() and 0 <= index < MAX_FRAMES):
            continue  # named by the reader too
        if index < last and index not in seen:
            expected = "indices that grow from row to row"
            yield Fault("error", table, f"line {line}", f"frame {index:.0f} after frame {last:.0f}", expected)
        if np.isnan((x, y)).any():
            severity: Severity = "error" if ours else "warning"
            yield Fault(severity, table, f"line {line}", f"frame {index:.0f} has no position", "finite numbers")
        last = max(index, last)
        seen.add(index)


def _beyond(subject: _Subject, count: int) -> Iterator[Fault]:
    """Bins that name a frame which neither table nor folder has."""
    for position, indices in _bins(subject.patient):
        if indices.max() >= count:
            place, expected = _bin_line(subject, position), f"indices of the {count} frames, 0 to {count - 1}"
            yield Fault("error", subject.patient_file, place, f"frame {indices.max()} does not exist", expected)


def _not_nearest(subject: _Subject, positions: npt.NDArray[np.float64], ours: bool) -> Iterator[Fault]:
    """Bins whose frames are not the five nearest to their centre, nearest first; a published table's in one fault."""
    if np.isfinite(positions).all(axis=1).sum() < FRAMES_PER_BIN:
        return
    nearest = bins_from_positions(positions)
    others = []
    for position, indices in _bins(subject.patient):
        best = nearest[position.row, position.column]
        listed, least = (np.linalg.norm(positions[those] - position.center, axis=1) for those in (indices, best))
        if not (np.abs(listed - least) < _TIE).all():
            others.append((position, best))
    file = subject.patient_file
    if not ours and others:
        expected = "the nearest five; the authors' own grouping shifts each sweep first and may be meant"
        yield Fault("warning", file, "", f"{len(others)} of {BINS} bins hold frames that are not the nearest", expected)
        return
    for position, best in others:
        found = f"the frames of bin {position.row},{position.column} are not the five nearest to its centre"
        yield Fault("warning", file, _bin_line(subject, position), found, ",".join(map(str, best)))


def _bins(patient: PatientFile) -> Iterator[tuple[Bin, npt.NDArray[np.int32]]]:
    for state in range(BINS):
        position = Bin.from_state(state)
        yield position, patient.bins[position.row, position.column]


def _bin_line(subject: _Subject, position: Bin) -> str:
    """The line of the patient file that holds a bin."""
    start = re.compile(rf"\s*0*{position.row}\s*,\s*0*{position.column}\s*:")
    lines = subject.text.splitlines()
    return next(f"line {number}" for number, line in enumerate(lines, start=1) if number > 2 and start.match(line))


# ---------------------------------------------------------------- frames


def _frame_fault(subject: _Subject, number: int, quick: bool) -> Fault | None:
    file = subject.frames_dir / frame_name(number)
    try:
        with file.open("rb") as stream:
            found = header_fault(stream.read(HEADER_BYTES)) if quick else frame_fault(stream.read())
    except OSError as error:
        found = f"it cannot be read ({error.strerror})"
    return Fault("error", file, f"frame {number}", found, _FRAME) if found else None
