"""Runs of policies: known answers on toy subjects, parity of the batch with single frames, and what a result says."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import goal_distances
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance
from us_nav_agent.deciders import DqnDecider, MsDqnDecider
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation import EvaluationResult, evaluate, evaluate_baseline, evaluate_seeds
from us_nav_agent.evaluation.bootstrap import summarise
from us_nav_agent.evaluation.metrics import policy_correctness, reachability
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.networks.dueling import DuelingNetwork, NetworkConfig, StopClassifier, Values
from us_nav_agent.policy import Policy, load_policy, save_policy
from us_nav_agent.rollout import MAX_ACTIONS, Runs, run_all

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

    both_sides = forward


class Stopper(KnowsThePlace):
    """A stop classifier that knows these bins."""

    def __init__(self, config: NetworkConfig, where: Sequence[Bin]) -> None:
        super().__init__(config)
        self.where = where

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.tensor([9.0 if place in self.where else -9.0 for place in self.places(frames[:, 0])])

    both_sides = forward


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
def subjects(varied: PreprocessedGrid) -> list[PreprocessedGrid]:
    return [varied, replace(varied, name="Other", goals=(Bin(0, 0),))]


@pytest.fixture
def result(subjects: list[PreprocessedGrid], policy: Policy) -> EvaluationResult:
    return evaluate(policy, subjects, seed=0)


@pytest.fixture
def sibling(tiny: NetworkConfig, tmp_path: Path) -> Policy:
    """A policy of the same architecture, trained, so to say, from another seed."""
    torch.manual_seed(7)
    networks = DuelingNetwork(tiny), StopClassifier(tiny)
    return load_policy(save_policy(tmp_path / "sibling.safetensors", MsDqnDecider(*networks, threshold=0.6)))


def test_the_same_seed_gives_the_same_json_to_the_byte(
    result: EvaluationResult, subjects: list[PreprocessedGrid], policy: Policy
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        assert evaluate(policy, subjects, seed=0).to_json() == result.to_json()
    finally:
        torch.set_num_threads(threads)
    assert evaluate(policy, subjects, seed=1).to_json() != result.to_json()


def test_the_json_says_all_that_the_result_holds(result: EvaluationResult) -> None:
    content = json.loads(result.to_json())
    assert content["models"] == [{"name": "tiny", "sha256": result.models[0].sha256}]
    assert (content["seed"], content["max_actions"], content["subjects"]) == (0, MAX_ACTIONS, ["Toy", "Other"])
    for name, metric in content["metrics"].items():
        np.testing.assert_allclose(np.array(metric["values"], dtype=float), result.values[name], atol=1e-6)
        summary = {part: np.nan if metric[part] is None else metric[part] for part in ("mean", "median", "low", "high")}
        assert summary == pytest.approx(asdict(result.summaries[name]), abs=1e-6, nan_ok=True)
    reached = content["metrics"]["reachability"]
    assert reached["mean"] == pytest.approx(np.mean(reached["values"]), abs=1e-6)
    assert set(content["baselines"]) == {"oracle", "sweep", "random"}


def test_a_metric_without_a_value_is_null_in_the_json_and_a_dash_in_the_table(
    toy_grid: MakeGrid, policy: Policy
) -> None:
    """A policy that never stops reaches nothing: no efficiency, and no actions to the goal."""
    decider = policy.decider
    assert isinstance(decider, MsDqnDecider)
    decider.threshold = 1.0
    result = evaluate(policy, [toy_grid()], seed=0)
    metric = json.loads(result.to_json())["metrics"]["path_efficiency"]
    assert metric == {"high": None, "low": None, "mean": None, "median": None, "values": [[None]]}
    assert re.search(r"\| Toy \| [0-9.]+% \| 0.00% \| - \| 0.00% \| [0-9.]+ \| - \| 0.00% \|", result.to_markdown())


def test_the_table_has_the_papers_figures_beside_ours_and_the_limit(result: EvaluationResult) -> None:
    table = result.to_markdown()
    assert "| MS-DQN, Hase et al. 2020 | 79.53% | 82.91% |" in table
    assert f"| tiny (mean, 95% interval over 2 subjects) | {result.policy_correctness.mean:.2%} (" in table
    limit = result.baselines["oracle"]
    assert f"| oracle (limit) | {limit['policy_correctness'].mean:.2%} | {limit['reachability'].mean:.2%} |" in table
    assert "| random walk | " in table
    assert "| Other | " in table
    rows = [line.count("|") for line in table.splitlines() if line]
    assert set(rows[:10]) == {4} and set(rows[10:]) == {9}


def test_seeds_are_rows_of_values_and_the_summary_is_over_both(
    subjects: list[PreprocessedGrid], policy: Policy, sibling: Policy
) -> None:
    alone = [evaluate(one, subjects, seed=0) for one in (policy, sibling)]
    both = evaluate_seeds([policy, sibling], subjects, seed=0)
    for name, values in both.values.items():
        np.testing.assert_array_equal(values, np.concatenate([one.values[name] for one in alone]))
    assert (alone[0].values["policy_correctness"] != alone[1].values["policy_correctness"]).any()
    assert both.summaries["policy_correctness"] == summarise(both.values["policy_correctness"], 0)
    table = both.to_markdown()
    assert "| tiny, sibling (mean, 95% interval over 2 subjects and 2 seeds) | " in table
    assert f"| sibling {sibling.sha256[:8]} | {both.values['policy_correctness'][1].mean():.2%} | " in table


def test_a_model_that_stands_twice_is_refused(subjects: list[PreprocessedGrid], policy: Policy) -> None:
    with pytest.raises(UsNavAgentError, match=r"model tiny \(.*\) stands twice"):
        evaluate_seeds([policy, policy], subjects, seed=0)


def test_models_of_two_architectures_are_refused(
    subjects: list[PreprocessedGrid], policy: Policy, tiny: NetworkConfig, tmp_path: Path
) -> None:
    other = DqnDecider(DuelingNetwork(replace(tiny, outputs=5)))
    vdqn = load_policy(save_policy(tmp_path / "vdqn.safetensors", other))
    with pytest.raises(
        UsNavAgentError, match=r"vdqn is usnav-dqn-2 .*, tiny usnav-ms-dqn-2 .*; evaluate together only"
    ):
        evaluate_seeds([policy, vdqn], subjects, seed=0)


def test_a_baseline_has_no_weights_and_is_not_compared_with_itself(subjects: list[PreprocessedGrid]) -> None:
    result = evaluate_baseline("oracle", subjects, seed=0)
    content = json.loads(result.to_json())
    assert content["models"] == [{"name": "oracle", "sha256": None}]
    assert set(content["baselines"]) == {"sweep", "random"}
    assert content["metrics"]["reachability"]["values"][0][0] == 1.0
    with pytest.raises(ValueError, match="at least one"):
        evaluate_baseline("oracle", [], seed=0)


def test_subjects_preprocessed_otherwise_are_refused(policy: Policy, varied: PreprocessedGrid) -> None:
    wrong = replace(varied, preprocess=replace(varied.preprocess, height=40))
    with pytest.raises(ValueError, match=r"subject Toy is preprocessed by .*height=40.*; expected .*height=32"):
        evaluate(policy, [wrong], seed=0)


def test_an_evaluation_needs_a_subject(policy: Policy) -> None:
    with pytest.raises(ValueError, match="1 policies, 0 subjects; an evaluation needs at least one of each"):
        evaluate(policy, [], seed=0)


def test_an_evaluation_leaves_the_policys_memory_alone(policy: Policy, varied: PreprocessedGrid) -> None:
    frame = np.arange(600 * 800, dtype=np.uint32).astype(np.uint8).reshape(600, 800)
    policy.act(frame)
    evaluate(policy, [varied], seed=0)
    assert policy.decisions == 1
