"""From tracked sweeps to a subject of the published layout.

The probe's face is known in the tracked frame from the image calibration; a ``PatientGrid`` says where the grid lies
in that frame. Frames are resampled to the scale of the layout, so that all subjects show the same depth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.layout import SubjectWriter, subject_folder, write_atomically
from us_grid_sim.dataset.metaimage import Matrix, Recording, TrackedFrame, face_pose, turned_pixels
from us_grid_sim.dataset.sweep_settings import Calibration, PatientGrid, format_grid, frame_of
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import COLUMN_PITCH, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, PIXEL_SIZE, ROW_PITCH, Bin
from us_grid_sim.preprocess import Frame8

_PIXEL_MM = PIXEL_SIZE * 1e3
_SHORTEST_PATH_MM = 1.0  # a probe that moved less has no direction


@dataclass(frozen=True)
class SweepReport:
    """What became of the recordings.

    Attributes:
        patient_file: the subject's.
        grid_file: where the grid used was written.
        frames: frames written.
        skipped: frames left out, marked as not valid by the recording.
        covered: bins, of 165, that have a frame of their own: one nearer to their centre than to any other's.
    """

    patient_file: Path
    grid_file: Path
    frames: int
    skipped: int
    covered: int


# ---------------------------------------------------------------- geometry


def fit_grid(paths: Sequence[Matrix], frame: str) -> PatientGrid:
    """The grid that fits sweeps: its middle at the centroid of the probe's path, x along it, z along the mean beam.

    x is the principal axis of the path, each sweep about its own middle, so that eleven of them show their common
    direction. Of its two senses it has the one that lets the frames' columns grow with y, as in the layout; that
    is the caudal to cranial one where the probe was held as geometry.py says.

    Args:
        paths: of each sweep, (n, 4, 4) poses of ``us_probe`` [mm].
        frame: name of the tracked frame that they are given in.

    Raises:
        ValueError: the probe hardly moved, or only along its beam.
    """
    poses = np.concatenate(paths)
    places = poses[:, :3, 3]
    z = poses[:, :3, 2].mean(axis=0)
    z /= np.linalg.norm(z)
    about_middle = np.concatenate([path[:, :3, 3] - path[:, :3, 3].mean(axis=0) for path in paths])
    in_plane = about_middle - np.outer(about_middle @ z, z)
    _, spread, axes = np.linalg.svd(in_plane, full_matrices=False)
    if spread[0] / np.sqrt(len(places)) < _SHORTEST_PATH_MM:
        raise ValueError("the probe moved less than a millimetre to either side of the middle")
    x = axes[0]
    if x @ -poses[:, :3, 1].mean(axis=0) < 0:
        x = -x
    return PatientGrid(frame, frame_of(places.mean(axis=0), x, z))


def resampling(image_to_probe: Matrix, face: tuple[float, float]) -> npt.NDArray[np.float64]:
    """(2, 3), pixels (column, row, 1) of a frame of the layout to pixels of the image.

    Only the calibration's pixel spacing is used. A scanner's pixels stand at right angles; where the calibrated axes
    do not, that is the error of the calibration, and must not shear the picture.

    Args:
        image_to_probe: (4, 4), pixels (column, row, 0) of the image to the marker [mm].
        face: the pixel that becomes the middle of the frame's top row.
    """
    step = np.diag(_PIXEL_MM / np.linalg.norm(image_to_probe[:3, :2], axis=0))
    return np.column_stack((step, np.array(face) - step @ ((FRAME_WIDTH - 1) / 2, 0.0)))


def resample(image: npt.NDArray[np.uint8], warp: npt.NDArray[np.float64]) -> Frame8:
    """The frame, uint8 (600, 800), of ``image``, uint8 (rows, columns); zeros outside. ``warp`` as ``resampling``.

    Where the frame is coarser than the image, detail that it cannot show is smoothed away first.
    """
    sigma_x, sigma_y = 0.5 * np.sqrt(np.maximum(np.diag(warp) ** 2 - 1.0, 1e-6))
    smooth = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), sigma_x, sigmaY=sigma_y)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frame: Frame8 = np.asarray(cv2.warpAffine(smooth, warp, (FRAME_WIDTH, FRAME_HEIGHT), flags=flags), dtype=np.uint8)
    return frame


# ---------------------------------------------------------------- recordings


@dataclass(frozen=True, eq=False)
class _Sweep:
    """A recording, its valid frames and the pose (n, 4, 4) of ``us_probe`` in the tracked frame for each [mm]."""

    recording: Recording
    flips: tuple[bool, bool]
    frames: list[TrackedFrame]
    poses: Matrix
    warp: npt.NDArray[np.float64]


def _marker_frames(recording: Recording, frame: str) -> list[TrackedFrame]:
    """The valid frames with the pose of the probe's marker in ``frame``."""
    if frame == "Tracker" or recording.header.has_transform(f"ProbeTo{frame}"):
        return recording.frames(f"ProbeTo{frame}")
    reference = {found.index: found.pose for found in recording.frames(f"{frame}ToTracker")}
    return [
        TrackedFrame(probe.index, probe.stamp_ns, np.linalg.inv(reference[probe.index]) @ probe.pose)
        for probe in recording.frames("ProbeToTracker")
        if probe.index in reference
    ]


