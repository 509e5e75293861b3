"""Networks and the rule by which they decide: one class an architecture, for one frame and for many runs at a time.

A decider holds no memory and no file: ``policy`` remembers and stores, ``rollout`` walks whole grids.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from us_grid_sim.geometry import Action

from us_nav_agent.networks.baselines import DenseNetClassifier, DenseNetConfig
from us_nav_agent.networks.ms_dqn import MsDqn, NetworkConfig, StopClassifier

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]

Chooser = Callable[[Ints, Floats], Ints]
"""From n memories, frame numbers (n, frames) and one-hot moves (n, actions, 4), newest first, to actions (n,)."""

_TEMPERATURE = 0.05
"""Spread of Q-values that counts as one step's worth: the reward of a step closer."""
_BATCH = 256


@dataclass(frozen=True)
class Decision:
    """What a policy made of one frame.

    Attributes:
        action: the action to take.
        q_values: in the order of Action. MS-DQN: float32 (4,) [expected discounted return]; a classifier has none and
            gives the probabilities of its actions, float32 (5,).
        state_value: V(s) of the dueling network [expected discounted return]; NaN of a classifier.
        stop_probability: probability that the frame shows the target.
        confidence: trust in this decision, 0 to 1. MS-DQN: for a stop its probability p, for a move (1 - p) times the
            share of the move in a softmax of the Q-values at the temperature of one step's reward; a classifier: the
            probability of the action.
    """

    action: Action
    q_values: npt.NDArray[np.float32]
    state_value: float
    stop_probability: float
    confidence: float


class Decider(ABC):
    """An architecture with its weights.

    Attributes:
        kind: names the architecture in a model file.
        config: shape of the networks, sizes of the memories, and what is done to a frame before.
    """

    kind: ClassVar[str]
    config: NetworkConfig | DenseNetConfig

    @abstractmethod
    def decide(self, frames: Tensor, actions: Tensor) -> Decision:
        """The decision on frames uint8 (1, frames, h, w), current first, and action memory float (1, actions * 4)."""

    @abstractmethod
    def chooser(self, bank: Frames) -> Chooser:
        """The same decisions for many runs at a time, whose frames are numbers into ``bank``, uint8 (n, h, w)."""

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The networks by the name that their weights have in a model file."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What a model file holds beside the weights, as ``builder`` reads it."""

    @classmethod
    @abstractmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], Decider]":
        """What makes a decider of this description, with weights still to be loaded.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: ``content`` is no such description. Whether networks of
                that shape exist shows when the result is called.
        """


Config = TypeVar("Config", NetworkConfig, DenseNetConfig)


