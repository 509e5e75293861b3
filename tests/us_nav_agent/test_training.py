"""The learner: each part of its update by known answers, and that it learns a toy in seconds, or fails when broken."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.envs.tables import goal_distances
from us_grid_sim.geometry import BINS, Action, Bin
from us_nav_agent.networks.dueling import NetworkConfig
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.training import augment, dqn
from us_nav_agent.training.augment import Augmentation, augment_actions, augment_frames, mirror_moves
from us_nav_agent.training.dqn import (
    FrameBank,
    PrioritizedDoubleDQN,
    ReferencePolicy,
    ReferenceQNetwork,
    double_q_target,
)
from us_nav_agent.training.q_learning import make_environments

MakeGrid = Callable[..., PreprocessedGrid]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run much faster on one thread, above all where the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unchanged(count: int, generator: object = None, wide: bool = False) -> Augmentation:
    """The augmentation that changes nothing."""
    return Augmentation.none(count)


# --- the target ---------------------------------------------------------------------------------------------------


def test_the_target_is_the_target_networks_value_of_the_online_networks_choice() -> None:
    next_q = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
    next_target = torch.tensor([[10.0, 20.0, 30.0, 40.0], [4.0, 3.0, 2.0, 1.0]])
    rewards, dones = torch.tensor([[0.5], [-0.1]]), torch.tensor([[0.0], [1.0]])
    target = double_q_target(next_q, next_target, rewards, dones, torch.tensor([[0.9], [0.7]]))
    torch.testing.assert_close(target, torch.tensor([[0.5 + 0.9 * 20.0], [-0.1]]))


# --- augmentation -------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, 16, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_record_of_no_change_changes_nothing(pictures: torch.Tensor) -> None:
    assert torch.equal(augment_frames(pictures, unchanged(4)), pictures)


def test_a_mirrored_frame_is_the_frame_mirrored(pictures: torch.Tensor) -> None:
    record = unchanged(4)
    record.mirror[1] = True
    changed = augment_frames(pictures, record)
    assert torch.equal(changed[1], pictures[1].flip(-1))
    assert torch.equal(changed[[0, 2, 3]], pictures[[0, 2, 3]])


def test_on_a_mirrored_back_up_is_down(toy_grid: MakeGrid) -> None:
    """A mirrored frame is that of the mirrored row, whose best move is the other way."""
    grid, record = toy_grid(), unchanged(1)
    record.mirror[0] = True
    frames = torch.from_numpy(grid.frames)[:, None]
    for place in (Bin(0, 4), Bin(3, 0), Bin(9, 14)):
        mirrored = augment_frames(frames[place.state : place.state + 1], record)
        other = frames[Bin(10 - place.row, place.column).state]
        torch.testing.assert_close(mirrored[0].float(), other.float(), atol=1.0, rtol=0)
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert mirror_moves(values, record.mirror).tolist() == [[2.0, 1.0, 3.0, 4.0]]
    memory = torch.tensor([[1.0, 0, 0, 0, 0, 0, 0, 1.0]])
    assert augment_actions(memory, record, 4).tolist() == [[0, 1.0, 0, 0, 0, 0, 0, 1.0]]


def test_thicker_tissue_moves_everything_away_from_the_skin(pictures: torch.Tensor) -> None:
    """Twice as thick: the upper half fills the picture, the row at the skin stays."""
    record = dataclasses.replace(unchanged(4), thickness=torch.full((4,), 2.0))
    changed = augment_frames(pictures, record).float()
    for thick, upper in ((1, 0), (7, 3), (15, 7)):
        between = 0.75 * pictures.float()[:, :, upper] + 0.25 * pictures.float()[:, :, upper + 1]
        torch.testing.assert_close(changed[:, :, thick], between, atol=1.0, rtol=0)


def test_an_edge_without_contact_is_dark(pictures: torch.Tensor) -> None:
    record = dataclasses.replace(unchanged(4), lifted=torch.tensor([0.25, -0.25, 0.0, 0.0]))
    changed, plain = augment_frames(pictures, record).float(), pictures.float()
    torch.testing.assert_close(changed[0, :, :, :6], 0.15 * plain[0, :, :, :6], atol=0.51, rtol=0)
    torch.testing.assert_close(changed[1, :, :, 18:], 0.15 * plain[1, :, :, 18:], atol=0.51, rtol=0)
    assert torch.equal(changed[0, :, :, 6:], plain[0, :, :, 6:])
    assert torch.equal(changed[2:], plain[2:])


def test_clutter_fills_what_is_dark_and_covers_nothing_bright(pictures: torch.Tensor) -> None:
    record = dataclasses.replace(unchanged(4), clutter=torch.full((4,), 0.2))
    changed = augment_frames(pictures, record)
    assert (changed >= pictures).all()
    assert torch.equal(changed[pictures > 51], pictures[pictures > 51])
    dark = augment_frames(torch.zeros_like(pictures), record).float()
    assert 15 < dark.mean() < 36


def test_wide_augmentation_begins_with_the_plain_one() -> None:
    """So what is learnt with the plain one does not depend on there being a wide one."""
    plain, wide = (augment.sample_augmentation(8, torch.Generator().manual_seed(3), kind) for kind in (False, True))
    for name in ("mirror", "shift", "turn", "zoom", "gamma"):
        assert torch.equal(getattr(plain, name), getattr(wide, name))
    assert (wide.thickness != 1).all()
    assert (plain.thickness == 1).all()


def test_the_same_record_gives_the_same_frames(pictures: torch.Tensor) -> None:
    record = augment.sample_augmentation(4, torch.Generator().manual_seed(7))
    assert torch.equal(augment_frames(pictures, record), augment_frames(pictures, record))
    assert not torch.equal(augment_frames(pictures, record), pictures)


# --- observations by reference ------------------------------------------------------------------------------------


def test_a_reference_gives_the_q_values_of_its_pixels(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    grid = toy_grid()
    by_reference = SacrumNavEnv(subjects=[grid], stop=False, observation="reference")
    by_pixels = SacrumNavEnv(subjects=[grid], stop=False)
    network = ReferenceQNetwork(
        by_reference.observation_space, by_reference.action_space, tiny, FrameBank(by_reference.frame_bank)
    )
    (reference, _), (pixels, _) = by_reference.reset(seed=4), by_pixels.reset(seed=4)
    for action in (0, 3, 3, 1, 2):
        with torch.inference_mode():
            looked_up = network({name: torch.from_numpy(value)[None] for name, value in reference.items()})
            seen = {name: torch.from_numpy(value)[None] for name, value in pixels.items()}
            direct = network.network.both_sides(seen["frames"], seen["actions"]).q
        assert torch.equal(looked_up, direct)
        reference, *_ = by_reference.step(action)
        pixels, *_ = by_pixels.step(action)


# --- the update ---------------------------------------------------------------------------------------------------


@pytest.fixture
def learner(toy_grid: MakeGrid, tiny: NetworkConfig) -> Callable[..., PrioritizedDoubleDQN]:
    """Makes a learner on the toy subject."""

    def make(**settings: Any) -> PrioritizedDoubleDQN:
        environments, bank = make_environments([toy_grid()], tiny, 8)
        usual: dict[str, Any] = {
            "learning_rate": 2e-3,
            "buffer_size": 5000,
            "learning_starts": 200,
            "batch_size": 32,
            "gamma": 0.5,
            "train_freq": 1,
            "gradient_steps": 2,
            "target_update_interval": 200,
            "exploration_fraction": 0.5,
            "exploration_final_eps": 0.1,
            "seed": 0,
            "device": "cpu",
        }
        return PrioritizedDoubleDQN(
            ReferencePolicy,
            environments,
            replay_buffer_class=PrioritizedReplayBuffer,
            replay_buffer_kwargs={"alpha": 0.6, "gamma": 0.5, "seed": 0},
            policy_kwargs={"config": tiny, "bank": bank},
            **usual | settings,
        )

    return make


@pytest.fixture
def warm(
    learner: Callable[..., PrioritizedDoubleDQN], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PrioritizedDoubleDQN, Any]]:
    """A learner with 200 transitions whose two networks differ, and the batch that its next update will draw."""
    monkeypatch.setattr(dqn, "sample_augmentation", unchanged)
    model = learner(learning_starts=1000, learning_rate=1e-9)
    model.learn(200)
    torch.manual_seed(2)
    with torch.no_grad():
        for network in (model.q_net, model.q_net_target):
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.replay_buffer.update_priorities(np.arange(200), np.random.default_rng(0).uniform(0.1, 1.0, 200))
    model._current_progress_remaining = 0.5
    model.replay_buffer.beta = 0.7
    batch = copy.deepcopy(model.replay_buffer).sample(32)
    return model, batch


def td_errors(model: PrioritizedDoubleDQN, batch: Any) -> torch.Tensor:
    """Written out anew: Q(s, a) - (r + 0.5 * Q_target(s', argmax Q(s')))."""

    def q_of(network: ReferenceQNetwork, seen: Any) -> torch.Tensor:
        return network.network(network.frames(seen), network.moves(seen)).q

    with torch.no_grad():
        online, frozen = (q_of(network, batch.next_observations) for network in (model.q_net, model.q_net_target))
        later = torch.stack([frozen[i, online[i].argmax()] for i in range(32)])
        target = batch.rewards[:, 0] + (1 - batch.dones[:, 0]) * 0.5 * later
        q = q_of(model.q_net, batch.observations)
        now = torch.stack([one[a] for one, a in zip(q, batch.actions[:, 0], strict=True)])
    return now - target


def test_an_update_stores_the_errors_of_double_q_learning_as_priorities(
    warm: tuple[PrioritizedDoubleDQN, Any],
) -> None:
    model, batch = warm
    expected = (td_errors(model, batch).abs().numpy() + 1e-3) ** 0.6
    model.train(1, 32)
    np.testing.assert_allclose(model.replay_buffer.priorities[batch.indices], expected, rtol=1e-3)


def test_an_update_on_mirror_images_swaps_frames_memory_and_moves(
    warm: tuple[PrioritizedDoubleDQN, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Priorities of an update on mirror images are the errors of the mirrored transitions, written out anew."""

    def mirrored(count: int, generator: object = None, wide: bool = False) -> Augmentation:
        record = unchanged(count)
        record.mirror[:] = True
        return record

    monkeypatch.setattr(dqn, "sample_augmentation", mirrored)
    model, batch = warm
    frames = torch.cat([model.q_net.bank.frames, model.q_net.bank.frames.flip(-1)])
    count = len(model.q_net.bank.frames)
    swap = torch.tensor([1, 0, 2, 3])
    there = batch._replace(
        observations=_swapped(batch.observations, count, swap),
        next_observations=_swapped(batch.next_observations, count, swap),
        actions=swap[batch.actions.long()],
    )
    model.q_net.bank.frames = frames
    expected = (td_errors(model, there).abs().numpy() + 1e-3) ** 0.6
    model.train(1, 32)
    np.testing.assert_allclose(model.replay_buffer.priorities[batch.indices], expected, rtol=1e-3)


