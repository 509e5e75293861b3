"""A grid data set on disk, in the published layout, both ways.

    <root>/Patient_files/<Name>.txt
    <root>/Sacrum_<Name>/sacrum_sweep_frames/sacrum_translation0000.png ...   (uint8 grey, 600 rows, 800 columns)
    <root>/Sacrum_<Name>/sacrum_sweep_data.csv

The text formats are in ``patient_file`` and ``sweep_data``; docs/dataset.md describes them for people.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.patient_file import PatientFile, check_name, format_patient_file, parse_patient_file
from us_grid_sim.dataset.png import encode_png
from us_grid_sim.dataset.sweep_data import bins_from_positions, format_sweep_data, parse_sweep_data
from us_grid_sim.errors import DatasetError, FrameError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, Bin
from us_grid_sim.preprocess import Frame8, check_frame

__all__ = [
    "GridSubject",
    "Split",
    "SubjectWriter",
    "bins_from_positions",
    "list_subjects",
    "read_frame",
    "read_subject",
    "split_of",
    "subjects_of",
]

Split = Literal["train", "validation", "test"]
_SPLIT_ENDS: dict[Split, int] = {"train": 25, "validation": 29, "test": 34}
SUBJECTS = 34
"""Subjects of the published data set, and of a full synthetic one."""

PATIENT_FILES = "Patient_files"
FRAMES_FOLDER = "sacrum_sweep_frames"
TABLE = "sacrum_sweep_data.csv"


def frame_name(index: int) -> str:
    """File name of a frame: at least four digits, more where they are needed."""
    return f"sacrum_translation{index:04d}.png"


def subject_folder(root: Path, name: str) -> Path:
    """Where the frames and the table of subject ``name`` lie."""
    return root / f"Sacrum_{name}"


@dataclass(frozen=True, eq=False)
class GridSubject:
    """One subject of a grid data set; its frames stay on disk.

    Attributes:
        name: the subject's name.
        goals: the bins whose frames show the sacrum.
        bins: int32 (11, 15, 5), indices of each bin's five frames, nearest first.
        frames_dir: the folder of the frames.
        positions: float64 (n, 2), x and y of frame i in the patient frame [m]; NaN: unknown.
    """

    name: str
    goals: tuple[Bin, ...]
    bins: npt.NDArray[np.int32]
    frames_dir: Path
    positions: npt.NDArray[np.float64]

    def frame(self, index: int) -> Frame8:
        """Frame ``index``, uint8 (600, 800).

        Raises:
            DatasetError: the file is missing, broken or no grey image of that size.
        """
        return read_frame(self.frame_file(index))

    def frame_file(self, index: int) -> Path:
        """The file of frame ``index``, which may be missing."""
        return self.frames_dir / frame_name(index)


def read_frame(file: Path) -> Frame8:
    """The frame in a PNG file, uint8 (600, 800).

    Raises:
        DatasetError: the file is missing, broken or no grey image of that size.
    """
    expected = f"a grey 8-bit PNG of {FRAME_WIDTH}x{FRAME_HEIGHT} pixels"
    try:
        encoded = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    except FileNotFoundError:
        raise DatasetError(file, None, "the frame is missing", expected) from None
    except OSError as error:
        raise DatasetError(file, None, f"the frame cannot be read ({error.strerror})", expected) from error
    pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if pixels is None:
        raise DatasetError(file, None, "the frame is truncated or is no image", expected)
    frame: npt.NDArray[np.uint8] = np.asarray(pixels)
    try:
        check_frame(frame)
    except FrameError as error:
        raise DatasetError(file, None, str(error).partition(";")[0], expected) from None
    return frame


def read_text(file: Path, expected: str) -> str:
    """The text of ``file``; DatasetError where it cannot be read or is no UTF-8."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(file, None, "the file is missing", expected) from None
    except OSError as error:
        raise DatasetError(file, None, f"the file cannot be read ({error.strerror})", expected) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DatasetError(file, line, f"byte {error.object[error.start]:#04x} is no UTF-8 text", expected) from None


def read_subject(patient_file: Path) -> GridSubject:
    """Read a subject: its patient file and its table of positions. Frames are read when asked for.

    The frames' folder on line 2 may be relative to the data set's root. Where it does not exist (the published
    files name folders of the authors' machine) it is ``<root>/Sacrum_<Name>/sacrum_sweep_frames``.

    Raises:
        DatasetError: a file is missing or malformed; it names the file, the line and what was expected.
    """
    root = patient_file.parent.parent
    patient = parse_patient_file(read_text(patient_file, "a patient file"), patient_file)
    table = subject_folder(root, patient.name) / TABLE
    positions = parse_sweep_data(read_text(table, "the table of the frames' positions"), table)
    frames = _find_frames(root, patient, patient_file)
    return GridSubject(patient.name, patient.goals, patient.bins, frames, positions)


def _find_frames(root: Path, patient: PatientFile, patient_file: Path) -> Path:
    usual = subject_folder(root, patient.name) / FRAMES_FOLDER
    for folder in (root / patient.frames_folder, usual):
        if folder.is_dir():
            return folder
    raise DatasetError(
        patient_file, 2, f"the frames' folder {patient.frames_folder!r} does not exist", f"it or {usual}"
    )


def list_subjects(root: Path) -> list[Path]:
    """The patient files of a data set, sorted by name.

    Raises:
        DatasetError: there is none.
    """
    folder = root / PATIENT_FILES
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise DatasetError(folder, None, "there is no data set", "patient files <Name>.txt in it")
    return files


