"""Robustness: what each condition changes and what not, poses and goals that follow, a stuck grabber, going on."""

import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.media import block
from us_grid_sim.bmode.display import Display
from us_grid_sim.bmode.render import GEL
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.layout import list_subjects, read_subject
from us_grid_sim.dataset.synth import SweepRecord, record_file, synthesize
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, PROBE_WIDTH, Bin, probe_pose
from us_grid_sim.phantom.plane import Plane
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.subject import Phantom
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation.robustness import measure, run, scan
from us_nav_agent.evaluation.robustness.conditions import CURVES, Chance, Curve, Grabber, Hold, Scan, sample_chance
from us_nav_agent.evaluation.robustness.draw import draw_curves
from us_nav_agent.evaluation.robustness.measure import Measurement, stuck
from us_nav_agent.evaluation.robustness.result import RobustnessResult
from us_nav_agent.evaluation.robustness.run import Finished, Job, Settings, collect, evaluate_robustness, finish, plan
from us_nav_agent.evaluation.robustness.scan import Patient, hanging, lean, load_patient, scan_patient, shown_bins
from us_nav_agent.networks.dueling import NetworkConfig
from us_nav_agent.policy import load_policy
from us_nav_agent.rollout import MAX_ACTIONS

GOALS = (Bin(5, 2), Bin(5, 3))


@pytest.fixture(scope="module")
def record() -> SubjectRecord:
    return replace(sample_subject(0, 29), roll=0.0, gain=2.0, body_mass_index=24.5, fat=0.009)


@pytest.fixture(scope="module")
def chance(record: SubjectRecord) -> Chance:
    return sample_chance(0, record)


def changes(before: object, after: object) -> dict[str, object]:
    """The attributes in which two dataclasses differ, those of nested ones with a dot, and what they are after."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(before):  # type: ignore[arg-type]
        one, two = getattr(before, field.name), getattr(after, field.name)
        if dataclasses.is_dataclass(one):
            found |= {f"{field.name}.{name}": value for name, value in changes(one, two).items()}
        elif one != two:
            found[field.name] = two
    return found


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_one_level_of_a_curve_changes_nothing_and_every_other_something_else(
    curve: Curve, record: SubjectRecord, chance: Chance
) -> None:
    scans = {level: curve.scan(record, chance, level) for level in curve.levels}
    assert scans[curve.unchanged] == Scan.of(record)
    assert curve.change(Scan.of(record), chance, curve.unchanged) == Scan.of(record) or not curve.trend
    assert len(set(scans.values())) == len(curve.levels)


@pytest.mark.parametrize(
    ("name", "level", "expected"),
    [
        ("gain", -6.0, {"display.gain": -4.0}),
        ("dynamic_range", 40, {"display.dynamic_range": 40}),
        ("depth", 90.0, {"transducer.depth": 0.09}),
        ("weight", 8.0, {"record.body_mass_index": 32.5, "record.fat": 0.0178, "record.half_width": None}),
        ("stuck", 0.25, {"grabber.repeated": 0.25}),
        ("frozen", 3, {"grabber.arriving": 3}),
    ],
)
def test_a_condition_changes_one_thing_by_its_level(
    name: str, level: float, expected: dict[str, float | None], record: SubjectRecord, chance: Chance
) -> None:
    found = changes(Scan.of(record), CURVES[name].scan(record, chance, level))
    assert found.keys() == expected.keys()
    for part, value in expected.items():
        assert value is None or found[part] == pytest.approx(value)


@pytest.mark.parametrize("side", [1, -1])
def test_turns_and_the_lifted_end_are_on_the_side_that_was_drawn(record: SubjectRecord, side: int) -> None:
    drawn = Chance(side, (7, 8), np.zeros((MAX_ACTIONS, BINS)))
    held = {name: CURVES[name].scan(record, drawn, 20.0).hold for name in ("rotation", "tilt", "contact")}
    assert held["rotation"] == Hold(yaw=pytest.approx(side * np.deg2rad(20.0)))
    assert held["tilt"] == Hold(tilt=pytest.approx(side * np.deg2rad(20.0)))
    assert held["contact"] == Hold(lifted=pytest.approx(0.2), end=side)
    assert changes(Scan.of(record), CURVES["speckle"].scan(record, drawn, 2)) == {"record.speckle_seed": 8}


def test_what_is_sampled_is_replayed_from_the_seed_and_differs_between_subjects(record: SubjectRecord) -> None:
    one, again, other = (sample_chance(0, replace(record, index=index)) for index in (29, 29, 30))
    assert (one.side, one.speckle_seeds) == (again.side, again.speckle_seeds)
    np.testing.assert_array_equal(one.grabber, again.grabber)
    assert one.speckle_seeds != other.speckle_seeds
    assert {sample_chance(0, replace(record, index=index)).side for index in range(20)} == {1, -1}


def test_a_probable_repeat_is_one_at_every_higher_probability_too(chance: Chance) -> None:
    shares = [Grabber(repeated=p).repeats(chance.grabber) for p in (0.0, 0.25, 0.5, 1.0)]
    assert [round(float(one.mean()), 1) for one in shares] == [0.0, 0.2, 0.5, 1.0]
    assert all((fewer <= more).all() for fewer, more in itertools.pairwise(shares))
    frozen = Grabber(arriving=3).repeats(chance.grabber)
    assert not frozen[:3].any() and frozen[3:].all()


class Seen:
    """Walkers that write down what they are shown."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []

    def __call__(self, live: np.ndarray, frames: np.ndarray) -> np.ndarray:
        self.frames.append(frames.tolist())
        return np.zeros(len(live), dtype=np.int64)


