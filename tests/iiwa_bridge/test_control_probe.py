"""The probe approaches, steps, retracts and holds; its set point never jumps, whatever is asked for and measured."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from iiwa_bridge.control.lateral import MAX_SPEED, Lateral, LateralConfig, Pace
from iiwa_bridge.control.probe_controller import (
    Event,
    Outcome,
    Phase,
    ProbeConfig,
    ProbeController,
    Reference,
    Sample,
)
from iiwa_bridge.control.set_point import MotionConfig, PoseSetPoint, rotation_onto
from iiwa_bridge.errors import CommandError
from iiwa_bridge.safety.machine import DEADLINES, State
from support.contact_toy import CYCLE, Arm, Back, BackToy, SpringBack, breathing, person, still

Array = npt.NDArray[np.float64]

CONFIG = ProbeConfig()
DEGREES = 180.0 / math.pi


def start(height: float = 0.005, x: float = 0.0, y: float = 0.0) -> Array:
    """A pose above the back, image plane transverse."""
    pose = np.eye(4)
    pose[:3, :3] = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    pose[:3, 3] = x, y, -height
    return pose


@dataclass
class Rig:
    """A controller on a toy; ``run`` goes on until the event that is waited for."""

    toy: SpringBack | BackToy
    config: ProbeConfig = CONFIG
    references: list[Reference] = field(default_factory=list)
    forces: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.controller = ProbeController(self.config)
        self.measured = (self.toy.pose.copy(), np.zeros(6))

    def cycle(self) -> Reference:
        reference = self.controller.update(Sample(*self.measured), CYCLE)
        self.measured = self.toy.advance(reference.pose, reference.wrench)
        self.references.append(reference)
        self.forces.append(self.toy.along if isinstance(self.toy, BackToy) else self.toy.force)
        return reference

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / CYCLE)):
            self.cycle()

    def until(self, outcome: Outcome, seconds: float = 20.0) -> Event:
        for _ in range(round(seconds / CYCLE)):
            event = self.cycle().event
            if event is not None:
                assert event.outcome is outcome, event
                return event
        raise AssertionError(f"no {outcome} within {seconds} s")

    def pressed(self, force: float = 1.5, seconds: float = 3.0) -> "Rig":
        self.controller.approach(force)
        self.until(Outcome.CONTACT)
        self.wait(seconds)
        return self


def spring(back: Back = Back(), given: float = 0.0) -> Rig:  # noqa: B008
    return Rig(SpringBack(back, start(), given=given))


def test_off_mirrors_the_probe_and_feeds_nothing_forward() -> None:
    rig = spring()
    reference = rig.cycle()
    assert reference.phase is Phase.OFF
    assert np.array_equal(reference.pose, start())
    assert not reference.wrench.any()


def test_an_approach_ends_in_contact_and_the_force_is_ramped_to() -> None:
    rig = spring().pressed(1.5, seconds=4.0)
    assert rig.controller.phase is Phase.IN_CONTACT
    assert rig.references[-1].contact
    assert rig.forces[-1] == pytest.approx(1.5, abs=0.01)
    assert max(rig.forces) < 1.6


@pytest.mark.parametrize("way", [(0.02, 0.0), (0.0, -0.02), (-0.012, 0.016)])
def test_steps_over_a_curved_back_end_within_a_millimetre_in_under_2_s(way: tuple[float, float]) -> None:
    rig = spring().pressed()
    wanted = rig.toy.pose[:2, 3].copy()
    for _ in range(2):
        rig.controller.step(*way, 1.5)
        wanted += way
        cycles = len(rig.references)
        event = rig.until(Outcome.STEPPED)
        assert (len(rig.references) - cycles) * CYCLE < 2.0
        assert event.error < 0.0005
        assert rig.toy.pose[:2, 3] == pytest.approx(wanted, abs=0.001)
        rig.wait(0.5)


def test_what_the_arm_gives_way_is_made_up_for() -> None:
    rig = spring(given=0.0).pressed()
    wanted = rig.toy.pose[:2, 3] + [0.02, 0.0]
    rig.toy.given = -0.0015  # type: ignore[union-attr]
    rig.controller.step(0.02, 0.0, 1.5)
    assert rig.until(Outcome.STEPPED).error < 0.0006
    assert rig.toy.pose[:2, 3] == pytest.approx(wanted, abs=0.001)


def test_a_step_that_the_arm_cannot_end_tells_its_error() -> None:
    rig = spring().pressed()
    rig.toy.given = -0.008  # type: ignore[union-attr]
    rig.controller.step(0.02, 0.0, 1.5)
    assert rig.until(Outcome.STEPPED, 8.0).error == pytest.approx(0.005, abs=0.0005)


def test_the_beam_turns_onto_the_surface_and_the_image_plane_keeps_its_direction() -> None:
    back = Back()
    rig = spring(back).pressed()
    for _ in range(3):
        rig.controller.step(0.0, 0.02, 1.5)
        rig.until(Outcome.STEPPED)
        rig.wait(1.0)
    beam = rig.references[-1].pose[:3, 2]
    assert beam[1] < -math.sin(10.0 / DEGREES)
    assert math.acos(beam[2]) <= CONFIG.surface.tilt_limit + 1e-9
    # x of the probe lies in the transverse plane still: no part along the spine.
    assert abs(rig.references[-1].pose[0, 0]) < 0.02


def test_what_moves_the_set_point_along_a_tilted_beam_leaves_the_place() -> None:
    rig = spring().pressed()
    for _ in range(2):
        rig.controller.step(0.0, 0.02, 1.5)
        rig.until(Outcome.STEPPED)
        rig.wait(1.0)
    place, sunk = rig.toy.pose[:2, 3].copy(), float(rig.references[-1].pose[2, 3])
    for bias in (-0.8, -1.6):
        rig.toy.bias = bias  # type: ignore[union-attr]
        rig.wait(3.0)
    # Gravity pulls at the arm; the set point went 5 mm deeper for it, along the beam.
    assert rig.references[-1].pose[2, 3] - sunk > 0.004
    assert rig.toy.pose[:2, 3] == pytest.approx(place, abs=0.0003)
    assert rig.forces[-1] == pytest.approx(1.5, abs=0.02)


def test_a_retraction_lifts_along_the_beam_then_straight_to_the_clearance() -> None:
    rig = spring().pressed()
    for _ in range(2):
        rig.controller.step(0.0, 0.02, 1.5)
        rig.until(Outcome.STEPPED)
        rig.wait(1.0)
    skin, beam = float(rig.toy.pose[2, 3]), rig.references[-1].pose[:3, 2]
    first = len(rig.references)
    rig.controller.retract()
    rig.until(Outcome.RETRACTED)
    path = np.array([reference.pose[:3, 3] for reference in rig.references[first:]])
    assert not any(reference.wrench.any() for reference in rig.references[first:])
    assert path[-1, 2] == pytest.approx(skin - CONFIG.clearance, abs=1e-4)
    early = np.diff(path[10:20], axis=0).mean(axis=0)
    assert early / np.linalg.norm(early) == pytest.approx(-beam, abs=0.03)
    late = np.diff(path[-80:-40], axis=0).mean(axis=0)
    assert late / np.linalg.norm(late) == pytest.approx([0.0, 0.0, -1.0], abs=0.01)
    assert rig.controller.phase is Phase.HOLDING


def test_hold_stops_a_step_in_contact_and_an_approach_in_the_air() -> None:
    rig = spring()
    rig.controller.approach(1.0)
    rig.wait(0.3)
    rig.controller.hold()
    rig.wait(0.5)
    assert rig.controller.phase is Phase.HOLDING
    assert np.array_equal(rig.references[-1].pose, rig.references[-2].pose)
    rig.pressed()
    rig.controller.step(0.0, 0.02, 1.5)
    rig.wait(0.5)
    rig.controller.hold()
    y = float(rig.toy.pose[1, 3])
    rig.wait(1.0)
    assert rig.controller.phase is Phase.IN_CONTACT
    assert y < rig.toy.pose[1, 3] < y + 0.004
    assert rig.forces[-1] == pytest.approx(1.5, abs=0.02)


def test_over_an_edge_the_step_waits_the_feed_forward_goes_and_the_search_is_given_up() -> None:
    rig = spring(Back(edge=0.01)).pressed()
    rig.controller.step(0.02, 0.0, 1.5)
    event = rig.until(Outcome.LOST)
    assert event.reason == "no contact within 10 mm"
    assert rig.controller.phase is Phase.HOLDING
    assert not rig.references[-1].wrench.any()
    # It stopped soon after the edge rather than at the end of the step.
    assert rig.toy.pose[0, 3] < 0.018


def test_commands_that_do_not_fit_are_refused() -> None:
    rig = spring()
    for phase in ("off", "approaching"):
        with pytest.raises(CommandError, match=f"step while {phase}"):
            rig.controller.step(0.02, 0.0, 1.0)
        rig.controller.approach(1.0)
    rig.pressed()
    with pytest.raises(CommandError, match="approach while in contact"):
        rig.controller.approach(1.0)
    with pytest.raises(CommandError, match="not finite"):
        rig.controller.step(math.nan, 0.0, 1.0)
    with pytest.raises(CommandError, match="at most 2 N"):
        rig.controller.step(0.0, 0.0, 2.5)
    assert rig.controller.phase is Phase.IN_CONTACT
    rig.controller.step(0.02, 0.0, 1.0)
    with pytest.raises(CommandError, match="one step at a time"):
        rig.controller.step(0.02, 0.0, 1.0)


def test_samples_that_are_no_sample_are_refused() -> None:
    controller = ProbeController(CONFIG)
    controller.hold()
    with pytest.raises(CommandError, match="not finite"):
        controller.update(Sample(np.full((4, 4), np.nan), np.zeros(6)), CYCLE)
    upside_down = np.diag([1.0, -1.0, -1.0, 1.0])
    with pytest.raises(CommandError, match="180 degrees from z"):
        controller.update(Sample(upside_down, np.zeros(6)), CYCLE)


Call = Callable[[ProbeController], None]
FORCES = st.floats(0.2, 2.0)
WAYS = st.floats(-0.02, 0.02)
CALLS: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda force: lambda controller: controller.approach(force), FORCES),
    st.builds(lambda dx, dy, force: lambda controller: controller.step(dx, dy, force), WAYS, WAYS, FORCES),
    st.just(ProbeController.retract),
    st.just(ProbeController.hold),
)


ON_A_FLANK: list[tuple[Call, int]] = [
    (ProbeController.retract, 37),
    (lambda controller: controller.approach(1.0), 146),
    (lambda controller: controller.step(0.0, 0.015625, 1.0), 130),
    (ProbeController.hold, 268),
]
"""Ends a turn along the limit of the tilt, from which the beam came 0.002 degrees further out once."""


@settings(deadline=None, max_examples=25)
@example(calls=ON_A_FLANK, seed=84)
@given(calls=st.lists(st.tuples(CALLS, st.integers(1, 300)), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_the_set_point_never_jumps_whatever_is_asked_for_and_measured(calls: list[tuple[Call, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rig = spring(Back(sway=breathing, edge=0.02))
    rig.cycle()
    velocity = np.zeros(3)
    for call, cycles in calls:
        with suppress(CommandError):
            call(rig.controller)
        for _ in range(cycles):
            pose, wrench = rig.measured
            jump = rng.normal(0.0, 0.002, 3) * (rng.random() < 0.05)
            pose[:3, 3] += jump
            rig.measured = (pose, wrench + rng.normal(0.0, 2.0, 6))
            before = rig.references[-1].pose[:3, :3]
            if rig.references[-1].phase is Phase.OFF:
                # The first command takes the probe from where it is then.
                position = pose[:3, 3].copy()
            reference = rig.cycle()
            if reference.phase is Phase.OFF:
                continue
            moved = (reference.pose[:3, 3] - position) / CYCLE
            assert np.linalg.norm(moved) <= CONFIG.motion.speed * (1 + 1e-6)
            assert np.linalg.norm(moved - velocity) <= CONFIG.motion.acceleration * CYCLE * (1 + 1e-6)
            turned = math.acos(min(1.0, (np.trace(before.T @ reference.pose[:3, :3]) - 1.0) / 2.0))
            assert turned <= CONFIG.motion.tilt_speed * CYCLE * 1.01 + 1e-7
            assert math.acos(min(1.0, reference.pose[2, 2])) <= CONFIG.surface.tilt_limit + 1e-6
            assert 0.0 <= reference.wrench[2] <= 2.0
            position, velocity = reference.pose[:3, 3], moved


@given(x=st.floats(-0.7, 0.7), y=st.floats(-0.7, 0.7))
def test_the_rotation_onto_a_beam_is_one_and_turns_no_further(x: float, y: float) -> None:
    beam = np.array([x, y, 1.0]) / math.hypot(x, y, 1.0)
    rotation = rotation_onto(beam)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert rotation[:, 2] == pytest.approx(beam)
    angle = math.acos(min(1.0, (np.trace(rotation) - 1.0) / 2.0))
    assert angle == pytest.approx(math.acos(min(1.0, beam[2])), abs=1e-6)


def test_a_set_point_begins_at_its_pose() -> None:
    tilted = np.eye(4)
    tilted[:3, :3] = rotation_onto(np.array([0.2, -0.1, math.sqrt(1 - 0.05)])) @ start()[:3, :3]
    assert PoseSetPoint(tilted, MotionConfig()).pose == pytest.approx(tilted, abs=1e-12)


def sway(time: float) -> float:
    """Of a body that breathes and once moves towards the probe."""
    return breathing(time, 0.001) + 0.5 * person(time, 4.0)


def trace(config: ProbeConfig) -> Array:
    """Set points (cycles, 3) of an approach, two steps on an arm that gives way, and a retraction."""
    rig = Rig(SpringBack(Back(sway=sway), start(), given=0.0), config)
    rig.controller.approach(1.5)
    script: Iterator[tuple[float, float, Call]] = iter(
        [
            (2.0, -0.002, lambda controller: controller.step(0.0, 0.02, 1.5)),
            (4.6, -0.006, lambda controller: controller.step(0.0, 0.02, 1.0)),
            (7.4, -0.006, ProbeController.retract),
        ]
    )
    at, given, call = next(script)
    for cycle in range(round(9.0 / CYCLE)):
        if cycle * CYCLE >= at:
            call(rig.controller)
            rig.toy.given = given  # type: ignore[union-attr]
            at, given, call = next(script, (math.inf, 0.0, ProbeController.hold))
        rig.cycle()
    return np.array([[*reference.pose[:3, 3], *reference.pose[:2, 2]] for reference in rig.references])


PARAMETERS = [
    *[("lateral", item.name) for item in fields(LateralConfig)],
    *[("motion", item.name) for item in fields(MotionConfig)],
    *[("force", "gain"), ("surface", "tilt_limit")],
    *[("", name) for name in ("retract_speed", "retract_deceleration", "lift", "clearance")],
]
FACTORS = {
    ("lateral", "speed"): 0.7,
    ("lateral", "dwell"): 5.0,
    ("motion", "speed"): 0.3,
    ("motion", "acceleration"): 0.05,
    ("surface", "tilt_limit"): 0.2,
}


@pytest.fixture(scope="module")
def usual() -> Array:
    return trace(CONFIG)


@pytest.mark.parametrize(("part", "name"), PARAMETERS)
def test_every_parameter_takes_effect(usual: Array, part: str, name: str) -> None:
    inner = getattr(CONFIG, part) if part else CONFIG
    changed = replace(inner, **{name: FACTORS.get((part, name), 0.5) * getattr(inner, name)})
    config = replace(CONFIG, **{part: changed}) if part else changed
    assert np.abs(trace(config) - usual).max() > 1e-5


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (LateralConfig(), {"speed": 0.03}, "speed is 0.03 m/s; at most 0.02 m/s"),
        (LateralConfig(), {"dwell": 0.0}, "dwell is 0.0; expected a number above 0"),
        (LateralConfig(), {"halt": 0.2}, "halt is 0.2 N; expected above calm, 0.2 N"),
        (LateralConfig(), {"far": 0.002}, "far is 0.002 m; expected above behind, 0.002 m"),
        (MotionConfig(), {"acceleration": math.inf}, "acceleration is inf"),
        (CONFIG, {"clearance": -0.01}, "clearance is -0.01"),
    ],
)
def test_a_wrong_configuration_is_refused(part: object, change: dict[str, float], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        replace(part, **change)  # type: ignore[type-var]


def flank() -> Back:
    """A steep back: 37 degrees to the side 45 mm off its top."""
    return Back(radius_x=0.06)


def over_the_flank(config: ProbeConfig, x: float, dx: float, tissue: float, mass: float) -> tuple[Array, float]:
    """Forces [N] of a step at 1 N over a flank that an upright beam was put on, and how long that took [s]."""
    toy = BackToy(Arm(tissue, mass), flank(), (x, 0.0, flank().depth(x, 0.0, 0.0) - 0.002))
    rig = Rig(toy, replace(config, motion=MotionConfig(tilt_speed=math.radians(1.5), tilt_acceleration=0.06)))
    rig.pressed(1.0, 1.0)
    first = len(rig.forces)
    rig.controller.step(dx, 0.0, 1.0)
    assert rig.until(Outcome.STEPPED, 4.0).error < 0.0005
    forces = np.array(rig.forces[first:])
    return forces, len(forces) * CYCLE


@pytest.mark.parametrize(("tissue", "mass"), [(200.0, 3.0), (5000.0, 12.4)])
def test_up_a_flank_that_nobody_knew_of_a_step_slows_and_keeps_its_force(tissue: float, mass: float) -> None:
    x, dx = -0.045, 0.02
    forces, seconds = over_the_flank(CONFIG, x, dx, tissue, mass)
    heedless = replace(CONFIG, lateral=replace(CONFIG.lateral, calm=100.0, halt=200.0))
    forces_heedless, _ = over_the_flank(heedless, x, dx, tissue, mass)
    errors, errors_heedless = np.abs(forces - 1.0), np.abs(forces_heedless - 1.0)
    assert errors.max() < errors_heedless.max() - 0.1
    assert np.sqrt(np.mean(errors**2)) < 0.8 * np.sqrt(np.mean(errors_heedless**2))
    assert forces.max() < 2.4
    assert seconds < 3.6


def test_the_pace_falls_at_once_with_the_force_and_recovers_slowly() -> None:
    config = LateralConfig(calm=0.2, halt=0.6, recovery=1.0)
    pace = Pace(config)
    assert pace.update(0.2, 0.0, CYCLE) == 1.0
    assert pace.update(0.4, 0.0, CYCLE) == pytest.approx(0.5)
    assert pace.update(5.0, 0.0, CYCLE) == 0.0
    recovering = [pace.update(0.0, 0.0, CYCLE) for _ in range(round(1.1 / CYCLE))]
    assert np.diff([0.0, *recovering]).max() <= config.recovery * CYCLE + 1e-12
    assert recovering[-1] == 1.0


def test_where_the_force_falls_the_pace_stays() -> None:
    """Over an edge a step goes on and loses the contact; slowed, it would climb down in contact."""
    assert Pace(LateralConfig()).update(-5.0, 0.0, CYCLE) == 1.0


def test_a_step_slows_for_a_probe_that_is_held_up_but_does_not_wait_for_ever() -> None:
    config = LateralConfig(behind=0.002, far=0.005)
    paces = [Pace(config).update(0.0, behind, CYCLE) for behind in (0.001, 0.0035, 0.005, 0.1)]
    assert paces == pytest.approx([1.0, 0.5, 0.3, 0.3])
    lateral, held = Lateral(np.zeros(2), config), np.zeros(3)
    lateral.step(np.array([0.02, 0.0]))
    cycles, most = 0, round(DEADLINES[State.STEPPING] / CYCLE)
    while cycles < most and not lateral.ended(held, CYCLE):
        lateral.update(held, held, True, 0.0, CYCLE)
        cycles += 1
    assert 4.0 / CYCLE < cycles < most
    assert lateral.error(held) == pytest.approx(0.02)


@pytest.mark.parametrize(("tissue", "mass"), [(200.0, 8.0), (5000.0, 3.0)])
@pytest.mark.parametrize("breath", [still, lambda time: breathing(time, 0.0015)])
def test_on_an_arm_with_mass_friction_noise_and_delay(
    tissue: float, mass: float, breath: Callable[[float], float]
) -> None:
    toy = BackToy(Arm(tissue, mass), Back(sway=breath))
    rig = Rig(toy).pressed()
    wanted, stepping = toy.position[:2].copy(), []
    for way in [(0.0, 0.02), (0.0, 0.02), (0.02, 0.0)]:
        rig.controller.step(*way, 1.5)
        wanted += way
        first = len(rig.references)
        rig.until(Outcome.STEPPED, 3.0)
        assert toy.position[:2] == pytest.approx(wanted, abs=0.001)
        stepping += rig.forces[first:]
        places = [reference.pose[:2, 3] for reference in rig.references[first:]]
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 1.5 * MAX_SPEED * CYCLE
    assert float(np.sqrt(np.mean((np.array(stepping) - 1.5) ** 2))) < 0.3
    assert max(rig.forces) < 2.5