def split_of(index: int) -> Split:
    """The split of the subject at ``index`` of the sorted patient files: 25 train, 4 validation, 5 test.

    Raises:
        ValueError: index is not in 0 to 33.
    """
    for split, end in _SPLIT_ENDS.items():
        if 0 <= index < end:
            return split
    raise ValueError(f"subject {index} belongs to no split; the subjects of a data set are 0 to {SUBJECTS - 1}")


def subjects_of(root: Path, split: Split) -> list[Path]:
    """The patient files of one split, sorted. A data set of fewer than 34 subjects has the splits it reaches.

    Raises:
        DatasetError: the data set has no subject of that split, or more than 34.
        ValueError: there is no such split.
    """
    if split not in get_args(Split):
        raise ValueError(f"split {split!r}; the splits are {', '.join(get_args(Split))}")
    files = list_subjects(root)
    if len(files) > SUBJECTS:
        raise DatasetError(root / PATIENT_FILES, None, f"{len(files)} subjects", f"at most {SUBJECTS}: 25 + 4 + 5")
    chosen = [file for index, file in enumerate(files) if split_of(index) == split]
    if not chosen:
        problem = f"its {len(files)} subjects have no {split} split"
        raise DatasetError(root / PATIENT_FILES, None, problem, f"{SUBJECTS} subjects: 25 train, 4 validation, 5 test")
    return chosen


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write ``file`` into a DatasetError that names the cure."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cure = "free space: free some or choose another folder, then run again (finished subjects are kept)"
            raise DatasetError(file, None, "the disk is full", cure) from error
        raise DatasetError(file, None, f"cannot write ({error.strerror})", "a folder that may be written to") from error


class SubjectWriter:
    """Write one subject, frame by frame; the patient file comes last, so a subject is either whole or not there.

    Use as a context manager. Left without ``finish``, the frames stay but no patient file names them; a new
    writer of the same name clears them first.

    Args:
        root: the data set's folder; made where it is missing.
        name: the subject's name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._name = name
        self._patient_file = root / PATIENT_FILES / f"{name}.txt"
        check_name(name, self._patient_file)
        self._table = subject_folder(root, name) / TABLE
        self._frames = subject_folder(root, name) / FRAMES_FOLDER
        self._positions: list[tuple[float, float]] = []
        self._made: list[Path] = []

    def __enter__(self) -> "SubjectWriter":
        """Make the folders, and clear what an unfinished writer left.

        Raises:
            DatasetError: the subject is already there, or the folders cannot be made.
        """
        if self._patient_file.exists():
            raise DatasetError(self._patient_file, None, "the subject is already there", "a new name, or no such file")
        folders = (self._frames, self._frames.parent, self._patient_file.parent, self._patient_file.parent.parent)
        self._made = [folder for folder in folders if not folder.exists()]
        with _writing(self._frames):
            self._patient_file.parent.mkdir(parents=True, exist_ok=True)
            self._frames.mkdir(parents=True, exist_ok=True)
            for left_over in (*self._frames.glob("sacrum_translation*.png"), self._table):
                left_over.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: every file is written whole by ``add`` and ``finish``."""

    def discard(self) -> None:
        """Take away what was written, and the folders that were made for it and hold nothing else."""
        for index in range(len(self._positions) + 1):  # the last one may be there in part
            (self._frames / frame_name(index)).unlink(missing_ok=True)
        self._table.unlink(missing_ok=True)
        for folder in self._made:
            with suppress(OSError):  # it holds something else
                folder.rmdir()

    def add(self, frame: Frame8, x: float, y: float) -> int:
        """Write a frame that was taken at (x, y) in the patient frame [m].

        Returns:
            The frame's index.

        Raises:
            FrameError: the frame is not uint8 (600, 800).
            DatasetError: it cannot be written, or its position is not finite.
        """
        check_frame(frame)
        index = len(self._positions)
        file = self._frames / frame_name(index)
        if not (np.isfinite(x) and np.isfinite(y)):
            raise DatasetError(file, None, f"the frame's position is ({x}, {y})", "finite metres in the patient frame")
        with _writing(file):
            file.write_bytes(encode_png(frame))
        self._positions.append((float(x), float(y)))
        return index

    def finish(self, goals_of: Callable[[npt.NDArray[np.int32]], Sequence[Bin]]) -> Path:
        """Sort the frames into bins, ask for the goals and write the table and the patient file.

        Args:
            goals_of: from the bins, int32 (11, 15, 5), to those that show the sacrum.

        Returns:
            The patient file.

        Raises:
            DatasetError: there are fewer than five frames or no goal, or a file cannot be written.
        """
        positions = np.array(self._positions, dtype=np.float64).reshape(-1, 2)
        try:
            bins = bins_from_positions(positions)
        except ValueError as error:
            raise DatasetError(self._frames, None, str(error), "more frames before finish") from None
        goals = tuple(goals_of(bins))
        if not goals:
            raise DatasetError(self._patient_file, None, "no bin shows the sacrum", "at least one goal bin")
        folder = f"{self._frames.parent.name}/{FRAMES_FOLDER}/"
        patient = PatientFile(self._name, folder, goals, bins)
        write_atomically(self._table, format_sweep_data(positions))
        write_atomically(self._patient_file, format_patient_file(patient))
        return self._patient_file


def write_atomically(file: Path, text: str) -> None:
    """Write ``file`` whole or not at all, also where the power fails."""
    partial = file.with_name(file.name + ".partial")
    with _writing(file):
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
