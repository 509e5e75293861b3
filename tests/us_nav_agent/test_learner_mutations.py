"""Each ingredient of the learner decides a toy: the learner learns it, and fails where that ingredient is broken.

The figures in the docstrings are of seeds 0 to 7 or 0 to 9; the tests take seed 0.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from support.toys import Outcome, Toy, ToyEnv, remember, study, toy_learner, values
from torch import Tensor
from us_nav_agent.networks.blocks import normalised
from us_nav_agent.networks.dueling import DuelingNetwork, Values
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer, PrioritizedSamples
from us_nav_agent.replay.sum_tree import Indices, SumTree
from us_nav_agent.training import dqn

SEED = 0


@pytest.fixture(autouse=True)
def plain_and_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No augmentation, which knows nothing of toys; networks this small run much faster on one thread."""
    monkeypatch.setattr(dqn, "augment_frames", lambda frames, record: frames)
    monkeypatch.setattr(dqn, "augment_actions", lambda memory, record, actions: memory)
    monkeypatch.setattr(dqn, "mirror_moves", lambda q, mirror: q)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- double Q-learning --------------------------------------------------------------------------------------------


def gamble(state: int, action: int, rng: np.random.Generator) -> Outcome:
    """Leave with nothing (action 0), or enter one of four rooms of five machines, each of which loses 0.1 on average
    (after Sutton and Barto 2018, example 6.7).
    """
    if state == 0:
        return Outcome(0.0, action) if action else Outcome(0.0)
    return Outcome(rng.normal(-0.1, 0.5))


def worth_of_gambling(seed: int) -> float:
    """What entering a room seems worth on average, after each of 9 rounds; in truth -0.1.

    In every round two new plays of each machine take the place of the old ones, so the two networks, one round apart,
    err independently.
    """
    toy = Toy(5, gamble)
    plays = [(room, machine) for room in range(1, 5) for machine in range(5)] * 2
    model = toy_learner(toy, seed, alpha=0.0, gamma=1.0, buffer_size=2 * len(plays), batch_size=64)
    env = ToyEnv(toy)
    env.reset(seed=seed)
    seems = []
    for _ in range(12):
        remember(model, env, plays)
        study(model, rounds=1, updates=50)
        seems.append(float(values(model, [0]).q[0, 1:].mean()))
    return float(np.mean(seems[3:]))


def test_double_q_learning_is_not_taken_in_by_luck() -> None:
    """-0.19 to -0.05 on 8 of 8 seeds."""
    assert worth_of_gambling(SEED) < 0.03


def test_the_maximum_of_one_network_is_taken_in_by_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.12 to 0.24 on 8 of 8 seeds."""

    def of_one(next_q: Tensor, next_q_target: Tensor, rewards: Tensor, dones: Tensor, discounts: Tensor) -> Tensor:
        return rewards + (1.0 - dones) * discounts * next_q_target.amax(dim=1, keepdim=True)

    monkeypatch.setattr(dqn, "double_q_target", of_one)
    assert worth_of_gambling(SEED) > 0.03


# --- the two streams ----------------------------------------------------------------------------------------------


def rooms(state: int, action: int, rng: np.random.Generator) -> Outcome:
    """From the hall doors 0 and 1 lead to the good room and doors 2 and 3 to the bad one, worth 0.5 and -0.5; the door
    by which one came in (state - 1) gives 0.5 more, and only the action memory tells which it was.
    """
    if state == 0:
        return Outcome(0.0, 1 + action)
    return Outcome((0.5 if state <= 2 else -0.5) + (0.5 if action == state - 1 else 0.0))


class Rooms(NamedTuple):
    """What was learned of the rooms: behind how many of the four doors the greedy action is the right one, and the
    largest error of V over both rooms and every action memory, seen there before or not.
    """

    right: int
    error: float


def learned_rooms(seed: int) -> Rooms:
    model = toy_learner(Toy(4, rooms, frames=(0, 1, 1, 2, 2)), seed, learning_starts=50)
    model.learn(400)
    right = sum(int(values(model, [1 + door // 2], last=door).q.argmax()) == door for door in range(4))
    states = torch.stack([values(model, [1, 2], last).state for last in (None, 0, 1, 2, 3)])
    return Rooms(right, float((states - torch.tensor([0.625, -0.375])).abs().max()))


def test_the_streams_tell_what_a_place_is_worth_from_what_the_last_action_was_good_for() -> None:
    """Right on 10 of 10 seeds; the error of V is below 0.001 on each."""
    learned = learned_rooms(SEED)
    assert learned.right == 4
    assert learned.error < 0.1


def test_an_advantage_that_sees_no_action_memory_does_not_find_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right behind 2 of the 4 doors on 10 of 10 seeds."""
    forward = DuelingNetwork.forward
    monkeypatch.setattr(DuelingNetwork, "forward", lambda self, frames, actions: forward(self, frames, 0 * actions))
    assert learned_rooms(SEED).right < 4


