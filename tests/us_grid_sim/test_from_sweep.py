"""Tracked sweeps become a subject: places and pixels in the scale of the layout, and nothing left after an error."""

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation
from us_grid_sim.dataset.check import check_dataset
from us_grid_sim.dataset.from_sweep import convert_sweeps, fit_grid, resample, resampling
from us_grid_sim.dataset.layout import read_subject
from us_grid_sim.dataset.metaimage import face_pose
from us_grid_sim.dataset.sweep_settings import Calibration, PatientGrid, format_grid, read_calibration, read_grid
from us_grid_sim.errors import DatasetError, SourceError
from us_grid_sim.geometry import PIXEL_SIZE, ROWS, Bin, probe_pose

WIDTH, HEIGHT = 200, 240
MM = np.array([0.25, 0.2])
"""Pixel size of the simulated recordings [mm]."""
FACE = (90.0, 6.0)
DOT = (130, 106)
"""A bright pixel of every image: 10 mm to the right of the middle of the face, 20 mm deep."""
GOALS = (Bin(5, 1), Bin(5, 2))


def rigid(rotation: Sequence[float], place: Sequence[float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rotation).as_matrix()
    pose[:3, 3] = place
    return pose


CALIBRATION = Calibration(rigid((0.3, -1.0, 0.4), (15, 50, -9)) @ np.diag([*MM, 0.2, 1.0]), FACE)
PATIENT = PatientGrid("Reference", rigid((1.0, 0.2, -2.0), (-40, 190, 32)))
"""Where the simulated patient lies in the frame of the reference marker."""


def text_of(pose: np.ndarray) -> str:
    return " ".join(f"{number:.9f}" for number in pose.ravel())


def write_sweep(
    file: Path, places: np.ndarray, changes: dict[str, str | None] | None = None, cut: int = 0, seed: int = 0
) -> Path:
    """A tracked recording of ``places`` (n, 2) in the patient frame [m], while patient and tracker both move.

    Image i has the grey 20 + i and the dot; ``changes`` replaces fields of the header or leaves them out (None).
    """
    rng = np.random.default_rng(seed)
    face_to_marker = face_pose(CALIBRATION.image_to_probe, *FACE)
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "DimSize": f"{WIDTH} {HEIGHT} {len(places)}",
        "ElementSpacing": "1 1 1",
        "ElementType": "MET_UCHAR",
        "UltrasoundImageOrientation": "MFA",
    }
    images = np.empty((len(places), HEIGHT, WIDTH), np.uint8)
    for index, (x, y) in enumerate(places):
        probe = probe_pose(1e3 * x, 1e3 * y)
        reference_to_tracker = rigid(rng.normal(0, 0.3, 3), rng.normal(0, 50, 3))
        probe_to_reference = PATIENT.to_frame @ probe @ np.linalg.inv(face_to_marker)
        fields |= {
            f"Seq_Frame{index:04d}_ProbeToTrackerTransform": text_of(reference_to_tracker @ probe_to_reference),
            f"Seq_Frame{index:04d}_ProbeToTrackerTransformStatus": "OK",
            f"Seq_Frame{index:04d}_ReferenceToTrackerTransform": text_of(reference_to_tracker),
            f"Seq_Frame{index:04d}_ReferenceToTrackerTransformStatus": "OK",
            f"Seq_Frame{index:04d}_Timestamp": f"{1 + index / 30:.6f}",
        }
        images[index] = 20 + index
        images[index, DOT[1] - 1 : DOT[1] + 2, DOT[0] - 1 : DOT[0] + 2] = 255
    fields |= changes or {}
    header = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    data = images.tobytes()
    file.write_bytes((header + "ElementDataFile = LOCAL\n").encode() + data[: len(data) - cut])
    return file


