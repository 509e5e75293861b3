"""Work in processes: every job once, the same in one process or many, and a word where one is killed."""

import operator
import signal
from functools import partial

import pytest
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.workers import work_through

# What works is pickled by its name, and a started process cannot import this module: the standard library's can be.
ADD_TEN = partial(partial, operator.add, 10)
KILLED = partial(signal.raise_signal, signal.SIGKILL)
UNMADE = partial(operator.truediv, 1, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(work_through(ADD_TEN, [1, 2, 3], workers, 0.1)) == [(1, 11), (2, 12), (3, 13)]


def test_nothing_is_made_for_no_job() -> None:
    assert list(work_through(UNMADE, [], None, 0.1)) == []


def test_a_process_that_is_ended_from_outside_is_said_in_one_line() -> None:
    with pytest.raises(UsNavAgentError, match=r"ended from outside, .* \(0\.7 GB each; .*; the same command goes on"):
        list(work_through(KILLED, [1, 2], 2, 0.7))
