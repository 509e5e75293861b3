"""Preprocessed grids and their cache."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from us_grid_sim.dataset.grid import draw_frame, load_grid
from us_grid_sim.dataset.layout import GridSubject, SubjectWriter, read_subject
from us_grid_sim.dataset.targets import format_targets, targets_file
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import Bin
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

SMALL = Preprocess(height=6, width=8)


@pytest.fixture
def patient_file(tmp_path: Path) -> Path:
    """A subject of eight frames of which the bins use the five in the middle: grey 10 * index."""
    with SubjectWriter(tmp_path, "A") as writer:
        for index in range(8):
            far = 5.0 if index in (0, 6, 7) else 0.0
            writer.add(np.full((600, 800), 10 * index, np.uint8), far, 0.0)
        return writer.finish(lambda _: [Bin(5, 5)])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices of the frames read from disk, in the order of reading."""
    seen: list[int] = []
    read = GridSubject.frame

    def counting(self: GridSubject, index: int) -> np.ndarray:
        seen.append(index)
        return read(self, index)

    monkeypatch.setattr(GridSubject, "frame", counting)
    return seen


def cache_file(patient_file: Path) -> Path:
    (file,) = patient_file.parent.parent.glob("Sacrum_A/*.npz")
    return file


def test_the_frames_that_the_bins_use_are_preprocessed(patient_file: Path) -> None:
    grid = load_grid(patient_file, SMALL)
    assert (grid.name, grid.goals, grid.preprocess) == ("A", (Bin(5, 5),), SMALL)
    assert grid.indices.tolist() == [1, 2, 3, 4, 5]
    assert grid.frames.shape == (5, 6, 8)
    assert grid.frames.dtype == np.uint8
    assert grid.frames[:, 0, 0].tolist() == [10, 20, 30, 40, 50]


def test_of_data_without_targets_the_sacrum_alone_is_known(patient_file: Path) -> None:
    grid = load_grid(patient_file, SMALL)
    assert grid.targets == {Target.SACRUM: (Bin(5, 5),)}


def test_targets_are_read_also_where_the_frames_are_cached(patient_file: Path) -> None:
    load_grid(patient_file, SMALL)
    targets = {target: (Bin(5, 5 + number),) for number, target in enumerate(Target)}
    file = targets_file(patient_file.parent.parent, "A")
    file.write_text(format_targets(targets))
    assert load_grid(patient_file, SMALL).targets == targets
    file.write_text("{}")
    with pytest.raises(DatasetError, match=r"targets\.json: 'l3' is missing"):
        load_grid(patient_file, SMALL)


def test_bins_point_into_the_frames_in_the_order_of_the_patient_file(patient_file: Path) -> None:
    grid = load_grid(patient_file, SMALL)
    np.testing.assert_array_equal(grid.indices[grid.bins], read_subject(patient_file).bins)


def test_a_frame_that_a_bin_has_twice_is_viewed_there_once(patient_file: Path) -> None:
    grid = load_grid(patient_file, SMALL)
    bins = grid.bins.copy()
    bins[0, 1] = [3, 1, 3, 3, 1]
    numbers, states = replace(grid, bins=bins).views()
    assert numbers[states == 1].tolist() == [1, 3]
    assert sorted(numbers[states == 7].tolist()) == sorted(bins[0, 7].tolist())
    assert len(numbers) == 165 * 5 - 3


def test_a_second_load_reads_no_frame_and_is_the_same(patient_file: Path, reads: list[int]) -> None:
    first = load_grid(patient_file, SMALL)
    assert sorted(reads) == [1, 2, 3, 4, 5]
    reads.clear()
    second = load_grid(patient_file, SMALL)
    assert reads == []
    np.testing.assert_array_equal(second.frames, first.frames)


def test_without_a_cache_none_is_written(patient_file: Path) -> None:
    load_grid(patient_file, SMALL, cache=False)
    assert not list(patient_file.parent.parent.rglob("*.npz"))


def test_other_settings_have_their_own_cache(patient_file: Path, reads: list[int]) -> None:
    load_grid(patient_file, SMALL)
    reads.clear()
    shifted = load_grid(patient_file, Preprocess(6, 8, roi=(10, 10, 400, 300)))
    assert len(reads) == 5
    assert shifted.preprocess.roi == (10, 10, 400, 300)


def test_a_changed_frame_makes_the_cache_stale(patient_file: Path) -> None:
    """Also where it is as large as the one before."""
    file = read_subject(patient_file).frame_file(2)
    for time, grey in enumerate((98, 99)):
        frame = np.full((600, 800), grey, np.uint8)
        file.write_bytes(cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
        os.utime(file, ns=(time, time))
        assert load_grid(patient_file, SMALL).frames[1, 0, 0] == grey


def test_a_changed_patient_file_makes_the_cache_stale(patient_file: Path) -> None:
    load_grid(patient_file, SMALL)
    patient_file.write_text(patient_file.read_text().replace("goal_bins:5,5", "goal_bins:6,6"))
    grid = load_grid(patient_file, SMALL)
    assert grid.goals == (Bin(6, 6),)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_an_unreadable_cache_is_made_anew(patient_file: Path, reads: list[int], content: bytes) -> None:
    first = load_grid(patient_file, SMALL)
    cache_file(patient_file).write_bytes(content)
    reads.clear()
    np.testing.assert_array_equal(load_grid(patient_file, SMALL).frames, first.frames)
    assert len(reads) == 5
    reads.clear()
    load_grid(patient_file, SMALL)
    assert reads == []


def test_a_bit_that_flipped_in_the_cache_is_noticed(patient_file: Path) -> None:
    first = load_grid(patient_file, SMALL)
    file = cache_file(patient_file)
    content = bytearray(file.read_bytes())
    content[content.index(first.frames.tobytes()) + 7] ^= 1
    file.write_bytes(content)
    np.testing.assert_array_equal(load_grid(patient_file, SMALL).frames, first.frames)


def test_a_cache_that_cannot_be_written_does_no_harm(patient_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(np, "savez", refuse)
    assert len(load_grid(patient_file, SMALL).frames) == 5
    assert not list(patient_file.parent.parent.rglob("*.npz"))


def test_a_missing_frame_is_named_even_where_there_is_a_cache(patient_file: Path) -> None:
    load_grid(patient_file, SMALL)
    read_subject(patient_file).frame_file(3).unlink()
    with pytest.raises(DatasetError, match=r"sacrum_translation0003\.png: the frame is missing"):
        load_grid(patient_file, SMALL)


def test_progress_counts_the_frames(patient_file: Path) -> None:
    seen: list[tuple[int, int]] = []
    load_grid(patient_file, SMALL, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    seen.clear()
    load_grid(patient_file, SMALL, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(5, 5)]


def test_a_draw_is_one_of_the_bins_five_each_as_likely() -> None:
    bins = np.arange(11 * 15 * 5, dtype=np.int32).reshape(11, 15, 5)
    rng = np.random.default_rng(0)
    drawn = [draw_frame(bins, Bin(3, 4), rng) for _ in range(1000)]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, bins[3, 4])
    assert counts.min() > 150
