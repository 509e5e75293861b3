"""Tracked MetaImage sequences: a real one, and made-up ones with every kind of fault."""

import math
from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset.metaimage import face_pose
from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.sources.base import FrameSource
from us_grid_sim.sources.metaimage import MetaImageSource
from us_grid_sim.sources.picture import Picture

IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
ROI = Picture((20, 3))
MIDDLE = Picture("middle")
HEIGHT, WIDTH = 610, 840
CALIBRATION = np.array(
    [
        [-0.00157821, 0.0785919, -0.00803285, 15.3978],
        [-0.0839128, 0.00372697, 0.0153803, 49.5705],
        [0.0159024, 0.00714276, 0.0803604, -8.63446],
        [0, 0, 0, 1],
    ]
)


def write(file: Path, changes: dict[str, str | None] | None = None, frames: int = 3, cut: int = 0) -> Path:
    """Write a sequence whose pixel (row, column) of frame i is i + row + 2 * column, modulo 256.

    ``changes`` replaces fields of the header, or leaves them out (None); ``cut`` bytes are missing at the end.
    """
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "DimSize": f"{WIDTH} {HEIGHT} {frames}",
        "ElementSpacing": "1 1 1",
        "Offset": "0 0 0",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "ElementType": "MET_UCHAR",
        "UltrasoundImageOrientation": "MFA",
    }
    for index in range(frames):
        fields |= {
            f"Seq_Frame{index:04d}_ProbeToTrackerTransform": f"1 0 0 {10 * index} 0 1 0 20 0 0 1 30 0 0 0 1",
            f"Seq_Frame{index:04d}_ProbeToTrackerTransformStatus": "OK",
            f"Seq_Frame{index:04d}_Timestamp": f"{215.1 + 0.1 * index:.6f}",
            f"Seq_Frame{index:04d}_ImageStatus": "OK",
        }
    fields |= changes or {}
    header = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    data = pixels(np.arange(frames)[:, None, None]).tobytes()
    file.write_bytes((header + "ElementDataFile = LOCAL\n").encode() + data[: len(data) - cut])
    return file


def pixels(index: int | np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((index + rows + 2 * columns) % 256).astype(np.uint8)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    return tmp_path / "sequence.mha"


# ---------------------------------------------------------------- a well-formed sequence


def test_frames_come_in_order_with_their_times_and_poses(sequence: Path) -> None:
    source: FrameSource = MetaImageSource(write(sequence), ROI)
    for index in range(3):
        frame = source.read()
        assert frame is not None
        np.testing.assert_array_equal(frame.pixels, pixels(index)[3:603, 20:820])
        assert frame.stamp_ns == 215_100_000_000 + 100_000_000 * index
        assert frame.pose_frame == "tracker"
        np.testing.assert_allclose(frame.pose[:, 3], [0.01 * index, 0.02, 0.03, 1.0], atol=1e-12)
    assert source.read() is None
    assert source.read() is None


def test_the_middle_of_the_image_can_be_taken(sequence: Path) -> None:
    frame = MetaImageSource(write(sequence), MIDDLE).read()
    assert frame is not None
    np.testing.assert_array_equal(frame.pixels, pixels(0)[5:605, 20:820])


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        ("MF", pixels(0)),
        ("MFD", pixels(0)),
        ("UFA", pixels(0)[:, ::-1]),
        ("MNA", pixels(0)[::-1]),
        ("UN", pixels(0)[::-1, ::-1]),
    ],
)
def test_other_orientations_are_turned_before_the_region_is_cut_out(
    sequence: Path, orientation: str, turned: np.ndarray
) -> None:
    frame = MetaImageSource(write(sequence, {"UltrasoundImageOrientation": orientation}), ROI).read()
    assert frame is not None
    np.testing.assert_array_equal(frame.pixels, turned[3:603, 20:820])


def test_frames_that_are_not_valid_are_left_out_and_counted(sequence: Path) -> None:
    changes: dict[str, str | None] = {
        "Seq_Frame0001_ImageStatus": "INVALID",
        "Seq_Frame0003_ProbeToTrackerTransformStatus": "INVALID",
        "Seq_Frame0003_ProbeToTrackerTransform": "0 " * 16,
    }
    source = MetaImageSource(write(sequence, changes, frames=5), ROI)
    assert (len(source), source.skipped) == (3, 2)
    stamps = []
    while (frame := source.read()) is not None:
        stamps.append(frame.stamp_ns)
    assert stamps == [215_100_000_000, 215_300_000_000, 215_500_000_000]


def test_a_closed_source_has_ended(sequence: Path) -> None:
    source = MetaImageSource(write(sequence), ROI)
    source.close()
    assert source.read() is None


# ---------------------------------------------------------------- what is known of the acquisition


