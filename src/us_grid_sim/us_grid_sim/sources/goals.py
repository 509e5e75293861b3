"""Which bins of the grid show a target, where a source knows: of a data set's subject, and of a virtual one."""

from pathlib import Path

from us_grid_sim.dataset.layout import GridSubject
from us_grid_sim.dataset.targets import Targets, read_targets, targets_file
from us_grid_sim.geometry import BINS, Bin
from us_grid_sim.phantom.goal import frame_truth, goal_bins
from us_grid_sim.phantom.subject import Phantom, contact_pose
from us_grid_sim.phantom.target import Target

_FORCE = 1.0
"""Contact force at which a view is judged [N]."""


def dataset_goals(patient_file: Path, subject: GridSubject) -> Targets:
    """The goal bins of a data set's subject: of all targets where they are known, else of the sacrum.

    Raises:
        DatasetError: its targets are malformed.
    """
    if targets_file(patient_file.parent.parent, subject.name).exists():
        return read_targets(patient_file)
    return {Target.SACRUM: tuple(subject.goals)}


def phantom_goals(phantom: Phantom) -> Targets:
    """The goal bins of a virtual subject, by the view from each bin's centre, the probe upright with 1 N; some 4 s.

    In a data set it is a hand-held sweep's nearest frame that counts, so that a bin at the edge of a view may differ.

    Raises:
        UsGridSimError: nothing of a target is seen in any bin.
    """
    poses = (contact_pose(phantom, *Bin.from_state(state).center, _FORCE) for state in range(BINS))
    return goal_bins([frame_truth(phantom, pose) for pose in poses])
