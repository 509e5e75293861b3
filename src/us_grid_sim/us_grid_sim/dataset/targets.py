"""The goal bins of every target of a virtual subject, beside its record.

``<root>/Sacrum_<Name>/targets.json`` holds one object, from each target's name to its bins ``[[row, column], ...]``, by
the nearest frame of each bin as in the patient file, and for the sacrum the same as there.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from us_grid_sim.dataset.layout import read_text, subject_folder
from us_grid_sim.dataset.patient_file import parse_patient_file
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import COLUMNS, ROWS, Bin
from us_grid_sim.phantom.target import Target

TARGETS = "targets.json"
Targets = dict[Target, tuple[Bin, ...]]
"""The goal bins of each target, at least one each."""

_CONTENT = f"an object of the targets {', '.join(target.value for target in Target)}, each with its bins"
_BINS = f"bins [[row, column], ...], each once, rows 0 to {ROWS - 1}, columns 0 to {COLUMNS - 1}"


def targets_file(root: Path, name: str) -> Path:
    """Where the targets of subject ``name`` lie."""
    return subject_folder(root, name) / TARGETS


def format_targets(targets: Mapping[Target, Sequence[Bin]]) -> str:
    """The text of a file of targets, a line each."""
    bins = {target.value: [[goal.row, goal.column] for goal in targets[target]] for target in Target}
    lines = (f' "{name}": {json.dumps(pairs)}' for name, pairs in bins.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parse_targets(text: str, file: Path) -> Targets:
    """Read the text of a file of targets.

    Raises:
        DatasetError: it is no such text; with ``file``, what was found and what was expected.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(file, error.lineno, f"it is no JSON ({error.msg})", _CONTENT) from None
    if not isinstance(content, dict):
        raise DatasetError(file, None, "it holds no object", _CONTENT)
    names = {target.value for target in Target}
    for name in sorted(names ^ set(content)):
        raise DatasetError(file, None, f"{name!r} is {'missing' if name in names else 'no target'}", _CONTENT)
    return {target: _parse_bins(content[target.value], target, file) for target in Target}


def _parse_bins(pairs: Any, target: Target, file: Path) -> tuple[Bin, ...]:
    if not isinstance(pairs, list) or not pairs:
        raise DatasetError(file, None, f"{target.value}: it has no bins", _BINS)
    bins: list[Bin] = []
    for pair in pairs:
        bins.append(_parse_bin(pair, target, file))
        if bins[-1] in bins[:-1]:
            raise DatasetError(file, None, f"{target.value}: {json.dumps(pair)} stands there a second time", _BINS)
    return tuple(bins)


def _parse_bin(pair: Any, target: Target, file: Path) -> Bin:
    problem = f"{target.value}: {json.dumps(pair)} is no bin"
    if not isinstance(pair, list) or len(pair) != 2 or any(type(number) is not int for number in pair):
        raise DatasetError(file, None, problem, _BINS)
    try:
        return Bin(*pair)
    except ValueError:
        raise DatasetError(file, None, problem, _BINS) from None


def require_same_sacrum(targets: Targets, goals: Sequence[Bin], file: Path) -> None:
    """Raise DatasetError unless the sacrum's bins are the patient file's ``goals``."""
    if set(targets[Target.SACRUM]) != set(goals):
        shown = (" ".join(f"{goal.row},{goal.column}" for goal in those) for those in (targets[Target.SACRUM], goals))
        raise DatasetError(file, None, f"the sacrum's bins are {next(shown)}", f"{next(shown)}, the patient file's")


def read_targets(patient_file: Path) -> Targets:
    """The goal bins of each target of a subject.

    Raises:
        DatasetError: its patient file or its targets are missing or malformed, or they differ on the sacrum.
    """
    patient = parse_patient_file(read_text(patient_file, "a patient file"), patient_file)
    file = targets_file(patient_file.parent.parent, patient.name)
    expected = "the goal bins of each target, which `usnav dataset synth` writes for virtual subjects"
    targets = parse_targets(read_text(file, expected), file)
    require_same_sacrum(targets, patient.goals, file)
    return targets
