"""The text of a patient file, both ways: pure functions between text and a dataclass.

Layout of the published data set (hhase/sacrum_data-set): line 1 the name, line 2 the frames' folder, line 3
``goal_bins:row,col;row,col...``, then 165 lines ``row,col:i,j,k,l,m``; what follows is for people's eyes.

The authors' writer leaves out the newline after the frames' folder, so that ``goal_bins:`` ends line 2; their
loader expects it on line 3, and takes ``;`` as well as ``:`` between goals. Both forms are read. Written is the
form that their loader reads.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import DatasetError, Report, raise_fault
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Bin

GOAL_KEY = "goal_bins:"
_PAIR = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")
_LINE = re.compile(rf"{_PAIR.pattern}:\s*([0-9]{{1,9}}\s*(?:,\s*[0-9]{{1,9}}\s*){{{FRAMES_PER_BIN - 1}}})")
_BIN_LINE = f"'row,col:i,j,k,l,m' with {FRAMES_PER_BIN} frame indices"


@dataclass(frozen=True, eq=False)
class PatientFile:
    """What a patient file says.

    Attributes:
        name: the subject's name; its folder is ``Sacrum_<name>``.
        frames_folder: the frames' folder as it stands in the file, often a path on the authors' machine.
        goals: the bins whose frames show the sacrum, at least one.
        bins: int32 (11, 15, 5), the indices of each bin's five frames, nearest first.
    """

    name: str
    frames_folder: str
    goals: tuple[Bin, ...]
    bins: npt.NDArray[np.int32]


def check_name(name: str, file: Path, line: int | None = None) -> None:
    """Raise DatasetError unless ``name`` can be part of a folder's name and a line of its own."""
    if not name or name != name.strip() or any(c in "/\\\0" or not c.isprintable() for c in name):
        raise DatasetError(
            file, line, f"the subject's name is {name!r}", "a name without slashes or control characters"
        )


def parse_patient_file(text: str, file: Path, report: Report = raise_fault) -> PatientFile:
    """Read the text of a patient file.

    Args:
        text: the whole file.
        file: where it comes from, for messages.
        report: called with each fault; where it returns, reading goes on, and what could not be read is empty in
            the result: no name, no goals, frame indices of -1.

    Raises:
        DatasetError: with the file, the line and what was expected there.
    """
    lines = text.splitlines()
    if len(lines) < 2:
        expected = "the name, the frames' folder and the goal bins"
        report(DatasetError(file, len(lines) + 1, "the file ends early", expected))
        lines += [""] * (2 - len(lines))
        return PatientFile(lines[0].strip(), "", (), np.full((ROWS, COLUMNS, FRAMES_PER_BIN), -1, dtype=np.int32))
    name = lines[0].strip()
    try:
        check_name(name, file, 1)
    except DatasetError as error:
        report(error)
        name = ""
    folder, goals, above = _parse_header(lines, file, report)
    return PatientFile(name, folder, goals, _parse_bins(lines, above, file, report))


def _parse_header(lines: Sequence[str], file: Path, report: Report) -> tuple[str, tuple[Bin, ...], int]:
    """The frames' folder, the goals and the number of lines above the bins, for either header form."""
    folder, key, goal_text = lines[1].partition(GOAL_KEY)
    if not folder.strip():
        expected = "the path of the folder that holds the frames"
        report(DatasetError(file, 2, "the frames' folder is empty", expected))
    if key:
        return folder.strip(), _parse_goals(goal_text, file, 2, report), 2
    third = lines[2].strip() if len(lines) > 2 else ""
    if third.startswith(GOAL_KEY):
        return folder.strip(), _parse_goals(third.removeprefix(GOAL_KEY), file, 3, report), 3
    expected = f"'{GOAL_KEY}row,col', here or at the end of line 2"
    report(DatasetError(file, 3, f"found {_shown(third)}", expected))
    return folder.strip(), (), 2 if _LINE.fullmatch(third) else 3


def _parse_goals(text: str, file: Path, line: int, report: Report) -> tuple[Bin, ...]:
    expected = "pairs row,col of bins that show the sacrum, separated by ';' or ':', filled in by hand"
    goals = []
    for pair in text.replace(";", ":").split(":"):
        match = _PAIR.fullmatch(pair)
        if match is None:
            report(DatasetError(file, line, f"{_shown(pair)} is no goal bin", expected))
        elif (goal := _bin(match, file, line, report)) is not None:
            goals.append(goal)
    return tuple(goals)


def _parse_bins(lines: Sequence[str], above: int, file: Path, report: Report) -> npt.NDArray[np.int32]:
    """The 165 lines that follow the first ``above`` lines. Like the authors' loader, takes them in any order."""
    bins = np.full((ROWS, COLUMNS, FRAMES_PER_BIN), -1, dtype=np.int32)
    for number in range(above + 1, above + BINS + 1):
        if number > len(lines) or not lines[number - 1].strip():
            found = "the file ends" if number > len(lines) else "found an empty line"
            found += f" after {number - above - 1} of {BINS} bins, {_first_missing(bins)} is missing"
            report(DatasetError(file, number, found, _BIN_LINE))
            break
        match = _LINE.fullmatch(lines[number - 1])
        if match is None:
            report(DatasetError(file, number, f"found {_shown(lines[number - 1])}", _BIN_LINE))
            continue
        position = _bin(match, file, number, report)
        if position is not None and bins[position.row, position.column, 0] >= 0:
            problem = f"bin {position.row},{position.column} stands there a second time"
            report(DatasetError(file, number, problem, "each of the 165 bins once"))
        elif position is not None:
            bins[position.row, position.column] = [int(index) for index in match[3].split(",")]
    return bins


def _first_missing(bins: npt.NDArray[np.int32]) -> str:
    row, column = np.argwhere(bins[:, :, 0] < 0)[0]
    return f"{row},{column}"


def _bin(pair: re.Match[str], file: Path, line: int, report: Report) -> Bin | None:
    try:
        return Bin(int(pair[1]), int(pair[2]))
    except ValueError as error:
        report(DatasetError(file, line, str(error), "a bin of the 11 x 15 grid, row before column"))
        return None


def _shown(text: str) -> str:
    """``text`` as a message shows it: quoted, and cut where it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def format_patient_file(patient: PatientFile) -> str:
    """The text of a patient file, in the form that the authors' loader reads."""
    lines = [
        patient.name,
        patient.frames_folder,
        GOAL_KEY + ";".join(f"{goal.row},{goal.column}" for goal in patient.goals),
    ]
    for row in range(ROWS):
        for column in range(COLUMNS):
            lines.append(f"{row},{column}:{','.join(map(str, patient.bins[row, column]))}")
    nearest = patient.bins[:, :, 0]
    width = max(4, len(str(nearest.max())))
    matrix = (" ".join(f"{index:{width}d}" for index in row) for row in nearest)
    return "\n".join([*lines, "", "*" * 42, "", *matrix]) + "\n"