def value_of_memory(self: DuelingNetwork, frames: Tensor, actions: Tensor) -> Values:
    """V sees the action memory, in the place of pixels that are black in every toy frame used."""
    features = self.trunk(normalised(frames))
    state = self.value(torch.cat([features[:, : -actions.shape[1]], actions], dim=1))
    advantage = self.advantage(torch.cat([features, actions], dim=1))
    return Values(state + advantage - advantage.mean(dim=1, keepdim=True), state[:, 0])


def advantage_not_centred(self: DuelingNetwork, frames: Tensor, actions: Tensor) -> Values:
    features = self.trunk(normalised(frames))
    state = self.value(features)
    return Values(state + self.advantage(torch.cat([features, actions], dim=1)), state[:, 0])


@pytest.mark.parametrize("broken", [value_of_memory, advantage_not_centred])
def test_v_is_not_the_worth_of_a_place_where(broken: Callable[..., Values], monkeypatch: pytest.MonkeyPatch) -> None:
    """Off on 10 of 10 seeds each: by 0.34 to 0.57 where V sees the memory, by 0.19 to 0.34 without the mean."""
    monkeypatch.setattr(DuelingNetwork, "forward", broken)
    assert learned_rooms(SEED).error > 0.1


# --- prioritized replay -------------------------------------------------------------------------------------------

CLIFFS = 5


def cliffwalk(state: int, action: int, rng: np.random.Generator) -> Outcome:
    """The blind cliffwalk of Schaul et al. 2016 (fig. 1): one action leads on, from each cliff another; the rest end
    the episode with nothing, and only the last step is rewarded.
    """
    if action != state % 4:
        return Outcome(0.0)
    return Outcome(1.0) if state == CLIFFS - 1 else Outcome(0.0, state + 1)


def worth_of_the_last_step(seed: int) -> float:
    """What the last right step seems worth after 400 updates on all walks there are, of whose 1364 steps it alone is
    rewarded; in truth 1.

    By plain gradient descent: Adam makes much of a gradient that comes but rarely.
    """
    toy = Toy(4, cliffwalk)
    model = toy_learner(toy, seed, batch_size=8, optimizer=torch.optim.SGD, learning_rate=1.0)
    remember(model, ToyEnv(toy), itertools.product(range(4), repeat=CLIFFS))
    study(model, rounds=5, updates=80)
    last = CLIFFS - 1
    return float(values(model, [last]).q[0, last % 4])


def test_priorities_find_the_one_step_in_a_thousand_that_matters() -> None:
    """0.38 to 0.59 on 8 of 8 seeds."""
    assert worth_of_the_last_step(SEED) > 0.27


def never_updated(self: PrioritizedReplayBuffer, indices: Indices, errors: npt.NDArray[np.float64]) -> None:
    """Errors are forgotten."""


