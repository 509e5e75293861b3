"""Errors of us_grid_sim. Every message says what was wrong, where, and what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class UsGridSimError(Exception):
    """Root of every error that this package raises on purpose."""


class FrameError(UsGridSimError):
    """A frame has the wrong shape, type or encoding."""


class DatasetError(UsGridSimError):
    """A file of a grid data set is malformed.

    Attributes:
        file: the file at fault.
        line: 1-based line number, or None where the whole file is at fault.
        problem: what was found.
        expected: what a correct file holds at that place.
    """

    def __init__(self, file: Path, line: int | None, problem: str, expected: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        self.expected = expected
        place = f"{file}:{line}" if line is not None else f"{file}"
        super().__init__(f"{place}: {problem}; expected {expected}")


Report = Callable[[DatasetError], None]
"""What a reader calls with each fault that it meets."""


def raise_fault(error: DatasetError) -> NoReturn:
    """The report of a reader that stops at the first fault."""
    raise error


class SourceError(UsGridSimError):
    """A frame source cannot be opened or has failed."""


class SourceEndedError(SourceError):
    """A frame source will give no further frame."""
