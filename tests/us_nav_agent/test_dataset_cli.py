"""`usnav dataset from-sweep`, `check` and `view`: what they write, say and refuse."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from us_grid_sim.dataset.layout import SubjectWriter, read_subject
from us_grid_sim.dataset.targets import format_targets, targets_file
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, Bin, probe_pose
from us_grid_sim.phantom.target import Target

PATTERN = (np.add.outer(np.arange(FRAME_HEIGHT), 2 * np.arange(FRAME_WIDTH)) % 251).astype(np.uint8)
GOLD = (61, 163, 232)
"""The colour of a goal's box, BGR."""
CALIBRATION = (
    f"image_to_probe: [[{1e3 * PIXEL_SIZE}, 0, 0, 0], [0, 0, 1, 0], [0, {1e3 * PIXEL_SIZE}, 0, 0], [0, 0, 0, 1]]"
)
"""Image columns along x of the marker, rows along its z: the marker lies as us_probe does."""


def dataset(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "us_nav_agent.cli.main", "dataset", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}, timeout=120
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subject, a frame in each bin's centre; frame i has a black square of i pixels in its corner."""
    root = tmp_path_factory.mktemp("data")
    with SubjectWriter(root, "A") as writer:
        for state in range(BINS):
            frame = PATTERN.copy()
            frame[:state, :state] = 0
            writer.add(frame, *Bin.from_state(state).center)
        writer.finish(lambda _: [Bin(5, 1), Bin(5, 2)])
    return root


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


# ---------------------------------------------------------------- from-sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A recording along row 5, a frame a millimetre for 41 mm, one of them not valid; calibration beside it."""
    (tmp_path / "probe.yaml").write_text(CALIBRATION + "\n")
    fields = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    fields += ["CompressedData = False", "DimSize = 800 600 41", "ElementType = MET_UCHAR"]
    fields += ["UltrasoundImageOrientation = MFA"]
    for index in range(41):
        pose = " ".join(map(str, probe_pose(index - 20.0, 0.0).ravel()))
        fields.append(f"Seq_Frame{index:04d}_ProbeToTrackerTransform = {pose}")
        fields.append(f"Seq_Frame{index:04d}_ProbeToTrackerTransformStatus = {'INVALID' if index == 7 else 'OK'}")
        fields.append(f"Seq_Frame{index:04d}_Timestamp = {index / 30:.4f}")
    file = tmp_path / "row5.mha"
    header = "\n".join([*fields, "ElementDataFile = LOCAL\n"]).encode()
    file.write_bytes(header + np.repeat(PATTERN[None], 41, axis=0).tobytes())
    return file


