"""The bridge's loop: steps are bounded, have a deadline, stop at once, and every end has its reason."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.errors import CommandError, PlantError
from iiwa_bridge.kinematic_loop import BridgeLoop, LoopConfig
from iiwa_bridge.plants import make_plant
from iiwa_bridge.types import StepCommand, StepResult
from us_grid_sim.world.mock import MockPlant

CONFIG = LoopConfig()
MOVES = st.floats(-0.021, 0.021)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Recorded:
    """A plant that keeps what it was told, over the mock."""

    told: list[tuple[float, float, float]] = field(default_factory=list)
    extra_force: float = 0.0

    def __post_init__(self) -> None:
        self._mock = MockPlant()

    def reset(self) -> None:
        self._mock.reset()

    def step(self, x: float, y: float, force: float, duration: float):  # type: ignore[no-untyped-def]
        self.told.append((x, y, force))
        measured = self._mock.step(x, y, force, duration)
        measured.wrench[2] += self.extra_force
        return measured

    def close(self) -> None:
        self._mock.close()


def make(clock: Clock | None = None) -> tuple[BridgeLoop, Recorded, Clock]:
    plant, clock = Recorded(), clock or Clock()
    loop = BridgeLoop(plant, CONFIG, clock)
    loop.place(0.0, 0.0, 1.0)
    loop.enable()
    return loop, plant, clock


def run(loop: BridgeLoop, clock: Clock, seconds: float = 10.0) -> StepResult | None:
    for _ in range(round(seconds / CONFIG.period)):
        clock.now += CONFIG.period
        result = loop.cycle()
        if result is not None:
            return result
    return None


def test_a_step_ends_where_it_was_sent_in_contact() -> None:
    loop, _, clock = make()
    loop.begin(StepCommand(0.02, -0.01, 1.0))
    result = run(loop, clock)
    assert result is not None
    assert (result.reached, result.failed, result.reason) == (True, False, "")
    assert result.measurement.contact
    assert np.allclose(result.measurement.pose[:2, 3], [0.02, -0.01], atol=CONFIG.tolerance)
    assert loop.steps == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (StepCommand(math.nan, 0.0, 1.0), "not finite"),
        (StepCommand(0.0, math.inf, 1.0), "not finite"),
        (StepCommand(0.02, 0.0, math.nan), "not finite"),
        (StepCommand(0.04, 0.0, 1.0), r"step of 40\.0 mm; at most 30 mm"),
        (StepCommand(0.02, 0.0, 2.1), r"contact force 2\.1 N; expected above 0, at most 2 N"),
        (StepCommand(0.02, 0.0, 0.0), "contact force 0 N"),
        (StepCommand(0.02, 0.0, -1.0), "contact force -1 N"),
    ],
)
def test_what_is_not_finite_or_beyond_a_limit_is_refused(command: StepCommand, message: str) -> None:
    loop, _, _ = make()
    with pytest.raises(CommandError, match=message):
        loop.begin(command)
    assert not loop.busy


def test_steps_need_an_enabled_bridge_and_come_one_at_a_time() -> None:
    loop = BridgeLoop(Recorded(), CONFIG, Clock())
    with pytest.raises(CommandError, match="not enabled"):
        loop.begin(StepCommand(0.01, 0.0, 1.0))
    loop.enable()
    loop.begin(StepCommand(0.01, 0.0, 1.0))
    with pytest.raises(CommandError, match="another step is under way"):
        loop.begin(StepCommand(0.01, 0.0, 1.0))


def test_a_border_holds_a_step_back_without_failing_it() -> None:
    loop, _, clock = make()
    loop.place(CONFIG.half_extent[0], 0.0, 1.0)
    loop.begin(StepCommand(0.02, 0.0, 1.0))
    result = run(loop, clock)
    assert result is not None
    assert (result.reached, result.failed) == (False, False)
    assert "border" in result.reason


def test_a_step_that_does_not_arrive_fails_at_its_deadline() -> None:
    loop, _, clock = make()
    loop.begin(StepCommand(0.02, 0.0, 1.0))
    clock.now = CONFIG.step_timeout
    result = loop.cycle()
    assert result is not None
    assert result.failed
    assert result.reason.startswith("not there after 5 s")


def test_a_stop_ends_the_step_at_once_and_the_set_point_stays() -> None:
    loop, plant, clock = make()
    loop.begin(StepCommand(0.02, 0.0, 1.0))
    assert run(loop, clock, seconds=0.5) is None
    loop.stop("stopped by /probe/stop")
    result = loop.cycle()
    assert result is not None
    assert (result.failed, result.reason) == (True, "stopped by /probe/stop")
    stood = plant.told[-1]
    run(loop, clock, seconds=0.2)
    assert plant.told[-1] == stood
    with pytest.raises(CommandError, match="stopped by /probe/stop"):
        loop.begin(StepCommand(0.01, 0.0, 1.0))


def test_a_force_above_the_fault_limit_retracts_and_names_itself() -> None:
    loop, plant, clock = make()
    loop.begin(StepCommand(0.02, 0.0, 1.0))
    run(loop, clock, seconds=0.5)
    plant.extra_force = 6.0
    result = loop.cycle()
    assert result is not None
    assert result.failed
    assert "above 5 N" in result.reason
    loop.cycle()
    assert plant.told[-1][2] == 0.0, "a force of 0 retracts"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.021, 0.021), st.floats(-0.021, 0.021), st.floats(0.1, 2.0)), min_size=1, max_size=6)
)
def test_the_plant_is_never_sent_out_of_the_workspace_or_faster_than_the_limit(
    steps: list[tuple[float, float, float]],
) -> None:
    loop, plant, clock = make()
    for step in steps:
        loop.begin(StepCommand(*step))
        assert run(loop, clock) is not None
    told = np.array(plant.told[1:])
    assert (np.abs(told[:, :2]) <= np.array(CONFIG.half_extent) + 1e-9).all()
    assert (told[:, 2] <= CONFIG.max_force).all()
    moved = np.hypot(*np.diff(told[:, :2], axis=0).T)
    assert (moved <= CONFIG.speed * CONFIG.period + 1e-9).all()


def test_plants_are_found_by_name_and_an_unknown_one_names_those_there_are() -> None:
    make_plant("mock").reset()
    with pytest.raises(PlantError, match=r'no plant "robot"; installed are .*mock'):
        make_plant("robot")
