"""Runs and metrics: known answers on toy subjects, and parity of the batch with the policy one frame at a time."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance
from us_nav_agent.deciders import MsDqnDecider
from us_nav_agent.evaluation import EvaluationResult, evaluate
from us_nav_agent.evaluation.metrics import bootstrap_interval, policy_correctness, reachability, summarise
from us_nav_agent.networks.dueling import NetworkConfig, Values
from us_nav_agent.policy import Policy, load_policy, one_thread
from us_nav_agent.rollout import MAX_ACTIONS, Runs, goal_distances, run_all

GOALS = (Bin(5, 2), Bin(5, 3))
MakeGrid = Callable[..., PreprocessedGrid]


class KnowsThePlace(nn.Module):
    """Reads the bin off a toy frame: across is the row, down the column."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def places(self, frames: torch.Tensor) -> list[Bin]:
        brightest = frames.flatten(1).argmax(dim=1)
        down, across = brightest // 32, brightest % 32
        return [Bin(round((int(a) - 3) / 2.5), round((int(d) - 2) / 2)) for a, d in zip(across, down, strict=True)]


class Walker(KnowsThePlace):
    """A network whose best move is what ``choose`` says for the bin."""

    def __init__(self, config: NetworkConfig, choose: Callable[[Bin], Action]) -> None:
        super().__init__(config)
        self.choose = choose

    def forward(self, frames: torch.Tensor, actions: torch.Tensor) -> Values:
        moves = torch.tensor([int(self.choose(place)) for place in self.places(frames[:, 0])])
        return Values(nn.functional.one_hot(moves, 4).float(), torch.zeros(len(frames)))


class Stopper(KnowsThePlace):
    """A stop classifier that knows these bins."""

    def __init__(self, config: NetworkConfig, where: Sequence[Bin]) -> None:
        super().__init__(config)
        self.where = where

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.tensor([9.0 if place in self.where else -9.0 for place in self.places(frames[:, 0])])


def towards_goal(place: Bin) -> Action:
    """The oracle: a move that leads closer."""
    return min((Action.UP, Action.DOWN, Action.LEFT, Action.RIGHT), key=lambda a: goal_distance(place.moved(a), GOALS))


def runs_of(grid: PreprocessedGrid, tiny: NetworkConfig, choose: Callable[[Bin], Action], stops: Sequence[Bin]) -> Runs:
    decider = MsDqnDecider(Walker(tiny, choose), Stopper(tiny, stops), 0.5)  # type: ignore[arg-type]
    return run_all(decider, [grid], seed=0)


def test_the_oracle_reaches_the_goal_from_everywhere_by_the_shortest_way(
    toy_grid: MakeGrid, tiny: NetworkConfig
) -> None:
    runs = runs_of(toy_grid(), tiny, towards_goal, GOALS)
    np.testing.assert_array_equal(reachability(runs), [1.0])
    np.testing.assert_array_equal(policy_correctness(runs), [1.0])
    np.testing.assert_array_equal(runs.actions[0], goal_distances(GOALS) + 1)


