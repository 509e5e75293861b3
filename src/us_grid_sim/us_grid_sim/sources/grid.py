"""Frames of a grid data set, shown where the probe stands on the grid."""

from dataclasses import dataclass

import numpy as np

from us_grid_sim.dataset.grid import draw_frame
from us_grid_sim.dataset.layout import GridSubject
from us_grid_sim.geometry import DEPTH, PIXEL_SIZE, PROBE_WIDTH, Bin, probe_pose
from us_grid_sim.preprocess import Frame8
from us_grid_sim.sources.base import Frame, SourceInfo


@dataclass(frozen=True)
class _Arrival:
    """What is shown from one arrival in a bin to the next."""

    position: Bin
    index: int
    pixels: Frame8


class GridSource:
    """Shows one frame of the current bin until the probe arrives in a bin again.

    Each ``move_to`` is an arrival, also one in the same bin (a step that the border held back), and each arrival
    draws one of the bin's five frames. The environments draw alike: an environment reset with ``seed`` and with
    the options ``subject`` and ``start`` shows the frames of a source with that seed and start, step by step.

    Args:
        subject: the subject whose frames are shown.
        start: the first bin.
        seed: of the draws.

    Attributes:
        subject: whose frames are shown.
    """

    def __init__(self, subject: GridSubject, start: Bin, seed: int) -> None:
        self.subject = subject
        self._rng = np.random.default_rng(seed)
        self._arrival = self._arrive(start)

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired (Hase et al. 2020, sec. IV-A)."""
        pixel = PIXEL_SIZE * 1e3
        return SourceInfo(pixel, pixel, DEPTH, PROBE_WIDTH, "grid", self.subject.name)

    @property
    def position(self) -> Bin:
        """The bin that the probe is in."""
        return self._arrival.position

    @property
    def frame_index(self) -> int:
        """The index on disk of the frame that is shown."""
        return self._arrival.index

    def move_to(self, position: Bin) -> None:
        """Arrive in a bin.

        Raises:
            DatasetError: its frame cannot be read; the source stays where it was.
        """
        self._arrival = self._arrive(position)

    def read(self) -> Frame:
        """The frame that is shown, with the pose of the bin's centre."""
        arrival = self._arrival
        return Frame(arrival.pixels, pose=probe_pose(*arrival.position.center))

    def close(self) -> None:
        """Nothing is held."""

    def _arrive(self, position: Bin) -> _Arrival:
        index = draw_frame(self.subject.bins, position, self._rng)
        return _Arrival(position, index, self.subject.frame(index))
