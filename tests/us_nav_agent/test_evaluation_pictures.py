"""What lies behind a result: a run again decision by decision, the state values of a known network, pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, COLUMNS, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, ROWS, Action, Bin
from us_nav_agent.deciders import ClassifierDecider, DqnDecider, MsDqnDecider
from us_nav_agent.deciders.dqn import stop_probabilities
from us_nav_agent.evaluation import evaluate, evaluate_baseline
from us_nav_agent.evaluation.look import far_corner, replay, state_values
from us_nav_agent.evaluation.maps import draw_reachability, draw_values
from us_nav_agent.evaluation.report import write_reachability, write_run, write_tables, write_values
from us_nav_agent.networks.baselines import DenseNetClassifier, DenseNetConfig
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.networks.dueling import NetworkConfig, Values
from us_nav_agent.policy import Policy, load_policy
from us_nav_agent.rollout import walk

MakeGrid = Callable[..., PreprocessedGrid]
GOALS = (Bin(5, 2), Bin(5, 3))


@pytest.fixture
def grids(toy_grid: MakeGrid) -> list[PreprocessedGrid]:
    """Two subjects whose five frames of a bin differ, numbered from 7 on on disk."""
    grid, rng = toy_grid(), np.random.default_rng(0)
    frames = grid.frames.repeat(FRAMES_PER_BIN, axis=0)
    frames = np.maximum(frames, rng.integers(0, 60, frames.shape, dtype=np.uint8))
    numbers = np.arange(len(frames), dtype=np.int32)
    first = replace(grid, bins=numbers.reshape(grid.bins.shape), frames=frames, indices=numbers + 7)
    return [first, replace(first, name="Other", goals=(Bin(0, 0),), frames=frames[::-1].copy())]


@pytest.fixture
def policy(tiny_model: Path, grids: list[PreprocessedGrid]) -> Policy:
    """Stops now and then."""
    policy = load_policy(tiny_model)
    assert isinstance(policy.decider, MsDqnDecider)
    probabilities = stop_probabilities(policy.decider.stop_classifier, grids[0].frames)
    policy.decider.threshold = float(np.quantile(probabilities, 0.97))
    return policy


# --- a run again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [0, 1])
@pytest.mark.parametrize("start", [Bin(0, 14), Bin(3, 3), Bin(10, 0), Bin(7, 9)])
def test_a_run_again_is_the_run_of_the_evaluation(
    grids: list[PreprocessedGrid], policy: Policy, subject: int, start: Bin
) -> None:
    """The same bins, the same frames of them, and from each the action that led to the next."""
    tables, seen, shown = GridTables.of(grids), [], []

    def recorded(live: np.ndarray, frames: np.ndarray) -> np.ndarray:
        seen.extend(frames[live == subject * BINS + start.state].tolist())
        return walkers(live, frames)

    def frame(index: int) -> np.ndarray:
        shown.append(index)
        return grids[subject].frames[0]

    with one_thread():
        walkers = policy.decider.walkers(tables.frames, tables.distances.size)
        runs = walk(recorded, tables, 3)
    steps = replay(policy.decider, grids[subject], runs, (subject, start), 3, frame)
    path = runs.path[subject, start.state]
    assert [step.position.state for step in steps] == path[: len(steps)].tolist()
    assert [index - 7 + subject * BINS * FRAMES_PER_BIN for index in shown] == seen
    for step, after in zip(steps, path[1:].tolist(), strict=False):
        assert after == (-1 if step.action is Action.STOP else step.position.moved(step.action).state)
    assert (steps[-1].action is Action.STOP) == runs.stopped[subject, start.state]
    assert runs.stopped.any() and not runs.stopped.all()


def test_the_far_corner_has_the_longest_way_to_the_goal() -> None:
    assert far_corner(GOALS) == Bin(0, 14)
    assert far_corner((Bin(1, 13),)) == Bin(10, 0)
    assert far_corner((Bin(0, 0), Bin(10, 0), Bin(10, 14))) == Bin(0, 14)


# --- state values -------------------------------------------------------------------------------------------------


class Brightness(nn.Module):
    """V(s) is the sum of the mean grey of the frames in memory; all Q-values alike."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, frames: torch.Tensor, actions: torch.Tensor) -> Values:
        return Values(torch.zeros(len(frames), 5), frames.double().mean(dim=(2, 3)).sum(dim=1))

    both_sides = forward


