"""Which bins of the grid show a target, where a data set knows."""

from pathlib import Path

from us_grid_sim.dataset.layout import GridSubject
from us_grid_sim.dataset.targets import Targets, read_targets, targets_file
from us_grid_sim.phantom.target import Target


def dataset_goals(patient_file: Path, subject: GridSubject) -> Targets:
    """The goal bins of a data set's subject: of all targets where they are known, else of the sacrum.

    Raises:
        DatasetError: its targets are malformed.
    """
    if targets_file(patient_file.parent.parent, subject.name).exists():
        return read_targets(patient_file)
    return {Target.SACRUM: tuple(subject.goals)}