def row_places(row: int, count: int = 30) -> np.ndarray:
    """Places of a sweep along a row of the grid, caudal to cranial, with a lateral drift."""
    x = np.linspace(-0.145, 0.145, count)
    return np.column_stack((x, Bin(row, 7).center[1] + 0.001 * np.sin(40 * x)))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eleven recordings, one a row."""
    folder = tmp_path_factory.mktemp("rows")
    return [write_sweep(folder / f"row{row:02d}.mha", row_places(row), seed=row) for row in range(ROWS)]


# ---------------------------------------------------------------- a sweep becomes a subject


def test_eleven_sweeps_with_a_grid_are_placed_as_the_probe_was(rows: list[Path], tmp_path: Path) -> None:
    seen = []
    report = convert_sweeps(
        rows, tmp_path, "A", CALIBRATION, GOALS, PATIENT, lambda done, total: seen.append((done, total))
    )
    subject = read_subject(report.patient_file)
    np.testing.assert_allclose(subject.positions, np.concatenate([row_places(row) for row in range(ROWS)]), atol=1e-8)
    assert (report.frames, report.skipped, report.covered) == (330, 0, 165)
    assert seen == [(done, 330) for done in range(1, 331)]
    assert subject.goals == GOALS
    assert [int(subject.frame(index)[300, 400]) for index in (0, 1, 29, 30, 31)] == [20, 21, 49, 20, 21], "in time"
    assert list(check_dataset(tmp_path)) == []


def test_without_a_grid_one_is_fitted_which_lies_as_the_patient_does(rows: list[Path], tmp_path: Path) -> None:
    report = convert_sweeps(rows, tmp_path, "A", CALIBRATION, GOALS)
    fitted = read_grid(report.grid_file)
    assert fitted.frame == "Reference"
    np.testing.assert_allclose(fitted.to_frame[:3, 3], PATIENT.to_frame[:3, 3], atol=0.1)
    angle = Rotation.from_matrix(fitted.to_frame[:3, :3].T @ PATIENT.to_frame[:3, :3]).magnitude()
    assert np.rad2deg(angle) < 0.5
    assert report.covered == 165


def test_the_grid_written_gives_the_same_subject_when_given_back(rows: list[Path], tmp_path: Path) -> None:
    first = convert_sweeps(rows[4:6], tmp_path, "A", CALIBRATION, GOALS)
    again = convert_sweeps(rows[4:6], tmp_path, "B", CALIBRATION, GOALS, read_grid(first.grid_file))
    a, b = read_subject(first.patient_file), read_subject(again.patient_file)
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-8)
    np.testing.assert_array_equal(a.bins, b.bins)


def test_a_point_lies_where_it_was_in_millimetres(rows: list[Path], tmp_path: Path) -> None:
    """The dot is 10 mm beside the middle and 20 mm deep, whatever the recording's pixels are."""
    frame = read_subject(convert_sweeps(rows[:1], tmp_path, "A", CALIBRATION, GOALS).patient_file).frame(0)
    weight = np.clip(frame.astype(np.float64) - 60, 0, None)
    lit = np.argwhere(weight > 0)
    row, column = np.average(lit, axis=0, weights=weight[weight > 0])
    assert (column - 399.5) * PIXEL_SIZE * 1e3 == pytest.approx(10.0, abs=0.05)
    assert row * PIXEL_SIZE * 1e3 == pytest.approx(20.0, abs=0.05)
    shown = np.argwhere(frame > 0)
    assert np.ptp(shown[:, 1]) * PIXEL_SIZE * 1e3 == pytest.approx(WIDTH * MM[0], abs=0.5)
    assert shown[:, 0].max() * PIXEL_SIZE * 1e3 == pytest.approx((HEIGHT - 1 - FACE[1]) * MM[1], abs=0.3)


def test_frames_that_are_not_valid_are_left_out_and_counted(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "Seq_Frame0001_ProbeToTrackerTransformStatus": "INVALID",
        "Seq_Frame0003_ReferenceToTrackerTransformStatus": "INVALID",
        "Seq_Frame0004_ImageStatus": "INVALID",
    }
    file = write_sweep(tmp_path / "row.mha", row_places(5), changes)
    report = convert_sweeps([file], tmp_path / "out", "A", CALIBRATION, GOALS, PATIENT)
    assert (report.frames, report.skipped) == (27, 3)
    subject = read_subject(report.patient_file)
    np.testing.assert_allclose(subject.positions, np.delete(row_places(5), [1, 3, 4], axis=0), atol=1e-8)
    assert [int(subject.frame(index)[300, 400]) for index in (0, 1, 2)] == [20, 22, 25]


def test_bins_without_frames_of_their_own_are_counted(tmp_path: Path) -> None:
    file = write_sweep(tmp_path / "short.mha", np.column_stack((np.linspace(-0.005, 0.035, 9), np.zeros(9))))
    assert convert_sweeps([file], tmp_path / "out", "A", CALIBRATION, GOALS, PATIENT).covered == 3


