"""A recording's timeline: any moment of it is shown as if one had looked from the beginning, and costs little."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.console_feed import decision, probe
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.console.model import ConsoleModel, Snapshot
from us_nav_agent.console.records import DiagnosticSeen, GoalsSeen, JointsSeen, Level, ProbeSeen, Record
from us_nav_agent.console.series import SPACING
from us_nav_agent.console.timeline import Timeline

RATE = 40
"""States a second: more than the curves have samples."""


@cache
def session(seed: int, seconds: float) -> list[tuple[float, Record]]:
    """A probe that walks about, its states, joints and nodes; goals are told once, one node falls silent."""
    rng, place, told = random.Random(seed), Bin(5, 7), []
    told.append((0.0, GoalsSeen("Virtual029", "sacrum", (Bin(5, 3),))))
    step = 0
    for count in range(int(seconds * RATE)):
        now = count / RATE
        stamp = round(now * 1e9)
        told.append((now, probe(place, stamp, step)))
        told.append((now, JointsSeen(("A1",), (now,))))
        if count % RATE == 0:
            told.append((now, DiagnosticSeen("bridge" if now > 20.0 else "silent", Level.OK, f"{now}", "", ())))
        if rng.random() < 0.02:
            action = rng.choice(list(Action))
            told.append((now, decision(step, action, stamp - rng.randrange(30_000_000), rng.random())))
            step = 0 if action is Action.STOP else step + 1
            place = place.moved(action)
    return told


def shown(model: ConsoleModel, now: float) -> Snapshot:
    return model.snapshot(now)[0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 3), position=st.floats(0.0, 60.0))
def test_a_jump_is_as_if_one_had_looked_from_the_beginning(seed: int, position: float) -> None:
    timeline, watched, jumped = Timeline(), ConsoleModel(), ConsoleModel()
    for when, record in session(seed, 60.0):
        timeline.add(when, record)
        if when <= position:
            watched.take(record, when)
    before, begin = timeline.leading_to(position)
    for when, record in [*before, *timeline.between(begin, position)]:
        jumped.take(record, when)
    one, other = shown(watched, position), shown(jumped, position)
    assert (other.path, other.values, other.goals) == (one.path, one.values, one.goals)
    assert other.decision == one.decision and other.diagnostics == one.diagnostics
    assert other.probe and one.probe and other.probe.record.bin == one.probe.record.bin
    assert other.probe.age <= one.probe.age + SPACING
    # Told by the recording, which holds no answers of the action.
    assert (other.run.words == "") == (other.decision is None)


def test_states_are_sampled_and_changes_never_left_out() -> None:
    timeline = Timeline()
    for count in range(100):
        timeline.add(count * 1e-3, probe(Bin(5, 5), count))
    assert len(timeline.between(-1.0, 1.0)) == 2
    timeline.add(0.1, probe(Bin(5, 5), 100))
    timeline.add(0.101, probe(Bin(5, 4), 101))
    timeline.add(0.102, probe(Bin(5, 4), 102))
    (_, last) = timeline.between(-1.0, 1.0)[-1]
    assert isinstance(last, ProbeSeen) and last.stamp_ns == 101


@pytest.mark.parametrize("position", [60.0, 240.0])
def test_a_jump_costs_the_same_wherever_it_goes(position: float) -> None:
    """What is told grows with the decisions of the run and with the curves' window, not with the recording."""
    timeline = Timeline()
    timeline.add(0.0, decision(0, Action.LEFT, 0))
    for count in range(int(position * RATE)):
        timeline.add(count / RATE, probe(Bin(5, 5), count))
    before, begin = timeline.leading_to(position)
    assert len(before) + len(timeline.between(begin, position)) < 32.0 / SPACING
