"""Long work on a terminal has a bar; in a log it has lines that can be read while it runs."""

import io

import pytest
from rich.console import Console
from us_nav_agent.cli.screen import progress_bar


class Clock:
    """Stands still but for what it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_has_a_line_a_minute() -> None:
    file, clock = io.StringIO(), Clock()
    with progress_bar(Console(file=file), clock) as bar:
        task = bar.add_task("locator 0", total=3864)
        for done in range(1, 241):  # a second each
            clock.now += 1.0
            bar.update(task, completed=done)
        said = file.getvalue().splitlines()
    assert [line.split(" after ")[0] for line in said] == [f"locator 0 {done}/3864" for done in (60, 120, 180, 240)]


def test_a_log_tells_of_work_whose_end_is_not_known() -> None:
    file, clock = io.StringIO(), Clock()
    with progress_bar(Console(file=file), clock) as bar:
        task = bar.add_task("frames", total=None)
        clock.now += 61.0
        bar.update(task, completed=7)
        assert file.getvalue().startswith("frames 7/? after 0 min")


@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_a_terminal_has_the_bar_alone(seconds: float) -> None:
    file, clock = io.StringIO(), Clock()
    with progress_bar(Console(file=file, force_terminal=True, width=80), clock) as bar:
        task = bar.add_task("frames", total=10)
        clock.now += seconds
        bar.update(task, completed=7)
    assert " after " not in file.getvalue()
    assert "━" in file.getvalue()
