"""The ResNet-18 trunk of Hase et al. 2020: no batch normalisation, no final average pooling.

Without normalisation a residual network explodes at the usual initialisation, so each residual branch ends in a
convolution whose weights start at zero: every block begins as its shortcut plus a small constant bias, whatever the
depth (after Zhang et al. 2019, Fixup initialization, without its extra scalar parameters).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; ``stride`` halves the picture."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else nn.Identity()
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        branch = self.second(torch.relu(self.first(x)))
        return torch.relu(branch + self.shortcut(x))


class Trunk(nn.Module):
    """ResNet-18 features (n, size) of pictures (n, channels, height, width), raw, without a final pooling.

    Args:
        channels: frames stacked as channels.
        height, width: of the input [px]; at least 32.
        widths: channels of the four stages; (64, 128, 256, 512) is ResNet-18.
    """

    def __init__(self, channels: int, height: int, width: int, widths: Sequence[int]) -> None:
        super().__init__()
        stem = nn.Conv2d(channels, widths[0], 7, 2, 3)
        nn.init.kaiming_normal_(stem.weight, nonlinearity="relu")
        layers: list[nn.Module] = [stem, nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        before = widths[0]
        for stage, outputs in enumerate(widths):
            layers.append(ResidualBlock(before, outputs, 1 if stage == 0 else 2))
            layers.append(ResidualBlock(outputs, outputs, 1))
            before = outputs
        self.layers = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            self.size = int(self.layers(torch.zeros(1, channels, height, width)).shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, size)."""
        features: Tensor = self.layers(x)
        return features


def normalised(frames: Tensor) -> Tensor:
    """Frames uint8 (n, c, h, w), each scaled to 0 to 1 by its own minimum and maximum; a flat frame is all 0."""
    values = frames.float()
    low = values.amin(dim=(2, 3), keepdim=True)
    high = values.amax(dim=(2, 3), keepdim=True)
    return (values - low) / (high - low).clamp(min=1.0)
