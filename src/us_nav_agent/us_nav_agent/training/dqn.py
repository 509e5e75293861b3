"""The learner: stable-baselines3's DQN with double Q-learning, prioritized replay and a dueling policy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor
from torch.nn import functional

from us_nav_agent.errors import TrainingError
from us_nav_agent.networks.dueling import DuelingNetwork, NetworkConfig
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.training.augment import (
    Augmentation,
    augment_actions,
    augment_frames,
    mirror_moves,
    sample_augmentation,
)


class FrameBank:
    """All frames of the training subjects, uint8 (N, h, w), held once on ``device``; a checkpoint carries none."""

    def __init__(self, frames: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> None:
        self.frames = torch.from_numpy(frames).to(device)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.frames = torch.empty(0, 1, 1, dtype=torch.uint8)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrameBank":
        return self


class ReferenceQNetwork(BasePolicy):  # type: ignore[misc]
    """Q-values of observations by reference: frame numbers are looked up in the bank."""

    def __init__(
        self, observation_space: spaces.Dict, action_space: spaces.Discrete, config: NetworkConfig, bank: FrameBank
    ) -> None:
        super().__init__(observation_space, action_space)
        self.bank = bank
        self.network = DuelingNetwork(config)

    def frames(self, obs: PyTorchObs) -> Tensor:
        """The frames uint8 (n, frames, h, w) that observations refer to.

        Raises:
            TrainingError: this is a learner from a file, which carries no frames.
        """
        if not len(self.bank.frames):
            raise TrainingError(
                "a learner from a file has no frames; load it with "
                "custom_objects={'policy_kwargs': {'config': ..., 'bank': ...}}, or use set_parameters on a new one"
            )
        frames: Tensor = self.bank.frames[obs["frames"].long()]
        return frames

    def moves(self, obs: PyTorchObs) -> Tensor:
        """The action memories float (n, k * actions) of observations; (n, 0) of an agent that remembers none."""
        if "actions" not in obs:
            return torch.zeros(len(obs["frames"]), 0, device=obs["frames"].device)
        moves: Tensor = obs["actions"].float()
        return moves

    def forward(self, obs: PyTorchObs) -> Tensor:
        """Q-values (n, actions)."""
        q: Tensor = self.network.both_sides(self.frames(obs), self.moves(obs)).q
        return q

    def _predict(self, observation: PyTorchObs, deterministic: bool = True) -> Tensor:
        best: Tensor = self(observation).argmax(dim=1)
        return best


class ReferencePolicy(DQNPolicy):  # type: ignore[misc]
    """stable-baselines3's DQN policy around our network."""

    def __init__(self, *args: Any, config: NetworkConfig, bank: FrameBank, **kwargs: Any) -> None:
        self._config, self._bank = config, bank
        super().__init__(*args, **kwargs)

    def make_q_net(self) -> ReferenceQNetwork:
        """A new network on the policy's device."""
        network = ReferenceQNetwork(self.observation_space, self.action_space, self._config, self._bank)
        network.to(self.device)
        return network


def double_q_target(next_q: Tensor, next_q_target: Tensor, rewards: Tensor, dones: Tensor, discounts: Tensor) -> Tensor:
    """The target R + discount * Q_target(s', argmax Q(s')) (n, 1) of returns R over one or more steps, from the
    Q-values (n, actions) of both networks (van Hasselt et al. 2016).
    """
    chosen = next_q.argmax(dim=1, keepdim=True)
    return rewards + (1.0 - dones) * discounts * next_q_target.gather(1, chosen)


class PrioritizedDoubleDQN(DQN):  # type: ignore[misc]
    """DQN with double Q-learning, importance weights, augmentation and an epsilon of each environment's own."""

    replay_buffer: PrioritizedReplayBuffer

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Update the network ``gradient_steps`` times."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        generator = torch.Generator().manual_seed(int(self._n_updates) + 7919 * int(self.seed or 0))
        self.replay_buffer.beta = 1.0 - 0.6 * self._current_progress_remaining
        losses = []
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            record = sample_augmentation(batch_size, generator, wide=True).to(self.device)

            def seen(obs: PyTorchObs, record: Augmentation = record) -> tuple[Tensor, Tensor]:
                frames = augment_frames(self.q_net.frames(obs), record)
                return frames, augment_actions(self.q_net.moves(obs), record, self.q_net.network.config.outputs)

            def values(
                network: ReferenceQNetwork, frames: Tensor, moves: Tensor, mirror: Tensor = record.mirror
            ) -> Tensor:
                return mirror_moves(network.network(frames, moves).q, mirror)

            with torch.no_grad():
                later = seen(batch.next_observations)
                next_q, next_target = values(self.q_net, *later), values(self.q_net_target, *later)
                target = double_q_target(next_q, next_target, batch.rewards, batch.dones, batch.discounts)
            current = values(self.q_net, *seen(batch.observations)).gather(1, batch.actions.long())
            loss = (batch.weights * functional.smooth_l1_loss(current, target, reduction="none")).mean()
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            errors = (current - target).detach().cpu().numpy()[:, 0].astype(np.float64)
            self.replay_buffer.update_priorities(batch.indices, errors)
            losses.append(float(loss.detach()))
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", float(np.mean(losses)))

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[npt.NDArray[np.int64], Any]:
        """Actions (n,) for a batch of observations: greedy, or each at random with probability epsilon."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic)
        if not deterministic:
            random = np.random.rand(*np.shape(actions)) < self.exploration_rate
            actions = np.where(random, np.random.randint(self.action_space.n, size=np.shape(actions)), actions)
        return actions, state
