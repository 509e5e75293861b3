"""Recorded sequences: a video file, a DICOM multi-frame image and bags, written by their own libraries."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, UltrasoundMultiFrameImageStorage
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.sources.bag import BagSource
from us_grid_sim.sources.base import Frame, FrameSource
from us_grid_sim.sources.dicom import DicomSource
from us_grid_sim.sources.picture import Picture
from us_grid_sim.sources.video import VideoFile

BEGIN = 1_000_000_000_000
MIDDLE = Picture("middle")


def read_all(source: FrameSource) -> list[Frame]:
    frames = list(iter(source.read, None))
    assert source.read() is None
    source.close()
    return frames


def greys(frames: list[Frame]) -> list[int]:
    """The grey in the middle of each frame."""
    return [int(frame.pixels[300, 400]) for frame in frames]


# ---------------------------------------------------------------- video


def write_video(file: Path, size: tuple[int, int] = (800, 600), rate: float = 25.0) -> Path:
    """Four frames, the left half of grey 40, 80, 120, 160, the right half black."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    assert writer.isOpened()
    for number in range(4):
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:, : size[0] // 2 + 1] = 40 * (number + 1)
        writer.write(image)
    writer.release()
    return file


def test_a_video_gives_its_frames_at_its_own_rate(tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "a.avi"), Picture(), BEGIN)
    assert (source.info.source, source.info.detail) == ("video", "a.avi")
    assert math.isnan(source.info.mm_per_pixel_x)
    frames = read_all(source)
    assert greys(frames) == pytest.approx([40, 80, 120, 160], abs=3)
    assert [frame.stamp_ns for frame in frames] == [BEGIN + 40_000_000 * number for number in range(4)]
    assert all(frame.pose is None for frame in frames)


def test_a_video_is_cut_and_mirrored(tmp_path: Path) -> None:
    picture = Picture((20, 10), mirror_columns=True, mm_per_pixel=(0.1, 0.1))
    source = VideoFile(write_video(tmp_path / "a.avi", (840, 620)), picture, BEGIN)
    assert source.info.depth == pytest.approx(0.06)
    frame = read_all(source)[0]
    assert frame.pixels[300, 790] == pytest.approx(40, abs=3), "what was left is right"
    assert frame.pixels[300, 10] < 5


