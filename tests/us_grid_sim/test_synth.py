"""Virtual subjects on disk: whole or not there, resumable, and the same bytes from the same seed."""

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset import synth
from us_grid_sim.dataset.layout import list_subjects, read_subject
from us_grid_sim.dataset.synth import (
    FRAMES_PER_SWEEP,
    SynthProgress,
    cohort_record,
    nearest_sweep,
    read_record,
    record_file,
    sample_sweep,
    subject_name,
    synthesize,
)
from us_grid_sim.dataset.targets import read_targets, targets_file
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, ROWS, Bin
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.target import Target

FRAMES = 15


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    synthesize(root, subjects=[0, 1], frames_per_sweep=FRAMES, workers=2)
    return root


def test_a_subject_is_in_the_published_layout_with_its_record(cohort: Path) -> None:
    files = list_subjects(cohort)
    assert [file.stem for file in files] == ["Virtual000", "Virtual001"]
    subject = read_subject(files[1])
    assert subject.positions.shape == (ROWS * FRAMES, 2)
    assert subject.goals
    assert subject.frame(0).shape == (600, 800)
    content = json.loads(record_file(cohort, "Virtual001").read_text())
    assert SubjectRecord.from_json(json.dumps(content["subject"])) == sample_subject(0, 1)


def test_one_process_and_two_write_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    synthesize(tmp_path, subjects=[1], frames_per_sweep=FRAMES, workers=1)
    alone = contents(tmp_path)
    assert len(alone) == ROWS * FRAMES + 4
    assert {name: data for name, data in contents(cohort).items() if name in alone} == alone


