"""Long work in processes: each makes what measures once, and every result is handed on as it comes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from us_grid_sim.processes import worker_pool

from us_nav_agent.errors import UsNavAgentError

Job = TypeVar("Job")
Result = TypeVar("Result")


def work_through(
    make: Callable[[], Callable[[Job], Result]], jobs: Sequence[Job], workers: int | None, memory: float
) -> Iterator[tuple[Job, Result]]:
    """Each job with its result, in the order in which they are done.

    At an error or Ctrl-C what is not yet begun is dropped.

    Args:
        make: makes what does a job; called once in each process, and can be pickled, as jobs and results can.
        jobs: what is to be done.
        workers: processes, no more than jobs; None: as many as there are cores. One works in this process.
        memory: that each of them takes [GB], for the advice where it is short.

    Raises:
        UsNavAgentError: a process was ended from outside.
    """
    count = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    if count > 1:
        yield from _in_processes(make, jobs, count, memory)
    elif jobs:
        do = make()
        for job in jobs:
            yield job, do(job)


def _in_processes(
    make: Callable[[], Callable[[Job], Result]], jobs: Sequence[Job], count: int, memory: float
) -> Iterator[tuple[Job, Result]]:
    with worker_pool(count, _start_worker, make) as pool:
        futures = {pool.submit(_work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise UsNavAgentError(
                f"one of {count} processes was ended from outside, as where memory is short ({memory:g} GB each; fewer "
                "--workers need less, where a command has them); the same command goes on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_do: Callable[[Any], Any]
"""In a worker process: what does a job."""


def _start_worker(make: Callable[[], Callable[[Any], Any]]) -> None:
    """Ctrl-C ends the process at once and without a word, since the parent keeps all results."""
    global _do
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _do = make()


def _work(job: Any) -> Any:
    return _do(job)
