"""Filters are exact whatever the cycle; profiles stay within speed and acceleration and end where they should."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.control.filters import LowPass, Profile, braking_speed, limited, towards

SPEED, ACCELERATION, CYCLE = 0.018, 0.1, 0.005
PLACES = st.lists(st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)), min_size=1, max_size=5)


@settings(deadline=None)
@given(cycles=st.integers(1, 400), cutoff=st.floats(0.1, 50.0))
def test_a_low_pass_answers_a_step_as_the_exponential_does_however_time_is_cut(cycles: int, cutoff: float) -> None:
    low_pass, elapsed = LowPass(cutoff), 0.5
    value = 0.0
    for _ in range(cycles):
        value = low_pass.update(1.0, elapsed / cycles)
    assert value == pytest.approx(1.0 - math.exp(-2.0 * math.pi * cutoff * elapsed), abs=1e-9)


def test_limits_keep_direction_and_reach_the_target() -> None:
    assert limited(np.array([3.0, 4.0]), 1.0) == pytest.approx([0.6, 0.8])
    assert limited(np.array([0.3, 0.4]), 1.0) == pytest.approx([0.3, 0.4])
    assert [towards(0.0, 1.0, 0.3), towards(0.9, 1.0, 0.3), towards(0.0, -1.0, 0.3)] == [0.3, 1.0, -0.3]


@settings(deadline=None)
@given(distance=st.floats(1e-6, 0.1))
def test_from_its_braking_speed_a_point_stops_within_the_distance(distance: float) -> None:
    speed = braking_speed(distance, ACCELERATION, CYCLE)
    covered = 0.0
    while speed > 0.0:
        covered += speed * CYCLE
        speed = max(0.0, speed - ACCELERATION * CYCLE)
    assert covered == pytest.approx(distance, rel=1e-6)


def test_a_step_of_20_mm_takes_under_2_s_and_ends_exactly() -> None:
    profile, target = Profile(np.zeros(2), SPEED, ACCELERATION), np.array([0.012, -0.016])
    cycles = 0
    while not (np.array_equal(profile.position, target) and not profile.velocity.any()):
        before = profile.position
        profile.update(target, CYCLE)
        cycles += 1
        on_line = profile.position[0] * target[1] - profile.position[1] * target[0]
        assert abs(on_line) < 1e-12
        assert profile.position @ target >= before @ target - 1e-15
        assert np.linalg.norm(profile.position) <= 0.020 + 1e-12
        assert cycles * CYCLE < 2.0
    assert cycles * CYCLE > 0.020 / SPEED


@settings(deadline=None)
@given(places=PLACES, cycles=st.integers(1, 300))
def test_speed_and_acceleration_are_bounded_wherever_the_target_jumps(
    places: list[tuple[float, float]], cycles: int
) -> None:
    profile = Profile(np.zeros(2), SPEED, ACCELERATION)
    for place in places:
        for _ in range(cycles):
            position, velocity = profile.position, profile.velocity
            profile.update(np.array(place), CYCLE)
            assert np.linalg.norm(profile.position - position) <= SPEED * CYCLE * (1 + 1e-9)
            assert np.linalg.norm(profile.velocity - velocity) <= ACCELERATION * CYCLE * (1 + 1e-9)


@settings(deadline=None)
@given(places=PLACES)
def test_it_arrives_after_any_detour_and_stops_when_told(places: list[tuple[float, float]]) -> None:
    profile = Profile(np.zeros(2), SPEED, ACCELERATION)
    for place in places:
        for _ in range(100):
            profile.update(np.array(place), CYCLE)
    # Half a second a place, at 18 mm/s: at most 45 mm away, which takes less than 4 s.
    for _ in range(800):
        profile.update(np.array([0.01, 0.02]), CYCLE)
    assert profile.position == pytest.approx([0.01, 0.02], abs=1e-12)
    profile.update(np.zeros(2), CYCLE)
    for _ in range(50):
        stopped = profile.brake(CYCLE)
    assert not profile.velocity.any()
    assert profile.brake(CYCLE) == pytest.approx(stopped, abs=0.0)
