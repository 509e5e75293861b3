"""Reading what a temporal calibration looks at: frames and poses of a tracked MetaImage sequence or of a bag."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from us_grid_sim.calibration.temporal import CalibrationError, Motion, image_changes
from us_grid_sim.dataset.metaimage import Recording
from us_grid_sim.preprocess import Frame8
from us_grid_sim.sources.bag import BagReader
from us_grid_sim.sources.picture import check_image, grey

Progress = Callable[[int, int], None]
"""Called with the frames read and those there are."""


def read_motion(file: Path, progress: Progress = lambda done, total: None) -> Motion:
    """The motion of a recording, each image as a whole.

    Args:
        file: a tracked MetaImage sequence (.mha), or a bag with /us/image_raw and /probe/state.
        progress: told now and then.

    Raises:
        SourceError, FrameError: it cannot be read.
        CalibrationError: it has no poses, or its frames are not in the order of their stamps.
    """
    motion = _of_sequence(file, progress) if file.suffix == ".mha" else _of_bag(file, progress)
    if len(motion.frame_times) < 2 or not (np.diff(motion.frame_times) > 0.0).all():
        raise CalibrationError(f"{file}: the stamps of its frames do not grow; expected two frames or more, in order")
    return motion


def _of_sequence(file: Path, progress: Progress) -> Motion:
    recording = Recording.open(file)
    frames = recording.frames("ProbeToTracker")
    images = recording.images((False, False))
    count = _Counter(len(frames), progress)
    changes = image_changes((np.ascontiguousarray(images[frame.index]) for frame in frames), count)
    times = np.array([frame.stamp_ns for frame in frames]) * 1e-9
    places = np.array([frame.pose[:3, 3] for frame in frames]).reshape(-1, 3) * 1e-3
    return Motion(times, changes, times, places)


def _of_bag(file: Path, progress: Progress) -> Motion:
    bag = BagReader(file)
    try:
        track = bag.track()
        if not len(track.stamps):
            raise CalibrationError(f"{file}: no poses on /probe/state; expected a recording of a tracked probe")
        stamps: list[int] = []

        def frames() -> Iterator[Frame8]:
            for stamp, image, colours in bag.images():
                check_image(image)
                stamps.append(stamp)
                yield grey(image, colours)

        changes = image_changes(frames(), _Counter(bag.image_count, progress))
    finally:
        bag.close()
    # From the first pose on: seconds since 1970 leave few digits for what is looked for.
    begin = int(track.stamps[0])
    frame_times = np.array([stamp - begin for stamp in stamps]) * 1e-9
    pose_times = np.asarray((track.stamps - begin) * 1e-9)
    return Motion(frame_times, changes, pose_times, track.poses[:, :3, 3])


class _Counter:
    """Counts frames for a progress bar."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)
