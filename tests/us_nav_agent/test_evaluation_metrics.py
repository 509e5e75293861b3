"""Metrics of hand-made runs, what holds of all runs, and the bootstrap over subjects and seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.geometry import BINS, Bin, goal_distance
from us_nav_agent.evaluation.bootstrap import bootstrap_interval, summarise
from us_nav_agent.evaluation.metrics import (
    actions_to_goal,
    distance_mm,
    false_stops,
    measure,
    path_efficiency,
    policy_correctness,
    reachability,
    shortest_moves,
    success_weighted_by_path_length,
)
from us_nav_agent.evaluation.scripted import BASELINES, run_baseline
from us_nav_agent.rollout import MAX_ACTIONS, Runs

GOALS = (Bin(5, 2), Bin(5, 3))


def runs_along(ways: Mapping[Bin, Sequence[Bin]], stopped: bool = True) -> Runs:
    """Runs of one subject: those from the starts in ``ways`` visit these bins and stop there, or never stop and are
    as long as their way; all others stop where they start. None of their moves is counted as correct.
    """
    path = np.full((1, BINS, MAX_ACTIONS + 1), -1)
    path[0, :, 0] = np.arange(BINS)
    actions, stops = np.ones((1, BINS), dtype=np.int64), np.ones((1, BINS), dtype=bool)
    for start, way in ways.items():
        path[0, start.state, 1 : len(way) + 1] = [place.state for place in way]
        actions[0, start.state], stops[0, start.state] = len(way) + stopped, stopped
    ended = np.take_along_axis(path, (actions - stops)[..., None], axis=-1)[..., 0]
    reached = stops & np.isin(ended, [goal.state for goal in GOALS])
    return Runs(actions, reached.astype(np.int64), stops, reached, path)


def test_correctness_is_the_mean_of_ratios_and_not_the_ratio_of_sums() -> None:
    path = np.zeros((2, 2, MAX_ACTIONS + 1), dtype=np.int64)
    reached = np.array([[True, False], [False, True]])
    runs = Runs(np.array([[1, 20], [4, 4]]), np.array([[1, 0], [1, 3]]), reached, reached, path)
    np.testing.assert_allclose(policy_correctness(runs), [0.5, 0.5])
    np.testing.assert_allclose(reachability(runs), [0.5, 0.5])


def test_the_shortest_path_leads_to_one_goal_bin_and_the_papers_distance_to_none() -> None:
    """From bin 5,3 to goals at 4,3 and 5,0: one move; rows and columns apart: nothing."""
    goals, place = (Bin(4, 3), Bin(5, 0)), Bin(5, 3)
    assert shortest_moves(goals)[place.state] == 1
    assert goal_distance(place, goals) == 0


def test_path_efficiency_is_the_shortest_path_over_the_path_taken() -> None:
    """Of three runs that reach the goal: straight, with a detour of two moves, held back once at the border."""
    straight = {Bin(5, 5): [Bin(5, 4), Bin(5, 3)]}
    detour = {Bin(6, 4): [Bin(6, 5), Bin(5, 5), Bin(5, 4), Bin(5, 3)]}
    border = {Bin(5, 0): [Bin(5, 0), Bin(5, 1), Bin(5, 2)]}
    runs = runs_along(straight | detour | border)
    assert reachability(runs) * BINS == pytest.approx(5)  # with the two that start in the goal
    np.testing.assert_allclose(path_efficiency(runs, [GOALS]), [(1 + 2 / 4 + 2 / 3 + 1 + 1) / 5])
    np.testing.assert_allclose(
        success_weighted_by_path_length(runs, [GOALS]), [(1 + 2 / 4 + 2 / 3 + 1 + 1) / BINS], rtol=1e-12
    )


def test_a_run_that_leaves_the_goal_and_comes_back_has_no_efficiency() -> None:
    runs = runs_along({GOALS[0]: [Bin(4, 2), Bin(5, 2)]})
    np.testing.assert_allclose(path_efficiency(runs, [GOALS]), [(0 + 1) / 2])


def test_the_distance_at_the_end_is_from_the_nearest_goal_bin_in_millimetres() -> None:
    """From every bin to the end of one run: 3 rows and 4 columns of 20 mm from bin 5,3."""
    end = Bin(8, 7)
    runs = runs_along({Bin.from_state(state): [end] for state in range(BINS)}, stopped=False)
    np.testing.assert_allclose(distance_mm(runs, [GOALS]), [100.0])
    runs = runs_along({Bin.from_state(state): [GOALS[1]] for state in range(BINS)}, stopped=False)
    np.testing.assert_allclose(distance_mm(runs, [GOALS]), [0.0])  # there, even where it was not noticed


def test_actions_are_those_of_runs_that_reached_the_goal_with_the_stop() -> None:
    runs = runs_along({Bin(5, 5): [Bin(5, 4), Bin(5, 3)], Bin(0, 0): [Bin(0, 1)] * 9})
    np.testing.assert_allclose(actions_to_goal(runs), [(3 + 1 + 1) / 3])


def test_a_false_stop_is_a_stop_outside_the_goal() -> None:
    everywhere = {Bin.from_state(state): [Bin(0, 0)] for state in range(BINS)}
    assert false_stops(runs_along({})) == (BINS - 2) / BINS
    assert false_stops(runs_along(everywhere, stopped=False)) == 0


def test_where_no_run_reached_the_goal_efficiency_and_actions_have_no_value() -> None:
    runs = runs_along({Bin.from_state(state): [Bin(0, 0)] for state in range(BINS)})
    values = measure(runs, [GOALS])
    assert {name for name, value in values.items() if np.isnan(value).any()} == {"path_efficiency", "actions_to_goal"}
    assert values["spl"] == 0


some_goals = st.sets(st.builds(Bin, st.integers(0, 10), st.integers(0, 14)), min_size=1, max_size=6).map(tuple)


@settings(deadline=None, max_examples=40)
@given(goals=st.lists(some_goals, min_size=1, max_size=3), baseline=st.sampled_from(list(BASELINES)))
def test_spl_is_reachability_times_path_efficiency(goals: list[tuple[Bin, ...]], baseline: str) -> None:
    found = measure(run_baseline(baseline, goals, seed=0), goals)
    efficiency = found["path_efficiency"]
    assert ((efficiency >= 0) & (efficiency <= 1) | np.isnan(efficiency)).all()
    np.testing.assert_allclose(found["spl"], found["reachability"] * np.nan_to_num(efficiency), atol=1e-12)


# --- over subjects and seeds --------------------------------------------------------------------------------------

values_of_seeds = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda shape: st.lists(st.floats(0, 1), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda numbers: np.array(numbers).reshape(shape)
    )
)


@settings(deadline=None)
@given(values=values_of_seeds, seed=st.integers(0, 9))
def test_an_interval_lies_within_the_values_and_around_their_mean(values: np.ndarray, seed: int) -> None:
    low, high = bootstrap_interval(values, seed)
    assert values.min() - 1e-9 <= low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= high <= values.max() + 1e-9


def test_the_interval_of_many_values_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    low, high = bootstrap_interval(values[None], 0)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=1e-3)
    assert high == pytest.approx(values.mean() + half, abs=1e-3)


def test_of_one_seed_the_bootstrap_is_that_over_subjects() -> None:
    values = np.array([0.92, 0.96, 0.82, 0.62, 0.05])
    draws = np.random.default_rng(3).integers(5, size=(10_000, 5))
    expected = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    np.testing.assert_allclose(bootstrap_interval(values[None], 3), expected, rtol=1e-12)


def test_seeds_that_agree_make_an_interval_no_narrower() -> None:
    """The same values again are no further subjects: a bootstrap of single values would halve the interval."""
    values = np.array([[0.92, 0.96, 0.82, 0.62, 0.05]])
    np.testing.assert_allclose(
        bootstrap_interval(np.repeat(values, 4, axis=0), 0), bootstrap_interval(values, 0), rtol=1e-12
    )


def test_seeds_and_subjects_both_widen_the_interval() -> None:
    """Values that are a subject's part plus a seed's: the variance of the mean is the sum of both parts' variances."""
    rng = np.random.default_rng(0)
    subjects, seeds = rng.normal(0.0, 1.0, 60), rng.normal(0.0, 2.0, 40)
    low, high = bootstrap_interval(subjects[None] + seeds[:, None], 0)
    half = 1.96 * np.sqrt(subjects.var() / 60 + seeds.var() / 40)
    assert (high - low) / 2 == pytest.approx(half, rel=0.03)


def test_the_median_is_over_subjects_of_their_mean_over_seeds() -> None:
    summary = summarise(np.array([[0.0, 0.5, 0.8], [0.2, 0.9, 1.0]]), 0)
    assert summary.median == pytest.approx(0.7)
    assert summary.mean == pytest.approx(3.4 / 6)


def test_missing_values_are_left_out() -> None:
    summary = summarise(np.array([[0.2, np.nan, 0.6]]), 0)
    assert (summary.mean, summary.median) == (pytest.approx(0.4), pytest.approx(0.4))
    assert (summary.low, summary.high) == (pytest.approx(0.2), pytest.approx(0.6))
    assert np.isnan(list(vars(summarise(np.full((2, 3), np.nan), 0)).values())).all()


def test_a_single_subject_has_an_interval_of_no_width() -> None:
    summary = summarise(np.array([[0.7]]), 0)
    assert (summary.mean, summary.median, summary.low, summary.high) == (0.7, 0.7, 0.7, 0.7)


def test_no_subjects_have_no_metric() -> None:
    with pytest.raises(ValueError, match="at least one seed and one subject"):
        bootstrap_interval(np.empty((1, 0)), 0)
