"""Force along the beam on toys: held at rest and while the body breathes or moves, given up where there is nobody."""

from dataclasses import fields, replace

import numpy as np
import pytest
from iiwa_bridge.control.force_controller import MAX_APPROACH_SPEED, ContactDetector, ForceConfig, ForceController
from iiwa_bridge.errors import CommandError
from support.contact_toy import CYCLE, Arm, BeamToy, breathing, person, press

CONFIG = ForceConfig()


@pytest.mark.parametrize("wanted", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("tissue", [200.0, 1000.0, 5000.0])
@pytest.mark.parametrize("mass", [3.0, 12.0])
def test_at_rest_the_force_is_held_within_a_tenth_and_never_overshoots(
    wanted: float, tissue: float, mass: float
) -> None:
    pressed = press(BeamToy(Arm(tissue, mass)), wanted, 12.0)
    assert pressed.error(wanted, since=6.0) < 0.1
    assert pressed.peak < 2.5


@pytest.mark.parametrize("bias", [-1.5, 1.5])
def test_a_wrong_model_of_gravity_is_taken_up(bias: float) -> None:
    pressed = press(BeamToy(Arm(bias=bias)), 1.5, 12.0)
    assert pressed.error(1.5, since=6.0) < 0.1
    assert pressed.peak < 2.5


@pytest.mark.parametrize("wanted", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("tissue", [200.0, 5000.0])
@pytest.mark.parametrize("mass", [3.0, 8.0])
def test_while_a_body_breathes_by_3_mm_the_force_is_held(wanted: float, tissue: float, mass: float) -> None:
    pressed = press(BeamToy(Arm(tissue, mass), lambda time: breathing(time, 0.0015)), wanted, 16.0)
    assert pressed.error(wanted, since=6.0) < 0.3
    assert not pressed.controller.given_up
    assert pressed.peak < wanted + 1.2


@pytest.mark.parametrize("tissue", [200.0, 1000.0, 5000.0])
def test_from_1_newton_on_contact_is_kept_even_at_twice_that_breath(tissue: float) -> None:
    pressed = press(BeamToy(Arm(tissue), breathing), 1.0, 16.0)
    assert pressed.error(1.0, since=6.0) < 0.3
    assert pressed.forces[round(6.0 / CYCLE) :].min() > 0.0


@pytest.mark.parametrize("tissue", [200.0, 1000.0, 5000.0])
@pytest.mark.parametrize("damping_ratio", [0.7, 0.9])
def test_a_person_who_moves_20_mm_towards_the_probe_feels_less_than_5_newtons(
    tissue: float, damping_ratio: float
) -> None:
    pressed = press(BeamToy(Arm(tissue, 8.0, damping_ratio=damping_ratio), person), 2.0, 12.0)
    assert 2.5 < pressed.peak < 5.0
    assert pressed.error(2.0, since=10.5) < 0.1


@pytest.mark.parametrize("mass", [3.0, 12.0])
def test_before_contact_the_probe_is_where_the_approach_is_and_the_set_point_never_too_fast(mass: float) -> None:
    pressed = press(BeamToy(Arm(mass=mass), start=-0.05), 1.0, 8.0)
    assert not pressed.controller.contact
    due = -0.05 + CONFIG.approach_speed * CYCLE * np.arange(1, len(pressed.positions) + 1)
    assert np.abs(pressed.positions - due)[round(3.0 / CYCLE) :].max() < 5e-4
    assert np.diff(pressed.set_points).max() <= MAX_APPROACH_SPEED * CYCLE * (1.0 + 1e-9)


def test_with_nobody_there_the_approach_is_given_up_with_a_reason() -> None:
    pressed = press(BeamToy(Arm(), lambda _: 1.0), 1.0, 14.0)
    assert pressed.controller.given_up == "no contact within 60 mm"
    lead = np.ptp(pressed.set_points) - CONFIG.approach_distance
    assert 0.0 <= lead < 0.003, "the set point leads by what the damping holds the probe back"


def feed(controller: ForceController, force: float, seconds: float, velocity: float = 0.0) -> float:
    """Feed a constant force and velocity; the feed-forward at the end."""
    for _ in range(round(seconds / CYCLE)):
        along = controller.update(force, 0.0, velocity, CYCLE)
    return along.feed_forward


def test_a_lost_contact_takes_the_feed_forward_back_searches_slowly_and_is_given_up() -> None:
    controller = ForceController(2.0, CONFIG)
    assert feed(controller, 1.0, 3.0) > 0.5
    assert feed(controller, 0.0, 0.4, CONFIG.search_speed) == 0.0
    assert not controller.contact
    along = controller.update(0.0, 0.0, CONFIG.search_speed, CYCLE)
    assert along.velocity == pytest.approx(CONFIG.search_speed)
    feed(controller, 0.0, CONFIG.search_distance / CONFIG.search_speed)
    assert controller.given_up == "no contact within 10 mm"
    assert controller.update(0.0, 0.0, 0.0, CYCLE).velocity == 0.0


def test_an_arm_that_falls_off_an_edge_is_not_thrown() -> None:
    toy = BeamToy(Arm(), lambda time: 0.0 if time < 8.0 else 1.0)
    controller, set_point, before = ForceController(2.0, CONFIG), toy.position, toy.position
    measured, speeds = (0.0, toy.position), []
    for _ in range(round(16.0 / CYCLE)):
        along = controller.update(measured[0], set_point - measured[1], (measured[1] - before) / CYCLE, CYCLE)
        before, set_point = measured[1], set_point + along.velocity * CYCLE
        measured = toy.advance(set_point, along.feed_forward)
        speeds.append(toy.velocity)
    assert max(speeds[round(8.0 / CYCLE) :]) < 0.03
    assert controller.given_up
    assert toy.position < 0.03


def test_contact_returns_within_the_search_and_the_force_with_it() -> None:
    pressed = press(BeamToy(Arm(), lambda time: 0.0 if time < 8.0 else 0.009), 1.0, 16.0)
    assert pressed.controller.contact
    assert pressed.error(1.0, since=14.0) < 0.1
    assert pressed.peak < 2.5


def test_an_arm_that_is_held_in_the_air_is_given_up_too() -> None:
    controller, set_point = ForceController(1.0, CONFIG), 0.0
    for _ in range(round(13.0 / CYCLE)):
        set_point += controller.update(0.0, set_point, 0.0, CYCLE).velocity * CYCLE
    assert set_point < 1.01 * CONFIG.leash
    assert controller.given_up


def test_the_set_point_does_not_wind_up_against_an_arm_that_is_held() -> None:
    controller = ForceController(2.0, CONFIG)
    set_point = 0.0
    for _ in range(round(20.0 / CYCLE)):
        set_point += controller.update(0.5, set_point, 0.0, CYCLE).velocity * CYCLE
    assert controller.contact
    assert CONFIG.leash <= set_point < CONFIG.leash + CONFIG.advance_speed * CYCLE


def test_the_noise_of_the_torque_sensors_makes_no_contact_in_the_air_from_the_first_sample_on() -> None:
    """0.3 N along the beam at the robot's start, and as much bias as drifts in since the tare."""
    felt = np.random.default_rng(0).normal(0.05, 0.3, (200, 1200))
    for approach in felt:
        controller = ForceController(1.5, CONFIG)
        for force in approach:
            controller.update(float(force), 0.0, CONFIG.approach_speed, CYCLE)
            assert not controller.contact


def test_noise_makes_no_contact_and_a_short_gap_no_loss() -> None:
    detector = ContactDetector(CONFIG)
    assert not any(detector.update(force, CYCLE) for force in [0.5, 0.0] * 20 + [0.5] * 9 + [0.0] * 9)
    assert [detector.update(0.5, CYCLE) for _ in range(10)][-2:] == [False, True]
    # Between the thresholds nothing changes; below for less than the time neither.
    gap = [0.2] * 100 + [0.0] * 19 + [0.2] * 19
    assert all(detector.update(force, CYCLE) for force in gap)
    assert [detector.update(0.0, CYCLE) for _ in range(20)][-2:] == [True, False]


def restless(time: float) -> float:
    """A body that breathes, moves fast towards the probe and away from it, and is gone."""
    if time > 14.0:
        return 1.0
    fled = 0.009 if time > 10.0 else 0.0
    return breathing(time, 0.0015) + 1.5 * person(time, 7.0) + fled


CHANGED = {field.name: 0.7 * getattr(CONFIG, field.name) for field in fields(ForceConfig)} | {
    "approach_distance": 0.003,
    "leash": 0.0035,
    "retreat_speed": 0.005,
    "advance_speed": 0.002,
}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_every_parameter_takes_effect(name: str) -> None:
    # What its model of gravity leaves pulls the arm up, so that the leash is felt.
    arm = Arm(noise=0.1, bias=-0.8)
    usual = press(BeamToy(arm, restless), 1.5, 20.0)
    changed = press(BeamToy(arm, restless), 1.5, 20.0, replace(CONFIG, **{name: CHANGED[name]}))
    assert np.abs(usual.set_points - changed.set_points).max() > 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gain": 0.0}, "gain is 0.0; expected a number above 0"),
        ({"cutoff": float("nan")}, "cutoff is nan"),
        ({"approach_speed": 0.02}, r"approach_speed is 0.02 m/s; at most 0.01 m/s"),
        ({"follow": 1.0}, "follow is 1; expected below 1"),
        ({"loss_force": 0.5}, "loss_force is 0.5 N"),
    ],
)
def test_a_wrong_configuration_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        replace(CONFIG, **change)


@pytest.mark.parametrize("force", [0.0, -1.0, 2.1, float("nan")])
def test_a_force_that_must_not_be_wanted_is_refused(force: float) -> None:
    with pytest.raises(CommandError, match="expected above 0, at most 2 N"):
        ForceController(force, CONFIG)
