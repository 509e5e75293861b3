"""The image source's parameters: each reaches the object that it is for."""

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset.layout import list_subjects, read_subject
from us_grid_sim.dataset.targets import format_targets, targets_file
from us_grid_sim.errors import SourceError
from us_grid_sim.geometry import Bin
from us_grid_sim.phantom.target import Target
from us_grid_sim.sources.config import SOURCES, ImageSourceConfig
from us_grid_sim.sources.goals import dataset_goals
from us_grid_sim.sources.openigtlink import OpenIgtLinkDevice
from us_grid_sim.sources.picture import Picture
from us_grid_sim.sources.video import VideoDevice

BEGIN = 5_000_000_000


def test_region_mirroring_and_pixel_size_make_the_picture() -> None:
    config = ImageSourceConfig(
        roi="10,12", mirror_columns=True, mirror_rows=True, mm_per_pixel_x=0.1, mm_per_pixel_y=0.2
    )
    assert config.picture() == Picture((10, 12), True, True, (0.1, 0.2))
    assert ImageSourceConfig().picture() == Picture()


@pytest.mark.parametrize(
    ("source", "file", "live"),
    [
        ("video", "", True),
        ("video", "a.avi", False),
        ("openigtlink", "", True),
        ("metaimage", "a.mha", False),
        ("dicom", "a.dcm", False),
        ("bag", "bag", False),
        ("phantom", "", False),
    ],
)
def test_devices_are_live_and_sequences_are_not(source: str, file: str, live: bool) -> None:
    assert ImageSourceConfig(source=source, file=file).is_live is live


def test_a_device_has_its_name_and_its_picture() -> None:
    device = ImageSourceConfig(
        source="video", device="/dev/video7", mm_per_pixel_x=0.1, mm_per_pixel_y=0.1
    ).make_device()
    assert isinstance(device, VideoDevice)
    assert (device.info.detail, device.info.mm_per_pixel_x) == ("/dev/video7", 0.1)


def test_a_server_has_its_address_its_device_and_its_picture() -> None:
    config = ImageSourceConfig(
        source="openigtlink", host="::1", port=5, igtl_device="US", mm_per_pixel_x=0.1, mm_per_pixel_y=0.1
    )
    device = config.make_device()
    assert isinstance(device, OpenIgtLinkDevice)
    assert (device.info.detail, device.info.mm_per_pixel_y) == ("::1:5 US", 0.1)


@pytest.mark.parametrize("source", ["metaimage", "dicom", "bag"])
def test_a_sequence_is_read_from_its_file_by_its_kind(source: str) -> None:
    with pytest.raises(SourceError, match=r"^there: there is no such "):
        ImageSourceConfig(source=source, file="there").make_sequence(BEGIN)
    with pytest.raises(SourceError, match="parameter file is empty; name a"):
        ImageSourceConfig(source=source).make_sequence(BEGIN)


def test_the_calibration_reaches_the_tracked_sequence(plus_sequence: Path) -> None:
    numbers = "0 0.08 0 15  -0.08 0 0 50  0 0 0.08 -9  0 0 0 1"
    config = ImageSourceConfig(file=str(plus_sequence), roi="middle", calibration=numbers)
    source = config.make_sequence(BEGIN)
    assert source.info.mm_per_pixel_x == pytest.approx(0.08)
    assert math.isnan(ImageSourceConfig(file=str(plus_sequence), roi="middle").make_sequence(BEGIN).info.mm_per_pixel_x)
    for wrong, said in (("1 2 3", "has 3 numbers; expected 16"), ("1 a", "could not convert string to float: 'a'")):
        with pytest.raises(SourceError, match=f"parameter calibration:? {said}"):
            ImageSourceConfig(file=str(plus_sequence), calibration=wrong).make_sequence(BEGIN)


def test_a_virtual_subject_needs_a_rate() -> None:
    with pytest.raises(SourceError, match="parameter rate is 0, the recorded pace; a virtual subject needs"):
        ImageSourceConfig(source="phantom").make_phantom()


def test_an_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(SourceError, match=f'parameter source is "camera"; expected one of {", ".join(SOURCES)}'):
        ImageSourceConfig(source="camera")


# ---------------------------------------------------------------- goal bins of a data set


def test_a_data_set_without_targets_knows_its_sacrum_and_one_with_targets_all(small_data: Path) -> None:
    first, second = list_subjects(small_data)
    subject = read_subject(first)
    assert dataset_goals(first, subject) == {Target.SACRUM: subject.goals}
    other = read_subject(second)
    targets = {target: (Bin(0, number),) for number, target in enumerate(Target)} | {Target.SACRUM: other.goals}
    file = targets_file(small_data, other.name)
    file.write_text(format_targets(targets))
    try:
        assert dataset_goals(second, other) == targets
    finally:
        file.unlink()


# ---------------------------------------------------------------- the parameters as they are declared


def test_every_parameter_is_declared_with_words_and_each_number_with_a_range_around_its_default() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")
    from us_grid_sim.ros.image_source_parameters import describe

    for field in fields(ImageSourceConfig):
        described = describe(field.name)
        assert described.description, field.name
        ranges = [*described.integer_range, *described.floating_point_range]
        is_number = type(field.default) in (int, float)
        assert len(ranges) == is_number, field.name
        assert all(one.from_value <= field.default <= one.to_value for one in ranges), field.name


def test_the_true_probe_is_looked_at_with_its_whole_pose_and_its_force_in_contact_alone() -> None:
    pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")
    from us_grid_sim.ros.conversions import tracked_state
    from us_grid_sim.ros.phantom_player import true_look

    pose = np.eye(4)
    pose[:3, :3] = [[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]]
    pose[:3, 3] = 0.01, -0.02, 0.03
    state = tracked_state(pose, "patient_body", 1)
    for contact, force, felt in ((True, 2.5, 2.5), (True, -0.1, 0.0), (False, 2.5, 0.0), (True, math.nan, 0.0)):
        state.contact, state.wrench.force.z = contact, force
        seen, pressed = true_look(state)
        np.testing.assert_allclose(seen, pose, atol=1e-12)
        assert pressed == felt
    state.pose.orientation.w = 5.0
    with pytest.raises(SourceError, match="a pose that is none"):
        true_look(state)
    with pytest.raises(SourceError, match='/simulation/probe gives the pose in "world"; expected "patient_body"'):
        true_look(tracked_state(pose, "world", 1))
