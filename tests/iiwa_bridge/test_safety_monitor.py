"""The monitor: each limit is broken by its fault and by nothing else, in its time, and NaN breaks them all."""

import dataclasses
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.robot import ConnectionQuality, ControlMode, DriveState, RobotState, SafetyState, SessionState
from iiwa_bridge.safety.limits import JointRange, MonitorLimits, Workspace
from iiwa_bridge.safety.monitor import Monitor, Violation
from iiwa_bridge.safety.readings import Reaction, Sample, SpeedWindow
from support.robot_states import robot_state

PERIOD = 0.005
LIMITS = MonitorLimits()
JOINTS = JointRange(
    lower=np.radians([-170.0, -120, -170, -120, -170, -120, -175]),
    upper=np.radians([170.0, 120, 170, 120, 170, 120, 175]),
    velocity=np.radians([98.0, 98, 100, 130, 140, 180, 180]),
)
END = float(JOINTS.upper[6])
START = np.array([0.1, 0.5, 0.0, -1.2, 0.0, 0.7, END - 0.06])
NOISE = np.random.default_rng(0).normal(0.0, 0.05, (64, 7))


def state(cycle: int) -> RobotState:
    """A robot at rest in contact, whose torque sensors have noise."""
    return robot_state(START, quality=ConnectionQuality.GOOD, external_torque=NOISE[cycle % len(NOISE)])


Fault = Callable[[Sample, float], Sample]
"""What becomes of a good sample so long [s] after the fault began."""


def run(fault: Fault, seconds: float = 1.0, limits: MonitorLimits = LIMITS) -> tuple[list[float], list[Violation]]:
    """Half a second of good cycles, then the fault: when something was broken, from its beginning, and by what."""
    monitor = Monitor(limits, JOINTS, Workspace())
    times, found = [], []
    for cycle in range(-100, round(seconds / PERIOD)):
        now = 100.0 + cycle * PERIOD
        sample = Sample(state(cycle), np.eye(4), np.array([0.1, 0.0, 1.5, 0.0, 0.0, 0.0]), now, now, now, True)
        if cycle < 0:
            assert monitor.check(sample, now) == ()
            continue
        for violation in monitor.check(fault(sample, cycle * PERIOD), now):
            times.append(cycle * PERIOD)
            found.append(violation)
    return times, found


def of_state(**changes: Any) -> Fault:
    return lambda sample, _: dataclasses.replace(sample, state=dataclasses.replace(sample.state, **changes))


def of_sample(**changes: Any) -> Fault:
    return lambda sample, _: dataclasses.replace(sample, **changes)


def wrench(*values: float) -> Fault:
    return of_sample(wrench=np.array(values))


def place(*values: float) -> Fault:
    pose = np.eye(4)
    pose[:3, 3] = values
    return of_sample(tool=pose)


def drift(*velocity: float) -> Fault:
    """The tool moves at this velocity in the patient frame [m/s]."""

    def moved(sample: Sample, since: float) -> Sample:
        pose = np.eye(4)
        pose[:3, 3] = np.array(velocity) * since
        return dataclasses.replace(sample, tool=pose)

    return moved


def turning(speed: float) -> Fault:
    """A7 turns at this speed [rad/s]; it stands 0.06 rad before its end."""

    def moved(sample: Sample, since: float) -> Sample:
        position = START + speed * since * np.eye(7)[6]
        return of_state(position=position, commanded=position)(sample, since)

    return moved


