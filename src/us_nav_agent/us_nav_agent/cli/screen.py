"""What the commands draw on the terminal with, and write where there is none."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console()
_LINE_EVERY = 60.0
"""Between two lines of a log [s]."""


class _Logged(Progress):
    """A bar; in a file or a pipe, which show no bar before the end, a line a minute."""

    def __init__(self, *columns: str | ProgressColumn, clock: Callable[[], float], **settings: Any) -> None:
        super().__init__(*columns, **settings)
        self._clock, self._said = clock, clock()

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """See rich."""
        super().update(task_id, **fields)
        if self.console.is_terminal or self._clock() - self._said < _LINE_EVERY:
            return
        self._said = self._clock()
        self.console.file.write(_line(self._tasks[task_id]) + "\n")
        self.console.file.flush()


def _line(task: Task) -> str:
    left = f", {task.time_remaining / 60:.0f} min left" if task.time_remaining is not None else ""
    total = "?" if task.total is None else f"{task.total:.0f}"
    return f"{task.description} {task.completed:.0f}/{total} after {(task.elapsed or 0.0) / 60:.0f} min{left}"


def progress_bar(on: Console = console, clock: Callable[[], float] = time.monotonic) -> Progress:
    """A bar with what is done, of how much, for how long and how long still; in a log a line a minute."""
    return _Logged(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=on,
        clock=clock,
    )
