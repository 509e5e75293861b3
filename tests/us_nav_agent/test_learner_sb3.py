"""What stable-baselines3 offers around a learner works with ours: files, callbacks, logs and evaluation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from support.toys import STATES, Observation, Outcome, Toy, ToyEnv, toy_learner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_nav_agent.errors import TrainingError
from us_nav_agent.networks.dueling import NetworkConfig
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.training import dqn
from us_nav_agent.training.dqn import PrioritizedDoubleDQN, ReferencePolicy
from us_nav_agent.training.q_learning import make_environments

MakeGrid = Callable[..., PreprocessedGrid]
LENGTH = 3


def corridor(state: int, action: int, rng: np.random.Generator) -> Outcome:
    """A step on, the last of which is rewarded, or out with nothing (action 1)."""
    if action == 1:
        return Outcome(0.0)
    return Outcome(1.0) if state == LENGTH - 1 else Outcome(0.0, state + 1)


TOY = Toy(2, corridor)


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


@pytest.fixture
def begun() -> PrioritizedDoubleDQN:
    """A learner after its first 40 updates."""
    return toy_learner(TOY, seed=0, learning_starts=20).learn(60)


@pytest.fixture
def everywhere() -> Observation:
    """Every state under every action memory of one action."""
    states, memories = np.indices((STATES, 3)).reshape(2, -1)
    return {"frames": states[:, None], "actions": np.eye(3, 2, dtype=np.float32)[memories]}


def greedy(model: PrioritizedDoubleDQN, seen: Observation) -> list[int]:
    actions, _ = model.predict(seen, deterministic=True)
    return list(actions.tolist())


def q_values(model: PrioritizedDoubleDQN, seen: Observation) -> torch.Tensor:
    with torch.inference_mode():
        q: torch.Tensor = model.q_net({name: torch.from_numpy(value) for name, value in seen.items()})
    return q


# --- files --------------------------------------------------------------------------------------------------------


def test_a_loaded_learner_decides_as_the_saved_one_once_it_is_given_the_frames(
    begun: PrioritizedDoubleDQN, everywhere: Observation, tmp_path: Path
) -> None:
    """A file holds no frames: they are handed over in ``custom_objects``, with the shape of the network."""
    begun.save(tmp_path / "model.zip")
    frames = {"policy_kwargs": begun.policy_kwargs}
    loaded = PrioritizedDoubleDQN.load(tmp_path / "model.zip", device="cpu", custom_objects=frames)
    assert greedy(loaded, everywhere) == greedy(begun, everywhere)
    assert torch.equal(q_values(loaded, everywhere), q_values(begun, everywhere))
    assert loaded.q_net.bank is begun.q_net.bank


def test_a_loaded_learner_without_frames_decides_nothing(
    begun: PrioritizedDoubleDQN, everywhere: Observation, tmp_path: Path
) -> None:
    begun.save(tmp_path / "model.zip")
    loaded = PrioritizedDoubleDQN.load(tmp_path / "model.zip", device="cpu")
    with pytest.raises(TrainingError, match="has no frames; load it with custom_objects"):
        loaded.predict(everywhere, deterministic=True)


@pytest.mark.parametrize("exclude", [[], ["policy_kwargs"]], ids=["as it is", "as a checkpoint of a run"])
def test_parameters_from_a_file_make_another_learner_decide_alike(
    begun: PrioritizedDoubleDQN, everywhere: Observation, tmp_path: Path, exclude: list[str]
) -> None:
    begun.save(tmp_path / "model.zip", exclude=exclude)
    other = toy_learner(TOY, seed=1)
    assert not torch.equal(q_values(other, everywhere), q_values(begun, everywhere))
    other.set_parameters(str(tmp_path / "model.zip"), device="cpu")
    assert greedy(other, everywhere) == greedy(begun, everywhere)
    assert torch.equal(q_values(other, everywhere), q_values(begun, everywhere))


def test_a_loaded_learner_goes_on_where_the_saved_one_stopped(
    begun: PrioritizedDoubleDQN, everywhere: Observation, tmp_path: Path
) -> None:
    """Steps and updates count on, the replay is the old one and grows, and the networks learn on."""
    begun.save(tmp_path / "model.zip")
    begun.save_replay_buffer(tmp_path / "replay.pkl")
    loaded = PrioritizedDoubleDQN.load(
        tmp_path / "model.zip", Monitor(ToyEnv(TOY)), "cpu", custom_objects={"policy_kwargs": begun.policy_kwargs}
    )
    loaded.load_replay_buffer(tmp_path / "replay.pkl")
    assert isinstance(loaded.replay_buffer, PrioritizedReplayBuffer)
    np.testing.assert_array_equal(loaded.replay_buffer.priorities, begun.replay_buffer.priorities)
    loaded.learn(20, reset_num_timesteps=False)
    assert loaded.num_timesteps == begun.num_timesteps + 20
    assert loaded._n_updates == begun._n_updates + 20
    assert loaded.replay_buffer.pos == begun.replay_buffer.pos + 20
    assert not torch.equal(q_values(loaded, everywhere), q_values(begun, everywhere))


# --- callbacks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_the_grid(toy_grid: MakeGrid, tiny: NetworkConfig) -> Callable[[], PrioritizedDoubleDQN]:
    """Makes a learner with convolutions on four environments that walk on the toy subject."""

    def make() -> PrioritizedDoubleDQN:
        environments, bank = make_environments([toy_grid()], tiny, 4)
        return PrioritizedDoubleDQN(
            ReferencePolicy,
            environments,
            buffer_size=400,
            learning_starts=40,
            replay_buffer_class=PrioritizedReplayBuffer,
            policy_kwargs={"config": tiny, "bank": bank},
            seed=0,
            device="cpu",
        )

    return make


def test_eval_callback_keeps_evaluations_and_the_best_model(
    on_the_grid: Callable[[], PrioritizedDoubleDQN], toy_grid: MakeGrid, tiny: NetworkConfig, tmp_path: Path
) -> None:
    model = on_the_grid()
    apart, _ = make_environments([toy_grid()], tiny, 4)
    callback = EvalCallback(
        apart, n_eval_episodes=4, eval_freq=10, log_path=str(tmp_path), best_model_save_path=str(tmp_path), verbose=0
    )
    model.learn(80, callback=callback)
    with np.load(tmp_path / "evaluations.npz") as kept:
        assert kept["timesteps"].tolist() == [40, 80]
        assert kept["results"].shape == kept["ep_lengths"].shape == kept["successes"].shape == (2, 4)
        assert kept["results"].mean(axis=1).max() == callback.best_mean_reward
        np.testing.assert_array_equal(kept["successes"], kept["ep_lengths"] < 50)
    other = on_the_grid()
    other.set_parameters(str(tmp_path / "best_model.zip"), device="cpu")
    rewards, _ = evaluate_policy(other, apart, 4)
    assert np.isfinite(rewards)


class _StopAfter(BaseCallback):  # type: ignore[misc]
    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def _on_step(self) -> bool:
        return self.num_timesteps < self._steps


def test_checkpoint_callback_keeps_models_and_replays(tmp_path: Path) -> None:
    callback = CheckpointCallback(save_freq=20, save_path=str(tmp_path), name_prefix="toy", save_replay_buffer=True)
    model = toy_learner(TOY, seed=0, learning_starts=30)
    model.learn(40, callback=[callback, _StopAfter(40)])
    assert {file.name for file in tmp_path.iterdir()} == {
        "toy_20_steps.zip",
        "toy_40_steps.zip",
        "toy_replay_buffer_20_steps.pkl",
        "toy_replay_buffer_40_steps.pkl",
    }
    other = toy_learner(TOY, seed=1)
    other.set_parameters(str(tmp_path / "toy_40_steps.zip"), device="cpu")
    for name, value in model.q_net.state_dict().items():
        assert torch.equal(other.q_net.state_dict()[name], value)
    other.load_replay_buffer(tmp_path / "toy_replay_buffer_40_steps.pkl")
    np.testing.assert_array_equal(other.replay_buffer.rewards, model.replay_buffer.rewards)


def test_a_callback_that_says_no_ends_the_training() -> None:
    model = toy_learner(TOY, seed=0, learning_starts=10)
    model.learn(300, callback=_StopAfter(25))
    assert model.num_timesteps == 25


# --- logs and evaluation ------------------------------------------------------------------------------------------


def test_tensorboard_shows_loss_and_exploration(tmp_path: Path) -> None:
    """The loss of every update is finite and not negative; exploration sinks from 1 to its end."""
    model = toy_learner(
        TOY,
        seed=0,
        learning_starts=10,
        exploration_fraction=0.5,
        exploration_final_eps=0.1,
        tensorboard_log=str(tmp_path),
    )
    model.learn(100, log_interval=1, tb_log_name="toy")
    events = EventAccumulator(str(tmp_path / "toy_1"))
    events.Reload()
    series: dict[str, list[Any]] = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    assert {"train/loss", "rollout/exploration_rate"} <= set(series)
    assert all(np.isfinite(event.value) and event.value >= 0.0 for event in series["train/loss"])
    exploration = [event.value for event in series["rollout/exploration_rate"]]
    assert exploration[0] > 0.9
    assert exploration == sorted(exploration, reverse=True)
    assert exploration[-1] == pytest.approx(0.1)


def test_evaluate_policy_says_what_was_learned() -> None:
    """Greedily the corridor is walked to its end; at random mostly not (one walk in eight is)."""
    trained = toy_learner(TOY, seed=0, learning_starts=50, target_update_interval=50).learn(250)
    assert evaluate_policy(trained, Monitor(ToyEnv(TOY)), n_eval_episodes=5) == (1.0, 0.0)
    at_random, _ = evaluate_policy(trained, Monitor(ToyEnv(TOY)), n_eval_episodes=40, deterministic=False)
    assert at_random < 0.5
