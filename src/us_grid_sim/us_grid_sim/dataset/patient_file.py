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

from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Bin

GOAL_KEY = "goal_bins:"
_PAIR = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")
_INDICES = re.compile(rf"\s*[0-9]{{1,9}}\s*(,\s*[0-9]{{1,9}}\s*){{{FRAMES_PER_BIN - 1}}}")


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


def parse_patient_file(text: str, file: Path) -> PatientFile:
    """Read the text of a patient file.

    Args:
        text: the whole file.
        file: where it comes from, for messages.

    Raises:
        DatasetError: with the file, the line and what was expected there.
    """
    lines = text.splitlines()
    if len(lines) < 2:
        raise DatasetError(
            file, len(lines) + 1, "the file ends early", "the name, the frames' folder and the goal bins"
        )
    name = lines[0].strip()
    check_name(name, file, 1)
    folder, goal_text, goal_line = _split_header(lines, file)
    goals = _parse_goals(goal_text, file, goal_line)
    bins = _parse_bins(lines, goal_line, file)
    return PatientFile(name, folder, goals, bins)


def _split_header(lines: Sequence[str], file: Path) -> tuple[str, str, int]:
    """The frames' folder, the text after ``goal_bins:`` and its 1-based line, for either header form."""
    folder, key, goals = lines[1].partition(GOAL_KEY)
    if key:
        line = 2
    else:
        line = 3
        third = lines[2].strip() if len(lines) > 2 else ""
        if not third.startswith(GOAL_KEY):
            raise DatasetError(
                file, line, f"found {_shown(third)}", f"'{GOAL_KEY}row,col', here or at the end of line 2"
            )
        goals = third.removeprefix(GOAL_KEY)
    if not folder.strip():
        raise DatasetError(file, 2, "the frames' folder is empty", "the path of the folder that holds the frames")
    return folder.strip(), goals, line


def _parse_goals(text: str, file: Path, line: int) -> tuple[Bin, ...]:
    expected = "pairs row,col of bins that show the sacrum, separated by ';' or ':', filled in by hand"
    goals = []
    for pair in text.replace(";", ":").split(":"):
        match = _PAIR.fullmatch(pair)
        if match is None:
            raise DatasetError(file, line, f"{_shown(pair)} is no goal bin", expected)
        goals.append(_bin(match, file, line))
    return tuple(goals)


def _parse_bins(lines: Sequence[str], above: int, file: Path) -> npt.NDArray[np.int32]:
    """The 165 lines that follow the first ``above`` lines. Like the authors' loader, takes them in any order."""
    bins = np.full((ROWS, COLUMNS, FRAMES_PER_BIN), -1, dtype=np.int32)
    expected = f"'row,col:i,j,k,l,m' with {FRAMES_PER_BIN} frame indices"
    for number in range(above + 1, above + BINS + 1):
        if number > len(lines) or not lines[number - 1].strip():
            found = "the file ends" if number > len(lines) else "found an empty line"
            raise DatasetError(file, number, f"{found} after {number - above - 1} of {BINS} bins", expected)
        place, _, indices = lines[number - 1].partition(":")
        match = _PAIR.fullmatch(place)
        if match is None or not _INDICES.fullmatch(indices):
            raise DatasetError(file, number, f"found {_shown(lines[number - 1])}", expected)
        position = _bin(match, file, number)
        if bins[position.row, position.column, 0] >= 0:
            problem = f"bin {position.row},{position.column} stands there a second time"
            raise DatasetError(file, number, problem, "each of the 165 bins once")
        bins[position.row, position.column] = [int(index) for index in indices.split(",")]
    return bins


def _bin(pair: re.Match[str], file: Path, line: int) -> Bin:
    try:
        return Bin(int(pair[1]), int(pair[2]))
    except ValueError as error:
        raise DatasetError(file, line, str(error), "a bin of the 11 x 15 grid, row before column") from None


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