def test_the_state_value_of_a_bin_is_the_mean_over_its_frames_each_filling_the_memory(
    grids: list[PreprocessedGrid], tiny: NetworkConfig
) -> None:
    grid = grids[0]
    values = state_values(DqnDecider(Brightness(replace(tiny, outputs=5))), grid)  # type: ignore[arg-type]
    assert values is not None
    for place in (Bin(0, 0), Bin(5, 2), Bin(10, 14)):
        own = grid.frames[grid.bins[place.row, place.column]]
        assert values[place.row, place.column] == pytest.approx(tiny.frames * own.mean(), rel=1e-6)


def test_a_classifier_has_no_state_values(toy_grid: MakeGrid) -> None:
    config = DenseNetConfig(32, 32, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), stem=16, growth=8, blocks=(2, 2, 2, 2))
    assert state_values(ClassifierDecider(DenseNetClassifier(config)), toy_grid()) is None


# --- pictures -----------------------------------------------------------------------------------------------------


def changed_columns(one: Path, other: Path) -> np.ndarray:
    """Columns in which two pictures of the same size differ, from 0 (left) to 1 (right)."""
    first, second = cv2.imread(str(one)), cv2.imread(str(other))
    assert first.shape == second.shape
    return np.flatnonzero((first != second).any(axis=(0, 2))) / first.shape[1]


def test_state_values_stand_in_the_panel_of_their_subject(tmp_path: Path) -> None:
    """One bin's value changes on the second of two subjects: nothing changes left of its panel."""
    values = np.linspace(0.0, 1.0, BINS).reshape(ROWS, COLUMNS)
    other = values.copy()
    other[5, 7] = 0.9
    files = [
        draw_values([values, one], ["A", "B"], [GOALS, GOALS], "values", tmp_path / f"{number}.png")
        for number, one in enumerate((values, other))
    ]
    columns = changed_columns(*files)
    assert columns.size > 20
    assert columns.min() > 0.5


def test_only_differences_of_state_values_are_drawn(tmp_path: Path) -> None:
    values = np.linspace(0.0, 1.0, BINS).reshape(ROWS, COLUMNS)
    files = [
        draw_values([one], ["A"], [GOALS], "values", tmp_path / f"{number}.png")
        for number, one in enumerate((values, values + 8.0))
    ]
    assert changed_columns(*files).size == 0


@pytest.mark.parametrize("fault", ["reached", "stopped"])
def test_a_start_that_fails_shows_and_so_does_how(tmp_path: Path, fault: str) -> None:
    """A start of the second subject's oracle that runs out of actions, or that stops elsewhere."""
    runs = evaluate_baseline("oracle", [Named("A"), Named("B")], seed=0).runs[0]
    failed = runs.reached.copy()
    failed[1, 20] = False
    as_others = replace(runs, reached=failed, stopped=failed)
    other = runs if fault == "reached" else replace(runs, reached=failed)  # which differs in the stop alone
    files = [
        draw_reachability([one], ["A", "B"], [GOALS, GOALS], "map", tmp_path / f"{number}.png")
        for number, one in enumerate((as_others, other))
    ]
    columns = changed_columns(*files)
    assert columns.size > 3
    assert columns.min() > 0.4


class Named:
    """A subject for the baselines."""

    goals = GOALS

    def __init__(self, name: str) -> None:
        self.name = name


def test_the_report_of_a_policy(grids: list[PreprocessedGrid], policy: Policy, tmp_path: Path) -> None:
    """Tables as the result says them; the pictures of run, starts and values are not empty."""
    result = evaluate(policy, grids, seed=0)
    json_file, table_file = write_tables(result, tmp_path / "new")
    assert (json_file.read_text(), table_file.read_text()) == (result.to_json(), result.to_markdown())
    values = np.linspace(0.0, 1.0, BINS).reshape(ROWS, COLUMNS)
    frame = np.arange(FRAME_HEIGHT * FRAME_WIDTH, dtype=np.uint32).astype(np.uint8).reshape(FRAME_HEIGHT, FRAME_WIDTH)
    pictures = [
        write_reachability(result, grids, tmp_path),
        write_run(result, policy.decider, grids, lambda index: frame, tmp_path),
        write_values(result, [values] * len(grids), grids, tmp_path),
    ]
    assert [file.name for file in pictures] == ["reachability.png", "run.png", "values.png"]
    for file in pictures:
        assert cv2.imread(str(file)).std() > 20
