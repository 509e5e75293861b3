"""Scatterers and fibres that are fixed in the tissue: periodic volumes read at the place of each sample.

The point spread is part of the volumes, so a frame made twice at one pose is the same frame, and neighbouring frames
decorrelate with the elevational and lateral width of the beam.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SHAPE = (32, 128, 400)
"""Points along x of the patient frame, along y, and in depth."""
SPACING = (0.0008, 0.00039, 0.000175)
"""Distance of neighbouring points along these three axes [m]."""


@dataclass(frozen=True)
class Scatterers:
    """Periodic volumes of shape SHAPE.

    Attributes:
        envelope: magnitude of the complex echo of fully developed speckle, root mean square 1.
        fibres: slow lateral streaks (muscle fibres and fat septa), mean 0, standard deviation 1.
    """

    envelope: Tensor
    fibres: Tensor


def _blur(volume: Tensor, widths: tuple[float, float, float]) -> Tensor:
    """``volume`` blurred periodically by a Gaussian of standard deviations ``widths`` [points]."""
    for axis, width in enumerate(widths):
        if width <= 0:
            continue
        size = volume.shape[axis]
        frequency = torch.fft.fftfreq(size)
        response = torch.exp(-2 * (torch.pi * width * frequency) ** 2)
        shape = [1, 1, 1]
        shape[axis] = size
        volume = torch.fft.ifft(torch.fft.fft(volume, dim=axis) * response.view(shape), dim=axis)
    return volume


def make_scatterers(seed: int, blur: float) -> Scatterers:
    """The volumes of one subject; ``blur`` scales the point spread's width."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.complex(torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator))
    echo = _blur(noise, (1.5, 0.9 * blur, 0.9 * blur))
    envelope = echo.abs()
    envelope = envelope / envelope.square().mean().sqrt()
    streaks = _blur(torch.randn(SHAPE, generator=generator).to(torch.complex64), (3.0, 7.0, 1.8)).real
    streaks = (streaks - streaks.mean()) / streaks.std()
    return Scatterers(envelope.contiguous(), streaks.contiguous())


def read(volume: Tensor, x: Tensor, y: Tensor, depth: Tensor) -> Tensor:
    """The volume's value at the nearest point to each (x, y, depth) [m], periodically continued."""
    flat = torch.zeros_like(depth, dtype=torch.int64)
    for size, spacing, place in zip(SHAPE, SPACING, (x, y, depth), strict=True):
        flat = flat * size + torch.remainder(torch.round(place / spacing).to(torch.int64), size)
    return volume.reshape(-1)[flat]


def smooth_lines(image: Tensor, near: float, far: float) -> Tensor:
    """Blur (n, depth, lines) laterally: standard deviation ``near`` [lines] at the top, ``far`` at the bottom."""
    offsets = torch.arange(-4, 5, dtype=image.dtype, device=image.device)

    def blurred(width: float) -> Tensor:
        kernel = torch.exp(-0.5 * (offsets / width) ** 2)
        padded = functional.pad(image, (4, 4), mode="replicate")
        return functional.conv1d(padded.reshape(-1, 1, padded.shape[-1]), (kernel / kernel.sum()).view(1, 1, -1)).view(
            image.shape
        )

    weight = torch.linspace(0, 1, image.shape[1], dtype=image.dtype, device=image.device).view(1, -1, 1)
    return (1 - weight) * blurred(near) + weight * blurred(far)
