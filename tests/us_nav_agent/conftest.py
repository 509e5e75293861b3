"""Toy subjects whose frames say plainly where they were taken, and a small untrained policy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, COLUMNS, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, ROWS, Bin
from us_nav_agent.deciders import MsDqnDecider
from us_nav_agent.networks.dueling import DuelingNetwork, NetworkConfig, StopClassifier
from us_nav_agent.policy import save_policy

TINY = NetworkConfig(32, 32, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), (4, 4, 8, 8), 16)
TOY_GOALS = (Bin(5, 2), Bin(5, 3))


@pytest.fixture(scope="session")
def tiny() -> NetworkConfig:
    """Networks that run in about a millisecond."""
    return TINY


@pytest.fixture(scope="session")
def toy_grid() -> Callable[..., PreprocessedGrid]:
    """Makes a subject: a bright spot whose place across the picture is the row, and down the picture the column.

    A mirrored picture is the bin of the mirrored row, as on a back. The five frames of a bin are one.
    """

    def make(name: str = "Toy", goals: tuple[Bin, ...] = TOY_GOALS) -> PreprocessedGrid:
        down, across = np.mgrid[0:32, 0:32]
        frames = np.empty((BINS, 32, 32), dtype=np.uint8)
        for state in range(BINS):
            place = Bin.from_state(state)
            square = (across - 3 - place.row * 2.5) ** 2 + (down - 2 - place.column * 2) ** 2
            frames[state] = 255 * np.exp(-square / 18)
        indices = np.arange(BINS, dtype=np.int32)
        bins = np.repeat(indices.reshape(ROWS, COLUMNS, 1), FRAMES_PER_BIN, axis=2)
        return PreprocessedGrid(name, goals, bins, frames, indices, TINY.preprocess)

    return make


@pytest.fixture(scope="session")
def tiny_networks() -> tuple[DuelingNetwork, StopClassifier]:
    """Untrained networks of the tiny shape, always the same ones, with weights that are nowhere zero."""
    torch.manual_seed(1)
    networks = DuelingNetwork(TINY).eval(), StopClassifier(TINY).eval()
    with torch.no_grad():
        for network in networks:
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return networks


@pytest.fixture
def tiny_model(tiny_networks: tuple[DuelingNetwork, StopClassifier], tmp_path: Path) -> Path:
    """A model file of the tiny networks, its SHA-256 beside it."""
    return save_policy(tmp_path / "tiny.safetensors", MsDqnDecider(*tiny_networks, threshold=0.9))
