"""Bodies for the training subjects' bones: what they keep, what they take, and that they are rendered once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset import virtual
from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.synth import FRAMES_PER_SWEEP, read_record, synthesize
from us_grid_sim.dataset.targets import read_targets
from us_grid_sim.dataset.virtual import render_subject, virtual_levels
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import BINS
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.training import variants
from us_nav_agent.training.levels import bodies_levels
from us_nav_agent.training.run_folder import TrainProgress, quiet
from us_nav_agent.training.variants import FAT, make_variants, sample_variant

SMALL = Preprocess(height=24, width=32)
SWEEP = 15


@pytest.fixture(scope="module")
def patient_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (file,) = synthesize(tmp_path_factory.mktemp("cohort"), subjects=[3], frames_per_sweep=SWEEP, workers=1)
    return file


def test_a_variant_is_its_subject_in_another_body() -> None:
    record = sample_subject(0, 3)
    one, other = sample_variant(record, 0), sample_variant(record, 1)
    assert sample_variant(record, 0) == one
    assert one.vertebra_scale == other.vertebra_scale == record.vertebra_scale
    assert len({one.uneven_seed, other.uneven_seed, record.uneven_seed}) == 3
    assert len({one.seed, other.seed, record.seed}) == 3, "the hand of another"


def test_the_fat_of_variants_is_spread_evenly_over_what_people_have() -> None:
    fat = np.array(
        [sample_variant(sample_subject(0, index), number).fat for index in range(10) for number in range(40)]
    )
    counts, _ = np.histogram(fat, bins=5, range=FAT)
    assert counts.sum() == 400
    assert (np.abs(counts - 80) < 35).all()


def test_a_subject_in_memory_is_that_of_its_data_set(patient_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest frame of each bin and all targets, of the very same sweeps."""
    monkeypatch.setattr(virtual, "FRAMES_PER_SWEEP", SWEEP)
    stored = load_grid(patient_file, SMALL)
    with one_thread():
        grid = render_subject(sample_subject(0, 3), "Virtual003", SMALL)
    nearest = stored.frames[stored.bins.reshape(BINS, -1)[:, 0]]
    difference = np.abs(grid.frames.astype(int) - nearest)
    assert difference.max() <= 1, "frames rendered in other company may differ by a grey level"
    assert grid.targets == read_targets(patient_file)
    assert grid.goals == stored.goals
    numbers, states = grid.views()
    assert numbers.tolist() == states.tolist() == list(range(BINS))


def test_variants_are_rendered_once(patient_file: Path) -> None:
    seen: list[TrainProgress] = []
    (first,) = make_variants([patient_file], 1, SMALL, seen.append)
    assert [(one.done, one.total) for one in seen] == [(0, 1), (1, 1)]
    assert first.frames.shape == (BINS, 24, 32)
    assert set(first.targets) == set(Target)
    seen.clear()
    (again,) = make_variants([patient_file], 1, SMALL, seen.append)
    assert [(one.done, one.total) for one in seen] == [(1, 1)]
    assert np.array_equal(again.frames, first.frames)
    assert again.targets == first.targets


def test_variants_of_a_subject_that_is_not_virtual_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "Patient_files" / "Someone.txt"
    with pytest.raises(UsGridSimError, match=r"record\.json.*the record that `usnav dataset synth` writes"):
        make_variants([file], 1, SMALL, quiet)
    assert make_variants([file], 0, SMALL, quiet) == []


@pytest.fixture
def broken_off(patient_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Variants that are rendered here, the second of which dies."""
    rendered: list[int] = []

    def one_by_one(
        make: Callable[[], Callable[[variants._Job], None]], jobs: list[variants._Job], *where: object
    ) -> Iterator[tuple[variants._Job, None]]:
        for job in jobs:
            if len(rendered) == 1:
                rendered.append(-1)
                raise KeyboardInterrupt
            rendered.append(job.record.uneven_seed)
            yield job, make()(job)

    def quick(record: object, name: str, preprocess: Preprocess) -> object:
        grid = load_grid(patient_file, preprocess)
        return replace(grid, frames=grid.frames[:BINS])

    monkeypatch.setattr(variants, "work_through", one_by_one)
    monkeypatch.setattr(variants, "render_subject", quick)
    return rendered


def test_what_was_rendered_before_a_break_is_kept(broken_off: list[int], patient_file: Path) -> None:
    other = Preprocess(height=12, width=16)
    with pytest.raises(KeyboardInterrupt):
        make_variants([patient_file], 3, other, quiet)
    make_variants([patient_file], 3, other, quiet)
    assert broken_off[1] == -1
    assert len(broken_off) == len(set(broken_off)) == 4


# --- levels -------------------------------------------------------------------------------------------------------


def test_levels_of_a_subject_come_before_those_of_its_variants_and_are_told_once(patient_file: Path) -> None:
    seen: list[TrainProgress] = []
    first = bodies_levels([patient_file], 2, seen.append)
    assert first.shape == (3, BINS, 2)
    assert [(one.done, one.total) for one in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    record, frames = read_record(patient_file.parent.parent, patient_file.stem)
    assert np.array_equal(first[0], virtual_levels(record, frames))
    assert np.array_equal(first[2], virtual_levels(sample_variant(record, 1), FRAMES_PER_SWEEP))
    seen.clear()
    assert np.array_equal(bodies_levels([patient_file], 2, seen.append), first)
    assert [(one.done, one.total) for one in seen] == [(3, 3)]


def test_the_levels_of_people_are_not_known(patient_file: Path) -> None:
    someone = patient_file.with_stem("Someone")
    levels = bodies_levels([someone, patient_file], 0, quiet)
    assert np.isnan(levels[0]).all()
    assert np.isfinite(levels[1]).all()
