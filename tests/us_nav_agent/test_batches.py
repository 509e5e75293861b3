"""Many frames at a time: batch by batch on all cores, with the bits of one."""

import os
import threading

import numpy as np
import pytest
import torch
from torch import nn
from us_nav_agent.networks.batches import BATCH, frame_outputs, in_batches

COUNT = 3 * BATCH + 5


def cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process have so many."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))


def test_every_frame_is_in_one_batch_and_in_its_place() -> None:
    parts = in_batches(lambda batch: np.arange(COUNT)[batch], COUNT)
    assert [len(part) for part in parts] == [BATCH, BATCH, BATCH, 5]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(COUNT))


def test_the_batches_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2)
    both = threading.Barrier(2)
    in_batches(lambda batch: both.wait(timeout=30.0), 2 * BATCH)  # one after the other they would wait in vain


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_bits_are_the_same_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, 16)).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32), dtype=np.uint8)

    def ask(frames: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = network(frames.float())
        return said

    cores(monkeypatch, 1)
    expected = frame_outputs(ask, pictures)
    cores(monkeypatch, number)
    np.testing.assert_array_equal(frame_outputs(ask, pictures), expected)


def test_each_batch_is_asked_on_one_torch_thread_and_without_gradients() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        asked = in_batches(lambda batch: (torch.get_num_threads(), torch.is_inference_mode_enabled()), COUNT)
        assert set(asked) == {(1, True)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_batch_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2)

    def ask(batch: slice) -> None:
        if batch.start:
            raise ValueError("the second batch")

    with pytest.raises(ValueError, match="the second batch"):
        in_batches(ask, 2 * BATCH)