def test_a_grabber_that_never_sticks_changes_nothing_and_one_that_always_does_shows_the_first_frame_for_ever() -> None:
    frames = np.arange(12).reshape(4, 3)
    for repeated, expected in ((0.0, frames), (1.0, frames[[0, 0, 0, 0]])):
        seen = Seen()
        grabber = stuck(seen, Grabber(repeated).repeats(np.full((4, 3), 0.5)))
        for step in range(4):
            grabber(np.arange(3), frames[step])
        assert seen.frames == expected.tolist()


@given(st.data())
def test_behind_a_stuck_grabber_each_run_sees_its_own_last_frame_again(data: st.DataObject) -> None:
    steps, runs = 5, 3
    repeats = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=runs, max_size=runs), min_size=steps)))
    ends = data.draw(st.lists(st.integers(1, steps), min_size=runs, max_size=runs))
    seen, shown = Seen(), [-1] * runs
    grabber = stuck(seen, repeats)
    for step in range(max(ends)):
        live = [run for run in range(runs) if step < ends[run]]
        frames = [100 * run + step for run in live]
        grabber(np.array(live), np.array(frames))
        for one, frame in zip(live, frames, strict=True):
            shown[one] = shown[one] if step and repeats[step][one] else frame
        assert seen.frames[-1] == [shown[one] for one in live]


@pytest.fixture(scope="module")
def flat() -> Phantom:
    """A flat block of muscle, skin at z = 0."""
    return block()


@pytest.mark.parametrize("end", [1, -1])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_probe_leans_on_one_end_until_that_share_of_it_hangs_in_the_air(
    flat: Phantom, share: float, end: int
) -> None:
    """Pressed in by 1.5 mm, the gap grows with the sine of the angle and beyond the gel's 2 mm nothing is filled."""
    pose = probe_pose(0.0, 0.0, 0.0015)
    leaning = lean(flat, pose[None], share, end)
    assert hanging(Plane(flat, torch.device("cpu")), leaning)[0] == pytest.approx(share, abs=1.5 / 96)
    sine = (GEL + 0.0015) / ((1.0 - share) * PROBE_WIDTH)
    assert leaning[0, 2, 0] == pytest.approx(-end * sine, rel=0.05)
    ends = [pose[:3, 3] + side * PROBE_WIDTH / 2 * pose[:3, 0] for side in (-end, end)]
    moved = [leaning[0, :3, 3] + side * PROBE_WIDTH / 2 * leaning[0, :3, 0] for side in (-end, end)]
    np.testing.assert_allclose(moved[0], ends[0], atol=1e-9)
    assert moved[1][2] < -GEL
    np.testing.assert_allclose(leaning[0, :3, 1], pose[:3, 1], atol=1e-9)


def test_a_probe_that_hangs_in_the_air_already_stays_as_it_is(flat: Phantom) -> None:
    pose = probe_pose(0.0, 0.0, -0.005)[None]
    np.testing.assert_allclose(lean(flat, pose, 0.5, 1), pose, atol=1e-12)