def test_a_video_of_the_wrong_size_or_kind_is_refused(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.avi", (640, 480))
    with pytest.raises(FrameError, match=r"small\.avi: image is 640x480; expected 800x600$"):
        VideoFile(small, Picture(), BEGIN)
    with pytest.raises(SourceError, match=r"none\.avi: there is no such file; expected a video"):
        VideoFile(tmp_path / "none.avi", Picture(), BEGIN)
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(SourceError, match=r"text\.avi: cannot be read; expected a video that FFmpeg knows"):
        VideoFile(tmp_path / "text.avi", Picture(), BEGIN)


# ---------------------------------------------------------------- DICOM


def region(unit: int = 3) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, 1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = unit
    item.PhysicalDeltaX, item.PhysicalDeltaY = 0.0125, 0.015
    return item


def write_dicom(file: Path, change: Callable[[Dataset], None] = lambda data: None, colour: bool = False) -> Path:
    """Three frames of 820 x 616, grey 50, 60, 70, in colour of the same grey where wanted."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns, data.NumberOfFrames = 616, 820, 3
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.FrameTime = 33.5
    data.SequenceOfUltrasoundRegions = [region(unit=0), region()]
    shape = (3, 616, 820, 3) if colour else (3, 616, 820)
    pixels = np.broadcast_to(np.array([50, 60, 70], np.uint8).reshape(3, *[1] * (len(shape) - 1)), shape)
    data.PixelData = pixels.tobytes()
    change(data)
    data.save_as(file, enforce_file_format=True)
    return file


@pytest.mark.parametrize("colour", [False, True])
def test_a_multi_frame_image_gives_its_frames_times_and_pixel_size(tmp_path: Path, colour: bool) -> None:
    source = DicomSource(write_dicom(tmp_path / "cine.dcm", colour=colour), MIDDLE, BEGIN)
    assert (source.info.mm_per_pixel_x, source.info.mm_per_pixel_y) == pytest.approx((0.125, 0.15))
    assert source.info.depth == pytest.approx(0.09)
    frames = read_all(source)
    assert greys(frames) == [50, 60, 70]
    assert [frame.stamp_ns for frame in frames] == [BEGIN, BEGIN + 33_500_000, BEGIN + 67_000_000]


def test_compressed_frames_are_decoded(tmp_path: Path) -> None:
    assert greys(read_all(DicomSource(write_dicom(tmp_path / "a", lambda data: data.compress(RLELossless)), MIDDLE, 0)))


def test_frames_that_are_white_on_black_the_other_way_round_are_turned(tmp_path: Path) -> None:
    def inverted(data: Dataset) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    assert greys(read_all(DicomSource(write_dicom(tmp_path / "a", inverted), MIDDLE, 0))) == [205, 195, 185]


@pytest.mark.parametrize(
    ("field", "value", "period"),
    [("CineRate", 20, 50_000_000), ("FrameTimeVector", [0, 40, 40], 40_000_000), ("FrameTime", 10, 10_000_000)],
)
def test_the_pace_is_read_from_whichever_field_is_there(tmp_path: Path, field: str, value: object, period: int) -> None:
    def change(data: Dataset) -> None:
        del data.FrameTime
        setattr(data, field, value)

    stamps = [frame.stamp_ns for frame in read_all(DicomSource(write_dicom(tmp_path / "a", change), MIDDLE, BEGIN))]
    assert stamps == [BEGIN, BEGIN + period, BEGIN + 2 * period]


def test_without_a_calibrated_region_the_pixel_size_is_unknown(tmp_path: Path) -> None:
    def change(data: Dataset) -> None:
        del data.SequenceOfUltrasoundRegions

    assert math.isnan(DicomSource(write_dicom(tmp_path / "a", change), MIDDLE, BEGIN).info.mm_per_pixel_x)


def test_a_faulty_image_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    def without(name: str) -> Callable[[Dataset], None]:
        return lambda data: delattr(data, name)

    def cut(data: Dataset) -> None:
        data.PixelData = data.PixelData[:1000]

    with pytest.raises(SourceError, match="FrameTime is missing; expected FrameTime, FrameTimeVector or CineRate"):
        DicomSource(write_dicom(tmp_path / "a", without("FrameTime")), MIDDLE, 0)
    with pytest.raises(SourceError, match="PixelData is missing"):
        DicomSource(write_dicom(tmp_path / "b", without("PixelData")), MIDDLE, 0)
    with pytest.raises(SourceError, match="the frames cannot be decoded"):
        read_all(DicomSource(write_dicom(tmp_path / "c", cut), MIDDLE, 0))
    with pytest.raises(FrameError, match="image is 820x616; expected 800x600"):
        DicomSource(write_dicom(tmp_path / "d"), Picture(), 0)
    (tmp_path / "e").write_text("no DICOM")
    with pytest.raises(SourceError, match="cannot be read"):
        DicomSource(tmp_path / "e", MIDDLE, 0)


# ---------------------------------------------------------------- bags

PROBE_STATE = """
uint8 FRI_NONE=255
std_msgs/Header header
geometry_msgs/Pose pose
geometry_msgs/Wrench wrench
bool contact
float64 force_set_point
uint8 fri_session_state
uint32 steps
"""


def write_bag(
    folder: Path, storage: StoragePlugin, encoding: str = "mono8", states: bool = True, topic: str = "/us/image_raw"
) -> Path:
    """Three images, grey 30, 40, 50, 0.1 s apart, and poses 40 ms after each at x = 1, 2, 3 m, turned by 90 degrees."""
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(get_types_from_msg(PROBE_STATE, "us_nav_interfaces/msg/ProbeState"))
    types = store.types
    time, header = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
    vector, point = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Point"]
    channels = 1 if encoding == "mono8" else 3
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        images = writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=store)
        if states:
            poses = writer.add_connection("/probe/state", "us_nav_interfaces/msg/ProbeState", typestore=store)
        for number in range(3):
            at = 7_000_000_000 + 100_000_000 * number
            data = np.full(600 * 800 * channels, 30 + 10 * number, np.uint8)
            stamp = header(time(at // 10**9, at % 10**9), "us_image")
            image = types["sensor_msgs/msg/Image"](stamp, 600, 800, encoding, 0, 800 * channels, data)
            writer.write(images, at + 5_000_000, store.serialize_cdr(image, "sensor_msgs/msg/Image"))
            if states:
                later = at + 40_000_000
                turn = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))
                pose = types["geometry_msgs/msg/Pose"](point(1.0 + number, 0.0, 0.0), turn)
                wrench = types["geometry_msgs/msg/Wrench"](vector(0.0, 0.0, 1.0), vector(0.0, 0.0, 0.0))
                stamp = header(time(later // 10**9, later % 10**9), "patient")
                state = types["us_nav_interfaces/msg/ProbeState"](stamp, pose, wrench, True, 1.0, 255, 0)
                writer.write(poses, later, store.serialize_cdr(state, "us_nav_interfaces/msg/ProbeState"))
    return folder


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_bag_gives_its_frames_with_recorded_stamps_and_the_nearest_poses(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    source = BagSource(write_bag(tmp_path / "bag", storage), Picture())
    assert (source.info.source, source.info.detail) == ("bag", "bag")
    frames = read_all(source)
    assert greys(frames) == [30, 40, 50]
    assert [frame.stamp_ns for frame in frames] == [7_000_000_000, 7_100_000_000, 7_200_000_000]
    assert [frame.pose[0, 3] for frame in frames if frame.pose is not None] == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(frames[0].pose[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    assert frames[0].pose_frame == "patient"


def test_a_bag_in_colour_without_poses_is_read(tmp_path: Path) -> None:
    frames = read_all(BagSource(write_bag(tmp_path / "bag", StoragePlugin.MCAP, "bgr8", states=False), Picture()))
    assert greys(frames) == [30, 40, 50]
    assert all(frame.pose is None for frame in frames)
    assert all(after.stamp_ns > before.stamp_ns for before, after in pairwise(frames))


def test_a_bag_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such bag; expected its folder"):
        BagSource(tmp_path / "none", Picture())
    with pytest.raises(SourceError, match="it holds /camera; expected images on /us/image_raw"):
        BagSource(write_bag(tmp_path / "a", StoragePlugin.MCAP, states=False, topic="/camera"), Picture())
    with pytest.raises(SourceError, match="an image is rgba8; expected one of mono8"):
        BagSource(write_bag(tmp_path / "b", StoragePlugin.MCAP, "rgba8"), Picture()).read()
    cut = write_bag(tmp_path / "c", StoragePlugin.MCAP)
    file = next(cut.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(SourceError, match=r"cannot be read .*; expected a whole bag"):
        BagSource(cut, Picture())