def _config(kind: type[Config], content: Mapping[str, Any]) -> Config:
    """A configuration as JSON gives it, lists for tuples."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content["network"].items()
    }
    return kind(**fields)


def decide(q: Floats, state_value: float, stop_probability: float, threshold: float) -> Decision:
    """The decision on what the networks said: the stop classifier is asked first (Hase et al. 2020, alg. 1)."""
    if stop_probability >= threshold:
        return Decision(Action.STOP, q, state_value, stop_probability, stop_probability)
    move = int(q.argmax())
    share = float(1.0 / np.exp((q.astype(np.float64) - float(q[move])) / _TEMPERATURE).sum())
    return Decision(Action(move), q, state_value, stop_probability, (1.0 - stop_probability) * share)


class MsDqnDecider(Decider):
    """MS-DQN: a dueling network for the moves and a classifier for the stop.

    Attributes:
        q_network, stop_classifier: the networks.
        threshold: stop probability from which it stops.
    """

    kind = "usnav-ms-dqn-1"

    def __init__(self, q: MsDqn, stop: StopClassifier, threshold: float) -> None:
        self.q_network, self.stop_classifier, self.threshold = q.eval(), stop.eval(), threshold
        self.config = q.config

    def decide(self, frames: Tensor, actions: Tensor) -> Decision:
        """See Decider."""
        with torch.inference_mode():
            values = self.q_network(frames, actions)
            stop = float(torch.sigmoid(self.stop_classifier(frames[:, :1]))[0])
        return decide(values.q[0].numpy().copy(), float(values.state[0]), stop, self.threshold)

    def chooser(self, bank: Frames) -> Chooser:
        """See Decider."""
        probabilities = stop_probabilities(self.stop_classifier, bank)
        stops = probabilities.astype(np.float64) >= self.threshold  # as exact as in decide

        def choose(memory: Ints, chosen: Floats) -> Ints:
            actions = np.full(len(memory), int(Action.STOP))
            going = np.flatnonzero(~stops[memory[:, 0]])
            if going.size:
                actions[going] = _greedy(self.q_network, bank, memory[going], chosen[going])
            return actions

        return choose

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        return {"q_network": self.q_network, "stop_classifier": self.stop_classifier}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config), "threshold": self.threshold}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], MsDqnDecider]":
        """See Decider."""
        config, threshold = _config(NetworkConfig, content), float(content["threshold"])
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"stop threshold {threshold}; expected a probability above 0")
        return lambda: cls(MsDqn(config), StopClassifier(config), threshold)


class ClassifierDecider(Decider):
    """The supervised baseline: the likeliest action of the current frame.

    Attributes:
        network: the classifier.
    """

    kind = "usnav-densenet-1"

    def __init__(self, network: DenseNetClassifier) -> None:
        self.network = network.eval()
        self.config = network.config

    def decide(self, frames: Tensor, actions: Tensor) -> Decision:
        """See Decider; ``actions`` is empty."""
        with torch.inference_mode():
            logits = self.network(frames)[0]
        shares = torch.softmax(logits, dim=0).numpy()
        action = Action(int(logits.argmax()))
        return Decision(action, shares, math.nan, float(shares[Action.STOP]), float(shares[action]))

    def chooser(self, bank: Frames) -> Chooser:
        """See Decider."""
        actions = classifier_logits(self.network, bank).argmax(axis=1)
        return lambda memory, chosen: actions[memory[:, 0]]

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        return {"network": self.network}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config)}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], ClassifierDecider]":
        """See Decider."""
        config = _config(DenseNetConfig, content)
        return lambda: cls(DenseNetClassifier(config))


DECIDERS: dict[str, type[Decider]] = {one.kind: one for one in (MsDqnDecider, ClassifierDecider)}
"""The architectures by what a model file calls them."""


def classifier_logits(network: DenseNetClassifier, frames: Frames, device: str = "cpu") -> Floats:
    """Logits (n, 5) of each of the frames uint8 (n, h, w), by a network on ``device``."""
    return _frame_logits(network, frames, 64, device)  # of more frames the activations leave the processor's cache


def stop_probabilities(stop: StopClassifier, frames: Frames) -> Floats:
    """Probability (n,) that each of the frames uint8 (n, h, w) shows the target."""
    probabilities: Floats = torch.sigmoid(torch.from_numpy(_frame_logits(stop, frames, _BATCH, "cpu"))).numpy()
    return probabilities


def _frame_logits(network: nn.Module, frames: Frames, batch: int, device: str) -> Floats:
    """What a network makes of each of the frames uint8 (n, h, w) alone: (n, ...)."""
    pictures = torch.from_numpy(frames).unsqueeze(1)
    with torch.inference_mode():
        parts = [network(pictures[first : first + batch].to(device)).cpu() for first in range(0, len(frames), batch)]
        logits: Floats = torch.cat(parts).numpy()
    return logits


def _greedy(q: MsDqn, bank: Frames, memory: Ints, chosen: Floats) -> Ints:
    """The best move (n,) for frame numbers (n, frames) and action memories (n, actions, 4)."""
    actions = torch.from_numpy(chosen.reshape(len(chosen), -1))
    best = []
    with torch.inference_mode():
        for first in range(0, len(memory), _BATCH):
            frames = torch.from_numpy(bank[memory[first : first + _BATCH]])
            best.append(q(frames, actions[first : first + _BATCH]).q.argmax(dim=1).numpy())
    return np.concatenate(best)