def test_reaching_the_goal_without_stopping_is_a_failure(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    runs = runs_of(toy_grid(), tiny, towards_goal, stops=())
    assert reachability(runs)[0] == 0.0
    assert (runs.actions == MAX_ACTIONS).all()


def test_stopping_elsewhere_is_a_failure_and_an_incorrect_action(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    everywhere = [Bin.from_state(state) for state in range(BINS)]
    runs = runs_of(toy_grid(), tiny, towards_goal, stops=everywhere)
    assert (runs.actions == 1).all()
    assert reachability(runs)[0] == policy_correctness(runs)[0] == len(GOALS) / BINS


def test_a_run_against_the_border_counts_each_action(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    """Always up: from row r, correct while the row difference shrinks, then 20 - that many actions are wrong."""
    runs = runs_of(toy_grid(), tiny, lambda _: Action.UP, GOALS)
    for state in range(BINS):
        place = Bin.from_state(state)
        if place.column in (2, 3) and place.row >= 5:
            assert (runs.actions[0, state], runs.correct[0, state]) == (place.row - 4, place.row - 4)
            assert runs.reached[0, state]
        else:
            assert (runs.actions[0, state], runs.correct[0, state]) == (MAX_ACTIONS, max(place.row - 5, 0))
            assert runs.state[0, state] == Bin(0, place.column).state


def test_the_path_of_a_run_goes_from_its_start_to_its_end(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    """Up and stop in the goal, from below it: one bin after the other; elsewhere: against the border to the end."""
    runs = runs_of(toy_grid(), tiny, lambda _: Action.UP, GOALS)
    below, beside = Bin(8, 2).state, Bin(1, 7).state
    expected = [Bin(row, 2).state for row in (8, 7, 6, 5)] + [-1] * (MAX_ACTIONS - 3)
    np.testing.assert_array_equal(runs.path[0, below], expected)
    np.testing.assert_array_equal(runs.path[0, beside], [beside] + [Bin(0, 7).state] * MAX_ACTIONS)
    assert (runs.moves[0, below], runs.moves[0, beside]) == (3, MAX_ACTIONS)
    assert (runs.state[0, below], runs.state[0, beside]) == (GOALS[0].state, Bin(0, 7).state)


def test_a_goal_20_moves_away_is_out_of_reach(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    """The stop is one of the 20 actions (alg. 1), so 19 moves are the most that a run can use."""
    goals = (Bin(0, 0),)
    runs = runs_of(toy_grid(goals=goals), tiny, lambda place: Action.UP if place.row else Action.LEFT, goals)
    np.testing.assert_array_equal(runs.reached[0], goal_distances(goals) <= 19)


def some_runs(actions: list[list[int]], correct: list[list[int]], reached: list[list[bool]]) -> Runs:
    path = np.zeros((*np.shape(actions), MAX_ACTIONS + 1), dtype=np.int64)
    return Runs(np.array(actions), np.array(correct), np.array(reached), np.array(reached), path)


def test_correctness_is_the_mean_of_ratios_and_not_the_ratio_of_sums() -> None:
    runs = some_runs([[1, 20], [4, 4]], [[1, 0], [1, 3]], [[True, False], [False, True]])
    np.testing.assert_allclose(policy_correctness(runs), [0.5, 0.5])
    np.testing.assert_allclose(reachability(runs), [0.5, 0.5])


values = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


@given(values=values, seed=st.integers(0, 9))
def test_an_interval_lies_within_the_values_and_around_their_mean(values: np.ndarray, seed: int) -> None:
    low, high = bootstrap_interval(values, seed)
    assert values.min() - 1e-9 <= low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= high <= values.max() + 1e-9


def test_the_interval_of_many_values_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    low, high = bootstrap_interval(values, 0)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=1e-3)
    assert high == pytest.approx(values.mean() + half, abs=1e-3)


def test_a_single_subject_has_an_interval_of_no_width() -> None:
    summary = summarise(np.array([0.7]), 0)
    assert (summary.mean, summary.median, summary.low, summary.high) == (0.7, 0.7, 0.7, 0.7)


def test_no_subjects_have_no_metric() -> None:
    with pytest.raises(ValueError, match="at least one subject"):
        bootstrap_interval(np.array([]), 0)


@pytest.fixture
def policy(tiny_model: Path) -> Policy:
    return load_policy(tiny_model)


@pytest.fixture
def varied(toy_grid: MakeGrid) -> PreprocessedGrid:
    """A toy subject whose five frames of a bin differ."""
    grid = toy_grid()
    rng = np.random.default_rng(0)
    frames = grid.frames.repeat(FRAMES_PER_BIN, axis=0)
    frames = np.maximum(frames, rng.integers(0, 60, frames.shape, dtype=np.uint8))
    count = len(frames)
    bins = np.arange(count, dtype=np.int32).reshape(*grid.bins.shape)
    return PreprocessedGrid(grid.name, grid.goals, bins, frames, np.arange(count, dtype=np.int32), grid.preprocess)


def test_the_batch_walks_as_the_policy_does_frame_by_frame(
    varied: PreprocessedGrid, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same draws, each run on its own through Policy.act: the same actions, ends and counts."""
    decider = policy.decider
    assert isinstance(decider, MsDqnDecider)
    decider.threshold = float(np.quantile(stop_probability_of(decider, varied), 0.97))
    with one_thread():
        batch = run_all(decider, [varied], seed=3)
    draws = np.random.default_rng(3)
    drawn = np.stack([draws.integers(FRAMES_PER_BIN, size=BINS) for _ in range(MAX_ACTIONS)])
    monkeypatch.setattr(policy, "preprocess", lambda frame: frame)
    for start in range(0, BINS, 33):
        policy.reset()
        place, stopped = Bin.from_state(start), False
        for step in range(MAX_ACTIONS):
            index = varied.bins[place.row, place.column, drawn[step, start]]
            action = policy.act(varied.frames[index]).action
            if action is Action.STOP:
                stopped = True
                break
            place = place.moved(action)
        assert (policy.decisions, place.state, stopped) == (
            batch.actions[0, start],
            batch.state[0, start],
            batch.stopped[0, start],
        )
    assert batch.stopped.any() and not batch.stopped.all()


def stop_probability_of(decider: MsDqnDecider, grid: PreprocessedGrid) -> np.ndarray:
    with one_thread(), torch.inference_mode():
        return torch.sigmoid(decider.stop_classifier(torch.from_numpy(grid.frames)[:, None])).numpy()


@pytest.fixture
def result(varied: PreprocessedGrid, policy: Policy) -> EvaluationResult:
    return evaluate(policy, [varied, replace(varied, name="Other", goals=(Bin(0, 0),))], seed=0)


def test_the_same_seed_gives_the_same_json_to_the_byte(
    result: EvaluationResult, varied: PreprocessedGrid, policy: Policy
) -> None:
    subjects = [varied, replace(varied, name="Other", goals=(Bin(0, 0),))]
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        assert evaluate(policy, subjects, seed=0).to_json() == result.to_json()
    finally:
        torch.set_num_threads(threads)
    assert evaluate(policy, subjects, seed=1).to_json() != result.to_json()


def test_the_json_says_all_that_the_result_holds(result: EvaluationResult) -> None:
    content = json.loads(result.to_json())
    assert [subject["name"] for subject in content["subjects"]] == ["Toy", "Other"]
    assert content["reachability"]["mean"] == pytest.approx(result.reachability.mean, abs=1e-6)
    assert (content["model"], content["sha256"], content["seed"]) == ("tiny", result.sha256, 0)
    assert content["reachability"]["mean"] == pytest.approx(
        np.mean([subject["reachability"] for subject in content["subjects"]]), abs=1e-6
    )


def test_the_table_has_the_papers_figures_beside_ours(result: EvaluationResult) -> None:
    table = result.to_markdown()
    assert "| MS-DQN, Hase et al. 2020 | 79.53% | 82.91% |" in table
    assert f"| tiny (mean, 95% interval over 2 subjects) | {result.policy_correctness.mean:.2%} (" in table
    assert "| Other | " in table


def test_subjects_preprocessed_otherwise_are_refused(policy: Policy, varied: PreprocessedGrid) -> None:
    wrong = replace(varied, preprocess=replace(varied.preprocess, height=40))
    with pytest.raises(ValueError, match=r"subject Toy is preprocessed by .*height=40.*; expected .*height=32"):
        evaluate(policy, [wrong], seed=0)


def test_an_evaluation_needs_a_subject(policy: Policy) -> None:
    with pytest.raises(ValueError, match="at least one"):
        evaluate(policy, [], seed=0)


def test_an_evaluation_leaves_the_policys_memory_alone(policy: Policy, varied: PreprocessedGrid) -> None:
    frame = np.arange(600 * 800, dtype=np.uint32).astype(np.uint8).reshape(600, 800)
    policy.act(frame)
    evaluate(policy, [varied], seed=0)
    assert policy.decisions == 1
