"""Toy Markov decision processes of a few states, and the learner on them, as quick as a table."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from torch import nn
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_nav_agent.networks.dueling import NetworkConfig, Values
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.training.dqn import FrameBank, PrioritizedDoubleDQN, ReferencePolicy, ReferenceQNetwork

SIDE = 4
STATES = SIDE * SIDE

Observation = dict[str, npt.NDArray[Any]]


class Outcome(NamedTuple):
    """What an action led to: the reward, and the next state or None where the episode ended."""

    reward: float
    state: int | None = None


class Toy(NamedTuple):
    """A Markov decision process of at most 16 states; an episode begins in state 0.

    Attributes:
        actions: how many there are, at most 5.
        step: draws what an action in a state leads to.
        frames: number of the frame that each state shows, where it is not the state's own.
    """

    actions: int
    step: Callable[[int, int, np.random.Generator], Outcome]
    frames: Sequence[int] = range(STATES)


class ToyEnv(gymnasium.Env[Observation, np.int64]):
    """A toy seen as the grid is seen by reference: a memory of one frame and one action."""

    def __init__(self, toy: Toy) -> None:
        self._toy = toy
        self.observation_space = spaces.Dict(
            {
                "frames": spaces.Box(0, STATES - 1, (1,), np.int64),
                "actions": spaces.Box(0.0, 1.0, (toy.actions,), np.float32),
            }
        )
        self.action_space = spaces.Discrete(toy.actions)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Any]:
        """Begin an episode; no action is remembered."""
        super().reset(seed=seed)
        self._state = 0
        return self._seen(np.zeros(self._toy.actions, np.float32)), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take an action; where the episode ends the last state is still seen."""
        reward, state = self._toy.step(self._state, int(action), self.np_random)
        self._state = self._state if state is None else state
        return self._seen(np.eye(self._toy.actions, dtype=np.float32)[action]), reward, state is None, False, {}

    def _seen(self, memory: npt.NDArray[np.float32]) -> Observation:
        return {"frames": np.array([self._toy.frames[self._state]]), "actions": memory}


class _Pixels(nn.Flatten):
    """A trunk whose features are the pixels."""


class ToyPolicy(ReferencePolicy):
    """The learner's policy on bare pixels: convolutions take ten times as long and say nothing of the update."""

    def make_q_net(self) -> ReferenceQNetwork:
        """A new network whose two streams see the pixels and begin with 0 for everything."""
        network = super().make_q_net()
        network.network.trunk = _Pixels()
        for stream in (network.network.value, network.network.advantage):
            nn.init.zeros_(stream[-1].weight)
            nn.init.zeros_(stream[-1].bias)
        return network


def toy_learner(
    toy: Toy,
    seed: int,
    n_steps: int = 1,
    alpha: float = 0.6,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    **settings: Any,
) -> PrioritizedDoubleDQN:
    """The learner on a toy; it acts at random throughout, so that what it learns never changes what it sees.

    Frame ``s`` is black but for pixel ``s``. ``n_steps`` and ``alpha`` are those of the replay, ``settings`` those of
    stable-baselines3's DQN.
    """
    # A trunk of this shape has as many features as there are pixels, so the streams fit both.
    config = NetworkConfig(
        SIDE, SIDE, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), (1, 1, 1, STATES), 32, frames=1, actions=1, outputs=toy.actions
    )
    bank = FrameBank(255 * np.eye(STATES, dtype=np.uint8).reshape(STATES, SIDE, SIDE))
    usual: dict[str, Any] = {
        "learning_rate": 1e-2,
        "buffer_size": 5000,
        "batch_size": 32,
        "gamma": 0.9,
        "train_freq": 1,
        "exploration_initial_eps": 1.0,
        "exploration_final_eps": 1.0,
    }
    chosen = usual | settings
    return PrioritizedDoubleDQN(
        ToyPolicy,
        ToyEnv(toy),
        replay_buffer_class=PrioritizedReplayBuffer,
        replay_buffer_kwargs={"n_steps": n_steps, "gamma": chosen["gamma"], "alpha": alpha, "seed": seed},
        policy_kwargs={"config": config, "bank": bank, "optimizer_class": optimizer},
        seed=seed,
        device="cpu",
        **chosen,
    )


def remember(model: PrioritizedDoubleDQN, env: ToyEnv, episodes: Iterable[Sequence[int]]) -> None:
    """Store the episodes in which these actions are taken, each as far as it goes before its episode ends."""
    for actions in episodes:
        seen, _ = env.reset()
        for action in actions:
            after, reward, done, _, _ = env.step(np.int64(action))
            model.replay_buffer.add(seen, after, np.array([action]), np.array([reward]), np.array([done]), [{}])
            seen = after
            if done:
                break


def study(model: PrioritizedDoubleDQN, rounds: int, updates: int) -> None:
    """Learn from what is stored alone; the target network is copied after each round of ``updates`` updates."""
    model.set_logger(Logger(None, []))
    for _ in range(rounds):
        model.train(updates, model.batch_size)
        model.q_net_target.load_state_dict(model.q_net.state_dict())


def values(model: PrioritizedDoubleDQN, states: list[int], last: int | None = None) -> Values:
    """Q(s, a) (n, actions) and V(s) (n,) where ``last`` was the last action; None at the start of an episode."""
    memory = torch.zeros(len(states), model.action_space.n)
    if last is not None:
        memory[:, last] = 1.0
    with torch.inference_mode():
        found: Values = model.q_net.network(model.q_net.bank.frames[states][:, None], memory)
    return found
