"""The supervised baseline: the likeliest action of the current frame (Hase et al. 2020, sec. IV-C)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Frame8, Preprocess

from us_nav_agent.deciders.base import Decider, Decision, Floats, Frames, Run, Walkers, read_config
from us_nav_agent.networks.baselines import DenseNetClassifier, DenseNetConfig
from us_nav_agent.networks.batches import frame_outputs


class ClassifierDecider(Decider):
    """A classifier of five actions without memory; the probability of the chosen one is its confidence.

    Attributes:
        network: the classifier.
        config: its shape.
    """

    kind = "usnav-densenet-1"

    def __init__(self, network: DenseNetClassifier) -> None:
        self.network = network.eval()
        self.config = network.config

    @property
    def preprocess(self) -> Preprocess:
        """See Decider."""
        return self.config.preprocess

    def begin(self) -> Run:
        """See Decider."""
        return lambda frame, said=None: said or self.look(frame)

    def look(self, frame: Frame8) -> Decision:
        """See Decider; all of the decision."""
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(frame)[None, None])[0]
        shares = torch.softmax(logits, dim=0).numpy()
        action = Action(int(logits.argmax()))
        return Decision(action, shares, math.nan, float(shares[Action.STOP]), float(shares[action]))

    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """See Decider."""
        actions = classifier_logits(self.network, bank).argmax(axis=1)
        return lambda live, frames: actions[frames]

    def stop_probabilities(self, bank: Frames) -> Floats:
        """See Decider."""
        shares: Floats = torch.softmax(torch.from_numpy(classifier_logits(self.network, bank)), dim=1).numpy()
        return shares[:, Action.STOP]

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        return {"network": self.network}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config)}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], ClassifierDecider]":
        """See Decider."""
        config = read_config(DenseNetConfig, content)
        return lambda: cls(DenseNetClassifier(config))


def classifier_logits(network: DenseNetClassifier, frames: Frames, device: str = "cpu") -> Floats:
    """Logits (n, 5) of each of the frames uint8 (n, h, w), by a network on ``device``."""
    return frame_outputs(network, frames, device)