AWAY, HOLD, STOP = Reaction.RETRACT, Reaction.HOLD, Reaction.STOP
FAULTS = [
    # What happens, the limit, what is to be done, and after how long [s].
    (wrench(0.0, 0.0, 5.1, 0.0, 0.0, 0.0), "force", AWAY, 0.0),
    (wrench(0.0, 0.0, -5.1, 0.0, 0.0, 0.0), "force", AWAY, 0.0),
    (wrench(0.0, 0.0, 3.1, 0.0, 0.0, 0.0), "force_warning", HOLD, 0.3),
    (wrench(3.6, 3.6, 1.5, 0.0, 0.0, 0.0), "lateral_force", AWAY, 0.05),
    (wrench(0.0, 0.0, 1.5, 0.8, 0.0, -0.8), "torque", AWAY, 0.05),
    # Over 0.1 s: 0.02 m/s has covered 1.5 mm after 75 ms, 0.04 m/s 3 mm likewise.
    (drift(0.0, 0.0, 0.020), "approach_speed", STOP, 0.08),
    (drift(0.024, 0.032, 0.0), "lateral_speed", STOP, 0.08),
    (turning(-0.8), "joint_velocity", STOP, 0.08),
    (drift(0.0, 0.0, -1.0), "outside", STOP, 0.275),
    (turning(0.5), "joint_margin", STOP, 0.05),
    (of_state(commanded=START + 0.11), "tracking_error", STOP, 0.1),
    (of_state(external_torque=np.zeros(7)), "frozen_cycles", STOP, 19 * PERIOD),
    (of_state(session=SessionState.COMMANDING_WAIT), "session", STOP, 0.0),
    (of_state(quality=ConnectionQuality.FAIR), "quality", STOP, 0.0),
    (of_state(safety=SafetyState.STOP_LEVEL_1), "safety", STOP, 0.0),
    (of_state(drive=DriveState.TRANSITIONING), "drive", STOP, 0.0),
    (of_state(control=ControlMode.POSITION), "control", STOP, 0.0),
    (of_sample(received=100.0), "state_age", STOP, 0.105),
    (of_sample(sent=100.0), "command_age", STOP, 0.105),
    (of_sample(frame=100.0), "frame_age", HOLD, 0.505),
    (of_sample(refused="position holds nan at 2"), "refused", STOP, 0.0),
]


@pytest.mark.parametrize(
    ("fault", "name", "reaction", "after"), FAULTS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_each_fault_breaks_its_limit_first_in_its_time(
    fault: Fault, name: str, reaction: Reaction, after: float
) -> None:
    times, found = run(fault)
    assert (found[0].name, found[0].reaction) == (name, reaction)
    assert times[0] == pytest.approx(after, abs=PERIOD + 1e-9)
    assert not found[0].value <= found[0].limit
    assert 100.0 <= found[0].since <= 100.0 + times[0]
    assert "\n" not in found[0].text


KEPT = [
    wrench(0.0, 0.0, 2.9, 0.0, 0.0, 0.0),
    wrench(3.4, 3.4, 1.5, 0.6, 0.0, 0.6),
    drift(0.0, 0.028, 0.0),
    drift(0.0, 0.0, 0.014),
    drift(0.0, 0.0, -0.2),
    turning(-0.55),
    of_state(position=START + 0.024),
    place(0.169, -0.129, 0.079),
    of_state(commanded=START - 0.09),
    of_state(quality=ConnectionQuality.EXCELLENT),
    of_sample(frame=None),
    lambda sample, _: dataclasses.replace(sample, received=sample.received - 0.09, sent=sample.sent - 0.09),
]


@pytest.mark.parametrize("number", range(len(KEPT)))
def test_what_is_within_the_limits_breaks_none(number: int) -> None:
    # Jumps to a place count as a speed over the window: only what comes after it is looked at here.
    times, found = run(KEPT[number])
    assert [one for time, one in zip(times, found, strict=True) if time > 2.0 * LIMITS.speed_window] == []


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("force", "force 5.1 N, at most 5"),
        ("joint_margin", "A7 is within 0.0349 rad of the end of its range"),
        ("quality", "quality FAIR, expected GOOD or better"),
        ("frozen_cycles", "external torque the same to the bit in 20 states; the sensor or the controller is frozen"),
        ("refused", "command refused: position holds nan at 2"),
    ],
)
def test_the_text_says_what_was_read_and_what_would_be_right(limit: str, text: str) -> None:
    fault = next(fault for fault, name, *_ in FAULTS if name == limit)
    assert run(fault)[1][0].text == text


def test_what_lasts_shorter_than_its_time_breaks_nothing_and_starts_anew() -> None:
    high, low = np.array([0.0, 0.0, 3.5, 0, 0, 0]), np.array([0.0, 0.0, 1.5, 0, 0, 0])

    def knocking(sample: Sample, since: float) -> Sample:
        return dataclasses.replace(sample, wrench=low if since % 0.25 < PERIOD else high)

    assert run(knocking) == ([], [])