class FakeRenderer:
    """Frames as bright as their noise number, and a note of how each renderer was set and where it looked."""

    made: ClassVar[list["FakeRenderer"]] = []

    def __init__(self, phantom: Phantom, transducer: Transducer, display: Display) -> None:
        self.phantom, self.transducer, self.display = phantom, transducer, display
        self.poses: list[np.ndarray] = []
        self.made.append(self)

    def render(self, poses: np.ndarray, contact_force: np.ndarray, number: np.ndarray) -> np.ndarray:
        self.poses += list(poses)
        return np.stack([np.full((FRAME_HEIGHT, FRAME_WIDTH), n, dtype=np.uint8) for n in number])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, flat: Phantom) -> Iterator[list[FakeRenderer]]:
    """No rendering: flat bodies, the sacrum shown within 30 mm of the origin while the beam goes straight down."""

    def shows(phantom: Phantom, pose: np.ndarray) -> bool:
        return bool(np.hypot(*pose[:2, 3]) < 0.03 and pose[2, 2] > 0.98)

    caches = scan._phantom, scan._poses, scan.shown_bins
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(scan, "build_phantom", lambda record: replace(flat, record=record))
    monkeypatch.setattr(scan, "Renderer", FakeRenderer)
    monkeypatch.setattr(scan, "shows_sacrum", shows)
    monkeypatch.setattr(FakeRenderer, "made", [])
    yield FakeRenderer.made
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(scope="module")
def patient(record: SubjectRecord) -> Patient:
    """Held straight over the middle of each bin; noise numbers are states."""
    x, y = np.array([Bin.from_state(state).center for state in range(BINS)]).T
    zeros = np.zeros(BINS)
    held = SweepRecord(x, y, np.ones(BINS), tilt=zeros, pitch=zeros, yaw=zeros, noise=np.arange(BINS))
    return Patient("Toy", record, held, GOALS, "digest")


def test_a_subject_is_scanned_with_one_frame_a_bin_by_the_settings_of_the_scan(
    fake: list[FakeRenderer], patient: Patient, tiny: NetworkConfig
) -> None:
    wanted = replace(Scan.of(patient.record), transducer=Transducer(depth=0.05), display=Display(dynamic_range=40.0))
    grid = scan_patient(patient, wanted, tiny.preprocess)
    assert (fake[0].transducer, fake[0].display) == (wanted.transducer, wanted.display)
    assert grid.frames.shape == (BINS, tiny.height, tiny.width)
    for state in (0, 7, 164):
        place = Bin.from_state(state)
        assert (grid.frames[grid.bins[place.row, place.column]] == state).all()
    assert set(grid.goals) == {Bin(row, column) for row, column in [(5, 7), (4, 7), (6, 7), (5, 6), (5, 8)]} | {
        Bin(row, column) for row in (4, 6) for column in (6, 8)
    }


def test_a_turn_about_the_beam_turns_the_probe_where_it_stands(
    fake: list[FakeRenderer], patient: Patient, tiny: NetworkConfig, chance: Chance
) -> None:
    for level in (0.0, 20.0):
        scan_patient(patient, CURVES["rotation"].scan(patient.record, chance, level), tiny.preprocess)
    straight, turned = (np.stack(renderer.poses) for renderer in fake)
    np.testing.assert_allclose(turned[:, :3, 2:], straight[:, :3, 2:], atol=1e-9)
    angle = np.einsum("ni,ni->n", turned[:, :3, 0], straight[:, :3, 0])
    np.testing.assert_allclose(angle, np.cos(np.deg2rad(20.0)))


def test_a_tilt_turns_the_beam_towards_one_end_of_the_array(
    fake: list[FakeRenderer], patient: Patient, tiny: NetworkConfig, chance: Chance
) -> None:
    for level in (0.0, 10.0):
        scan_patient(patient, CURVES["tilt"].scan(patient.record, chance, level), tiny.preprocess)
    straight, tilted = (np.stack(renderer.poses) for renderer in fake)
    np.testing.assert_allclose(tilted[:, :3, 1], straight[:, :3, 1], atol=1e-9)
    sine = np.einsum("ni,ni->n", tilted[:, :3, 2], straight[:, :3, 0])
    np.testing.assert_allclose(np.abs(sine), np.sin(np.deg2rad(10.0)))
    assert len(set(np.sign(sine))) == 1


