"""The dueling networks of Hase et al. 2020: V-DQN and M-DQN, whose fifth action is the stop, and MS-DQN.

Each network is asked of the frames and of their mirror images (``both_sides``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Frame8, Preprocess

from us_nav_agent.deciders.base import Decider, Decision, Floats, Frames, Ints, Run, Walkers, read_config
from us_nav_agent.deciders.window import Window, Windows
from us_nav_agent.networks.batches import frame_outputs, in_batches
from us_nav_agent.networks.dueling import DuelingNetwork, NetworkConfig, StopClassifier

_TEMPERATURE = 0.05
"""Spread of Q-values that counts as one step's worth: the reward of a step closer."""


def share_of_best(q: Floats) -> float:
    """Share of the best action in a softmax of the Q-values at the temperature of one step's reward."""
    return float(1.0 / np.exp((q.astype(np.float64) - float(q.max())) / _TEMPERATURE).sum())


def decide(q: Floats, state_value: float, stop_probability: float, threshold: float) -> Decision:
    """MS-DQN's decision on what its networks said: the stop classifier is asked first (Hase et al. 2020, alg. 1)."""
    if stop_probability >= threshold:
        return Decision(Action.STOP, q, state_value, stop_probability, stop_probability)
    confidence = (1.0 - stop_probability) * share_of_best(q)
    return Decision(Action(int(q.argmax())), q, state_value, stop_probability, confidence)


class DqnDecider(Decider):
    """V-DQN and M-DQN: one dueling network for the moves and the stop.

    Its confidence is ``share_of_best``; it estimates no stop probability.

    Attributes:
        q_network: the network, of five actions.
        config: its shape.
    """

    kind = "usnav-dqn-2"

    def __init__(self, q: DuelingNetwork) -> None:
        self.q_network = q.eval()
        self.config = q.config

    @property
    def preprocess(self) -> Preprocess:
        """See Decider."""
        return self.config.preprocess

    def begin(self) -> Run:
        """See Decider."""
        window = Window(self.config.frames, self.config.actions, self.config.outputs)

        def run(frame: Frame8, said: None = None) -> Decision:
            with torch.inference_mode():
                values = self.q_network.both_sides(*window.see(frame))
            q = values.q[0].numpy().copy()
            action = Action(int(q.argmax()))
            window.chose(action)
            return Decision(action, q, float(values.state[0]), math.nan, share_of_best(q))

        return run

    def look(self, frame: Frame8) -> None:
        """See Decider; nothing, its one network sees what is remembered too."""

    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """See Decider."""
        windows = Windows(runs, self.config.frames, self.config.actions, self.config.outputs)

        def walk(live: Ints, frames: Ints) -> Ints:
            actions = _greedy(self.q_network, bank, *windows.see(live, frames))
            windows.chose(live, actions)
            return actions

        return walk

    def state_values(self, bank: Frames) -> Floats:
        """See Decider."""
        return _state_values(self.q_network, bank)

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        return {"q_network": self.q_network}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config)}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], DqnDecider]":
        """See Decider."""
        config = read_config(NetworkConfig, content)
        if config.outputs != len(Action):
            raise ValueError(f"{config.outputs} actions; expected {len(Action)}, the stop among them")
        return lambda: cls(DuelingNetwork(config))


class MsDqnDecider(Decider):
    """MS-DQN: a dueling network for the moves and a classifier for the stop.

    The confidence of a stop is its probability p, that of a move (1 - p) times ``share_of_best``.

    Attributes:
        q_network, stop_classifier: the networks.
        config: their shape.
        threshold: stop probability from which it stops.
    """

    kind = "usnav-ms-dqn-2"

    def __init__(self, q: DuelingNetwork, stop: StopClassifier, threshold: float) -> None:
        self.q_network, self.stop_classifier, self.threshold = q.eval(), stop.eval(), threshold
        self.config = q.config

    @property
    def preprocess(self) -> Preprocess:
        """See Decider."""
        return self.config.preprocess

    def begin(self) -> Run:
        """See Decider."""
        window = Window(self.config.frames, self.config.actions, self.config.outputs)

        def run(frame: Frame8, said: float | None = None) -> Decision:
            stop = self.look(frame) if said is None else said
            frames, moves = window.see(frame)
            with torch.inference_mode():
                values = self.q_network.both_sides(frames, moves)
            decision = decide(values.q[0].numpy().copy(), float(values.state[0]), stop, self.threshold)
            if decision.action is not Action.STOP:
                window.chose(decision.action)
            return decision

        return run

    def look(self, frame: Frame8) -> float:
        """See Decider; the stop probability."""
        with torch.inference_mode():
            return float(torch.sigmoid(self.stop_classifier.both_sides(torch.from_numpy(frame)[None, None]))[0])

    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """See Decider."""
        probabilities = stop_probabilities(self.stop_classifier, bank)
        stops = probabilities.astype(np.float64) >= self.threshold  # as exact as in decide
        windows = Windows(runs, self.config.frames, self.config.actions, self.config.outputs)

        def walk(live: Ints, frames: Ints) -> Ints:
            memory, moves = windows.see(live, frames)
            actions = np.full(len(live), int(Action.STOP))
            going = np.flatnonzero(~stops[frames])
            if going.size:
                actions[going] = _greedy(self.q_network, bank, memory[going], moves[going])
                windows.chose(live[going], actions[going])
            return actions

        return walk

    def stop_probabilities(self, bank: Frames) -> Floats:
        """See Decider."""
        return stop_probabilities(self.stop_classifier, bank)

    def state_values(self, bank: Frames) -> Floats:
        """See Decider."""
        return _state_values(self.q_network, bank)

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        return {"q_network": self.q_network, "stop_classifier": self.stop_classifier}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config), "threshold": self.threshold}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], MsDqnDecider]":
        """See Decider."""
        config, threshold = read_config(NetworkConfig, content), float(content["threshold"])
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"stop threshold {threshold}; expected a probability above 0")
        return lambda: cls(DuelingNetwork(config), StopClassifier(config), threshold)


def stop_probabilities(stop: StopClassifier, frames: Frames) -> Floats:
    """Probability (n,) that each of the frames uint8 (n, h, w) shows the target."""
    probabilities: Floats = torch.sigmoid(torch.from_numpy(frame_outputs(stop.both_sides, frames))).numpy()
    return probabilities


def _state_values(q: DuelingNetwork, bank: Frames) -> Floats:
    """V(s) (n,) where every remembered frame is this one of ``bank``, uint8 (n, h, w)."""

    def values(pictures: torch.Tensor) -> torch.Tensor:
        frames = pictures.expand(-1, q.config.frames, -1, -1)
        state: torch.Tensor = q.both_sides(frames, torch.zeros(len(frames), q.config.actions * q.config.outputs)).state
        return state

    return frame_outputs(values, bank)


def _greedy(q: DuelingNetwork, bank: Frames, memory: Ints, moves: Floats) -> Ints:
    """The best action (n,) for frame numbers (n, frames) and action memories (n, moves * actions)."""
    actions = torch.from_numpy(moves)

    def best(batch: slice) -> Ints:
        q_values = q.both_sides(torch.from_numpy(bank[memory[batch]]), actions[batch]).q
        return np.asarray(q_values.argmax(dim=1).numpy())

    return np.concatenate(in_batches(best, len(memory)))
