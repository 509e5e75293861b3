"""The baselines by known answers: what they do, what they reach, and that the oracle is the limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.envs.tables import GridTables, goal_distances
from us_grid_sim.geometry import BINS, COLUMNS, Action, Bin
from us_nav_agent.evaluation.metrics import measure, shortest_moves
from us_nav_agent.evaluation.scripted import BASELINES, run_baseline
from us_nav_agent.rollout import MAX_ACTIONS, Runs, walk

GOALS = (Bin(5, 2), Bin(5, 3))


def bins_of(runs: Runs, start: Bin) -> list[tuple[int, int]]:
    """Row and column of each bin of a run on the first subject."""
    path = runs.path[0, start.state]
    return [divmod(int(state), COLUMNS) for state in path[path >= 0]]


# --- oracle -------------------------------------------------------------------------------------------------------


def test_the_oracle_takes_the_shortest_way_and_stops() -> None:
    runs = run_baseline("oracle", [GOALS], seed=0)
    assert runs.reached.all()
    np.testing.assert_array_equal(runs.actions[0], shortest_moves(GOALS) + 1)
    np.testing.assert_array_equal(runs.correct, runs.actions)


def test_each_subject_has_goals_of_its_own() -> None:
    other = (Bin(0, 14),)
    runs = run_baseline("oracle", [GOALS, other], seed=0)
    np.testing.assert_array_equal(runs.actions[0], shortest_moves(GOALS) + 1)
    np.testing.assert_array_equal(runs.reached[1], shortest_moves(other) <= MAX_ACTIONS - 1)


def test_the_oracle_misses_a_goal_20_moves_away() -> None:
    goals = (Bin(0, 0),)
    runs = run_baseline("oracle", [goals], seed=0)
    np.testing.assert_array_equal(runs.reached[0], shortest_moves(goals) <= 19)
    assert (runs.actions[0, Bin(10, 10).state], runs.state[0, Bin(10, 10).state]) == (20, 0)  # there, without a stop


def test_beside_a_ragged_goal_the_oracles_way_is_not_all_correct() -> None:
    """From bin 5,3 to goals at 4,3 and 5,0 the paper's distance is 0: the move cannot shorten it."""
    goals, start = (Bin(4, 3), Bin(5, 0)), Bin(5, 3)
    assert goal_distances(goals)[start.state] == 0
    runs = run_baseline("oracle", [goals], seed=0)
    assert bins_of(runs, start) == [(5, 3), (4, 3)]
    assert (runs.actions[0, start.state], runs.correct[0, start.state]) == (2, 1)


some_goals = st.sets(st.builds(Bin, st.integers(0, 10), st.integers(0, 14)), min_size=1, max_size=6).map(tuple)


@settings(deadline=None, max_examples=30)
@given(goals=some_goals, seed=st.integers(0, 9))
def test_nothing_beats_the_oracle(goals: tuple[Bin, ...], seed: int) -> None:
    limit = measure(run_baseline("oracle", [goals], seed), [goals])
    assert limit["path_efficiency"] == 1
    for name in BASELINES:
        found = measure(run_baseline(name, [goals], seed), [goals])
        assert found["reachability"] <= limit["reachability"]
        assert found["spl"] <= limit["spl"]


# --- sweep --------------------------------------------------------------------------------------------------------


def test_the_sweep_goes_to_and_fro_from_where_it_stands() -> None:
    """Even rows towards cranial, odd rows towards caudal, a row down at each end."""
    runs = run_baseline("sweep", [(Bin(10, 14),)], seed=0)
    cranial, caudal = [(0, column) for column in range(10, 15)], [(1, column) for column in range(14, -1, -1)]
    assert bins_of(runs, Bin(0, 10)) == [*cranial, *caudal, (2, 0)]
    assert bins_of(runs, Bin(3, 1)) == [(3, 1), (3, 0), *[(4, column) for column in range(15)], *_row(5, 14, 11)]


def _row(row: int, first: int, last: int) -> list[tuple[int, int]]:
    return [(row, column) for column in range(first, last - 1, -1)]


def test_at_its_end_the_sweep_turns_back() -> None:
    runs = run_baseline("sweep", [(Bin(0, 0),)], seed=0)
    back = [(10, column) for column in range(14, -1, -1)]
    assert bins_of(runs, Bin(10, 13)) == [(10, 13), *back, (9, 0), (9, 1), (9, 2), (9, 3), (9, 4)]


def test_the_sweep_stops_at_the_first_goal_bin_that_it_comes_to() -> None:
    runs = run_baseline("sweep", [GOALS], seed=0)
    start = Bin(4, 12)
    assert bins_of(runs, start) == [(4, 12), (4, 13), (4, 14), *_row(5, 14, 3)]
    assert (runs.actions[0, start.state], runs.reached[0, start.state]) == (15, True)


def test_the_sweep_reaches_the_goal_where_it_comes_by_within_19_moves() -> None:
    """From 19 bins before the first goal bin to it, and from the second; never without being there."""
    runs = run_baseline("sweep", [GOALS], seed=0)
    before = {(5, column) for column in range(3, 15)} | {(4, column) for column in range(7, 15)}
    assert {divmod(int(state), COLUMNS) for state in np.flatnonzero(runs.reached[0])} == before | {(5, 2)}
    np.testing.assert_array_equal(runs.stopped, runs.reached)


# --- random walk --------------------------------------------------------------------------------------------------


def test_the_random_walk_takes_each_action_equally_often() -> None:
    """20 subjects, 3300 first actions: each a fifth, within four standard deviations."""
    away = (Bin(0, 0),)
    runs = run_baseline("random", [away] * 20, seed=0)
    inner = np.array([0 < row < 10 and 0 < column < 14 for row, column in (divmod(s, COLUMNS) for s in range(BINS))])
    first = np.where(runs.path[:, inner, 1] < 0, 0, runs.path[:, inner, 1] - runs.path[:, inner, 0])
    counts = {step: int((first == step).sum()) for step in (-COLUMNS, COLUMNS, -1, 1, 0)}
    assert sum(counts.values()) == first.size
    for count in counts.values():
        assert count / first.size == pytest.approx(1 / len(Action), abs=4 * np.sqrt(0.2 * 0.8 / first.size))


def test_the_random_walk_follows_from_its_seed() -> None:
    paths = [run_baseline("random", [GOALS], seed).path for seed in (1, 1, 2)]
    np.testing.assert_array_equal(paths[0], paths[1])
    assert (paths[0] != paths[2]).any()


# --- all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_looks_at_no_frame(name: str) -> None:
    """The same runs, whatever frames the bins are said to have."""
    blind = run_baseline(name, [GOALS], seed=0)
    tables = GridTables(
        np.zeros((7, 2, 2), dtype=np.uint8),
        np.arange(BINS * 5).reshape(1, BINS, 5) % 7,
        ((0, GOALS),),
        np.array([0]),
        goal_distances(GOALS)[None],
        (shortest_moves(GOALS) == 0)[None],
    )
    np.testing.assert_array_equal(walk(BASELINES[name]([GOALS], 0), tables, 0).path, blind.path)
