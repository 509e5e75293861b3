"""Networks asked of many frames at a time: batch by batch on all cores, with the bits of one."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]
Result = TypeVar("Result")

BATCH = 64
"""Frames that networks take in one call where there are many; of more the activations leave the cache."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums come in one order, so the same frames give the same bits in any process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_batches(ask: Callable[[slice], Result], count: int) -> list[Result]:
    """What ``ask`` makes of each batch of ``count`` frames, in their order.

    The batches share the cores, each of them on one torch thread: the bits are those of one core.
    """

    def one(first: int) -> Result:
        with torch.inference_mode():
            return ask(slice(first, first + BATCH))

    with one_thread(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(one, range(0, count, BATCH)))


def frame_outputs(network: Callable[[torch.Tensor], torch.Tensor], frames: Frames, device: str = "cpu") -> Floats:
    """What a network on ``device`` makes of each of the frames uint8 (n, h, w) alone: (n, ...)."""
    pictures = torch.from_numpy(frames).unsqueeze(1)
    parts = in_batches(lambda batch: network(pictures[batch].to(device)).cpu(), len(frames))
    outputs: Floats = torch.cat(parts).numpy()
    return outputs