def _swapped(seen: dict[str, torch.Tensor], count: int, swap: torch.Tensor) -> dict[str, torch.Tensor]:
    memory = seen["actions"].reshape(-1, 5, 4)[..., swap].reshape(-1, 20)
    return {"frames": seen["frames"] + count, "actions": memory}


def test_the_loss_is_huber_weighted_by_importance(warm: tuple[PrioritizedDoubleDQN, Any]) -> None:
    model, batch = warm
    errors = td_errors(model, batch).abs()
    huber = torch.where(errors < 1, errors**2 / 2, errors - 0.5)
    assert batch.weights.std() > 0.05
    model.train(1, 32)
    assert model.logger.name_to_value["train/loss"] == pytest.approx(float((batch.weights[:, 0] * huber).mean()))


def test_beta_goes_from_04_to_1_over_the_training(warm: tuple[PrioritizedDoubleDQN, Any]) -> None:
    model, _ = warm
    for remaining, beta in ((1.0, 0.4), (0.5, 0.7), (0.0, 1.0)):
        model._current_progress_remaining = remaining
        model.train(1, 32)
        assert model.replay_buffer.beta == pytest.approx(beta)


def test_the_two_networks_share_one_bank_and_no_weights(learner: Callable[..., PrioritizedDoubleDQN]) -> None:
    model = learner()
    assert model.q_net.bank is model.q_net_target.bank
    for one, other in zip(model.q_net.parameters(), model.q_net_target.parameters(), strict=True):
        assert one.data_ptr() != other.data_ptr()


