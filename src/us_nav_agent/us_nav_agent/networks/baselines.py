"""The supervised baseline of Hase et al. 2020 (sec. IV-C): DenseNet-121, one frame to one of the five actions."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.networks.blocks import normalised

SMALLEST_INPUT = 32
"""Edge that DenseNet's five halvings leave one pixel of [px]."""


@dataclass(frozen=True)
class DenseNetConfig:
    """Shape of the classifier; it is kept in the checkpoint. What is not named is DenseNet-121 (Huang et al. 2017).

    Attributes:
        height, width: of the picture that the network sees, at least SMALLEST_INPUT [px].
        roi: (x, y, width, height) of the region of the frame that is resized to it [px].
        stem: channels of the first convolution.
        growth: channels that each layer adds.
        blocks: layers of each dense block.
        frames, actions: in memory; the baseline looks at the current frame alone.
    """

    height: int
    width: int
    roi: tuple[int, int, int, int]
    stem: int = 64
    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    frames: ClassVar[int] = 1
    actions: ClassVar[int] = 0

    @property
    def preprocess(self) -> Preprocess:
        """From an 800 x 600 frame to what the network sees."""
        return Preprocess(self.height, self.width, self.roi)


class DenseNetClassifier(nn.Module):
    """From the current frame to a logit for each of up, down, left, right and stop."""

    def __init__(self, config: DenseNetConfig) -> None:
        # MONAI takes two seconds to import, which the other architectures need not wait for.
        from monai.networks.nets.densenet import DenseNet

        super().__init__()
        self.config = config
        self.densenet = DenseNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=len(Action),
            init_features=config.stem,
            growth_rate=config.growth,
            block_config=config.blocks,
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on CPU

    def forward(self, frames: Tensor) -> Tensor:
        """Logits (n, 5) of frames uint8 (n, 1, h, w)."""
        logits: Tensor = self.densenet(normalised(frames))
        return logits
