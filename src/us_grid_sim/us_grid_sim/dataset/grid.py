"""A subject's frames as a network sees them: preprocessed once, kept beside the data, loaded in one read."""

import dataclasses
import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.layout import GridSubject, read_subject
from us_grid_sim.dataset.targets import read_targets, targets_file
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import FRAMES_PER_BIN, Bin
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Frame8, Preprocess

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""

_CACHE_VERSION = 1  # raise it when Preprocess computes other pixels from the same settings
_READERS = 4


@dataclass(frozen=True, eq=False)
class PreprocessedGrid:
    """One subject, its frames in memory.

    Attributes:
        name: the subject's name.
        goals: the bins whose frames show the sacrum.
        bins: int32 (11, 15, 5), each bin's five frames as indices into ``frames``, nearest first.
        frames: uint8 (n, height, width), the preprocessed frames that the bins use.
        indices: int32 (n,), the index that each of ``frames`` has on disk.
        preprocess: what was done to the frames.
        targets: the goal bins of each target that is known; of the sacrum alone where nothing else is said.
    """

    name: str
    goals: tuple[Bin, ...]
    bins: npt.NDArray[np.int32]
    frames: npt.NDArray[np.uint8]
    indices: npt.NDArray[np.int32]
    preprocess: Preprocess
    targets: Mapping[Target, tuple[Bin, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.targets:
            object.__setattr__(self, "targets", {Target.SACRUM: self.goals})

    def views(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Each frame of each bin once: numbers (n,) into ``frames``, and the state (n,) of the bin."""
        states = np.arange(self.bins.size) // FRAMES_PER_BIN
        once = np.unique(np.stack([states, self.bins.ravel()]), axis=1)
        return once[1], once[0]

    def towards(self, target: str) -> "PreprocessedGrid":
        """The same subject, its goals the bins that show ``target``.

        Raises:
            UsGridSimError: they are not known.
        """
        known = {one.value: bins for one, bins in self.targets.items()}
        if target not in known:
            raise UsGridSimError(
                f"subject {self.name} has no goal bins of {target!r}; it has those of {', '.join(known)}"
            )
        return dataclasses.replace(self, goals=known[target])


def draw_frame(bins: npt.NDArray[np.int32], position: Bin, rng: np.random.Generator) -> int:
    """One of the five frames of ``position``, drawn at random: one draw of ``rng``, always of the same kind.

    The environments and the grid source draw here, so that equal seeds show equal frames.
    """
    return int(bins[position.row, position.column, rng.integers(FRAMES_PER_BIN)])


def load_grid(
    patient_file: Path, preprocess: Preprocess, cache: bool = True, progress: Progress | None = None
) -> PreprocessedGrid:
    """Load a subject and preprocess every frame that its bins use.

    The result is cached as an npz file in the subject's folder. A cache of another patient file, of other
    frames (by size and time of change) or of other settings is not used; one that cannot be read or written
    is ignored.

    Data without a file of targets (any but that of virtual subjects) have the patient file's target alone, the sacrum.

    Args:
        patient_file: the subject's patient file.
        preprocess: from a frame to what the network sees.
        cache: whether to use and write the cache.
        progress: called while frames are read.

    Raises:
        DatasetError: a file of the subject is missing or malformed.
    """
    subject = read_subject(patient_file)
    indices, places = np.unique(subject.bins, return_inverse=True)
    bins = places.reshape(subject.bins.shape).astype(np.int32)
    file = _cache_file(patient_file, subject, preprocess)
    key = _cache_key(patient_file, subject, preprocess, indices) if cache else ""
    shape = (len(indices), preprocess.height, preprocess.width)
    frames = _read_cache(file, key, shape) if cache else None
    if frames is None:
        frames = _preprocess_all(subject, preprocess, indices, progress)
        if cache:
            _write_cache(file, key, frames)
    elif progress is not None:
        progress(len(indices), len(indices))
    known = targets_file(patient_file.parent.parent, subject.name).exists()
    targets = read_targets(patient_file) if known else {Target.SACRUM: subject.goals}
    return PreprocessedGrid(subject.name, subject.goals, bins, frames, indices.astype(np.int32), preprocess, targets)


def _preprocess_all(
    subject: GridSubject, preprocess: Preprocess, indices: npt.NDArray[np.int32], progress: Progress | None
) -> npt.NDArray[np.uint8]:
    """Preprocess the frames ``indices``; a few threads, since OpenCV decodes without the interpreter's lock."""

    def small(index: int) -> Frame8:
        return preprocess(subject.frame(index))

    frames = np.empty((len(indices), preprocess.height, preprocess.width), dtype=np.uint8)
    pool = ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1))
    try:
        for done, frame in enumerate(pool.map(small, indices.tolist())):
            frames[done] = frame
            if progress is not None:
                progress(done + 1, len(indices))
    finally:  # at a broken frame, or Ctrl-C, do not read the hundreds that are still queued
        pool.shutdown(cancel_futures=True)
    return frames


def _cache_file(patient_file: Path, subject: GridSubject, preprocess: Preprocess) -> Path:
    """One file for each setting, so that a stale cache is overwritten and none piles up."""
    roi = "_".join(map(str, preprocess.roi))
    name = f"preprocessed_{preprocess.width}x{preprocess.height}_roi_{roi}.npz"
    return patient_file.parent.parent / f"Sacrum_{subject.name}" / name


def _cache_key(patient_file: Path, subject: GridSubject, preprocess: Preprocess, indices: npt.NDArray[np.int32]) -> str:
    """A hash of all that the preprocessed frames depend on; empty (no cache fits) where a frame is missing."""
    digest = hashlib.sha256(f"{_CACHE_VERSION} {preprocess!r}\n".encode())
    digest.update(patient_file.read_bytes())
    for index in indices.tolist():
        try:
            state = subject.frame_file(index).stat()
        except OSError:
            return ""
        digest.update(f"{index} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_cache(file: Path, key: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """The cached frames, or None where there are none that fit."""
    try:
        with np.load(file, allow_pickle=False) as content:
            if not key or str(content["key"]) != key:
                return None
            frames = np.asarray(content["frames"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return frames if frames.shape == shape and frames.dtype == np.uint8 else None


def _write_cache(file: Path, key: str, frames: npt.NDArray[np.uint8]) -> None:
    """Keep the frames; a folder that cannot be written to costs time at the next load, nothing else."""
    partial = file.with_name(f"{file.stem}.{os.getpid()}.partial.npz")
    try:
        np.savez(partial, key=np.array(key), frames=frames)
        partial.replace(file)
    except OSError:
        try:
            partial.unlink(missing_ok=True)
        except OSError:
            return