def test_a_checkpoint_carries_no_frames(learner: Callable[..., PrioritizedDoubleDQN], tmp_path: Path) -> None:
    model = learner(buffer_size=10)
    model.q_net.bank.frames = torch.randint(0, 256, (4000, 32, 32), dtype=torch.uint8)
    model.save(tmp_path / "state.zip", exclude=["policy_kwargs"])
    assert (tmp_path / "state.zip").stat().st_size < 1_000_000 < model.q_net.bank.frames.nbytes


def test_each_environment_explores_on_its_own(learner: Callable[..., PrioritizedDoubleDQN]) -> None:
    """stable-baselines3 draws once for all environments; one draw for 8 would explore all or none."""
    model = learner()
    model.exploration_rate = 0.5
    seen = model.get_env().reset()
    greedy, _ = model.predict(seen, deterministic=True)
    share = np.mean([model.predict(seen)[0] != greedy for _ in range(100)], axis=0)
    assert share.shape == (8,)
    assert (abs(share - 0.5 * 0.75) < 0.2).all()
    mixed = [0 < (model.predict(seen)[0] != greedy).sum() < 8 for _ in range(20)]
    assert sum(mixed) > 15


# --- the toy ------------------------------------------------------------------------------------------------------


def correct_share(model: PrioritizedDoubleDQN, grid: PreprocessedGrid) -> float:
    """Share of the bins outside the goal's rows and columns in which the greedy move leads closer."""
    distances = goal_distances(grid.goals)
    with torch.inference_mode():
        frames = torch.arange(BINS)[:, None].repeat(1, 3)
        moves = model.q_net({"frames": frames, "actions": torch.zeros(BINS, 20)}).argmax(dim=1).tolist()
    after = np.array([Bin.from_state(state).moved(Action(move)).state for state, move in enumerate(moves)])
    away = distances > 0
    return float((distances[after] < distances)[away].mean())


