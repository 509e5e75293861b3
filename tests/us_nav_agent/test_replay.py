"""The sum tree against a naive one, and prioritized replay behind stable-baselines3's interface."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.save_util import load_from_pkl, save_to_pkl
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.replay.sum_tree import SumTree

priorities = st.floats(0.0, 1e3).map(lambda value: value if value > 1e-3 else 0.0)


class NaiveTree:
    """What a sum tree is to do, in the plainest way."""

    def __init__(self, capacity: int) -> None:
        self.values = np.zeros(capacity)

    def find(self, wanted: float) -> int:
        running = 0.0
        for place, value in enumerate(self.values):
            running += value
            if wanted < running:
                return place
        return int(np.flatnonzero(self.values)[-1])


@given(data=st.data(), capacity=st.integers(1, 40))
def test_the_tree_does_what_a_naive_one_does(data: st.DataObject, capacity: int) -> None:
    tree, naive = SumTree(capacity), NaiveTree(capacity)
    for _ in range(data.draw(st.integers(1, 4))):
        places = data.draw(st.lists(st.integers(0, capacity - 1), min_size=1, max_size=10))
        values = data.draw(st.lists(priorities, min_size=len(places), max_size=len(places)))
        tree.set(np.array(places), np.array(values))
        for place, value in zip(places, values, strict=True):
            naive.values[place] = value
    np.testing.assert_array_equal(tree.priorities, naive.values)
    assert tree.total == pytest.approx(naive.values.sum())
    if naive.values.any():
        edges = np.concatenate([[0.0], naive.values.cumsum()])
        middles = (edges[:-1] + edges[1:])[naive.values > 0] / 2
        np.testing.assert_array_equal(tree.find(middles), [naive.find(value) for value in middles])


@given(values=st.lists(priorities, min_size=1, max_size=64).filter(any), seed=st.integers(0, 99))
def test_a_place_without_priority_is_never_drawn(values: list[float], seed: int) -> None:
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.array(values))
    drawn = tree.sample(50, np.random.default_rng(seed))
    assert (np.array(values)[drawn] > 0).all()


def test_the_ends_of_the_running_sum_belong_to_the_first_and_the_last_place() -> None:
    tree = SumTree(5)
    tree.set(np.arange(5), np.array([0.0, 0.1, 0.2, 0.7, 0.0]))
    np.testing.assert_array_equal(tree.find(np.array([0.0, tree.total])), [1, 3])


def test_places_are_drawn_in_proportion_to_their_priorities() -> None:
    tree = SumTree(6)
    values = np.array([1.0, 0.0, 2.0, 3.0, 0.0, 4.0])
    tree.set(np.arange(6), values)
    drawn = np.concatenate([tree.sample(10, np.random.default_rng(seed)) for seed in range(1000)])
    share = np.bincount(drawn, minlength=6) / len(drawn)
    np.testing.assert_allclose(share, values / 10, atol=0.005)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_priority_that_is_no_finite_number_from_0_up_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        SumTree(4).set(np.array([0]), np.array([bad]))


@pytest.mark.parametrize("place", [-1, 4])
def test_a_place_that_there_is_not_is_refused(place: int) -> None:
    with pytest.raises(ValueError, match=f"place {place}.*0 to 3"):
        SumTree(4).set(np.array([place]), np.array([1.0]))


def test_an_empty_tree_has_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="all priorities are zero"):
        SumTree(4).sample(1, np.random.default_rng(0))


OBSERVATIONS = spaces.Dict(
    {"frames": spaces.Box(0, 999, (3,), np.int64), "actions": spaces.Box(0.0, 1.0, (20,), np.float32)}
)


@pytest.fixture(scope="session")
def filled() -> Callable[..., PrioritizedReplayBuffer]:
    """Makes a buffer whose n-th transition has frame numbers n and reward n."""

    def make(
        count: int = 20, environments: int = 2, size: int = 100, timeout: bool = False, **settings: Any
    ) -> PrioritizedReplayBuffer:
        buffer = PrioritizedReplayBuffer(
            size, OBSERVATIONS, spaces.Discrete(4), "cpu", environments, seed=0, **settings
        )
        for first in range(0, count, environments):
            numbers = np.arange(first, first + environments)
            seen = {
                "frames": np.repeat(numbers[:, None], 3, axis=1),
                "actions": np.zeros((environments, 20), np.float32),
            }
            after = {"frames": seen["frames"] + 1, "actions": np.ones((environments, 20), np.float32)}
            done = numbers % 5 == 4
            infos = [{"TimeLimit.truncated": timeout} for _ in numbers]
            buffer.add(seen, after, numbers % 4, numbers.astype(float), done, infos)
        return buffer

    return make


def test_a_sample_is_a_transition_whole(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    batch = filled().sample(64)
    numbers = batch.rewards[:, 0].long()
    assert batch.observations["frames"].shape == (64, 3)
    assert (batch.observations["frames"] == numbers[:, None]).all()
    assert (batch.next_observations["frames"] == numbers[:, None] + 1).all()
    assert (batch.actions[:, 0] == numbers % 4).all()
    assert (batch.dones[:, 0] == (numbers % 5 == 4)).all()
    assert (batch.next_observations["actions"] == 1).all()


def test_a_sample_of_one_step_is_discounted_once(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    assert (filled(gamma=0.9).sample(8).discounts == torch.tensor(0.9)).all()


def naive_return(number: int, count: int, environments: int, steps: int) -> tuple[float, int]:
    """Return and number of steps of transition ``number``, whose reward is its number and whose episode ends where it
    is 4 modulo 5, of ``count`` that are stored.
    """
    total, taken = 0.0, 0
    while taken < steps and number < count:
        total += 0.5**taken * number
        taken += 1
        if number % 5 == 4:
            break
        number += environments
    return total, taken


@given(steps=st.integers(1, 6), environments=st.integers(1, 3), rows=st.integers(1, 12), size=st.integers(4, 12))
def test_n_step_returns_are_those_written_out(
    filled: Callable[..., PrioritizedReplayBuffer], steps: int, environments: int, rows: int, size: int
) -> None:
    """Across episode ends, the newest transition and the seam of a full buffer."""
    count = rows * environments
    buffer = filled(count, environments, size * environments, n_steps=steps, gamma=0.5)
    batch = buffer.sample(40)
    numbers = batch.observations["frames"][:, 0].tolist()
    for sample, number in enumerate(numbers):
        expected, taken = naive_return(number, count, environments, steps)
        last = number + (taken - 1) * environments
        assert float(batch.rewards[sample, 0]) == pytest.approx(expected, rel=1e-6)
        assert float(batch.discounts[sample, 0]) == pytest.approx(0.5**taken)
        assert int(batch.next_observations["frames"][sample, 0]) == last + 1
        assert float(batch.dones[sample, 0]) == (last % 5 == 4)


def test_an_n_step_return_goes_on_to_the_end_of_time_but_not_past_it(
    filled: Callable[..., PrioritizedReplayBuffer],
) -> None:
    """An episode that ran out of time ends the sum, and what follows is still worth something."""
    batch = filled(20, 1, timeout=True, n_steps=8, gamma=0.5).sample(64)
    first = batch.observations["frames"][:, 0]
    steps = torch.clamp(4 - first % 5, min=0) + 1
    assert (batch.discounts[:, 0] == 0.5**steps).all()
    assert batch.dones.sum() == 0


def test_an_episode_that_ran_out_of_time_did_not_end(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    assert filled(timeout=True).sample(64).dones.sum() == 0


def test_transitions_not_yet_judged_come_as_often_as_the_worst_judged(
    filled: Callable[..., PrioritizedReplayBuffer],
) -> None:
    buffer = filled(alpha=1.0)
    buffer.update_priorities(np.arange(20), np.full(20, 7.0))
    more = filled(count=2)
    buffer.add(
        {key: values[0] for key, values in more.observations.items()},
        {key: values[0] for key, values in more.next_observations.items()},
        np.zeros(2),
        np.full(2, 77.0),
        np.zeros(2),
        [{}, {}],
    )
    np.testing.assert_allclose(buffer.priorities[20:22], buffer.priorities[0])


def test_draws_follow_the_errors_and_the_weights_undo_it(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    """With beta 1 the weighted mean over draws is the plain mean over what is stored (Schaul et al. 2016)."""
    buffer = filled(alpha=0.6, beta=1.0)
    errors = np.linspace(0.1, 5.0, 20)
    buffer.update_priorities(np.arange(20), errors)
    batch = buffer.sample(20_000)
    numbers = batch.indices
    share = (errors + 1e-3) ** 0.6
    np.testing.assert_allclose(
        np.bincount(numbers, minlength=20) / len(numbers), share / share.sum(), rtol=0.02, atol=1e-3
    )
    weights = batch.weights[:, 0].numpy()
    assert weights.max() == 1.0
    assert np.average(batch.rewards[:, 0].numpy(), weights=weights) == pytest.approx(9.5, abs=0.1)


def test_beta_0_weighs_all_alike(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    buffer = filled(beta=0.0)
    buffer.update_priorities(np.arange(20), np.linspace(0.1, 5.0, 20))
    assert (buffer.sample(64).weights == 1).all()


def test_a_full_buffer_forgets_the_oldest(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    numbers = filled(count=30, size=20).sample(500).rewards[:, 0]
    assert numbers.min() == 10
    assert numbers.max() == 29


def test_a_buffer_from_disk_draws_as_the_one_that_was_saved(filled: Callable[..., PrioritizedReplayBuffer]) -> None:
    buffer, file = filled(), io.BytesIO()
    buffer.update_priorities(np.arange(20), np.linspace(0.1, 5.0, 20))
    save_to_pkl(file, buffer)
    file.seek(0)
    again = load_from_pkl(file)
    np.testing.assert_array_equal(buffer.sample(64).indices, again.sample(64).indices)
