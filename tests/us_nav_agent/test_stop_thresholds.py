"""From logits to a stop: calibration, and the threshold that runs end best with."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, Action, Bin, goal_distance
from us_nav_agent.belief import falling
from us_nav_agent.networks.dueling import NetworkConfig, Values
from us_nav_agent.training.calibration import (
    cautious_threshold,
    falling_threshold,
    platt_scaling,
    stop_threshold,
    worth_of_stops,
)

MakeGrid = Callable[..., PreprocessedGrid]
MOVES = (Action.UP, Action.DOWN, Action.LEFT, Action.RIGHT)


@settings(deadline=None)
@given(scale=st.floats(0.2, 3.0), offset=st.floats(-3.0, 1.0), seed=st.integers(0, 9))
def test_platt_scaling_finds_the_law_that_labels_were_drawn_by(scale: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, 20_000).astype(np.float32)
    labels = rng.random(20_000) < 1.0 / (1.0 + np.exp(-(scale * logits + offset)))
    found = platt_scaling(logits, labels)
    p = 1.0 / (1.0 + np.exp(-(scale * logits.astype(float) + offset)))
    design = np.stack([logits.astype(float), np.ones(len(logits))])
    fisher = design * (p * (1.0 - p)) @ design.T
    standard = np.sqrt(np.diag(np.linalg.inv(fisher)))
    # By chance 4.5 standard errors are passed once in 70 000 laws.
    assert (np.abs(np.array(found) - (scale, offset)) <= 4.5 * standard).all()


def test_a_classifier_without_an_error_does_not_become_infinitely_sure() -> None:
    logits = np.array([-9.0, -8.0, -7.0, 7.0, 8.0] * 10, dtype=np.float32)
    scale, offset = platt_scaling(logits, logits > 0)
    probabilities = 1 / (1 + np.exp(-(scale * logits + offset)))
    assert 0.005 < probabilities.min() < 0.05
    assert 0.95 < probabilities.max() < 0.995


def test_calibration_needs_frames_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="0 samples show the target and 3 do not"):
        platt_scaling(np.zeros(3, np.float32), np.zeros(3, dtype=bool))


def test_a_stop_is_worth_the_fewest_actions_over_those_taken(toy_grid: MakeGrid) -> None:
    """From 3 bins below the goal up and on: nothing on the way, 4/4 in the goal, nothing past it."""
    tables = GridTables.of([toy_grid(goals=(Bin(5, 2),))])
    path = np.tile(np.arange(BINS)[:, None], (1, 1, 21)).reshape(1, BINS, 21)
    path[0, Bin(8, 2).state] = [Bin(max(8 - step, 0), 2).state for step in range(21)]
    path[0, Bin(6, 2).state] = [Bin(6, 2).state, Bin(7, 2).state, Bin(6, 2).state] + [Bin(5, 2).state] * 18
    worth = worth_of_stops(tables, path)
    assert worth[Bin(8, 2).state].tolist() == [0, 0, 0, 1.0] + [0] * 16
    assert worth[Bin(6, 2).state, :5].tolist() == [0, 0, 0, 2 / 4, 2 / 5]
    assert worth[Bin(5, 2).state, 0] == 1.0
    assert worth[Bin(0, 0).state].max() == 0.0


def test_the_cautious_threshold_is_the_highest_that_the_subjects_cannot_tell_from_the_best() -> None:
    """The first look is wrong in half of the runs, where it is less sure; the second is right, at some cost."""
    rng = np.random.default_rng(0)
    subjects, runs = 40, 50
    wrong = rng.random((subjects, runs, 1)) < 0.5
    looks = np.where(wrong, [0.7, 0.9], [0.9, 0.9]).reshape(-1, 2)

    def worth(late: float) -> np.ndarray:
        return np.concatenate([~wrong, np.full_like(wrong, late, dtype=float)], axis=2).reshape(-1, 2)

    assert 0.7 < cautious_threshold(looks, worth(0.9), subjects) <= 0.9
    sure = np.tile([0.7, 0.9], (subjects * runs, 1))
    costs = {"no": 1.0, "clear": 0.8}
    found = {
        name: cautious_threshold(sure, np.tile([1.0, late], (subjects * runs, 1)), subjects)
        for name, late in costs.items()
    }
    assert found["no"] > 0.7 >= found["clear"]
    noisy = np.stack([np.ones(subjects * runs), rng.normal(0.999, 0.3, subjects * runs)], axis=1)
    assert cautious_threshold(sure, noisy, subjects) > 0.7


def test_of_one_subject_alone_the_threshold_is_the_best_one_and_the_highest_of_equals() -> None:
    """Stops at 0.2 are wrong, at 0.6 right, at 0.9 right and late."""
    probabilities = np.tile([0.2, 0.6, 0.9], (4, 1))
    worth = np.tile([0.0, 1.0, 0.5], (4, 1))
    assert 0.5 < cautious_threshold(probabilities, worth, 1) <= 0.6


def test_the_falling_threshold_waits_for_a_better_look_and_takes_what_there_is_at_the_end() -> None:
    """Half of the runs see something like the goal at once (0.6) and the goal at the sixth look (0.9); the other half
    sees the goal at the nineteenth look, and plainly never (0.35), where nothing else is left to be mistaken for it.
    """
    probabilities, worth = np.zeros((40, 20)), np.zeros((40, 20))
    probabilities[:20, 0], probabilities[:20, 5], worth[:20, 5] = 0.6, 0.9, 1.0
    probabilities[20:, 18], worth[20:, 18] = 0.35, 0.5
    first, last = falling_threshold(probabilities, worth)
    assert 0.6 < first <= 0.9
    assert falling(first, last, np.array([18]))[0] <= 0.35


@pytest.mark.parametrize(("right", "waits"), [(15, True), (16, False)])
def test_the_falling_threshold_prefers_the_goal_to_a_short_way(right: int, waits: bool) -> None:
    """A first stop is right in some of 20 runs, one at the sixth look in all, at half the worth (third root 0.79)."""
    probabilities, worth = np.zeros((20, 20)), np.zeros((20, 20))
    probabilities[:, 0], worth[:right, 0] = 0.6, 1.0
    probabilities[:, 5], worth[:, 5] = 0.9, 0.5
    assert (falling_threshold(probabilities, worth)[0] > 0.6) == waits
    assert 0.5 < cautious_threshold(probabilities, worth, 1) < 0.6


def test_the_stop_threshold_is_the_one_that_most_validation_runs_end_well_with(
    toy_grid: MakeGrid, tiny: NetworkConfig
) -> None:
    """Logits 6 in the goal, 2 beside it and 0 elsewhere: a threshold between the last two stops too early."""
    grid = toy_grid()
    grid.frames[:, 0, 0] = np.arange(BINS)  # for the stand-ins of the networks to read
    places = [Bin.from_state(state) for state in range(BINS)]
    logits = torch.tensor([6.0 if one in grid.goals else 2.0 * (one.column == 4) for one in places])
    moves = torch.tensor(
        [int(min(MOVES, key=lambda a, one=one: goal_distance(one.moved(a), grid.goals))) for one in places]
    )

    def state(frames: torch.Tensor) -> torch.Tensor:
        return frames[:, 0, 0, 0].long()

    class Walker(torch.nn.Module):
        config = tiny

        def forward(self, frames: torch.Tensor, actions: torch.Tensor) -> Values:
            return Values(torch.nn.functional.one_hot(moves[state(frames)], 4).float(), torch.zeros(len(frames)))

        both_sides = forward

    class Stopper(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return logits[state(frames)]

        both_sides = forward

    threshold = stop_threshold(Walker(), Stopper(), [grid])
    assert torch.tensor([2.0]).sigmoid() < threshold <= torch.tensor([6.0]).sigmoid()
