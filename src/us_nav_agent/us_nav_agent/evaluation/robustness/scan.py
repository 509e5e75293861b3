"""A virtual subject of a data set, rendered once more as a condition says: one frame a bin, and its goal bins.

The probe stands where it stood for the nearest frame of each bin, so that the unchanged frames are those of the data
set, but for one grey level here and there.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation
from us_grid_sim.bmode.render import GEL, Renderer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.layout import read_subject
from us_grid_sim.dataset.synth import SweepRecord, nearest_sweep, read_record, record_file, sweep_pose
from us_grid_sim.dataset.virtual import grid_of, render_bins
from us_grid_sim.geometry import BINS, PROBE_WIDTH, Bin
from us_grid_sim.phantom.goal import shows_sacrum
from us_grid_sim.phantom.plane import Plane, line_positions
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import Phantom, build_phantom
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.evaluation.robustness.conditions import Hold, Scan

Array = npt.NDArray[np.float64]

_PLACES = 96
"""Of the array, at which it is asked whether it hangs in the air."""
_STEEPEST = np.pi / 3
"""The probe leans no further [rad]: even pressed in by 12 mm a tenth of the array would then be all that touches."""
_HALVINGS = 14
"""Of that angle, to find the one that lifts a given share: to a hundredth of a degree."""


@dataclass(frozen=True, eq=False)
class Patient:
    """A virtual subject of a data set.

    Attributes:
        name: in the data set.
        record: what it was made from.
        held: how the probe was held at the nearest frame of each bin, entries (165,) by state.
        goals: the bins that show the sacrum in the data set.
        digest: SHA-256 of what all this was read from.
    """

    name: str
    record: SubjectRecord
    held: SweepRecord
    goals: tuple[Bin, ...]
    digest: str


def load_patient(patient_file: Path) -> Patient:
    """Read a subject; none of its frames.

    Raises:
        DatasetError: a file is missing or malformed, or the subject is not a virtual one.
    """
    subject, root = read_subject(patient_file), patient_file.parent.parent
    record, frames_per_sweep = read_record(root, subject.name)
    content = patient_file.read_bytes() + record_file(root, subject.name).read_bytes()
    held = nearest_sweep(record, frames_per_sweep, subject.bins)
    return Patient(subject.name, record, held, subject.goals, hashlib.sha256(content).hexdigest())


def scan_patient(patient: Patient, scan: Scan, preprocess: Preprocess) -> PreprocessedGrid:
    """What a policy sees in each bin, and its goal: the bins that show the sacrum.

    Where a change leaves none, the goal stays where the data set has it: the place of the sacrum is still asked for.

    Raises:
        UsGridSimError: the probe would stand beyond the subject's back or deep inside it.
    """
    phantom, poses = _phantom(scan.record), _poses(patient, scan.record, scan.hold)
    renderer = Renderer(phantom, scan.transducer, display=scan.display)
    frames = render_bins(renderer, poses, patient.held, preprocess)
    goals = shown_bins(patient, scan.record, scan.hold) or patient.goals
    return grid_of(patient.name, frames, {Target.SACRUM: goals}, preprocess)


@lru_cache(maxsize=1)
def _phantom(record: SubjectRecord) -> Phantom:
    """Built once for the levels of a subject that follow one another: it takes a second and 190 MB."""
    return build_phantom(record)


@lru_cache(maxsize=1)
def _poses(patient: Patient, record: SubjectRecord, hold: Hold) -> Array:
    """Poses (165, 4, 4) of ``us_probe`` in the patient frame [m], by state."""
    phantom, held = _phantom(record), patient.held
    turned = replace(held, tilt=held.tilt + hold.tilt, yaw=held.yaw + hold.yaw)
    poses = np.stack([sweep_pose(phantom, turned, state) for state in range(BINS)])
    return lean(phantom, poses, hold.lifted, hold.end) if hold.lifted else poses


@lru_cache(maxsize=1)
def shown_bins(patient: Patient, record: SubjectRecord, hold: Hold) -> tuple[Bin, ...]:
    """The bins whose frames show the sacrum by the truth, with this body and hold.

    A contact that lets nothing through and a depth that ends above the bone hide the sacrum and move nothing: the truth
    asks what lies under the array, 70 mm deep.
    """
    phantom = _phantom(record)
    poses = _poses(patient, record, hold)
    return tuple(Bin.from_state(n) for n in range(BINS) if shows_sacrum(phantom, poses[n]))


def lean(phantom: Phantom, poses: Array, share: float, end: int) -> Array:
    """Poses of a probe that leans on one end of its array until a share of it hangs in the air.

    Each is turned in its image plane, about the end that stays where it was, by the least angle at which the gap to the
    skin is more than the gel fills on this share of the array; not at all where that is so already.

    Args:
        phantom: the subject.
        poses: (n, 4, 4) of ``us_probe`` in the patient frame [m].
        share: of the array, below 1.
        end: that is lifted, 1 or -1 along the x axis of ``us_probe``.
    """
    plane = Plane(phantom, torch.device("cpu"))
    low, high = np.zeros(len(poses)), np.full(len(poses), _STEEPEST)
    high[hanging(plane, poses) >= share] = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = hanging(plane, _turned(poses, middle, end)) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return _turned(poses, high, end)


def hanging(plane: Plane, poses: Array) -> Array:
    """Share (n,) of the array that hangs in the air at poses (n, 4, 4): further from the skin than gel fills."""
    gap = -plane.press(torch.from_numpy(poses).float(), line_positions(_PLACES)).indentation
    return np.asarray((gap > GEL).double().mean(dim=1).numpy())


def _turned(poses: Array, angle: Array, end: int) -> Array:
    """Poses (n, 4, 4) turned in their image planes by angles (n,) [rad] that lift one end about the other."""
    about = np.array([-end * PROBE_WIDTH / 2, 0.0, 0.0])
    turn = np.tile(np.eye(4), (len(poses), 1, 1))
    turn[:, :3, :3] = Rotation.from_rotvec(np.outer(end * angle, [0.0, 1.0, 0.0])).as_matrix()
    turn[:, :3, 3] = about - turn[:, :3, :3] @ about
    return poses @ turn
