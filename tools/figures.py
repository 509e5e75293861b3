"""Measure the rows of docs/figures.yaml again and print goal beside result.

The command of a row prints, as the last line of its output, a JSON object that names the row: `{"fps": 61.5}`.
Rows that one command measures together share that command, and it is run once. Without names, the rows whose command
takes under two minutes are run.
"""

import argparse
import datetime
import json
import operator
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SCOREBOARD = ROOT / "docs" / "figures.yaml"
QUICK = 120.0
FIELDS = ("name", "part", "goal", "unit", "measured", "spread", "command", "seconds", "machine", "date")
_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}


class FiguresError(Exception):
    """The scoreboard or a command of it is at fault."""


@dataclass(frozen=True)
class Goal:
    """A goal such as ``">= 60"``."""

    comparison: str
    value: float

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """The goal that ``text`` writes.

        Raises:
            FiguresError: it is not a comparison and a number.
        """
        match = re.fullmatch(r"(<=|>=|<|>|==)\s*(-?\d+(?:\.\d+)?)", text.strip())
        if not match:
            raise FiguresError(f'goal {text!r} is not a comparison and a number such as ">= 60"')
        return cls(match[1], float(match[2]))

    def met(self, measured: float) -> bool:
        """Whether ``measured`` reaches the goal."""
        return bool(_COMPARISONS[self.comparison](measured, self.value))


def check_rows(rows: Sequence[dict[str, object]]) -> None:
    """Raise FiguresError for a row with missing or unknown fields, a name that stands twice, or a goal that is none."""
    seen = set()
    for row in rows:
        name = row.get("name")
        if tuple(row) != FIELDS:
            raise FiguresError(f"row {name!r} has the fields {list(row)}; expected {list(FIELDS)}, in this order")
        if name in seen:
            raise FiguresError(f"row {name!r} stands twice")
        seen.add(name)
        Goal.parse(str(row["goal"]))


def read_answer(output: str, command: str) -> dict[str, float]:
    """The figures in the last line of a command's output.

    Raises:
        FiguresError: the last line is not a JSON object of numbers.
    """
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        return {str(name): float(value) for name, value in answer.items()}
    except (IndexError, ValueError, AttributeError, TypeError):
        raise FiguresError(f'`{command}` did not end with a line such as {{"name": 1.5}}') from None


def measure(command: str) -> tuple[dict[str, float], float]:
    """Run a row's command in the checkout; its figures and the seconds it took."""
    started = time.monotonic()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise FiguresError(f"`{command}` failed with exit status {done.returncode}")
    return read_answer(done.stdout, command), time.monotonic() - started


def machine() -> str:
    """The machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores {platform.machine()} ({processor(Path('/proc/cpuinfo'))})"
    return f"{cores}, {memory:.0f} GiB, Python {platform.python_version()}"


def processor(told: Path) -> str:
    """Name of the processor and whether its vectors are wide, which decide more of a speed than the number of cores."""
    text = told.read_text() if told.exists() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    wide = " with AVX-512" if re.search(r"\bavx512f\b", text) else ""
    return (name[1] if name else "processor unknown") + wide


def chosen(rows: Iterable[dict[str, object]], names: Sequence[str]) -> list[dict[str, object]]:
    """The named rows, or without names those that take under two minutes.

    Raises:
        FiguresError: a name is not a row.
    """
    known = {str(row["name"]): row for row in rows}
    if unknown := [name for name in names if name not in known]:
        raise FiguresError(f"no row {', '.join(unknown)}; rows are {', '.join(known)}")
    if names:
        return [known[name] for name in names]
    return [row for row in known.values() if row["seconds"] is not None and float(str(row["seconds"])) < QUICK]


def show(rows: Iterable[dict[str, object]], results: dict[str, list[float]]) -> None:
    """Print goal beside result, and beside what the scoreboard holds."""
    table = Table("figure", "goal", "result", "recorded", "unit", "")
    for row in rows:
        name = str(row["name"])
        now = statistics.median(results[name]) if name in results else None
        value = now if now is not None else row["measured"]
        verdict = (
            "not measured"
            if value is None
            else "reached"
            if Goal.parse(str(row["goal"])).met(float(str(value)))
            else "missed"
        )
        table.add_row(
            name, str(row["goal"]), "-" if now is None else f"{now:g}", str(row["measured"]), str(row["unit"]), verdict
        )
    Console().print(table)


def update(row: dict[str, object], values: Sequence[float], seconds: float) -> None:
    """Write a measurement into its row: median and, of several runs, the range."""
    row["measured"] = float(f"{statistics.median(values):.4g}")
    row["spread"] = f"{min(values):.4g} to {max(values):.4g} over {len(values)} runs" if len(values) > 1 else "one run"
    row["seconds"] = round(seconds)
    row["machine"] = machine()
    row["date"] = datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def main() -> int:
    """Run it; 0 where every command gave its figures, whether or not a goal was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows to measure, however long they take")
    parser.add_argument("--runs", type=int, default=1, help="measure each this often and take the median")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/figures.yaml")
    arguments = parser.parse_args()
    yaml = YAML()
    yaml.width = 160
    board = yaml.load(SCOREBOARD)
    results: dict[str, list[float]] = {}
    try:
        check_rows(board)
        picked = chosen(board, arguments.names)
        for command in dict.fromkeys(str(row["command"]) for row in picked):
            for _ in range(arguments.runs):
                print(f"{command} ...", flush=True)
                answer, seconds = measure(command)
                for name, value in answer.items():
                    results.setdefault(name, []).append(value)
            board = yaml.load(SCOREBOARD)  # what another measurement has written meanwhile stays
            for row in board:
                if arguments.write and row["command"] == command and row["name"] in results:
                    update(row, results[row["name"]], seconds)
                    yaml.dump(board, SCOREBOARD)
    except FiguresError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(board, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