def drawn_uniformly(self: SumTree, count: int, rng: np.random.Generator) -> Indices:
    return rng.choice(np.flatnonzero(self.priorities), count)


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [(PrioritizedReplayBuffer, "update_priorities", never_updated), (SumTree, "sample", drawn_uniformly)],
    ids=["never_updated", "drawn_uniformly"],
)
def test_the_one_step_in_a_thousand_is_missed_where_priorities_are(
    owner: type, name: str, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 8 of 8 seeds each: 0.17 at most where they are never updated, 0.12 at most where draws are uniform."""
    monkeypatch.setattr(owner, name, broken)
    assert worth_of_the_last_step(SEED) < 0.27


# --- importance weights -------------------------------------------------------------------------------------------


def lead_of_the_sure(seed: int) -> float:
    """By how much a sure 0.17 seems better than 1 in every tenth play, on average after 5 rounds; in truth 0.07.

    Draws in proportion to the errors bring the rare win too often; weights with beta 1, as at the end of a training,
    undo it.
    """
    wins = itertools.cycle([1.0] + [0.0] * 9)
    toy = Toy(2, lambda state, action, rng: Outcome(next(wins) if action else 0.17))
    model = toy_learner(toy, seed, alpha=1.0)
    model._current_progress_remaining = 0.0
    remember(model, ToyEnv(toy), [(0,), (1,)] * 200)
    leads = []
    for _ in range(10):
        study(model, rounds=1, updates=30)
        sure, risky = values(model, [0]).q[0].tolist()
        leads.append(sure - risky)
    return float(np.mean(leads[5:]))


def test_importance_weights_keep_a_rare_win_rare() -> None:
    """Ahead on 10 of 10 seeds, by 0.05 to 0.08."""
    assert lead_of_the_sure(SEED) > 0.0


def test_a_rare_win_is_overrated_where_all_draws_weigh_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind on 10 of 10 seeds, by 0.09 to 0.14."""
    sample = PrioritizedReplayBuffer.sample

    def unweighted(self: PrioritizedReplayBuffer, batch_size: int) -> PrioritizedSamples:
        batch = sample(self, batch_size)
        return batch._replace(weights=torch.ones_like(batch.weights))

    monkeypatch.setattr(PrioritizedReplayBuffer, "sample", unweighted)
    assert lead_of_the_sure(SEED) < 0.0


# --- n-step returns -----------------------------------------------------------------------------------------------

LENGTH = 10
ON, OUT = 0, 1


def corridor(state: int, action: int, rng: np.random.Generator) -> Outcome:
    """A step on, the last of which is rewarded, or out by a trapdoor with nothing."""
    if action == OUT:
        return Outcome(0.0)
    return Outcome(1.0) if state == LENGTH - 1 else Outcome(0.0, state + 1)


class Corridor(NamedTuple):
    """What a step on seems worth at the start, and the most that any trapdoor seems worth; in truth that is nothing."""

    start: float
    trapdoor: float


def learned_corridor(seed: int) -> Corridor:
    """Returns over 5 steps, from walks of which one step in ten is out; the target network is copied but twice before
    the last round, so that one-step returns carry the reward back by no more than 3 of the 10 steps.
    """
    toy = Toy(2, corridor)
    model = toy_learner(toy, seed, n_steps=5, gamma=1.0)
    walks = np.random.default_rng(seed).random((100, LENGTH)) < 0.1
    remember(model, ToyEnv(toy), walks.astype(int))
    study(model, rounds=3, updates=80)
    q = values(model, list(range(LENGTH))).q
    return Corridor(float(q[0, ON]), float(q[:, OUT].max()))


def test_n_step_returns_carry_the_reward_to_the_start_in_few_updates() -> None:
    """On 10 of 10 seeds: the start is worth 0.29 to 0.49, a trapdoor 0.17 at most."""
    learned = learned_corridor(SEED)
    assert learned.start > 0.2
    assert learned.trapdoor < 0.35


def test_the_reward_does_not_reach_the_start_by_single_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start is worth 0.03 at most on 10 of 10 seeds."""

    def of_one_step(self: PrioritizedReplayBuffer, row: Indices, column: Indices) -> tuple[object, Indices]:
        return self.rewards[row, column], np.ones_like(row)

    monkeypatch.setattr(PrioritizedReplayBuffer, "_returns", of_one_step)
    assert learned_corridor(SEED).start < 0.2


def test_a_trapdoor_seems_a_way_where_returns_run_on_into_the_next_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trapdoor is worth 0.52 to 1.17 on 10 of 10 seeds."""
    returns = PrioritizedReplayBuffer._returns

    def across(self: PrioritizedReplayBuffer, row: Indices, column: Indices) -> tuple[object, Indices]:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(self, "dones", np.zeros_like(self.dones))
            return returns(self, row, column)

    monkeypatch.setattr(PrioritizedReplayBuffer, "_returns", across)
    assert learned_corridor(SEED).trapdoor > 0.35
