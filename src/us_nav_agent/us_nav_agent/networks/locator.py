"""Where a frame was taken: how many bins from each target, and whether it shows the target.

A residual network on one frame. Unlike that of Hase et al. 2020 it has batch normalisation, and it answers for all
targets at once: where the third lumbar vertebra is tells where the sacrum is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from us_grid_sim.geometry import COLUMNS, ROWS
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.networks.blocks import normalised

ROW_OFFSETS = 2 * ROWS - 1
"""Offsets of a row from a target's, -10 to 10; offset d is class d + 10."""
COLUMN_OFFSETS = 2 * COLUMNS - 1
"""Offsets of a column from a target's, -14 to 14; offset d is class d + 14."""
LEVEL_PARTS = 8
"""Classes from one vertebra to the next."""
LOWEST_LEVEL, HIGHEST_LEVEL = -5, 9
"""Vertebral levels (``us_grid_sim.phantom.spine.SpineLayout.level``) that the classes reach from and to."""
LEVELS = LEVEL_PARTS * (HIGHEST_LEVEL - LOWEST_LEVEL)
"""Class k of the vertebral level is that from ``LOWEST_LEVEL + k / LEVEL_PARTS`` on."""
ASIDE_PITCH, FARTHEST_ASIDE = 0.0025, 0.120
"""Width of a class of the distance from the spine's midline, and the distance that the classes reach to [m]."""
ASIDES = 96
"""Class k of the distance from the midline is that from ``k * ASIDE_PITCH - FARTHEST_ASIDE`` on."""


@dataclass(frozen=True)
class LocatorConfig:
    """Shape of an ensemble of locators; it is kept in the checkpoint.

    Attributes:
        height, width: of the picture that the networks see [px].
        roi: (x, y, width, height) of the region of the frame that is resized to it [px].
        widths: channels of the four stages of the trunk.
        features: units of the hidden layer, from which all answers are read.
        dropout: share of the trunk's outputs that are left out in training.
        members: networks in the ensemble.
        targets: by name, in the order of the answers.
    """

    height: int
    width: int
    roi: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    features: int
    dropout: float
    members: int
    targets: tuple[str, ...]

    @property
    def preprocess(self) -> Preprocess:
        """From an 800 x 600 frame to what the networks see."""
        return Preprocess(self.height, self.width, self.roi)


class Location(NamedTuple):
    """What locators say of n frames, for each of T targets.

    Attributes:
        rows: logits (n, T, 21) of how many rows the frame lies below the target (towards the patient's right).
        columns: logits (n, T, 29) of how many columns it lies cranial of the target.
        shown: logit (n, T) of the frame showing the target.
        levels: logits (n, LEVELS) of the vertebral level.
        asides: logits (n, ASIDES) of how far the probe stands from the spine's midline, to the right positive.
    """

    rows: Tensor
    columns: Tensor
    shown: Tensor
    levels: Tensor
    asides: Tensor

    def logs(self) -> "Location":
        """The same with log-probabilities in place of the logits of rows, columns, levels and asides."""
        rows, columns = (torch.log_softmax(part, dim=2) for part in (self.rows, self.columns))
        levels, asides = (torch.log_softmax(part, dim=1) for part in (self.levels, self.asides))
        return Location(rows, columns, self.shown, levels, asides)

    def mirrored(self, targets: Sequence[str]) -> "Location":
        """The same of the frames' mirror images."""
        order = mirrored_targets(targets)
        rows, columns, shown = self.rows[:, order].flip(2), self.columns[:, order], self.shown[:, order]
        return Location(rows, columns, shown, self.levels, self.asides.flip(1))


def mirrored_targets(targets: Sequence[str]) -> list[int]:
    """Number of the target that each one is on a mirrored back."""
    swap = {"sacroiliac_left": "sacroiliac_right", "sacroiliac_right": "sacroiliac_left"}
    return [list(targets).index(swap.get(target, target)) for target in targets]


class _Block(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation beside a shortcut; it begins as its shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        nn.init.zeros_(self.branch[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        return torch.relu(self.branch(x) + self.shortcut(x))


class Locator(nn.Module):
    """One network of the ensemble."""

    def __init__(self, config: LocatorConfig) -> None:
        super().__init__()
        self.config = config
        before = config.widths[0]
        layers: list[nn.Module] = [
            nn.Conv2d(1, before, 5, 2, 2, bias=False),
            nn.BatchNorm2d(before),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        for stage, outputs in enumerate(config.widths):
            layers += [_Block(before, outputs, 1 if stage == 0 else 2), _Block(outputs, outputs, 1)]
            before = outputs
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            size = self.trunk.eval()(torch.zeros(1, 1, config.height, config.width)).shape[1]
        self.trunk.train()
        self.features = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(size, config.features), nn.ReLU())
        self.answers = nn.Linear(config.features, len(config.targets) * (ROW_OFFSETS + COLUMN_OFFSETS + 1))
        self.places = nn.Linear(config.features, LEVELS + ASIDES)

    def forward(self, frames: Tensor) -> Location:
        """What frames uint8 (n, 1, h, w) say."""
        features = self.features(self.trunk(normalised(frames)))
        answers = self.answers(features).view(len(frames), len(self.config.targets), -1)
        rows, columns, shown = answers.split([ROW_OFFSETS, COLUMN_OFFSETS, 1], dim=2)
        return Location(rows, columns, shown[..., 0], *self.places(features).split([LEVELS, ASIDES], dim=1))

    def both_sides(self, frames: Tensor) -> Location:
        """What frames uint8 (n, 1, h, w) and their mirror images say, the mean of the log-probabilities and of the
        logits of being shown: a mirrored back is a back too, and the two err apart.
        """
        said = self(torch.cat([frames, frames.flip(3)])).logs()
        here, there = (Location(*parts) for parts in zip(*(part.chunk(2) for part in said), strict=True))
        pairs = zip(here, there.mirrored(self.config.targets), strict=True)
        return Location(*((one + other) / 2.0 for one, other in pairs))