def best_correct_share(model: PrioritizedDoubleDQN, grid: PreprocessedGrid, steps: int) -> float:
    """The highest share seen while it learns, looked at every 200 steps; learning ends where nearly all are correct."""
    shares = []

    def look(local: dict[str, Any], _: dict[str, Any]) -> bool:
        if local["self"].num_timesteps % 200 == 0:
            shares.append(correct_share(model, grid))
        return not shares or shares[-1] < 0.95

    model.learn(steps, callback=look)
    return max(shares)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the toy the height of a spot says the column, so thicker tissue would be another column."""
    narrow = augment.sample_augmentation
    monkeypatch.setattr(dqn, "sample_augmentation", lambda count, generator, wide: narrow(count, generator))


@pytest.mark.usefixtures("plain")
def test_the_learner_learns_the_toy(learner: Callable[..., PrioritizedDoubleDQN], toy_grid: MakeGrid) -> None:
    assert best_correct_share(learner(), toy_grid(), 6000) >= 0.95


@pytest.mark.usefixtures("plain")
def test_a_learner_that_is_not_told_the_reward_does_not_learn_the_toy(
    learner: Callable[..., PrioritizedDoubleDQN], toy_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = double_q_target
    monkeypatch.setattr(
        dqn, "double_q_target", lambda q, t, rewards, dones, discounts: right(q, t, 0 * rewards, dones, discounts)
    )
    assert best_correct_share(learner(), toy_grid(), 2000) < 0.85
