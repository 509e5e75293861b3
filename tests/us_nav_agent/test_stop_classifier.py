"""The stop classifier: what it learns from, half of either class, calibrated, the same weights after a kill."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, Bin
from us_nav_agent.networks.batches import frame_outputs, one_thread
from us_nav_agent.networks.dueling import NetworkConfig, StopClassifier
from us_nav_agent.training.calibration import platt_scaling
from us_nav_agent.training.experiment import StopSettings
from us_nav_agent.training.machine import layout
from us_nav_agent.training.stop import balanced_batches, choose_threshold, labelled_frames, train_stop

MakeGrid = Callable[..., PreprocessedGrid]


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


def test_frames_are_labelled_by_their_bin(toy_grid: MakeGrid) -> None:
    frames, labels = labelled_frames([toy_grid(), toy_grid(goals=(Bin(0, 0),))])
    assert frames.shape == (2 * BINS, 32, 32)
    assert labels.sum() == 3
    assert labels[BINS]


@given(negative=st.integers(20, 200), positive=st.integers(1, 15), seed=st.integers(0, 9))
def test_each_batch_is_half_of_either_class_and_no_negative_comes_twice(
    negative: int, positive: int, seed: int
) -> None:
    labels = np.arange(negative + positive) < positive
    batches = balanced_batches(labels, 16, np.random.default_rng(seed))
    assert len(batches) == negative // 8
    assert all(labels[batch].sum() == 8 and len(batch) == 16 for batch in batches)
    drawn = np.concatenate(batches)
    drawn = drawn[~labels[drawn]]
    assert len(set(drawn.tolist())) == len(drawn)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    probabilities = np.array([0.9, 0.8, 0.3, 0.1], dtype=np.float32)
    assert choose_threshold(probabilities, np.array([True, True, False, False])) == pytest.approx(0.55)
    assert choose_threshold(probabilities, np.array([True, True, True, True])) == pytest.approx(0.05)


@given(percents=st.lists(st.integers(1, 40), min_size=2, max_size=30), seed=st.integers(0, 99))
def test_no_threshold_has_a_better_f1_score(percents: list[int], seed: int) -> None:
    values = np.array(percents, dtype=np.float32) / 40
    labels = np.random.default_rng(seed).random(len(values)) < 0.4
    labels[0] = True  # at least one, and there are equal values of both classes

    def score(threshold: float) -> float:
        said = values >= threshold
        return float(2 * (said & labels).sum() / max(said.sum() + labels.sum(), 1))

    assert score(choose_threshold(values, labels)) == pytest.approx(max(score(value) for value in values))


def test_the_classifier_learns_the_toy_and_a_broken_off_training_ends_in_the_same_weights(
    toy_grid: MakeGrid, tiny: NetworkConfig, tmp_path: Path
) -> None:
    settings, grids = StopSettings(2, 64, 1e-2), [toy_grid()]
    whole, threshold, accuracy = train_stop(tiny, settings, grids, grids, 0)
    assert accuracy > 0.95
    assert 0 < threshold < 1

    def kill(done: int, total: int) -> None:
        if done == total // 2 + 3:
            raise SystemExit

    state = tmp_path / "stop_state.pt"
    with pytest.raises(SystemExit):
        train_stop(tiny, settings, grids, grids, 0, kill, state)
    resumed, same_threshold, _ = train_stop(tiny, settings, grids, grids, 0, None, state)
    assert same_threshold == threshold
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_what_decides_is_calibrated(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    grid = toy_grid()
    noise = np.random.default_rng(0).integers(0, 120, grid.frames.shape)
    hard = replace(grid, frames=np.clip(grid.frames + noise, 0, 255).astype(np.uint8))
    network, _, _ = train_stop(tiny, StopSettings(1, 64, 1e-3), [grid], [hard], 0)
    frames, labels = labelled_frames([hard])
    scale, offset = platt_scaling(frame_outputs(network.both_sides, frames), labels)
    assert scale == pytest.approx(1.0, abs=0.01)
    assert offset == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("channels", [4, 8])
def test_gradients_in_the_training_layout_are_those_of_the_plain_one(channels: int) -> None:
    """Without AVX-512 oneDNN wrote past a buffer's end where fewer than 8 channels lay last, and the process ended."""
    torch.manual_seed(0)
    widths = (channels, channels, 16, 16)
    pictures = torch.randint(0, 256, (64, 1, 32, 32), dtype=torch.uint8)

    def gradient(memory_format: torch.memory_format) -> torch.Tensor:
        torch.manual_seed(1)
        network = StopClassifier(NetworkConfig(32, 32, (0, 0, 32, 32), widths, 16)).to(memory_format=memory_format)  # type: ignore[call-overload]
        network(pictures.contiguous(memory_format=memory_format)).square().sum().backward()
        return torch.cat([one.grad.flatten() for one in network.parameters()])

    expected = gradient(torch.contiguous_format)
    torch.testing.assert_close(gradient(layout(widths)), expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
