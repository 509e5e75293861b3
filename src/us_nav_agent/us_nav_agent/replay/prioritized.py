"""Proportional prioritized replay (Schaul et al. 2016) of n-step returns, behind stable-baselines3's interface."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from us_nav_agent.replay.sum_tree import Indices, SumTree


class PrioritizedSamples(NamedTuple):
    """A batch: stable-baselines3's fields, then where it was drawn and what each sample weighs.

    Attributes:
        observations, actions: what was seen, and what was done there (n, 1).
        next_observations: what was seen after the last of the steps.
        dones: (n, 1), whether the episode had ended there, running out of time not counted.
        rewards: (n, 1), the discounted sum over the steps.
        discounts: (n, 1), of what comes after them: gamma ** steps.
        indices: (n,), where it was drawn.
        weights: (n, 1), the importance weights, the largest of a batch 1 (Schaul et al. 2016, sec. 3.4).
    """

    observations: dict[str, torch.Tensor]
    actions: torch.Tensor
    next_observations: dict[str, torch.Tensor]
    dones: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor
    indices: npt.NDArray[np.int64]
    weights: torch.Tensor


class PrioritizedReplayBuffer(DictReplayBuffer):  # type: ignore[misc]
    """A replay buffer for dict observations that draws transitions in proportion to |TD error| ** alpha.

    A sample spans ``n_steps`` steps of one environment, fewer where the episode or what is stored ends before.

    Args:
        n_steps: steps whose rewards are summed before the network's estimate takes over (Sutton 1988).
        gamma: discount of a step.
        alpha: how strongly priorities count, 0 to 1.
        beta: importance correction; the learner anneals it towards 1.
        seed: of the draws.

    The others are those of DictReplayBuffer.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        n_steps: int = 1,
        gamma: float = 0.99,
        alpha: float = 0.6,
        beta: float = 0.4,
        seed: int = 0,
    ) -> None:
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            device,
            n_envs,
            optimize_memory_usage,
            handle_timeout_termination,
        )
        self.n_steps = n_steps
        self.gamma = gamma
        self.alpha = alpha
        self.beta = beta
        self._rng = np.random.default_rng(seed)
        self._tree = SumTree(self.buffer_size * self.n_envs)
        self._highest = 1.0

    @property
    def priorities(self) -> npt.NDArray[np.float64]:
        """The priorities (buffer_size * n_envs,), by step and then by environment; 0 where nothing is stored."""
        return self._tree.priorities

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Add a transition of every environment, at the highest priority so far: each is looked at once."""
        places = self.pos * self.n_envs + np.arange(self.n_envs)
        super().add(*args, **kwargs)
        self._tree.set(places, np.full(self.n_envs, self._highest))

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> PrioritizedSamples:
        """Draw a batch."""
        indices = self._tree.sample(batch_size, self._rng)
        row, column = np.divmod(indices, self.n_envs)
        stored = self.buffer_size * self.n_envs if self.full else self.pos * self.n_envs
        share = self.priorities[indices] / self._tree.total
        weights = (stored * share) ** -self.beta
        returns, steps = self._returns(row, column)
        last = (row + steps - 1) % self.buffer_size
        done = self.dones[last, column] * (1 - self.timeouts[last, column])
        return PrioritizedSamples(
            observations={key: self.to_torch(values[row, column]) for key, values in self.observations.items()},
            actions=self.to_torch(self.actions[row, column]),
            next_observations={
                key: self.to_torch(values[last, column]) for key, values in self.next_observations.items()
            },
            dones=self.to_torch(done).reshape(-1, 1),
            rewards=self.to_torch(returns).reshape(-1, 1),
            discounts=self.to_torch((self.gamma**steps).astype(np.float32)).reshape(-1, 1),
            indices=indices,
            weights=self.to_torch((weights / weights.max()).astype(np.float32)).reshape(-1, 1),
        )

    def _returns(self, row: Indices, column: Indices) -> tuple[npt.NDArray[np.float32], Indices]:
        """Discounted sums of rewards (n,) from these transitions on, and over how many steps (n,) they go."""
        ahead = (row[:, None] + np.arange(self.n_steps)) % self.buffer_size
        across = column[:, None]
        newest = (self.pos - 1) % self.buffer_size
        ends = (self.dones[ahead, across] > 0) | (ahead == newest)
        counts = ends.cumsum(axis=1) - ends == 0  # up to the first end, which itself counts
        discount = self.gamma ** np.arange(self.n_steps)
        returns = (self.rewards[ahead, across] * counts * discount).sum(axis=1)
        return returns.astype(np.float32), counts.sum(axis=1)

    def update_priorities(self, indices: npt.NDArray[np.int64], errors: npt.NDArray[np.float64]) -> None:
        """Set priorities from the TD errors of a batch that was drawn at ``indices``."""
        priorities = (np.abs(errors) + 1e-3) ** self.alpha
        self._highest = max(self._highest, float(priorities.max()))
        self._tree.set(indices, priorities)