def test_a_recording_turned_round_gives_the_same_frames(tmp_path: Path) -> None:
    """Its pixels are recorded from the other end, and calibration and face are given in recorded pixels."""
    file = write_sweep(tmp_path / "mf.mha", row_places(5, 6))
    header, _, data = file.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    turned = np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)[:, ::-1, ::-1]
    other = tmp_path / "un.mha"
    other.write_bytes(header.replace(b"MFA", b"UNA") + b"ElementDataFile = LOCAL\n" + turned.tobytes())
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = WIDTH - 1, HEIGHT - 1
    calibration = Calibration(CALIBRATION.image_to_probe @ flip, (WIDTH - 1 - FACE[0], HEIGHT - 1 - FACE[1]))
    a, b = (
        read_subject(convert_sweeps([source], tmp_path / "out", name, settings, GOALS, PATIENT).patient_file)
        for source, name, settings in ((file, "A", CALIBRATION), (other, "B", calibration))
    )
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-12)
    np.testing.assert_array_equal(a.frame(3), b.frame(3))


def test_an_orientation_is_given_where_the_recording_has_none(tmp_path: Path) -> None:
    file = write_sweep(tmp_path / "row.mha", row_places(5, 6), {"UltrasoundImageOrientation": None})
    with pytest.raises(SourceError, match="UltrasoundImageOrientation: the field is missing"):
        convert_sweeps([file], tmp_path / "out", "A", CALIBRATION, GOALS)
    said = Calibration(CALIBRATION.image_to_probe, FACE, "MF")
    assert convert_sweeps([file], tmp_path / "out", "A", said, GOALS).frames == 6
    other = Calibration(CALIBRATION.image_to_probe, FACE, "UF")
    file = write_sweep(tmp_path / "row.mha", row_places(5, 6))
    with pytest.raises(SourceError, match="it is 'MFA' here and 'UF' by the calibration"):
        convert_sweeps([file], tmp_path / "out", "B", other, GOALS)


def test_the_real_sequence_becomes_a_sound_subject(plus_sequence: Path, tmp_path: Path) -> None:
    matrix = [
        [-0.00157821, 0.0785919, -0.00803285, 15.3978],
        [-0.0839128, 0.00372697, 0.0153803, 49.5705],
        [0.0159024, 0.00714276, 0.0803604, -8.63446],
        [0, 0, 0, 1],
    ]
    settings = Calibration(np.array(matrix), (409.0, 12.0))
    report = convert_sweeps([plus_sequence], tmp_path, "Spine", settings, [Bin(5, 7)])
    assert (report.frames, report.skipped, report.covered) == (21, 0, 3)
    subject = read_subject(report.patient_file)
    np.testing.assert_allclose(subject.positions.mean(axis=0), 0.0, atol=1e-9)
    assert np.ptp(subject.positions[:, 0]) == pytest.approx(0.032, abs=0.001)
    assert np.abs(subject.positions[:, 1]).max() < 0.0015, "along one line"
    frame = subject.frame(0)
    lit = np.flatnonzero(frame[:300].max(axis=0) > 0)
    assert (lit[-1] - lit[0] + 1) * PIXEL_SIZE == pytest.approx(0.038, abs=0.0005), "445 pixels of 0.0854 mm"
    assert (lit[0] + lit[-1]) / 2 == pytest.approx(399.5, abs=1.5)
    assert frame[:60, 250:550].mean() > 120, "bright from row 0 on: the skin"
    assert not frame[420:].any(), "47 mm were recorded, 70 are shown"
    assert list(check_dataset(tmp_path)) == []


# ---------------------------------------------------------------- geometry


def test_a_frame_in_the_layouts_own_scale_is_not_touched() -> None:
    scale = PIXEL_SIZE * 1e3
    image = np.random.default_rng(0).integers(0, 256, (600, 800), np.uint8)
    np.testing.assert_array_equal(resample(image, resampling(np.diag([scale, scale, 1, 1]), (399.5, 0.0))), image)