def test_without_a_calibration_the_unit_spacing_of_plus_means_unknown(sequence: Path) -> None:
    info = MetaImageSource(write(sequence), MIDDLE).info
    assert all(math.isnan(value) for value in (info.mm_per_pixel_x, info.mm_per_pixel_y, info.depth, info.probe_width))
    assert (info.source, info.detail) == ("metaimage", "sequence.mha")


def test_another_spacing_is_taken_from_the_file(sequence: Path) -> None:
    info = MetaImageSource(write(sequence, {"ElementSpacing": "0.1 0.2 1"}), MIDDLE).info
    assert (info.mm_per_pixel_x, info.mm_per_pixel_y) == pytest.approx((0.1, 0.2))
    assert info.depth == pytest.approx(0.12)


def test_a_calibration_gives_pixel_size_and_depth(sequence: Path) -> None:
    info = MetaImageSource(write(sequence), ROI, CALIBRATION).info
    assert info.mm_per_pixel_x == pytest.approx(0.0854, abs=1e-4)
    assert info.mm_per_pixel_y == pytest.approx(0.0790, abs=1e-4)
    assert info.depth == pytest.approx(0.0474, abs=1e-4)


def test_with_a_calibration_the_pose_is_that_of_the_transducer_face(sequence: Path) -> None:
    """Origin at the middle of the region's top row, x along the columns, z down the rows."""
    frame = MetaImageSource(write(sequence), ROI, CALIBRATION).read()
    assert frame is not None
    assert frame.pose is not None
    middle = np.array([20 + 399.5, 3.0, 0.0, 1.0])
    np.testing.assert_allclose(frame.pose[:3, 3], (CALIBRATION @ middle)[:3] * 1e-3 + [0.0, 0.02, 0.03])
    rotation = frame.pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert rotation[:, 0] @ CALIBRATION[:3, 0] == pytest.approx(np.linalg.norm(CALIBRATION[:3, 0]))
    assert rotation[:, 2] @ CALIBRATION[:3, 1] > 0.99 * np.linalg.norm(CALIBRATION[:3, 1])


def test_a_turned_recording_has_the_pose_of_the_same_point(sequence: Path) -> None:
    """In an image recorded the other way round, the first column of the frame is the last one recorded."""
    changes: dict[str, str | None] = {"UltrasoundImageOrientation": "UN"}
    frame = MetaImageSource(write(sequence, changes), ROI, CALIBRATION).read()
    assert frame is not None
    assert frame.pose is not None
    recorded = np.array([WIDTH - 1 - (20 + 399.5), HEIGHT - 1 - 3.0, 0.0, 1.0])
    np.testing.assert_allclose(frame.pose[:3, 3], (CALIBRATION @ recorded)[:3] * 1e-3 + [0.0, 0.02, 0.03])
    assert frame.pose[:3, 0] @ CALIBRATION[:3, 0] < 0


def test_in_a_mirrored_frame_the_probes_columns_run_the_other_way(sequence: Path) -> None:
    """The same place of the skin, x turned round with the columns, z still into the body."""
    frames = [
        MetaImageSource(write(sequence), Picture((20, 3), mirrored), CALIBRATION).read() for mirrored in (False, True)
    ]
    assert frames[0] is not None and frames[1] is not None
    plain, mirrored = (frame.pose for frame in frames if frame is not None and frame.pose is not None)
    np.testing.assert_array_equal(frames[1].pixels, frames[0].pixels[:, ::-1])
    np.testing.assert_allclose(mirrored[:3, 3], plain[:3, 3], atol=1e-9)
    np.testing.assert_allclose(mirrored[:3, 0], -plain[:3, 0], atol=1e-9)
    np.testing.assert_allclose(mirrored[:3, 2], plain[:3, 2], atol=1e-9)


