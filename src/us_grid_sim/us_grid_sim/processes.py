"""Worker processes for long work, which end with the process that started them, however that one ends."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any

import torch

CONTEXT = get_context("spawn")
"""A fork would copy torch's threads in the middle of their work."""


def worker_pool(workers: int, start: Callable[..., None], *arguments: Any) -> ProcessPoolExecutor:
    """A pool of so many processes of one torch thread each; ``start`` is called in each with ``arguments``.

    A pool of the standard library waits for work for ever where its parent was killed.
    """
    return ProcessPoolExecutor(workers, CONTEXT, _begin, (start, *arguments))


def _begin(start: Callable[..., None], *arguments: Any) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    start(*arguments)


def end_with_parent() -> None:
    """From now on this process, started by ``CONTEXT``, ends at once when the one that started it has ended."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)  # nobody is left to read a result, or to be told