def test_fine_detail_is_smoothed_away_not_folded_down() -> None:
    """Stripes a quarter as wide as the frame's pixels become grey; taken pixel by pixel, they would be all white."""
    scale = PIXEL_SIZE * 1e3 / 4
    image = np.zeros((2400, 3200), np.uint8)
    image[:, ::2] = 200
    frame = resample(image, resampling(np.diag([scale, scale, 1, 1]), (1600.0, 0.0)))
    assert frame[50:550, 50:750].min() >= 95
    assert frame[50:550, 50:750].max() <= 105


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, 6, elements=st.floats(-3, 3)), st.integers(0, ROWS - 1))
def test_the_fitted_grid_moves_with_the_patient(motion: np.ndarray, row: int) -> None:
    """Fitting turned sweeps is the fitted grid turned."""
    move = rigid(motion[:3], 100 * motion[3:])
    sweeps = [np.array([probe_pose(1e3 * x, 1e3 * y) for x, y in row_places(other, 8)]) for other in (row, 3)]
    still, moved = fit_grid(sweeps, "Tracker"), fit_grid([move @ sweep for sweep in sweeps], "Tracker")
    np.testing.assert_allclose(moved.to_frame, move @ still.to_frame, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(still.to_frame[:3, :3]), 1.0)


def test_a_sweep_from_cranial_to_caudal_has_the_same_grid() -> None:
    sweep = np.array([probe_pose(1e3 * x, 1e3 * y) for x, y in row_places(5)])
    np.testing.assert_allclose(fit_grid([sweep], "T").to_frame, fit_grid([sweep[::-1]], "T").to_frame, atol=1e-9)


def test_short_sweeps_side_by_side_lie_along_x_all_the_same() -> None:
    """60 mm long and 200 mm apart at most: the direction is that of the sweeps, not that of the whole."""
    sweeps = [
        np.array([probe_pose(1e3 * x, 1e3 * y) for x, y in row_places(row) if abs(x) < 0.03]) for row in range(ROWS)
    ]
    np.testing.assert_allclose(fit_grid(sweeps, "Tracker").to_frame[:3, 0], [1, 0, 0], atol=0.05)


def test_a_probe_that_stands_still_has_no_grid(tmp_path: Path) -> None:
    file = write_sweep(tmp_path / "still.mha", np.zeros((9, 2)))
    with pytest.raises(DatasetError, match=r"no grid can be fitted: the probe moved less .*; expected a sweep, or a"):
        convert_sweeps([file], tmp_path / "out", "A", CALIBRATION, GOALS)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- nothing is left after an error


def test_a_truncated_recording_leaves_nothing(rows: list[Path], tmp_path: Path) -> None:
    """It shows only when its images are read, after those of the first are written."""
    file = write_sweep(tmp_path / "cut.mha", row_places(5), cut=1000)
    with pytest.raises(SourceError, match=r"cut\.mha: truncated or no MetaImage"):
        convert_sweeps([rows[0], file], tmp_path / "out", "A", CALIBRATION, GOALS)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_nothing_but_what_was_there(rows: list[Path], tmp_path: Path) -> None:
    before = convert_sweeps(rows[:1], tmp_path, "A", CALIBRATION, GOALS)
    own = tmp_path / "Sacrum_B" / "grid.yaml"
    own.parent.mkdir()
    own.write_text(before.grid_file.read_text())
    kept = sorted(tmp_path.rglob("*"))

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_sweeps(rows[:1], tmp_path, "B", CALIBRATION, GOALS, read_grid(own), stop)
    assert sorted(tmp_path.rglob("*")) == kept


def test_a_full_disk_leaves_nothing(rows: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DatasetError, match="the disk is full"):
        convert_sweeps(rows[:1], tmp_path / "out", "A", CALIBRATION, GOALS)
    assert not (tmp_path / "out").exists()


def test_a_subject_that_is_there_is_kept(rows: list[Path], tmp_path: Path) -> None:
    convert_sweeps(rows[:1], tmp_path, "A", CALIBRATION, GOALS)
    kept = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match="the subject is already there"):
        convert_sweeps(rows[:2], tmp_path, "A", CALIBRATION, GOALS)
    assert sorted(tmp_path.rglob("*")) == kept


