"""The delay between frames and poses: known delays are found, and a recording that cannot tell is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.calibration.recording import read_motion
from us_grid_sim.calibration.temporal import CalibrationError, Motion, estimate_delay, image_changes, peak


def strokes(times: np.ndarray, speed: float = 0.05) -> np.ndarray:
    """Place [m] of a probe that is moved to and fro by hand, a little over a second a stroke."""
    angle = 2 * np.pi * 0.6
    return speed / angle * np.sin(angle * times + 0.8 * np.sin(2 * np.pi * 0.17 * times))


def recorded(delay: float, seed: int = 0, noise: float = 0.2, speed: float = 0.05, seconds: float = 20.0) -> Motion:
    """20 s at 30 uneven frames and 60 poses a second; change grows less than the way, as decorrelation does."""
    rng = np.random.default_rng(seed)
    frames = np.cumsum(rng.normal(1 / 30, 0.003, int(30 * seconds)))
    poses = np.arange(-1.0, seconds + 2.0, 1 / 60)
    changes = np.abs(np.diff(strokes(frames - delay))) ** 0.8
    changes = changes / changes.std() + noise * rng.standard_normal(len(changes))
    places = np.stack([strokes(poses, speed), 0 * poses, 0 * poses], axis=1) + rng.normal(0, 5e-5, (len(poses), 3))
    return Motion(frames, changes, poses, places)


@pytest.mark.parametrize("delay", [-0.1, 0.0, 0.0333, 0.175, 0.4])
def test_a_known_delay_is_found_within_its_stated_error(delay: float) -> None:
    found = estimate_delay(recorded(delay))
    assert found.error < 0.005
    assert abs(found.delay - delay) < 4 * found.error
    assert found.correlation > 0.9


def test_the_stated_error_is_the_scatter_of_many_recordings() -> None:
    found = [estimate_delay(recorded(0.1, seed, noise=0.5)) for seed in range(24)]
    scatter = float(np.sqrt(np.mean([(one.delay - 0.1) ** 2 for one in found])))
    assert 0.6 < scatter / np.mean([one.error for one in found]) < 1.6


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(0.2, 5.0), st.floats(0.0, 20.0))
def test_later_stamps_are_a_longer_delay_and_brightness_changes_nothing(
    later: float, contrast: float, flicker: float
) -> None:
    motion = recorded(0.05)
    found = estimate_delay(motion)
    moved = Motion(motion.frame_times + later, contrast * motion.changes + flicker, motion.pose_times, motion.places)
    assert estimate_delay(moved).delay - found.delay == pytest.approx(later, abs=2e-3)


def test_the_same_recording_and_seed_give_the_same_error() -> None:
    motion = recorded(0.1)
    assert estimate_delay(motion, 1).error == estimate_delay(motion, 1).error != estimate_delay(motion, 2).error


def test_the_maximum_is_found_between_the_delays_that_were_tried() -> None:
    delays = np.arange(-0.5, 0.5025, 0.005)
    place, height = peak(delays, 0.9 - 40.0 * (delays - 0.1234) ** 2)
    assert (place, height) == (pytest.approx(0.1234), pytest.approx(0.9))


def test_frames_change_the_more_the_further_the_picture_moves() -> None:
    rng = np.random.default_rng(0)
    tissue = np.kron(rng.integers(0, 255, (80, 110)), np.ones((10, 10))).astype(np.uint8)
    places = np.cumsum([0, 0, 2, 4, 8, 2])
    changes = image_changes(tissue[:600, place : place + 800] for place in places)
    assert len(changes) == 5
    assert changes[0] == 0.0
    assert changes[1] < changes[2] < changes[3] > changes[4]


def still(motion: Motion) -> Motion:
    return Motion(motion.frame_times, motion.changes, motion.pose_times, 0.01 * motion.places)


def steady(motion: Motion) -> Motion:
    return Motion(motion.frame_times, motion.changes, motion.pose_times, motion.pose_times[:, None] * [[0.02, 0, 0]])


def unrelated(motion: Motion) -> Motion:
    noise = np.random.default_rng(9).standard_normal(len(motion.changes))
    return Motion(motion.frame_times, noise, motion.pose_times, motion.places)


def frozen(motion: Motion) -> Motion:
    return Motion(motion.frame_times, 0 * motion.changes, motion.pose_times, motion.places)


def short(motion: Motion) -> Motion:
    return Motion(motion.frame_times[:40], motion.changes[:39], motion.pose_times, motion.places)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (still, "too little motion: the probe's speed is .* mm/s and varies by .*; expected 2 mm/s or more"),
        (steady, r"too little motion: the probe's speed is 20\.0 mm/s and varies by 0\.0 mm/s"),
        (unrelated, r"no motion in common \(correlation"),
        (frozen, "the frames do not change; expected frames of the moving probe"),
        (short, "the recording is too short: 39 frames .*; expected 60 or more"),
    ],
)
def test_a_recording_that_cannot_tell_is_refused_with_what_to_record(spoil: object, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        estimate_delay(spoil(recorded(0.1)))  # type: ignore[operator]


def test_a_delay_beyond_those_tried_is_not_made_up() -> None:
    with pytest.raises(CalibrationError, match=r"expected .*delay"):
        estimate_delay(recorded(0.53))


def test_the_real_sequence_is_read_and_found_too_short(plus_sequence: Path) -> None:
    told: list[tuple[int, int]] = []
    motion = read_motion(plus_sequence, lambda done, total: told.append((done, total)))
    assert (len(motion.frame_times), len(motion.changes), told[-1]) == (21, 20, (21, 21))
    speeds = np.linalg.norm(np.diff(motion.places, axis=0), axis=1) / np.diff(motion.pose_times)
    assert 0.005 < speeds.min() < speeds.max() < 0.04
    with pytest.raises(CalibrationError, match="the recording is too short: 8 frames"):
        estimate_delay(motion)
