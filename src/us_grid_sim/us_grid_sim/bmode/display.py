"""From the echo of each line to grey levels: time-gain compensation, envelope, logarithm, scan conversion."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from us_grid_sim.bmode.propagation import db
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, PROBE_WIDTH

_NOISE_BANK = 1 << 18


@dataclass(frozen=True)
class Display:
    """How the scanner is set.

    Attributes:
        dynamic_range: span of levels that is shown as grey levels 0 to 255 [dB].
        top: level shown as white [dB over the speckle of muscle].
        gain: added to all levels [dB].
        compensation: attenuation that time-gain compensation makes up for [dB/cm/MHz].
        most_compensation: no depth gets more [dB].
        noise: of the receiver, before compensation [dB against the speckle of muscle].
    """

    dynamic_range: float = 60.0
    top: float = 36.0
    gain: float = 0.0
    compensation: float = 0.60
    most_compensation: float = 44.0
    noise: float = -62.0


class Receiver:
    """Turns echoes into grey levels.

    Args:
        display: the scanner's settings.
        transducer: the array.
        seed: of the electronic noise.
        device: where tensors live.
    """

    def __init__(self, display: Display, transducer: Transducer, seed: int, device: torch.device) -> None:
        self._display, self._transducer = display, transducer
        depth = (torch.arange(transducer.samples, device=device) + 0.5) * transducer.sample_spacing
        gain = display.compensation * transducer.frequency * 1e-6 * 2.0 * depth * 100.0
        self.gain = gain.clamp(max=display.most_compensation)
        generator = torch.Generator().manual_seed(seed)
        size = 2 * transducer.lines * transducer.samples + _NOISE_BANK
        self._noise = (torch.randn(size, generator=generator) * db(display.noise) / 2**0.5).to(device)

    def noise(self, numbers: npt.NDArray[np.int64]) -> Tensor:
        """Electronic noise (2, n, lines, samples) of frames by their numbers, before compensation."""
        shape = (2, self._transducer.lines, self._transducer.samples)
        # Frames read one sequence from different places: a large odd stride keeps neighbours apart.
        starts = [int(number) * 99_991 % _NOISE_BANK for number in numbers]
        size = 2 * shape[1] * shape[2]
        return torch.stack([self._noise[start : start + size].view(shape) for start in starts], dim=1)

    def grey(self, echo: Tensor, numbers: npt.NDArray[np.int64]) -> Tensor:
        """Grey levels (n, lines, samples) uint8 of complex echoes (2, n, lines, samples)."""
        power = (echo + self.noise(numbers)).square_().sum(dim=0)
        level = torch.log10(power.clamp_(min=1e-20)).mul_(10.0)
        floor = self._display.top - self._display.dynamic_range - self._display.gain
        return level.add_(self.gain - floor).mul_(255.0 / self._display.dynamic_range).clamp_(0, 255).to(torch.uint8)


def scan_convert(grey: npt.NDArray[np.uint8], depth: float) -> npt.NDArray[np.uint8]:
    """A frame (600, 800) of square pixels with ``grey`` (lines, samples), ``depth`` deep [m], and black beside it."""
    width = round(PROBE_WIDTH / (depth / FRAME_HEIGHT))
    left = (FRAME_WIDTH - width) // 2
    frame = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), np.uint8)
    shown = cv2.resize(cv2.transpose(grey), (width, FRAME_HEIGHT), interpolation=cv2.INTER_LINEAR)
    frame[:, left : left + width] = shown
    return frame
