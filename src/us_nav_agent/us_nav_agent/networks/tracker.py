"""Where the probe stands, from all that was seen and done on a run: a recurrent network over locators' answers.

It learns what the filter of ``belief`` has to assume: how far the frames of one back err alike, and what a move
says of the border. Unlike a locator it never sees a picture.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from us_nav_agent.networks.locator import ASIDES, COLUMN_OFFSETS, LEVELS, ROW_OFFSETS

MOVES = 4
_ANSWERS = ROW_OFFSETS + COLUMN_OFFSETS + 1
_LEAST, _SCALE = 8.0, 4.0
"""Logarithms are cut at minus the first and divided by the second, so that inputs are of the order of 1."""


@dataclass(frozen=True)
class TrackerConfig:
    """Shape of a tracker; it is kept in the checkpoint.

    Attributes:
        hidden: units of its memory, and of each of its layers.
        dropout: share of the inputs and of the last layer's units that are left out in training.
    """

    hidden: int
    dropout: float


class Tracked(NamedTuple):
    """What a tracker says of n runs after each of their steps, for each of T targets.

    Attributes:
        rows, columns: logits (n, steps, T, 21), (n, steps, T, 29) of the offset to the target.
        shown: logit (n, steps, T) of the frame showing the target.
        memory: (1, n, hidden), after the last step.
    """

    rows: Tensor
    columns: Tensor
    shown: Tensor
    memory: Tensor


def answers_size(targets: int) -> int:
    """How many numbers a tracker of so many targets takes in at a step."""
    return targets * _ANSWERS + LEVELS + ASIDES


def answers_of(rows: Tensor, columns: Tensor, shown: Tensor, levels: Tensor, asides: Tensor) -> Tensor:
    """What a tracker takes in (n, ``answers_size(T)``), of log-probabilities (n, T, 21), (n, T, 29), logits (n, T), and
    log-probabilities (n, LEVELS) and (n, ASIDES).
    """
    of_targets = [
        torch.log_softmax(rows, dim=2).clamp(min=-_LEAST),
        torch.log_softmax(columns, dim=2).clamp(min=-_LEAST),
        shown.clamp(-_LEAST, _LEAST).unsqueeze(2),
    ]
    of_spine = [torch.log_softmax(part, dim=1).clamp(min=-_LEAST) for part in (levels, asides)]
    return torch.cat([torch.cat(of_targets, dim=2).flatten(1), *of_spine], dim=1) / _SCALE


class Tracker(nn.Module):
    """One recurrent network for all targets.

    Args:
        config: its shape.
        targets: how many.
    """

    def __init__(self, config: TrackerConfig, targets: int) -> None:
        super().__init__()
        self.config, self._targets = config, targets
        hidden, answers = config.hidden, targets * _ANSWERS
        self._answers = answers
        self.dropout = nn.Dropout(config.dropout)
        self.input = nn.Linear(answers_size(targets) + 1 + MOVES, hidden)
        self.memory = nn.GRU(hidden, hidden, batch_first=True)
        self.output = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(hidden, answers)
        )
        self.trust = nn.Parameter(torch.tensor(0.5))
        nn.init.zeros_(self.output[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.output[-1].bias)  # type: ignore[arg-type]

    def forward(self, answers: Tensor, seen: Tensor, moves: Tensor, memory: Tensor | None = None) -> Tracked:
        """Follow n runs over some steps.

        Args:
            answers: (n, steps, ``answers_size(T)``), of ``answers_of``.
            seen: float (n, steps), 0 where the frame says nothing new; its answers do not count.
            moves: (n, steps, 4), the move that led here as one-hot; zeros where a run begins.
            memory: (1, n, hidden), after the steps before; None at the beginning.
        """
        told = answers * seen.unsqueeze(2)
        inputs = torch.relu(self.input(self.dropout(torch.cat([told, seen.unsqueeze(2), moves], dim=2))))
        remembered, memory = self.memory(inputs, memory)
        said = self.output(torch.cat([inputs, remembered], dim=2)) + self.trust * _SCALE * told[..., : self._answers]
        rows, columns, shown = said.unflatten(2, (self._targets, _ANSWERS)).split([ROW_OFFSETS, COLUMN_OFFSETS, 1], 3)
        return Tracked(rows, columns, shown[..., 0], memory)