def test_a_violation_says_since_when_and_ends_with_its_cause() -> None:
    def pressed(sample: Sample, since: float) -> Sample:
        return dataclasses.replace(sample, wrench=sample.wrench * (4.0 if 0.1 <= since < 0.3 else 1.0))

    times, found = run(pressed)
    assert {one.name for one in found} == {"force"}
    assert [one.since for one in found] == pytest.approx([100.1] * 40)
    assert (times[0], times[-1]) == (pytest.approx(0.1), pytest.approx(0.295))


NAN = math.nan
BLIND = [
    (wrench(0.0, 0.0, NAN, 0.0, 0.0, 0.0), {"force", "force_warning"}),
    (wrench(0.0, NAN, 1.0, 0.0, 0.0, 0.0), {"lateral_force"}),
    (wrench(0.0, 0.0, 1.0, 0.0, NAN, 0.0), {"torque"}),
    (of_sample(wrench=np.zeros(3)), {"force", "force_warning", "lateral_force", "torque"}),
    (of_sample(tool=np.eye(4) * NAN), {"outside", "approach_speed", "lateral_speed"}),
    (place(0.0, 0.0, NAN), {"outside", "approach_speed", "lateral_speed"}),
    (of_sample(tool=np.eye(3)), {"outside", "approach_speed", "lateral_speed"}),
    (of_state(position=START * NAN), {"joint_margin", "tracking_error", "joint_velocity"}),
    (of_state(position=np.where(np.arange(7) == 3, NAN, START)), {"joint_margin", "tracking_error", "joint_velocity"}),
    (of_state(position=START[:6]), {"joint_margin", "tracking_error", "joint_velocity"}),
    (of_state(commanded=START * NAN), {"tracking_error"}),
    (of_sample(sent=NAN), {"command_age"}),
    (of_sample(frame=NAN), {"frame_age"}),
    (of_sample(received=NAN), {"state_age"}),
    (of_sample(sent=1e6), {"command_age"}),
]


@pytest.mark.parametrize(("fault", "names"), BLIND, ids=["-".join(sorted(names)) for _, names in BLIND])
def test_what_cannot_be_told_breaks_its_limit_at_once(fault: Fault, names: set[str]) -> None:
    times, found = run(fault, seconds=PERIOD)
    assert names <= {one.name for one in found}
    assert set(times) == {0.0}


@pytest.mark.parametrize("wrong", [50.0, math.nan])
def test_a_clock_that_jumps_back_or_tells_nothing_tells_no_speed_until_its_window_is_over(wrong: float) -> None:
    window = SpeedWindow(0.1)
    times = [1.0, 1.05, 1.1, wrong - 50.0, 1.15, 1.2, 1.25, 1.3, 1.35]
    speeds = [window.add(time, np.array([time, 0.0, 0.0]), START)[0][0] for time in times]
    assert math.isnan(speeds[3])
    assert speeds[:3] == [0.0, pytest.approx(1.0), pytest.approx(1.0)]
    assert speeds[-2:] == pytest.approx([1.0, 1.0])


def test_a_state_that_is_looked_at_for_hours_does_not_fill_the_memory() -> None:
    window, place = SpeedWindow(0.1), np.zeros(3)
    tracemalloc.start()
    for _ in range(2000):
        window.add(1.0, place, START)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000


def test_the_speed_of_a_stalled_stream_is_that_over_the_stall() -> None:
    def stalled(sample: Sample, since: float) -> Sample:
        """Every tenth state comes, 50 ms apart, of a tool at 25 mm/s."""
        told = since - since % 0.05
        pose = np.eye(4)
        pose[0, 3] = 0.025 * told
        return dataclasses.replace(sample, tool=pose, received=100.0 + told)

    assert run(stalled) == ([], [])


def test_a_state_that_is_looked_at_twice_is_no_frozen_sensor() -> None:
    monitor = Monitor(LIMITS, JOINTS, Workspace())
    sample = Sample(state(0), np.eye(4), np.zeros(6), 1.0, 1.0, None, True)
    for _ in range(100):
        assert monitor.check(sample, 1.0) == ()


def test_nothing_is_a_violation_while_nothing_is_to_move() -> None:
    """The session may be in any state, the arm may be led by hand, and an untared force means nothing."""

    def idle(fault: Fault) -> Fault:
        return lambda sample, since: dataclasses.replace(fault(sample, since), enabled=False)

    for fault, *_ in FAULTS:
        assert run(idle(fault), seconds=0.6) == ([], [])


