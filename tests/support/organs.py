"""Frames of other organs, drawn roughly and shown by our own scanner: nothing that a walk over the back is to trust."""

import math

import numpy as np
import numpy.typing as npt
import torch
from us_grid_sim.bmode.display import Display, Receiver, scan_convert
from us_grid_sim.bmode.point_spread import PointSpread
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.geometry import DEPTH, PROBE_WIDTH

Levels = npt.NDArray[np.float64]
"""Backscatter (lines, samples) [dB against muscle]."""

_ANECHOIC = -45.0
_SCANNER = Transducer()
_lateral, _depth = np.meshgrid(
    (np.arange(_SCANNER.lines) + 0.5) / _SCANNER.lines * PROBE_WIDTH * 1e3 - PROBE_WIDTH * 500.0,
    (np.arange(_SCANNER.samples) + 0.5) / _SCANNER.samples * DEPTH * 1e3,
    indexing="ij",
)
"""Places of the samples: across from the middle, and below the skin [mm]."""


def _ellipse(across: float, down: float, half_width: float, half_height: float, turn: float = 0.0) -> Levels:
    """How far outside of an ellipse each sample lies: 1 on its edge, 0 in its centre; lengths [mm]."""
    x, y = _lateral - across, _depth - down
    cosine, sine = math.cos(turn), math.sin(turn)
    return np.hypot((cosine * x + sine * y) / half_width, (cosine * y - sine * x) / half_height)


def _skin(levels: Levels, rng: np.random.Generator, thickness: float) -> None:
    """A body wall of skin, fat and muscle above the organ."""
    levels[_depth < thickness] = rng.uniform(-4.0, 4.0)
    levels[np.abs(_depth - thickness) < 0.5] = rng.uniform(8.0, 18.0)
    levels[_depth < 2.0] = 12.0


def _vessel(levels: Levels, rng: np.random.Generator, down: float, radius: float, wall: float) -> None:
    """A vessel, cut somewhere between across and along, with a wall of so many dB."""
    away = _ellipse(rng.uniform(-22, 22), down, radius * rng.uniform(1.0, 4.0), radius, rng.uniform(-0.8, 0.8))
    levels[away < 1.25] = np.maximum(levels[away < 1.25], wall)
    levels[away < 1.0] = _ANECHOIC


def liver(rng: np.random.Generator) -> Levels:
    """Even parenchyma with vessels, over the diaphragm."""
    levels = np.full_like(_depth, rng.uniform(-5.0, 5.0))
    arc = _ellipse(rng.uniform(-15, 15), rng.uniform(-10, 5), 55.0, rng.uniform(50, 68))
    levels[arc > 1.0] -= 12.0
    levels[np.abs(arc - 1.0) < 0.02] = 26.0
    for _ in range(rng.integers(3, 9)):
        _vessel(levels, rng, rng.uniform(18, 60), rng.uniform(1.0, 4.5), rng.uniform(-5, 10))
    _skin(levels, rng, rng.uniform(8, 16))
    return levels


def kidney(rng: np.random.Generator) -> Levels:
    """A bean of dark cortex around a bright sinus, in fat."""
    levels = np.full_like(_depth, rng.uniform(2.0, 8.0))
    across, down, turn = rng.uniform(-8, 8), rng.uniform(32, 44), rng.uniform(-0.4, 0.4)
    away = _ellipse(across, down, rng.uniform(24, 40), rng.uniform(13, 20), turn)
    levels[away < 1.05] = 14.0
    levels[away < 1.0] = rng.uniform(-8.0, -3.0)
    levels[away < 0.45] = rng.uniform(6.0, 12.0)
    _skin(levels, rng, rng.uniform(8, 18))
    return levels


def neck(rng: np.random.Generator) -> Levels:
    """A carotid artery and a jugular vein beside the thyroid."""
    levels = np.full_like(_depth, rng.uniform(-6.0, 0.0))
    levels[_ellipse(rng.choice([-1, 1]) * rng.uniform(10, 20), 18.0, 14.0, 9.0) < 1.0] = rng.uniform(3.0, 8.0)
    _vessel(levels, rng, rng.uniform(14, 24), rng.uniform(2.8, 4.0), 16.0)
    _vessel(levels, rng, rng.uniform(10, 18), rng.uniform(2.5, 6.0), 4.0)
    _skin(levels, rng, rng.uniform(4, 8))
    return levels


def bladder(rng: np.random.Generator) -> Levels:
    """Urine in a wall, and what it enhances below."""
    levels = np.full_like(_depth, rng.uniform(-4.0, 4.0))
    across, down, half_width = rng.uniform(-6, 6), rng.uniform(30, 42), rng.uniform(20, 38)
    away = _ellipse(across, down, half_width, rng.uniform(12, 22))
    levels[(np.abs(_lateral - across) < 0.9 * half_width) & (_depth > down)] += 8.0
    levels[away < 1.1] = 10.0
    levels[away < 1.0] = _ANECHOIC
    _skin(levels, rng, rng.uniform(8, 18))
    return levels


ORGANS = (liver, kidney, neck, bladder)


def organ_frame(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A frame uint8 (600, 800) of some organ."""
    levels = ORGANS[rng.integers(len(ORGANS))](rng)
    receiver = Receiver(Display(gain=rng.normal(0.0, 3.0)), _SCANNER, int(rng.integers(2**31)), torch.device("cpu"))
    scatterers = torch.from_numpy(rng.standard_normal((2, 1, *levels.shape))).float()
    spread = PointSpread(_SCANNER, torch.device("cpu"))
    speckle = spread(scatterers)
    power = speckle.square().sum(dim=0).mean(dim=(0, 1))  # of even tissue, by depth
    amplitude = torch.from_numpy(10.0 ** (levels / 20.0)).float()
    attenuation = 10.0 ** (-receiver.gain / 20.0)
    echo = spread(scatterers * amplitude) / power.sqrt() * attenuation
    return scan_convert(receiver.grey(echo, np.array([0]))[0].numpy(), _SCANNER.depth)