def test_goals_follow_the_truth_and_stay_the_data_sets_where_no_bin_shows_the_target_any_more(
    fake: list[FakeRenderer], patient: Patient, tiny: NetworkConfig, chance: Chance
) -> None:
    seen, lost = (CURVES["tilt"].scan(patient.record, chance, level) for level in (5.0, 20.0))
    assert Bin(5, 7) in shown_bins(patient, seen.record, seen.hold)
    assert scan_patient(patient, seen, tiny.preprocess).goals == shown_bins(patient, seen.record, seen.hold)
    assert shown_bins(patient, lost.record, lost.hold) == ()
    assert scan_patient(patient, lost, tiny.preprocess).goals == GOALS


def test_the_unchanged_level_stands_once_and_first_so_that_a_stuck_grabber_finds_its_frames() -> None:
    jobs = plan([CURVES["gain"], CURVES["stuck"]], subjects=2)
    points = [(job.subject, job.point) for job in jobs]
    assert points[0] == (0, "unchanged")
    assert len(points) == len(set(points)) == 2 * (1 + 6 + 5)
    assert [subject for subject, _ in points] == [0] * 12 + [1] * 12


def measured(job: Job) -> Measurement:
    """A number that says of which job it is."""
    value = (abs(job.level) + 1.0) / (job.subject + 100.0) / len(job.curve)
    return {"reachability": value, "policy_correctness": value / 2, "false_stops": value / 3, "bins_shown": 4}


class Work:
    """Does jobs in this process, and is killed after so many."""

    def __init__(self, most: int = 10**6) -> None:
        self.most, self.done = most, 0

    def __call__(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Measurement]]:
        for job in jobs:
            if self.done == self.most:
                raise KeyboardInterrupt
            self.done += 1
            yield job, measured(job)


NAMES, SOME = ["A", "B"], [CURVES["gain"], CURVES["frozen"], CURVES["speckle"]]


def result_in(folder: Path, work: Work) -> RobustnessResult:
    finished = Finished(folder, {"seed": 0})
    finish(plan(SOME, len(NAMES)), NAMES, finished, work)
    return collect(run.Model("toy", "ab" * 32), 0, NAMES, SOME, finished)


def test_a_killed_run_goes_on_where_it_was_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole = result_in(tmp_path / "whole", Work())
    killed, rest = Work(most=9), Work()
    with pytest.raises(KeyboardInterrupt):
        result_in(tmp_path / "killed", killed)
    again = result_in(tmp_path / "killed", rest)
    assert killed.done + rest.done == len(plan(SOME, len(NAMES)))
    assert again.to_json() == whole.to_json()
    assert again.to_markdown() == whole.to_markdown()


def test_progress_counts_what_was_finished_before(tmp_path: Path) -> None:
    jobs, said = plan([CURVES["gain"]], subjects=2), []
    with pytest.raises(KeyboardInterrupt):
        finish(jobs, NAMES, Finished(tmp_path, {}), Work(most=3))
    finish(jobs, NAMES, Finished(tmp_path, {}), Work(), lambda done, total: said.append((done, total)))
    assert said == [(done, len(jobs)) for done in range(3, len(jobs) + 1)]


def test_another_runs_folder_is_refused(tmp_path: Path) -> None:
    Finished(tmp_path, {"seed": 0}).keep("A", "unchanged", {"reachability": 1.0})
    assert Finished(tmp_path, {"seed": 0}).holds("A", "unchanged")
    with pytest.raises(UsNavAgentError, match=r"another model, seed or data set is here; name another folder"):
        Finished(tmp_path, {"seed": 1})
    (tmp_path / run.FINISHED).write_text("{")
    with pytest.raises(UsNavAgentError, match=r"finished\.json: it cannot be read .*; remove it to begin anew"):
        Finished(tmp_path, {"seed": 0})


def test_json_and_tables_say_what_was_measured(tmp_path: Path) -> None:
    result = result_in(tmp_path, Work())
    content = json.loads(result.to_json())
    gain = next(curve for curve in content["curves"] if curve["name"] == "gain")
    assert (content["subjects"], gain["unchanged"]) == (NAMES, 0.0)
    loud = next(level for level in gain["levels"] if level["level"] == 18.0)
    assert loud["reachability"]["values"] == [measured(Job(n, "gain", 18.0))["reachability"] for n in (0, 1)]
    assert loud["reachability"]["low"] <= loud["reachability"]["mean"] <= loud["reachability"]["high"]
    assert loud["bins_shown"] == [4, 4]
    table = result.to_markdown()
    mean = np.mean(loud["reachability"]["values"])
    assert f"| 18 | {mean:.2%} (" in table
    assert table.count("| **") == len(SOME)
    assert (
        "| gain [dB] | reachability | policy correctness | stopped elsewhere | bins that show it, of each subject |"
        in table
    )


