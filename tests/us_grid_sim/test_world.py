"""The mock plant: where it goes, how fast, and what it feels."""

import dataclasses
import math
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import Phantom, build_phantom, contact_pose
from us_grid_sim.world.mock import MockConfig, MockMeasurement, MockPlant


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return build_phantom(sample_subject(seed=1))


def held(plant: MockPlant, x: float, y: float, force: float, seconds: float = 5.0) -> MockMeasurement:
    """What is measured after holding a set point for long enough, in cycles of 10 ms."""
    for _ in range(round(seconds / 0.01)):
        measurement = plant.step(x, y, force, 0.01)
    return measurement


def test_it_is_the_plant_named_mock() -> None:
    (entry,) = entry_points(group="iiwa_bridge.plants", name="mock")
    assert entry.load() is MockPlant


def test_it_starts_retracted_above_the_middle() -> None:
    measurement = MockPlant().step(0.0, 0.0, 0.0, 0.01)
    np.testing.assert_allclose(measurement.pose, probe_pose(0.0, 0.0, -0.01))
    assert not measurement.contact
    assert not measurement.wrench.any()


def test_it_comes_to_the_place_and_the_force() -> None:
    measurement = held(MockPlant(), 0.04, -0.02, 1.5)
    np.testing.assert_allclose(measurement.pose[:2, 3], [0.04, -0.02])
    np.testing.assert_allclose(measurement.wrench, [0, 0, 1.5, 0, 0, 0])
    assert measurement.contact


def test_a_force_of_zero_retracts() -> None:
    plant = MockPlant()
    assert held(plant, 0.0, 0.0, 2.0).contact
    measurement = held(plant, 0.0, 0.0, 0.0)
    assert not measurement.contact
    assert measurement.pose[2, 3] == pytest.approx(-0.01)


def test_reset_goes_back_to_the_start() -> None:
    plant = MockPlant()
    start = plant.step(0.0, 0.0, 0.0, 0.01)
    held(plant, 0.1, 0.1, 1.0)
    plant.reset()
    np.testing.assert_array_equal(plant.step(0.0, 0.0, 0.0, 0.01).pose, start.pose)


def test_what_was_measured_stays_as_it_was() -> None:
    plant = MockPlant()
    first = plant.step(0.0, 0.0, 0.0, 0.01)
    kept = first.pose.copy()
    held(plant, 0.1, 0.0, 1.0, 0.1)
    np.testing.assert_array_equal(first.pose, kept)


set_points = st.tuples(st.floats(-0.14, 0.14), st.floats(-0.10, 0.10), st.floats(0.0, 2.0), st.floats(0.001, 0.5))


@given(st.lists(set_points, min_size=1, max_size=10))
def test_no_speed_limit_is_ever_passed_and_the_force_is_that_of_the_spring(
    steps: list[tuple[float, float, float, float]],
) -> None:
    config = MockConfig()
    plant = MockPlant()
    before = plant.step(0.0, 0.0, 0.0, 1e-6).pose[:3, 3]
    for x, y, force, duration in steps:
        measurement = plant.step(x, y, force, duration)
        now = measurement.pose[:3, 3]
        assert math.hypot(*(now - before)[:2]) <= config.lateral_speed * duration + 1e-12
        assert -config.retract_speed * duration - 1e-12 <= (now - before)[2] <= config.approach_speed * duration + 1e-12
        assert measurement.wrench[2] == pytest.approx(max(0.0, now[2]) * config.stiffness)
        assert measurement.contact == (measurement.wrench[2] > 0)
        assert measurement.wrench[2] <= 2.0 + 1e-9, "without mass there is no overshoot"
        before = now


@given(set_points, st.integers(1, 20))
def test_a_step_ends_where_its_parts_end(step: tuple[float, float, float, float], parts: int) -> None:
    x, y, force, duration = step
    whole = MockPlant().step(x, y, force, duration)
    plant = MockPlant()
    for _ in range(parts):
        pieces = plant.step(x, y, force, duration / parts)
    np.testing.assert_allclose(pieces.pose, whole.pose, atol=1e-12)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(MockConfig)])
def test_each_setting_takes_effect(name: str) -> None:
    def path(config: MockConfig) -> list[list[float]]:
        plant = MockPlant(config=config)
        forces = [1.0] * 150 + [0.0] * 10
        return [[*m.pose[:3, 3], *m.wrench] for m in (plant.step(0.1, 0.0, force, 0.01) for force in forces)]

    usual = MockConfig()
    assert path(dataclasses.replace(usual, **{name: 0.5 * getattr(usual, name)})) != path(usual)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_settings_that_make_no_sense_are_refused(value: float) -> None:
    with pytest.raises(UsGridSimError, match=r"stiffness is .*; expected a number above 0"):
        MockConfig(stiffness=value)


@pytest.mark.parametrize(
    "step",
    [(math.nan, 0, 1, 0.01), (0, math.inf, 1, 0.01), (0, 0, math.nan, 0.01), (0, 0, -0.1, 0.01), (0, 0, 1, 0)],
)
def test_a_set_point_that_makes_no_sense_is_refused_and_nothing_moves(step: tuple[float, float, float, float]) -> None:
    plant = MockPlant()
    with pytest.raises(UsGridSimError, match="mock plant: set point"):
        plant.step(*step)
    np.testing.assert_allclose(plant.step(0.0, 0.0, 0.0, 1e-9).pose, probe_pose(0.0, 0.0, -0.01))


def test_over_a_back_it_rests_as_the_renderer_expects(phantom: Phantom) -> None:
    """Held at a force, the probe has the pose at which the frames of a data set are rendered."""
    measurement = held(MockPlant(phantom), -0.06, 0.04, 1.2)
    np.testing.assert_allclose(measurement.pose, contact_pose(phantom, -0.06, 0.04, 1.2), atol=1e-12)
    assert measurement.wrench[2] == pytest.approx(1.2)


def test_walking_over_a_curved_back_keeps_the_force(phantom: Phantom) -> None:
    """From the flank over the spine to the other flank at 20 mm/s."""
    plant = MockPlant(phantom)
    held(plant, 0.0, -0.08, 1.0)
    forces = [plant.step(0.0, float(y), 1.0, 0.01).wrench[2] for y in np.arange(-0.08, 0.08, 0.0002)]
    assert min(forces) > 0.9
    assert max(forces) < 1.1
