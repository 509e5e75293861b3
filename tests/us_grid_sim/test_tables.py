"""The tables say of every step what the rules of the environments say of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.rules import Rewards, Step, ends_at_stop, ends_in_goal
from us_grid_sim.envs.tables import GridTables, goal_distances
from us_grid_sim.geometry import BINS, COLUMNS, ROWS, Action, Bin, goal_distance
from us_grid_sim.preprocess import Preprocess

GOALS = (Bin(5, 1), Bin(5, 2))
UP, DOWN, LEFT, RIGHT, STOP = Action

bins = st.builds(Bin, st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))
goals_of_a_task = st.lists(bins, min_size=1, max_size=5).map(tuple)


def made_up(seed: int, frames: int = 20, goals: tuple[Bin, ...] = GOALS) -> PreprocessedGrid:
    """A subject of random frames, of which the bins have random fives."""
    rng = np.random.default_rng(seed)
    return PreprocessedGrid(
        name=f"Subject{seed}",
        goals=goals,
        bins=rng.integers(frames, size=(ROWS, COLUMNS, 5), dtype=np.int32),
        frames=rng.integers(256, size=(frames, 3, 4), dtype=np.uint8),
        indices=np.arange(frames, dtype=np.int32),
        preprocess=Preprocess(height=3, width=4),
    )


def test_the_next_state_is_that_of_the_moved_bin() -> None:
    expected = [[Bin.from_state(state).moved(action).state for action in Action] for state in range(BINS)]
    assert GridTables.next_state.tolist() == expected
    assert GridTables.next_state[Bin(0, 14).state].tolist() == [14, 29, 13, 14, 14], "up and right are held back"


def test_distances_and_goals_of_a_known_subject() -> None:
    tables = GridTables.of([made_up(0)])
    by_bin = tables.distances.reshape(ROWS, COLUMNS)
    assert by_bin[5, :5].tolist() == [1, 0, 0, 1, 2]
    assert by_bin[3, 0] == 3
    assert np.flatnonzero(tables.is_goal[0]).tolist() == [goal.state for goal in GOALS]


def test_each_bin_keeps_its_frames_in_the_bank() -> None:
    grids = [made_up(0, frames=20), made_up(1, frames=7)]
    tables = GridTables.of(grids)
    assert tables.frames.shape == (27, 3, 4)
    for bins_of_subject, grid in zip(tables.bins, grids, strict=True):
        np.testing.assert_array_equal(tables.frames[bins_of_subject], grid.frames[grid.bins].reshape(BINS, 5, 3, 4))


def test_without_tasks_each_subject_has_its_own_goals() -> None:
    grids = [made_up(0), made_up(1, goals=(Bin(0, 0),))]
    tables = GridTables.of(grids)
    assert tables.tasks == ((0, GOALS), (1, (Bin(0, 0),)))
    assert tables.subject.tolist() == [0, 1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), goals_of_a_task), min_size=1, max_size=3))
def test_a_task_is_the_subject_with_other_goals(tasks: list[tuple[int, tuple[Bin, ...]]]) -> None:
    grids = [made_up(0), made_up(1)]
    tables = GridTables.of(grids, tasks)
    alone = GridTables.of([replace(grids[subject], goals=goals) for subject, goals in tasks])
    for name in ("distances", "is_goal", "correct"):
        np.testing.assert_array_equal(getattr(tables, name), getattr(alone, name))
    np.testing.assert_array_equal(tables.frames[tables.bins[tables.subject]], alone.frames[alone.bins])


@settings(max_examples=20, deadline=None)
@given(st.lists(goals_of_a_task, min_size=1, max_size=2), st.floats(-2, 2), st.floats(-2, 2))
def test_every_entry_is_what_the_rule_says_of_the_step(
    goals: list[tuple[Bin, ...]], closer: float, border: float
) -> None:
    reward = Rewards(closer=closer, border=border)
    tables = GridTables.of([made_up(0)], [(0, one) for one in goals])
    rewards, at_stop, in_goal = tables.rewards(reward), tables.ends(ends_at_stop), tables.ends(ends_in_goal)
    assert rewards.shape == at_stop.shape == in_goal.shape == tables.correct.shape == (len(goals), BINS, 5)
    for (task, state, action), gained in np.ndenumerate(rewards):
        step = Step(Bin.from_state(state), Action(action), goals[task])
        assert gained == reward(step)
        assert tables.correct[task, state, action] == step.correct
        assert at_stop[task, state, action] == ends_at_stop(step)
        assert in_goal[task, state, action] == ends_in_goal(step)
        assert tables.distances[task, tables.next_state[state, action]] == goal_distance(step.after, step.goals)


def test_a_rule_sees_before_action_and_goals() -> None:
    tables = GridTables.of([made_up(0)])
    table = tables.rewards(lambda step: 1000 * step.before.state + 10 * step.action + len(step.goals))
    assert table[0, 37, LEFT] == 37000 + 20 + 2


def test_bins_without_a_correct_action_are_known() -> None:
    """Rows and columns are taken apart, so beside two goals on a diagonal a distance of 0 is no goal."""
    tables = GridTables.of([made_up(0)], [(0, (Bin(2, 2), Bin(3, 3)))])
    beside = Bin(2, 3).state
    assert (tables.distances[0, beside], tables.is_goal[0, beside], tables.correct[0, beside].any()) == (
        0,
        False,
        False,
    )


@settings(deadline=None)
@given(goals_of_a_task)
def test_distances_are_those_of_the_geometry(goals: tuple[Bin, ...]) -> None:
    distances = goal_distances(goals)
    assert distances.tolist() == [goal_distance(Bin.from_state(state), goals) for state in range(BINS)]


@pytest.mark.parametrize(
    ("grids", "tasks", "message"),
    [
        ([], None, "subjects is empty"),
        ([made_up(0)], [], "tasks is empty"),
        ([made_up(0)], [(0, GOALS), (1, GOALS)], "task 1 is on subject 1; subjects are 0 to 0"),
        ([made_up(0)], [(-1, GOALS)], "task 0 is on subject -1"),
        ([made_up(0)], [(0, ())], "without goal bins"),
        ([made_up(0, goals=())], None, "without goal bins"),
    ],
)
def test_wrong_arguments_are_named(grids: list[PreprocessedGrid], tasks: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GridTables.of(grids, tasks)


def test_frames_of_different_sizes_do_not_mix() -> None:
    other = replace(made_up(1), frames=np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="differ in size"):
        GridTables.of([made_up(0), other])