def test_goals_must_be_given(rows: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no goal bin is given; expected at least one .*--goal row,column"):
        convert_sweeps(rows[:1], tmp_path / "out", "A", CALIBRATION, [])


def test_four_frames_are_too_few(tmp_path: Path) -> None:
    file = write_sweep(tmp_path / "few.mha", row_places(5, 4))
    with pytest.raises(DatasetError, match="the recordings have 4 valid frames; expected at least 5"):
        convert_sweeps([file], tmp_path / "out", "A", CALIBRATION, GOALS)


def test_a_face_beside_the_image_is_refused(rows: list[Path], tmp_path: Path) -> None:
    settings = Calibration(CALIBRATION.image_to_probe, (200.0, 6.0))
    with pytest.raises(DatasetError, match=r"face_px \(200\.0, 6\.0\) .* is not in its images; expected .* 200x240"):
        convert_sweeps(rows[:1], tmp_path / "out", "A", settings, GOALS)


# ---------------------------------------------------------------- settings in files

MATRIX = "image_to_probe: [[0.1, 0, 0, 1], [0, 0.1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]\n"
GRID = "frame: Tracker\norigin_mm: [1, 2, 3]\nx: [1, 0, 0]\nz: [0, 0, 1]\n"


def test_a_calibration_is_read_from_yaml_and_json(tmp_path: Path) -> None:
    yaml_file, json_file = tmp_path / "c.yaml", tmp_path / "c.json"
    yaml_file.write_text(MATRIX + "face_px: [409, 12]\norientation: UF\n")
    content = {"image_to_probe": [[0.1, 0, 0, 1], [0, 0.1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], "orientation": "UF"}
    json_file.write_text(json.dumps(content | {"face_px": [409, 12]}, indent="\t"))
    for file in (yaml_file, json_file):
        calibration = read_calibration(file)
        np.testing.assert_array_equal(calibration.image_to_probe[:, 3], [1, 2, 3, 1])
        assert (calibration.face, calibration.orientation) == ((409.0, 12.0), "UF")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no mapping; expected a calibration"),
        ("[1, 2", r"c\.yaml:1: no YAML \(.*\); expected a calibration"),
        (
            MATRIX + "face: [1, 2]\n",
            "there is no key 'face'; expected a calibration of the keys image_to_probe, face_px",
        ),
        ("face_px: [1, 2]\n", "image_to_probe is missing; expected 4 x 4 finite numbers"),
        ("image_to_probe: [1, 2]\n", "image_to_probe is .1, 2.; expected 4 x 4 finite numbers"),
        (MATRIX.replace("0.1", ".nan", 1), "expected 4 x 4 finite numbers"),
        (MATRIX.replace("0.1", "0", 1), "no invertible 4 x 4 matrix"),
        (MATRIX + "face_px: [409]\n", "face_px is .409.; expected 2 finite numbers"),
        (MATRIX + "face_px: left\n", "face_px is left; expected 2 finite numbers"),
        (MATRIX + "orientation: FM\n", "orientation is 'FM'; expected MF, UF, MN or UN"),
    ],
)
def test_a_malformed_calibration_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises((DatasetError, SourceError), match=message):
        read_calibration(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", b"{", r"c\.json:1: no JSON"),
        ("c.yaml", b"\xff\xfe\x00", "it is no text"),
        ("c.yaml", b"a: \x01", "it is no text"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_calibration(tmp_path / name)
    with pytest.raises(DatasetError, match="the file is missing; expected a grid"):
        read_grid(tmp_path / "none.yaml")


def test_a_grid_reads_back_as_written(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(format_grid(PATIENT))
    np.testing.assert_allclose(read_grid(file).to_frame, PATIENT.to_frame, atol=1e-8)
    file.write_text(GRID)
    np.testing.assert_array_equal(read_grid(file).to_frame[:3, 1], [0, 1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GRID.replace("Tracker", "Image"), "frame is 'Image'; expected Reference or Tracker"),
        (GRID.replace("[1, 0, 0]", "[0, 0, 0]"), "x is zero; expected a direction"),
        (GRID.replace("[1, 0, 0]", "[1, 0, 1]"), r"x and z are 45\.0 degrees apart; expected 90"),
        (GRID.replace("[1, 2, 3]", "[1, 2]"), "origin_mm is .*; expected 3 finite numbers"),
        (GRID + "rows: 12\n", "rows is 12; expected 11, which the layout has"),
        (GRID + "row_pitch_mm: 15\n", "row_pitch_mm is 15; expected 20, which the layout has"),
        (GRID + "y: [0, 1, 0]\n", "there is no key 'y'"),
    ],
)
def test_a_malformed_grid_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_grid(file)


def test_frames_are_grey_pngs_of_the_layout(rows: list[Path], tmp_path: Path) -> None:
    subject = read_subject(convert_sweeps(rows[:1], tmp_path, "A", CALIBRATION, GOALS).patient_file)
    pixels = cv2.imread(str(subject.frame_file(0)), cv2.IMREAD_UNCHANGED)
    assert (pixels.shape, pixels.dtype) == ((600, 800), np.uint8)