def test_what_is_wrong_already_when_the_machine_is_enabled_is_found_at_once() -> None:
    monitor = Monitor(LIMITS, JOINTS, Workspace())
    sample = Sample(state(0), np.eye(4), np.zeros(6), 1.0, 1.0, None, False)
    for cycle in range(30):
        now = 1.0 + cycle * PERIOD
        assert monitor.check(dataclasses.replace(sample, received=now, sent=now), now) == ()
    now += PERIOD
    found = monitor.check(dataclasses.replace(sample, received=now, sent=now, enabled=True), now)
    assert [one.name for one in found] == ["frozen_cycles"]


def test_the_gravest_violation_comes_first() -> None:
    worst = of_state(drive=DriveState.OFF)
    _, found = run(lambda sample, since: worst(wrench(0, 0, 6.0, 0, 0, 0)(sample, since), since))
    assert [one.reaction for one in found[:2]] == [STOP, AWAY]
    last = [one.reaction for one in found[-3:]]
    assert last == [STOP, AWAY, HOLD]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=6, max_size=6))
def test_any_force_above_its_limit_or_unknown_retracts_in_the_same_cycle(values: list[float]) -> None:
    monitor = Monitor(LIMITS, JOINTS, Workspace())
    sample = Sample(state(0), np.eye(4), np.array(values), 1.0, 1.0, None, True)
    named = {one.name for one in monitor.check(sample, 1.0)}
    assert ("force" in named) == (not abs(values[2]) <= LIMITS.force)


@pytest.mark.parametrize("name", ["force_warning_time", "lateral_force_time", "torque_time"])
def test_the_times_of_debouncing_take_effect(name: str) -> None:
    fault = next(fault for fault, limit, *_ in FAULTS if limit == name.removesuffix("_time"))
    times, _ = run(fault, limits=dataclasses.replace(LIMITS, **{name: 0.5}))
    assert times[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "wider", "limit"),
    [
        ("force", 5.2, "force"),
        ("force_warning", 3.2, "force_warning"),
        ("lateral_force", 5.2, "lateral_force"),
        ("torque", 1.2, "torque"),
        ("approach_speed", 0.021, "approach_speed"),
        ("lateral_speed", 0.041, "lateral_speed"),
        ("joint_velocity", 0.81, "joint_velocity"),
        ("outside", 2.0, "outside"),
        ("outside_time", 2.0, "outside"),
        ("joint_margin", 0.029, "joint_margin"),
        ("tracking_error", 0.12, "tracking_error"),
        ("tracking_time", 2.0, "tracking_error"),
        ("frozen_cycles", 1000, "frozen_cycles"),
        ("state_age", 2.0, "state_age"),
        ("command_age", 2.0, "command_age"),
        ("frame_age", 2.0, "frame_age"),
    ],
)
def test_each_limit_takes_effect(name: str, wider: float, limit: str) -> None:
    fault, after = next((fault, after) for fault, broken, _, after in FAULTS if broken == limit)
    _, found = run(fault, after + 2.0 * PERIOD, dataclasses.replace(LIMITS, **{name: wider}))
    assert limit not in {one.name for one in found}


def test_another_control_mode_may_be_asked_for() -> None:
    monitor = Monitor(dataclasses.replace(LIMITS, control=ControlMode.POSITION), JOINTS, Workspace())
    sample = Sample(state(0), np.eye(4), np.zeros(6), 1.0, 1.0, None, True)
    assert [one.text for one in monitor.check(sample, 1.0)] == ["control CARTESIAN_IMPEDANCE, expected POSITION"]
    assert monitor.check(of_state(control=ControlMode.POSITION)(sample, 0.0), 1.0) == ()


def test_the_window_of_the_speeds_takes_effect() -> None:
    times, _ = run(drift(0.0, 0.0, 0.020), limits=dataclasses.replace(LIMITS, speed_window=0.4))
    assert times[0] == pytest.approx(0.3, abs=2.0 * PERIOD)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_limit_that_is_no_number_above_0_is_refused(value: float) -> None:
    for field in dataclasses.fields(MonitorLimits)[:-1]:
        with pytest.raises(IiwaBridgeError, match=field.name):
            dataclasses.replace(LIMITS, **{field.name: value})
    with pytest.raises(IiwaBridgeError, match="below force"):
        MonitorLimits(force=2.0)