def test_the_picture_has_a_panel_a_curve(tmp_path: Path) -> None:
    result = result_in(tmp_path, Work())
    one = draw_curves(replace(result, curves=result.curves[:1]), tmp_path / "one.png")
    three = draw_curves(result, tmp_path / "three.png")
    widths = [cv2.imread(str(file)).shape[1] for file in (one, three)]
    assert widths[1] == pytest.approx(3 * widths[0], abs=3)
    for colour in ((0x2F, 0x7F, 0xD0), (0xE8, 0xA3, 0x3D)):
        assert (cv2.imread(str(one))[..., ::-1] == colour).all(axis=-1).sum() > 50


def test_a_policy_is_measured_at_every_level_and_the_same_seed_gives_the_same_bytes(
    fake: list[FakeRenderer], patient: Patient, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_patient", lambda file: patient)
    settings, curves = Settings(tiny_model, (Path("Toy.txt"),), 0), [CURVES["stuck"], CURVES["tilt"]]
    one, two = (evaluate_robustness(settings, curves, tmp_path / name, workers=1) for name in ("one", "two"))
    assert one.to_json() == two.to_json()
    assert len(fake) == 2 * 5, "a stuck grabber shows the unchanged frames"
    assert one.model.sha256 == load_policy(tiny_model).sha256
    unchanged = [curve.values["policy_correctness"][0].tolist() for curve in one.curves]
    assert unchanged[0] == unchanged[1]
    steps = len(fake)
    evaluate_robustness(settings, curves, tmp_path / "one", workers=1)
    assert len(fake) == steps, "what is finished is not measured again"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    synthesize(root, subjects=[0], frames_per_sweep=15, workers=1)
    return root


@pytest.fixture(scope="module")
def unchanged(data: Path, tiny: NetworkConfig) -> PreprocessedGrid:
    """A real subject, rendered once more without a change."""
    toy = load_patient(list_subjects(data)[0])
    return scan_patient(toy, Scan.of(toy.record), tiny.preprocess)


def test_the_unchanged_frames_and_goals_are_those_of_the_data_set(
    data: Path, unchanged: PreprocessedGrid, tiny: NetworkConfig
) -> None:
    subject = read_subject(list_subjects(data)[0])
    assert unchanged.goals == subject.goals
    for place in (Bin(0, 0), Bin(5, 2), Bin(10, 14)):
        stored = tiny.preprocess(subject.frame(int(subject.bins[place.row, place.column, 0])))
        assert np.abs(unchanged.frames[place.state].astype(int) - stored).max() <= 1


def test_a_subject_that_is_no_virtual_one_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    file = list_subjects(tmp_path / "data")[0]
    record_file(tmp_path / "data", file.stem).unlink()
    with pytest.raises(UsGridSimError, match=r"record\.json: .*expected the record that `usnav dataset synth` writes"):
        load_patient(file)


def usnav(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "us_nav_agent.cli.main", "robustness", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_the_command_leaves_json_tables_and_picture_and_two_processes_give_the_bytes_of_one(
    data: Path, unchanged: PreprocessedGrid, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--data", data, "--split", "train", "--curve", "stuck", "--workers", "2")
    done = usnav(tiny_model, *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    written = {"finished.json", "robustness.json", "robustness.md", "robustness.png"}
    assert {file.name for file in tmp_path.iterdir() if not file.name.startswith("tiny.")} == written
    monkeypatch.setattr(measure, "scan_patient", lambda *asked: unchanged)
    settings = Settings(tiny_model, tuple(list_subjects(data)), 0)
    alone = evaluate_robustness(settings, [CURVES["stuck"]], tmp_path / "alone", workers=1)
    assert (tmp_path / "robustness.json").read_text() == alone.to_json()


def test_a_curve_that_does_not_exist_is_named_in_one_line(tiny_model: Path) -> None:
    done = usnav(tiny_model, "--curve", "colour")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no curve 'colour'; there is stuck, frozen, gain")
    assert len(done.stderr.splitlines()) == 1
