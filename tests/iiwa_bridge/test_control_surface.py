"""The slope of the skin follows from where the probe touched, breathing or not; the beam keeps its limit."""

import math
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iiwa_bridge.control.surface import SurfaceConfig, SurfaceEstimator, beam_of, slope_of, travel
from iiwa_bridge.errors import CommandError
from support.contact_toy import CYCLE, Back, breathing

Array = npt.NDArray[np.float64]

CONFIG = SurfaceConfig()
STEPS = [(0.0, 0.02), (0.02, 0.0), (0.0, -0.02), (0.0, -0.02), (0.0, -0.02), (-0.02, 0.0), (0.0, 0.02), (0.0, 0.02)]


def walk(back: Back, config: SurfaceConfig = CONFIG, rest: float = 1.0) -> tuple[SurfaceEstimator, list[float]]:
    """Step over a back without an arm; the angle between the estimated and the true normal after each step [rad]."""
    place, time = np.zeros(2), 0.0
    estimator = SurfaceEstimator(np.array([0.0, 0.0, back.depth(0.0, 0.0, 0.0)]), np.zeros(2), config)
    angles = []
    for step in STEPS:
        for share in [*np.linspace(0.0, 1.0, round(1.2 / CYCLE)), *np.ones(round(rest / CYCLE))]:
            x, y = place + share * np.array(step)
            time += CYCLE
            estimator.update(np.array([x, y, back.depth(x, y, time)]), CYCLE)
        place = place + step
        angles.append(angle(estimator.slope, back.slope(*place)))
    return estimator, angles


def angle(slope: Array, other: Array) -> float:
    return math.acos(min(1.0, float(beam_of(slope) @ beam_of(other))))


slopes = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)).map(np.array)


@given(slope=slopes)
def test_a_beam_stands_on_its_surface_and_tells_its_slope(slope: Array) -> None:
    beam = beam_of(slope)
    assert np.linalg.norm(beam) == pytest.approx(1.0)
    for tangent in ([1.0, 0.0, slope[0]], [0.0, 1.0, slope[1]]):
        assert beam @ np.array(tangent) == pytest.approx(0.0, abs=1e-12)
    assert slope_of(beam) == pytest.approx(slope)


def test_travelling_is_the_taylor_expansion_of_a_quadric() -> None:
    way = np.array([0.3, -0.2])
    before = np.array([1.0, 0.1, -0.2, 0.5, 0.25, -0.7, 0.0, 0.0])
    zxx, zxy, zyy = before[3:6]
    after = travel(way) @ before
    assert after[0] == pytest.approx(1.0 + 0.1 * 0.3 + 0.2 * 0.2 + 0.5 * (zxx * 0.09 - 2 * zxy * 0.06 + zyy * 0.04))
    assert after[1:3] == pytest.approx([0.1 + zxx * 0.3 - zxy * 0.2, -0.2 + zxy * 0.3 - zyy * 0.2])


def test_on_a_tilted_plane_each_direction_is_known_once_it_was_walked() -> None:
    plane = Back(radius_x=math.inf, radius_y=math.inf)

    class Tilted(Back):
        def depth(self, x: float, y: float, time: float) -> float:
            return plane.depth(x, y, time) + 0.15 * x - 0.1 * y

        def slope(self, x: float, y: float) -> Array:
            return np.array([0.15, -0.1])

    estimator, angles = walk(Tilted())
    assert angles[0] > math.radians(7.0)
    assert angles[1] < math.radians(7.0)
    assert max(angles[2:]) < math.radians(3.0)
    assert estimator.slope == pytest.approx([0.15, -0.1], abs=0.03)


def test_over_a_curved_back_the_normal_is_found() -> None:
    _, angles = walk(Back())
    assert max(angles) < math.radians(6.0)
    assert float(np.mean(angles)) < math.radians(4.0)


def test_over_a_back_that_breathes_too() -> None:
    back = Back(sway=lambda time: breathing(time, 0.0015))
    _, angles = walk(back)
    level = [math.atan(float(np.linalg.norm(back.slope(*place)))) for place in np.cumsum(STEPS, axis=0)]
    assert max(angles) < math.radians(9.0)
    # Better than a beam that stays along z of the patient.
    assert np.mean(angles) < 0.6 * np.mean(level)


def test_breathing_at_rest_is_no_slope() -> None:
    estimator = SurfaceEstimator(np.zeros(3), np.zeros(2), CONFIG)
    for cycle in range(round(20.0 / CYCLE)):
        estimator.update(np.array([0.0, 0.0, breathing(cycle * CYCLE)]), CYCLE)
    assert estimator.slope == pytest.approx(np.zeros(2), abs=1e-12)


def test_an_hour_at_rest_leaves_the_filter_sound() -> None:
    estimator = SurfaceEstimator(np.zeros(3), np.zeros(2), CONFIG)
    rng = np.random.default_rng(0)
    for place in rng.normal(0.0, 0.01, (18_000, 2)):
        estimator.update(np.array([*place, 0.2 * place[0]]), 0.2)
    assert estimator.slope == pytest.approx([0.2, 0.0], abs=0.02)


@given(slope=st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)).map(np.array))
def test_the_beam_keeps_within_its_limit_of_z(slope: Array) -> None:
    estimator = SurfaceEstimator(np.zeros(3), slope, CONFIG)
    tilt = angle(estimator.beam_slope, np.zeros(2))
    assert tilt <= CONFIG.tilt_limit + 1e-9
    assert tilt == pytest.approx(min(CONFIG.tilt_limit, angle(slope, np.zeros(2))), abs=1e-7)


@pytest.mark.parametrize("name", [field.name for field in fields(SurfaceConfig)])
def test_every_parameter_takes_effect(name: str) -> None:
    back = Back(radius_y=0.08, sway=lambda time: breathing(time, 0.001))
    usual, _ = walk(back, rest=0.2)
    changed, _ = walk(back, replace(CONFIG, **{name: 0.3 * getattr(CONFIG, name)}), rest=0.2)
    if name == "tilt_limit":
        assert not np.allclose(changed.beam_slope, usual.beam_slope, atol=1e-3)
    else:
        assert not np.allclose(changed.slope, usual.slope, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"bending": -1.0}, "bending is -1.0; expected a number above 0"), ({"tilt_limit": 1.0}, "at most 45 degrees")],
)
def test_a_wrong_configuration_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        replace(CONFIG, **change)
