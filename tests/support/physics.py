"""What is measured back from frames of simple media; shared by the tests of physics and the scoreboard."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from support.media import block
from torch import Tensor
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.bmode.scatterers import BLOCK, CELL, Scatterers, make_scatterers
from us_grid_sim.geometry import DEPTH, PROBE_WIDTH, probe_pose

STRONG = 50.0
"""A contact force that couples all of the pulse [N]."""
EDGE = 20
"""Lines at the edges that are left out: half of their point spread is missing."""
ROWS = slice(60, 590)
"""Samples below the skin and the ringing."""


def envelope(renderer: Renderer, poses: npt.NDArray[np.float64]) -> Tensor:
    """Envelopes (n, lines, samples) of frames without noise and compensation."""
    return renderer.echo(poses, STRONG).square().sum(0).sqrt().double()


def far_apart(count: int) -> npt.NDArray[np.float64]:
    """Poses (n, 4, 4) whose slices of tissue have nothing in common."""
    return np.stack([probe_pose(-0.12 + 0.01 * k, 0.03 * (-1) ** k) for k in range(count)])


def speckle_snr(renderer: Renderer, frames: int = 24) -> float:
    """Mean over standard deviation of the envelope in a uniform block, levelled over depth."""
    image = envelope(renderer, far_apart(frames))[:, EDGE:-EDGE, ROWS]
    image = image / image.square().mean(dim=(0, 1)).sqrt()
    return float(image.mean() / image.std())


def attenuation(renderer: Renderer, frames: int = 24) -> float:
    """Attenuation of a uniform block [dB/cm/MHz], from the fall of the mean power with depth."""
    power = envelope(renderer, far_apart(frames))[:, EDGE:-EDGE, ROWS].square().mean(dim=(0, 1)).numpy()
    samples = renderer.transducer.samples
    depth = (np.arange(samples) + 0.5)[ROWS] / samples * DEPTH * 100.0
    slope = np.polyfit(depth, 10.0 * np.log10(power), 1)[0]
    return float(-slope / 2.0 / (renderer.transducer.frequency * 1e-6))


def one_scatterer(depth: float) -> tuple[Scatterers, npt.NDArray[np.float64]]:
    """Scatterers of which a single one echoes, and where it is (x, y, z) [m], near the middle at ``depth`` [m]."""
    offsets = make_scatterers(1).offsets
    cell = (0, 0, int(depth / CELL[2]))
    index = (cell[0] * BLOCK[1] + cell[1]) * BLOCK[2] + cell[2] % BLOCK[2]
    amplitude = torch.zeros(offsets.shape[1:])
    amplitude[index, 17] = 1.0
    return Scatterers(offsets, amplitude), np.array(cell) * CELL + offsets[:, index, 17].numpy()


@dataclass(frozen=True)
class PointTarget:
    """A point target as it is seen.

    Attributes:
        error: distance of its image from its place [m].
        lateral, axial: standard deviations of its image [m], of the amplitude.
        depth: of the target [m].
    """

    error: float
    lateral: float
    axial: float
    depth: float


def point_target(depth: float) -> PointTarget:
    """Image a single scatterer at ``depth`` [m] and measure it."""
    scatterers, place = one_scatterer(depth)
    nothing = Scatterers(scatterers.offsets, torch.zeros_like(scatterers.amplitude))
    phantom, pose = block(), probe_pose(place[0], 0.0)
    # What skin and transducer make is in both.
    echoes = [Renderer(phantom, scatterers=these).echo(pose, STRONG) for these in (scatterers, nothing)]
    transducer = Renderer(phantom).transducer
    row = round(place[2] / transducer.sample_spacing)
    first = row - 30
    # The square of a Gaussian has its width divided by the root of two.
    power = (echoes[0] - echoes[1]).double().square().sum(0)[0, :, first : row + 30]
    lateral = ((torch.arange(transducer.lines) + 0.5) / transducer.lines - 0.5) * PROBE_WIDTH
    depths = (torch.arange(first, row + 30) + 0.5) * transducer.sample_spacing
    measured = []
    for weights, where in ((power.sum(1), lateral), (power.sum(0), depths)):
        mean = float((weights * where).sum() / weights.sum())
        measured.append((mean, math.sqrt(2.0 * float((weights * (where - mean) ** 2).sum() / weights.sum()))))
    (across, width), (along, length) = measured
    return PointTarget(math.hypot(across - place[1], along - place[2]), width, length, float(place[2]))