def _common_frame(recordings: Sequence[Recording]) -> str:
    """Reference where every recording tracks it, since the patient may have moved; else Tracker."""
    names = ("ReferenceToTracker", "ProbeToReference")
    tracked = all(any(map(recording.header.has_transform, names)) for recording in recordings)
    return "Reference" if tracked else "Tracker"


def _sweep(recording: Recording, calibration: Calibration, frame: str) -> _Sweep:
    flips = recording.header.flips(calibration.orientation)
    turn = turned_pixels(recording.size, flips)
    face = ((recording.size[0] - 1) / 2, 0.0)
    if calibration.face is not None:
        column, row = (turn @ (*calibration.face, 0.0, 1.0))[:2]
        face = (float(column), float(row))
        if not (0 <= column < recording.size[0] and 0 <= row < recording.size[1]):
            size = "x".join(map(str, recording.size))
            problem = f"face_px {calibration.face} of the calibration is not in its images"
            raise DatasetError(recording.file, None, problem, f"a pixel within {size}")
    turned = calibration.image_to_probe @ turn
    frames = _marker_frames(recording, frame)
    poses = np.array([found.pose for found in frames]).reshape(-1, 4, 4) @ face_pose(turned, *face)
    return _Sweep(recording, flips, frames, poses, resampling(turned, face))


def convert_sweeps(
    files: Sequence[Path],
    root: Path,
    name: str,
    calibration: Calibration,
    goals: Sequence[Bin],
    grid: PatientGrid | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepReport:
    """Write tracked sweeps as one subject, in the order given; the images of one file are in memory at a time.

    Args:
        files: tracked MetaImage sequences, at least one.
        root: the data set's folder.
        name: the subject's.
        calibration: of the probe.
        goals: the bins that show the sacrum, which frames alone do not tell.
        grid: where the grid lies; None: fitted to the sweeps. Either way it is written beside the data.
        progress: called with the frames written and the frames in all.

    Raises:
        SourceError: a recording cannot be read.
        DatasetError: there is no goal or no file, too few frames are valid, the subject is there already, or a file
            cannot be written. Nothing of the subject is left then.
    """
    where = subject_folder(root, name)
    if not goals:
        expected = "at least one bin that shows the sacrum (--goal row,column): a patient file must name one"
        raise DatasetError(where, None, "no goal bin is given", expected)
    recordings = [Recording.open(file) for file in files]
    frame = grid.frame if grid else _common_frame(recordings)
    sweeps = [_sweep(recording, calibration, frame) for recording in recordings]
    count = sum(len(sweep.frames) for sweep in sweeps)
    if count < FRAMES_PER_BIN:
        raise DatasetError(where, None, f"the recordings have {count} valid frames", f"at least {FRAMES_PER_BIN}")
    try:
        grid = grid or fit_grid([sweep.poses for sweep in sweeps if sweep.frames], frame)
    except ValueError as error:
        raise DatasetError(where, None, f"no grid can be fitted: {error}", "a sweep, or a grid (--grid)") from None
    skipped = sum(recording.count for recording in recordings) - count
    return _write(root, name, sweeps, grid, goals, skipped, progress)


def _write(
    root: Path,
    name: str,
    sweeps: Sequence[_Sweep],
    grid: PatientGrid,
    goals: Sequence[Bin],
    skipped: int,
    progress: Callable[[int, int], None] | None,
) -> SweepReport:
    to_patient = np.linalg.inv(grid.to_frame)
    total = sum(len(sweep.frames) for sweep in sweeps)
    done, covered = 0, set[Bin]()
    grid_file = subject_folder(root, name) / "grid.yaml"
    given_there = grid_file.exists()
    with SubjectWriter(root, name) as writer:
        try:
            for sweep in sweeps:
                images = sweep.recording.images(sweep.flips)
                places = (to_patient @ sweep.poses)[:, :2, 3] * 1e-3
                for found, (x, y) in zip(sweep.frames, places, strict=True):
                    writer.add(resample(images[found.index], sweep.warp), x, y)
                    covered |= _own_bin(x, y)
                    done += 1
                    if progress:
                        progress(done, total)
            write_atomically(grid_file, format_grid(grid))
            patient_file = writer.finish(lambda _: goals)
        except BaseException:
            if not given_there:
                grid_file.unlink(missing_ok=True)
            writer.discard()
            raise
    return SweepReport(patient_file, grid_file, total, skipped, len(covered))


def _own_bin(x: float, y: float) -> set[Bin]:
    """The bin that (x, y) lies in [m, patient frame]; none beside the grid."""
    nearest = Bin.nearest(x, y)
    beside = abs(x - nearest.center[0]) > COLUMN_PITCH / 2 or abs(y - nearest.center[1]) > ROW_PITCH / 2
    return set() if beside else {nearest}