def test_the_face_of_a_known_calibration() -> None:
    """Pixels of 0.1 mm, image plane in the marker's y-z plane."""
    image_to_probe = np.array([[0, 0, 0.1, 5], [0.1, 0, 0, 6], [0, 0.1, 0, 7], [0, 0, 0, 1.0]])
    pose = face_pose(image_to_probe, column=10, row=20)
    np.testing.assert_allclose(pose[:3, 3], [5, 7, 9])
    np.testing.assert_allclose(pose[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


# ---------------------------------------------------------------- faults


NO_ZERO = "Seq_Frame0001_"


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"UltrasoundImageOrientation": None}, "UltrasoundImageOrientation: the field is missing", "MF, UF, MN or UN"),
        ({"UltrasoundImageOrientation": "FMA"}, "UltrasoundImageOrientation: 'FMA' is not read", "MF, UF, MN or UN"),
        ({NO_ZERO + "Timestamp": None}, "Seq_Frame0001_Timestamp: the field is missing", "seconds, not negative"),
        ({NO_ZERO + "Timestamp": "soon"}, "Seq_Frame0001_Timestamp: 'soon' is no time", "seconds, not negative"),
        ({NO_ZERO + "Timestamp": "nan"}, "Seq_Frame0001_Timestamp: 'nan' is no time", "seconds, not negative"),
        ({NO_ZERO + "Timestamp": "-1"}, "Seq_Frame0001_Timestamp: '-1' is no time", "seconds, not negative"),
        ({NO_ZERO + "Timestamp": "215.1"}, "Seq_Frame0001_Timestamp: it is not later", "growing times"),
        (
            {NO_ZERO + "ProbeToTrackerTransform": None},
            "Seq_Frame0001_ProbeToTrackerTransform: the field is missing",
            "a rigid 4 x 4 transform",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransformStatus": None},
            "Seq_Frame0001_ProbeToTrackerTransformStatus: the field is missing",
            "OK or INVALID",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransform": "1 0 0"},
            "Seq_Frame0001_ProbeToTrackerTransform: found '1 0 0'",
            "16 numbers",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransform": IDENTITY.replace("1", "one")},
            "Seq_Frame0001_ProbeToTrackerTransform: found 'one 0",
            "16 numbers",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransform": IDENTITY.replace("1", "2", 1)},
            "Seq_Frame0001_ProbeToTrackerTransform: the transform is not rigid",
            "a rigid 4 x 4 transform",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransform": IDENTITY.replace("1", "nan", 1)},
            "Seq_Frame0001_ProbeToTrackerTransform: the transform is not rigid",
            "a rigid 4 x 4 transform",
        ),
        (
            {NO_ZERO + "ProbeToTrackerTransform": "-" + IDENTITY},
            "Seq_Frame0001_ProbeToTrackerTransform: the transform mirrors",
            "a rigid 4 x 4 transform",
        ),
        ({"ElementType": "MET_SHORT"}, "DimSize, ElementType: found 840x610x3 16-bit signed", "MET_UCHAR"),
        ({"NDims": "2", "DimSize": "840 1830"}, "DimSize, ElementType: found 840x1830", "columns x rows x frames"),
        ({"NDims": "three"}, "truncated or no MetaImage", "a tracked MetaImage sequence (.mha)"),
    ],
)
def test_a_malformed_header_names_file_field_and_cure(
    sequence: Path, changes: dict[str, str | None], field: str, expected: str
) -> None:
    with pytest.raises(SourceError) as raised:
        MetaImageSource(write(sequence, changes), MIDDLE)
    message = str(raised.value)
    assert message.startswith(f"{sequence}: {field}")
    assert expected in message.partition("; expected ")[2]
    assert "\n" not in message


def test_a_truncated_file_is_no_sequence(sequence: Path) -> None:
    with pytest.raises(SourceError, match="truncated or no MetaImage"):
        MetaImageSource(write(sequence, cut=1000), MIDDLE)


@pytest.mark.parametrize("content", [b"", b"no header", b"\x89PNG\r\n\x1a\n"])
def test_another_file_is_no_sequence(sequence: Path, content: bytes) -> None:
    sequence.write_bytes(content)
    with pytest.raises(SourceError, match="truncated or no MetaImage"):
        MetaImageSource(sequence)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mha: there is no such file"):
        MetaImageSource(tmp_path / "none.mha")


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (
            Picture(),
            'sequence.mha: image is 840x610; expected 800x600: choose the region with roi, as "x,y" or "middle"',
        ),
        (Picture((41, 0)), "sequence.mha: image is 840x610, the region of 800x600 at 41,0 is not within it"),
    ],
)
def test_images_of_another_size_are_refused_with_the_file(sequence: Path, picture: Picture, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        MetaImageSource(write(sequence), picture)


@pytest.mark.parametrize("calibration", [np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_matrix_that_is_no_calibration_is_refused(sequence: Path, calibration: np.ndarray) -> None:
    with pytest.raises(SourceError, match="no invertible 4 x 4 matrix"):
        MetaImageSource(write(sequence), ROI, calibration)


# ---------------------------------------------------------------- the real sequence


def test_the_real_sequence(plus_sequence: Path) -> None:
    """21 frames in 1.84 s of a spine phantom; the probe glides about 33 mm without a jump."""
    source = MetaImageSource(plus_sequence, Picture((10, 12)), CALIBRATION)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert len(frames) == len(source) == 21
    assert source.skipped == 0
    stamps = np.array([frame.stamp_ns for frame in frames])
    assert (stamps[0], stamps[-1]) == (215_102_186_000, 216_947_186_000)
    assert (np.diff(stamps) > 50_000_000).all()
    places = np.array([frame.pose[:3, 3] for frame in frames if frame.pose is not None])
    assert np.linalg.norm(places[-1] - places[0]) == pytest.approx(0.033, abs=0.001)
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.004
    top = np.stack([frame.pixels[:100] for frame in frames])
    assert not top[:, :, :170].any(), "beside the array the frame is black"
    assert top[:, :, 180:620].mean() > 100, "the tissue under the skin is bright"