def test_a_sweep_becomes_a_subject_that_check_finds_sound(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--out", out, "--name", "Me", "--calibration", tmp_path / "probe.yaml", "--goal", "5,6", "--goal", "5,7")
    done = dataset("from-sweep", sweep, *words)
    assert done.returncode == 0, done.stderr
    assert "40 frames, 1 marked as not valid left out" in done.stdout
    assert f"grid fitted: {out}/Sacrum_Me/grid.yaml" in done.stdout
    assert "3 of 165 bins have frames of their own" in done.stdout
    subject = read_subject(out / "Patient_files" / "Me.txt")
    assert subject.goals == (Bin(5, 6), Bin(5, 7))
    np.testing.assert_array_equal(subject.frame(0), PATTERN)
    checked = dataset("check", out)
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings")


def test_a_grid_is_given_back(sweep: Path, tmp_path: Path) -> None:
    out, common = tmp_path / "out", ("--calibration", tmp_path / "probe.yaml", "--goal", "5,7")
    assert dataset("from-sweep", sweep, "--out", out, "--name", "A", *common).returncode == 0
    grid = tmp_path / "grid.yaml"
    text = (out / "Sacrum_A" / "grid.yaml").read_text()
    grid.write_text(text.replace("origin_mm: [", "origin_mm: [20, 0, 0]  # was ["))
    done = dataset("from-sweep", sweep, "--out", out, "--name", "B", "--grid", grid, *common)
    assert "grid given" in done.stdout, done.stderr
    assert read_subject(out / "Patient_files" / "B.txt").positions[:, 0].max() == pytest.approx(0.0, abs=1e-9)


def test_without_a_goal_nothing_is_written(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dataset("from-sweep", sweep, "--out", out, "--name", "Me", "--calibration", tmp_path / "probe.yaml")
    assert done.returncode == 1
    assert "no goal bin is given; expected at least one bin that shows the sacrum (--goal row,column)" in one_line(done)
    assert not out.exists()


def test_a_goal_off_the_grid_is_wrong_usage(sweep: Path, tmp_path: Path) -> None:
    words = ("--out", tmp_path, "--name", "Me", "--calibration", tmp_path / "probe.yaml", "--goal", "11,0")
    done = dataset("from-sweep", sweep, *words)
    assert done.returncode == 2
    assert "'11,0' is no bin; expected row,column with rows 0 to 10 and columns 0 to 14" in done.stderr


# ---------------------------------------------------------------- check


def test_check_names_each_fault_and_fails(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "spoilt"
    (root / "Patient_files").mkdir(parents=True)
    (root / "Patient_files" / "A.txt").write_text(
        (data / "Patient_files" / "A.txt").read_text().replace("goal_bins:5,1;5,2", "goal_bins:5,1;5,20")
    )
    (root / "Sacrum_A").symlink_to(data / "Sacrum_A")
    (root / "notes.doc").write_text("")
    done = dataset("check", root, "--quick")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1] == "1 errors, 1 warnings"
    assert f"error: {root}/Patient_files/A.txt: line 3: bin (5, 20) is off the grid" in done.stdout
    assert f"warning: {root}/notes.doc: it does not belong here; expected" in done.stdout


def test_warnings_alone_are_no_failure(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "stray"
    root.mkdir()
    for name in ("Patient_files", "Sacrum_A"):
        (root / name).symlink_to(data / name)
    (root / "notes.doc").write_text("")
    done = dataset("check", root, "--quick")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 errors, 1 warnings")


def test_check_of_no_data_set_fails(tmp_path: Path) -> None:
    done = dataset("check", tmp_path / "none")
    assert done.returncode == 1
    assert "there is no data set; expected patient files <Name>.txt in it" in done.stdout


# ---------------------------------------------------------------- view


def test_view_draws_the_grid_with_its_goals(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "a" / "grid.png"
    assert dataset("view", data, "--subject", "A", "--out", file).returncode == 0
    picture = cv2.imread(str(file))
    assert min(picture.shape[:2]) > 1000
    lit = np.argwhere(np.abs(picture.astype(int) - GOLD).max(axis=2) < 12)
    assert len(lit) > 500
    middle = (lit.min(axis=0) + lit.max(axis=0)) / 2
    assert middle[0] / picture.shape[0] == pytest.approx(0.5, abs=0.05), "row 5 of 11"
    assert middle[1] / picture.shape[1] == pytest.approx(0.18, abs=0.05), "columns 1 and 2 of 15"


def test_view_boxes_the_goals_of_a_target(data: Path, tmp_path: Path) -> None:
    root, file = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "l4.png"
    targets = dict.fromkeys(Target, (Bin(5, 1), Bin(5, 2))) | {Target.L4: (Bin(8, 11),)}
    targets_file(root, "A").write_text(format_targets(targets))
    assert dataset("view", root, "--subject", "A", "--target", "l4", "--out", file).returncode == 0
    picture = cv2.imread(str(file))
    lit = np.argwhere(np.abs(picture.astype(int) - GOLD).max(axis=2) < 12)
    middle = (lit.min(axis=0) + lit.max(axis=0)) / 2 / picture.shape[:2]
    assert middle == pytest.approx([8.5 / 11, 11.5 / 15], abs=0.05), "row 8 of 11, column 11 of 15"


def test_bins_with_frames_from_elsewhere_are_dimmed(data: Path, tmp_path: Path) -> None:
    """All frames were taken in row 5: every other row is dark."""
    with SubjectWriter(tmp_path, "Row") as writer:
        for column in range(15):
            writer.add(np.full_like(PATTERN, 240), *Bin(5, column).center)
        writer.finish(lambda _: [Bin(5, 1)])
    assert dataset("view", tmp_path / "Patient_files" / "Row.txt", "--out", tmp_path / "g.png").returncode == 0
    grey = cv2.imread(str(tmp_path / "g.png"), cv2.IMREAD_GRAYSCALE)
    column = grey[100:-100, grey.shape[1] // 2 + 20]
    assert (np.abs(column.astype(int) - 240) < 3).mean() == pytest.approx(1 / 11, abs=0.03)
    assert (np.abs(column.astype(int) - 80) < 3).mean() > 0.8


def test_view_of_a_bin_shows_its_frames_pixel_by_pixel(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "bin.png"
    assert dataset("view", data / "Patient_files" / "A.txt", "--bin", "5,1", "--out", file).returncode == 0
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    subject = read_subject(data / "Patient_files" / "A.txt")
    for index in subject.bins[5, 1]:
        frame = subject.frame(int(index))[20:580, 20:780]
        score = cv2.matchTemplate(picture, frame, cv2.TM_SQDIFF)
        assert score.min() < frame.size, "the frame is in the picture, within a grey level"


def test_view_of_a_sweep_is_a_video_of_its_frames(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep.webm"
    assert dataset("view", data, "--subject", "A", "--sweep", "5", "--out", file).returncode == 0
    video = cv2.VideoCapture(str(file))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 15


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("{data}",), 1, "no --subject is given; expected one of A"),
        (("{data}", "--subject", "B"), 1, "there is no subject 'B'; expected one of A"),
        (("{data}/Patient_files/A.txt", "--subject", "A"), 2, "--subject goes with a data set's folder"),
        (("{data}/Patient_files/B.txt",), 1, "B.txt: the file is missing; expected a patient file"),
        (("{data}", "--subject", "A", "--bin", "5"), 2, "'5' is no bin; expected row,column"),
        (("{data}", "--subject", "A", "--bin", "5,1", "--sweep", "5"), 2, "either --bin or --sweep"),
        (("{data}", "--subject", "A", "--sweep", "11"), 2, "less than or equal to 10"),
        (("{data}", "--subject", "A", "--target", "l2"), 2, "'l2' is not one of 'sacrum', 'l5', 'l4', 'l3'"),
        (
            ("{data}", "--subject", "A", "--target", "l4"),
            1,
            "targets.json: the file is missing; expected the goal bins",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(data: Path, words: tuple[str, ...], status: int, message: str) -> None:
    done = dataset("view", *(word.format(data=data) for word in words))
    assert done.returncode == status
    assert message in (one_line(done) if status == 1 else done.stderr)