def test_finished_subjects_are_kept_and_unfinished_ones_made_again(
    cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(cohort)
    (cohort / "Patient_files" / "Virtual001.txt").unlink()
    made: list[int] = []
    original = synth.write_virtual_subject
    monkeypatch.setattr(synth, "write_virtual_subject", lambda *a: made.append(a[1].index) or original(*a))
    reports: list[SynthProgress] = []
    synthesize(cohort, subjects=[0, 1], frames_per_sweep=FRAMES, workers=1, progress=reports.append)
    assert made == [1]
    assert contents(cohort) == before
    assert reports[-1] == SynthProgress(ROWS * FRAMES, ROWS * FRAMES, 1, 1)


def test_every_target_has_goal_bins_of_its_own_and_the_sacrum_those_of_the_patient_file(cohort: Path) -> None:
    for file in list_subjects(cohort):
        targets = read_targets(file)
        assert targets[Target.SACRUM] == read_subject(file).goals
        bins = [goal for goals in targets.values() for goal in goals]
        assert all(targets.values())
        assert len(bins) == len(set(bins))


@pytest.mark.parametrize("workers", [1, 2])
def test_finished_subjects_without_targets_get_them_and_nothing_else_changes(
    cohort: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with data of before there were targets; nothing is rendered."""
    before = contents(cohort)
    for name in ("Virtual000", "Virtual001"):
        targets_file(cohort, name).unlink()
    times = {file: file.stat().st_mtime_ns for file in cohort.rglob("*.*")}
    monkeypatch.setattr(synth, "Renderer", None)
    reports: list[SynthProgress] = []
    synthesize(cohort, subjects=[0, 1], frames_per_sweep=FRAMES, workers=workers, progress=reports.append)
    assert contents(cohort) == before
    assert {file: file.stat().st_mtime_ns for file in times} == times
    assert reports[-1] == SynthProgress(0, 0, 2, 2)


def test_targets_are_not_added_where_the_patient_file_names_other_goals(cohort: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(cohort, tmp_path / "edited"))
    targets_file(root, "Virtual000").unlink()
    file = root / "Patient_files" / "Virtual000.txt"
    lines = file.read_text().splitlines()
    lines[2] = "goal_bins:0,0"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        DatasetError, match=r"targets\.json: the sacrum's bins are .*; expected 0,0, the patient file's"
    ):
        synthesize(root, subjects=[0, 1], frames_per_sweep=FRAMES, workers=1)
    assert not targets_file(root, "Virtual000").exists()


def test_another_seed_does_not_mix_with_what_is_there(cohort: Path) -> None:
    with pytest.raises(DatasetError, match=r"Virtual000\.txt: a subject of another seed or size is already there"):
        synthesize(cohort, subjects=[0], seed=5, frames_per_sweep=FRAMES)


def test_a_disk_that_fills_up_is_said_and_leaves_no_half_subject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    original = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DatasetError, match="the disk is full; expected free space"):
        synthesize(tmp_path, subjects=[0], frames_per_sweep=FRAMES, workers=1)
    assert list_files(tmp_path / "Patient_files") == []


def list_files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_disk_with_no_room_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10**6

    monkeypatch.setattr(synth.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(DatasetError, match=r"0\.0 GB free; expected about 0\.2 GB"):
        synthesize(tmp_path / "new", subjects=[0])
    assert not (tmp_path / "new").exists()


def test_the_record_of_a_subject_is_read_back(cohort: Path) -> None:
    assert read_record(cohort, "Virtual001") == (cohort_record(0, 1), FRAMES)


@pytest.mark.parametrize("text", [None, "", "[]", '{"subject": {}, "frames_per_sweep": 15}'])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    file = record_file(tmp_path, "Mine")
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    with pytest.raises(DatasetError, match=f"{file}: .*expected the record that `usnav dataset synth` writes"):
        read_record(tmp_path, "Mine")


def test_the_nearest_sweep_is_how_the_probe_was_held_at_each_bins_nearest_frame(cohort: Path) -> None:
    record, subject = cohort_record(0, 1), read_subject(list_subjects(cohort)[1])
    held = nearest_sweep(record, FRAMES, subject.bins)
    positions = subject.positions[subject.bins[:, :, 0].ravel()]
    np.testing.assert_allclose(np.stack([held.x, held.y], axis=1), positions, atol=1e-6)
    row, frame = divmod(int(subject.bins[7, 3, 0]), FRAMES)
    sweep = sample_sweep(record, row, FRAMES)
    for name in vars(held):
        assert getattr(held, name)[Bin(7, 3).state] == getattr(sweep, name)[frame]


def test_a_sweep_follows_its_row_from_end_to_end_with_jitter() -> None:
    sweep = sample_sweep(sample_subject(0, 3), row=2, frames=FRAMES_PER_SWEEP)
    half = COLUMNS * COLUMN_PITCH / 2
    assert len(sweep.x) >= 200
    assert sweep.x[0] == pytest.approx(-half, abs=0.005)
    assert sweep.x[-1] == pytest.approx(half, abs=0.005)
    assert np.abs(sweep.y - Bin(2, 0).center[1]).max() < 0.01
    steps = np.diff(sweep.x)
    slow = np.convolve(steps, np.ones(20) / 20, mode="valid")
    assert slow.max() > 1.3 * slow.min(), "a hand does not move at one speed"
    assert np.std(steps - np.convolve(steps, np.ones(9) / 9, mode="same")) > 0.0002, "the robot's position jitters"
    assert sweep.contact_force.min() >= 0.0
    for turn in (sweep.tilt, sweep.pitch, sweep.yaw):
        assert np.deg2rad(0.5) < np.abs(turn).mean() < np.deg2rad(10.0)
        assert np.abs(np.diff(turn)).max() < np.deg2rad(1.5)
    assert sweep.contact_force.max() <= 2.0
    assert subject_name(7) == "Virtual007"


def test_the_worse_the_contact_the_more_the_probe_leans_and_lifts_off() -> None:
    good, poor = (
        [sample_sweep(dataclasses.replace(sample_subject(0, 3), contact=contact), row, 200) for row in range(ROWS)]
        for contact in (1.0, 0.2)
    )
    leaning = [np.mean([np.abs(sweep.tilt).mean() for sweep in sweeps]) for sweeps in (good, poor)]
    lifted = [np.mean([(sweep.contact_force < 0.2).mean() for sweep in sweeps]) for sweeps in (good, poor)]
    assert leaning[1] > 2.0 * leaning[0]
    assert lifted[1] > lifted[0]
    assert lifted[0] < 0.05


def test_the_test_subjects_of_the_default_cohort_were_scanned_with_good_contact() -> None:
    contacts = {index: cohort_record(0, index).contact for index in range(40)}
    assert all(contacts[index] >= 0.9 for index in range(29, 34))
    assert min(contacts.values()) < 0.7
    assert cohort_record(0, 35) == sample_subject(0, 35), "beyond the 34 subjects there is no split"
