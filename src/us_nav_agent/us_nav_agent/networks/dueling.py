"""The dueling network with memory of Hase et al. 2020 (eq. 3 and 4) and the stop classifier of MS-DQN."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.networks.blocks import Trunk, normalised

MOVES = 4
MIRRORED = [1, 0, 2, 3, 4]
"""Action whose effect on a mirrored back is that of up, down, left, right and stop on the back."""


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of both networks; it is kept in the checkpoint.

    Attributes:
        height, width: of the picture that the networks see [px].
        roi: (x, y, width, height) of the region of the frame that is resized to it [px].
        widths: channels of the four stages of the trunk.
        hidden: units of the hidden layer of each stream.
        frames: frames in memory, the current one included.
        actions: actions in memory.
        outputs: actions to choose among: the four moves, or five with the stop.
    """

    height: int
    width: int
    roi: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    hidden: int
    frames: int = 3
    actions: int = 5
    outputs: int = MOVES

    @property
    def preprocess(self) -> Preprocess:
        """From an 800 x 600 frame to what the networks see."""
        return Preprocess(self.height, self.width, self.roi)


ARRAY_ROI = (186, 0, 428, 600)
"""The middle 428 columns are the array of the simulated screen, the rest is black."""
PRESETS = {
    "lite": NetworkConfig(64, 64, ARRAY_ROI, (16, 32, 64, 128), 128),
    "paper": NetworkConfig(258, 272, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), (64, 128, 256, 512), 512),
}


class Values(NamedTuple):
    """What the dueling network says: Q(s, a) (n, outputs) and V(s) (n,)."""

    q: Tensor
    state: Tensor


def _stream(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class DuelingNetwork(nn.Module):
    """Q = V + A - mean(A); V from the frames alone, A from the frames and the action memory.

    V-DQN has a memory of one frame and no action, M-DQN and MS-DQN of several.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.frames, config.height, config.width, config.widths)
        self.value = _stream(self.trunk.size, config.hidden, 1)
        self.advantage = _stream(self.trunk.size + config.actions * config.outputs, config.hidden, config.outputs)

    def forward(self, frames: Tensor, actions: Tensor) -> Values:
        """Values of frames uint8 (n, frames, h, w), current first, and action memories float (n, actions * outputs)."""
        features = self.trunk(normalised(frames))
        state = self.value(features)
        advantage = self.advantage(torch.cat([features, actions], dim=1))
        return Values(state + advantage - advantage.mean(dim=1, keepdim=True), state[:, 0])

    def both_sides(self, frames: Tensor, actions: Tensor) -> Values:
        """Mean of the values on the back and on its mirror image, where up and down change places: that is a back too,
        and the two err apart.
        """
        order = MIRRORED[: self.config.outputs]
        memory = actions.view(len(frames), self.config.actions, self.config.outputs)[..., order].reshape(actions.shape)
        said = self(torch.cat([frames, frames.flip(3)]), torch.cat([actions, memory]))
        q, mirrored_q = said.q.chunk(2)
        return Values((q + mirrored_q[:, order]) / 2.0, said.state.view(2, -1).mean(dim=0))


class StopClassifier(nn.Module):
    """Whether a frame shows the target: the same trunk on the current frame, one logit.

    Attributes:
        scale, offset: of the logit, so that its logistic function is a probability; 1 and 0 before calibration.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))
        self.trunk = Trunk(1, config.height, config.width, config.widths)
        self.head = _stream(self.trunk.size, config.hidden, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits (n,) of frames uint8 (n, 1, h, w), calibrated."""
        logits: Tensor = self.head(self.trunk(normalised(frames)))
        return self.scale * logits[:, 0] + self.offset

    def both_sides(self, frames: Tensor) -> Tensor:
        """Mean of the logits (n,) of the frames and of their mirror images."""
        logits: Tensor = self(torch.cat([frames, frames.flip(3)]))
        return logits.view(2, -1).mean(dim=0)
