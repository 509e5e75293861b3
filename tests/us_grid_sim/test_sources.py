"""Sources that show frames where the probe stands: the grid and the virtual subject."""

from pathlib import Path

import numpy as np
import pytest
from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.layout import SubjectWriter, list_subjects, read_subject
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.errors import DatasetError, SourceError
from us_grid_sim.geometry import Action, Bin, probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import build_phantom, contact_pose
from us_grid_sim.preprocess import Preprocess
from us_grid_sim.sources.base import FrameSource
from us_grid_sim.sources.grid import GridSource
from us_grid_sim.sources.phantom import PhantomSource


@pytest.fixture(scope="module")
def patient_file(small_data: Path) -> Path:
    return list_subjects(small_data)[0]


# ---------------------------------------------------------------- the grid


def test_a_grid_source_says_what_its_frames_are(patient_file: Path) -> None:
    source: FrameSource = GridSource(read_subject(patient_file), Bin(0, 0), seed=0)
    assert (source.info.source, source.info.detail) == ("grid", "Subject00")
    assert source.info.mm_per_pixel_x == source.info.mm_per_pixel_y == pytest.approx(70 / 600)
    assert (source.info.depth, source.info.probe_width) == (0.07, 0.05)
    source.close()


def test_a_frame_is_shown_until_the_next_arrival(patient_file: Path) -> None:
    subject = read_subject(patient_file)
    source = GridSource(subject, Bin(4, 4), seed=0)
    index = source.frame_index
    assert index in subject.bins[4, 4]
    for _ in range(5):
        frame = source.read()
        assert source.frame_index == index
        np.testing.assert_array_equal(frame.pixels, subject.frame(index))
    source.move_to(Bin(4, 5))
    assert source.position == Bin(4, 5)
    assert source.frame_index in subject.bins[4, 5]


def test_arriving_in_the_same_bin_draws_again(patient_file: Path) -> None:
    source = GridSource(read_subject(patient_file), Bin(4, 4), seed=0)
    seen = set()
    for _ in range(40):
        source.move_to(Bin(4, 4))
        seen.add(source.frame_index)
    assert len(seen) == 5


def test_the_pose_is_that_of_the_bins_centre(patient_file: Path) -> None:
    source = GridSource(read_subject(patient_file), Bin(2, 3), seed=0)
    frame = source.read()
    np.testing.assert_array_equal(frame.pose, probe_pose(*Bin(2, 3).center))
    assert frame.pose_frame == "patient"
    assert frame.stamp_ns is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_source_and_environment_show_the_same_frames_for_the_same_seed(patient_file: Path, seed: int) -> None:
    env = SacrumNavEnv([load_grid(patient_file, Preprocess(6, 8), cache=False)])
    start = Bin(1, 13)
    _, info = env.reset(seed=seed, options={"subject": 0, "start": start.state})
    source = GridSource(read_subject(patient_file), start, seed)
    shown = [(info["frame_index"], source.frame_index)]
    for action in np.random.default_rng(seed).integers(4, size=30):
        source.move_to(source.position.moved(Action(action)))
        info = env.step(action)[4]
        assert info["state"] == source.position.state
        shown.append((info["frame_index"], source.frame_index))
    assert all(a == b for a, b in shown)
    assert len(set(shown)) > 10


def test_an_arrival_whose_frame_is_broken_leaves_the_probe_where_it_was(tmp_path: Path) -> None:
    with SubjectWriter(tmp_path, "A") as writer:
        for row in (0, 10):
            for _ in range(5):
                writer.add(np.zeros((600, 800), np.uint8), *Bin(row, 7).center)
        subject = read_subject(writer.finish(lambda _: [Bin(5, 5)]))
    source = GridSource(subject, Bin(0, 7), seed=0)
    for index in range(5, 10):
        subject.frame_file(index).write_bytes(b"broken")
    with pytest.raises(DatasetError, match="truncated"):
        source.move_to(Bin(10, 7))
    assert source.position == Bin(0, 7)
    assert source.read().pixels.shape == (600, 800)


# ---------------------------------------------------------------- the virtual subject


@pytest.fixture(scope="module")
def phantom_source() -> PhantomSource:
    return PhantomSource(sample_subject(seed=3, index=2))


def test_a_phantom_source_says_what_its_frames_are(phantom_source: PhantomSource) -> None:
    info = phantom_source.info
    assert (info.source, info.detail, info.depth) == ("phantom", "subject 2 of cohort 3", 0.07)


def test_the_frame_is_that_of_the_last_pose(phantom_source: PhantomSource) -> None:
    phantom = build_phantom(sample_subject(seed=3, index=2))
    sacrum = contact_pose(phantom, *Bin(5, 2).center, 1.0)
    lumbar = contact_pose(phantom, *Bin(5, 11).center, 1.0)
    phantom_source.look_from(sacrum, 1.0)
    first = phantom_source.read()
    np.testing.assert_array_equal(first.pose, sacrum)
    assert first.pixels.shape == (600, 800)
    phantom_source.look_from(lumbar, 1.0)
    assert (phantom_source.read().pixels != first.pixels).mean() > 0.1
    phantom_source.look_from(sacrum, 1.0)
    np.testing.assert_array_equal(phantom_source.read().pixels, first.pixels)


def test_at_rest_nothing_is_rendered_again(phantom_source: PhantomSource) -> None:
    first = phantom_source.read()
    assert first.pose is not None
    phantom_source.look_from(first.pose.copy(), phantom_source.look.contact_force)
    assert phantom_source.read() is first


def test_too_little_force_darkens_the_frame(phantom_source: PhantomSource) -> None:
    pose = contact_pose(build_phantom(sample_subject(seed=3, index=2)), 0.0, 0.0, 1.0)
    phantom_source.look_from(pose, 1.0)
    coupled = phantom_source.read().pixels.mean()
    phantom_source.look_from(pose, 0.0)
    assert phantom_source.read().pixels.mean() < 0.6 * coupled


def test_a_pose_that_cannot_be_rendered_is_an_error_of_the_source(phantom_source: PhantomSource) -> None:
    with pytest.raises(SourceError, match="expected a 4 x 4 matrix"):
        phantom_source.look_from(np.eye(3), 1.0)
    phantom_source.look_from(probe_pose(1.0, 0.0), 1.0)
    with pytest.raises(SourceError, match="beyond the subject's back"):
        phantom_source.read()


def test_the_noise_changes_with_the_pose_and_comes_back_with_it(phantom_source: PhantomSource) -> None:
    pose = contact_pose(build_phantom(sample_subject(seed=3, index=2)), 0.0, 0.0, 1.0)
    moved = pose.copy()
    moved[0, 3] += 1e-6
    pictures = []
    for look in (pose, moved, pose):
        phantom_source.look_from(look, 1.0)
        pictures.append(phantom_source.read().pixels)
    np.testing.assert_array_equal(pictures[0], pictures[2])
    different = pictures[0] != pictures[1]
    assert 0.01 < different.mean() < 0.6, "a micrometre moves nothing but the noise"
