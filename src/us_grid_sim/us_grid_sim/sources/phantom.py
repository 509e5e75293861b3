"""Frames of a virtual subject, seen by the probe wherever it stands."""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.errors import SourceError, UsGridSimError
from us_grid_sim.geometry import DEPTH, PIXEL_SIZE, PROBE_WIDTH
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import build_phantom, contact_pose
from us_grid_sim.sources.base import Frame, SourceInfo


@dataclass(frozen=True, eq=False)
class Look:
    """Where the probe stands: pose (4, 4) in the patient frame [m] and contact force [N]."""

    pose: npt.NDArray[np.float64]
    contact_force: float

    @property
    def number(self) -> int:
        """Of the frame, for its electronic noise: another one for each pose, the same where the probe comes back."""
        return zlib.crc32(self.pose.tobytes())


class PhantomSource:
    """Renders a subject at the pose that the probe was last seen at.

    A frame is rendered when it is read, not when the probe moves, so a fast plant costs nothing; read again at
    the same pose, it is the same frame and is not rendered again. Before the first ``look_from`` the probe rests
    in the middle of the grid with 1 N.

    Args:
        record: the subject.

    Attributes:
        phantom: the subject.
        look: where the probe stands.
    """

    def __init__(self, record: SubjectRecord) -> None:
        self.phantom = build_phantom(record)
        self.look = Look(contact_pose(self.phantom, 0.0, 0.0, 1.0), 1.0)
        self._shown: tuple[Look, Frame] | None = None
        self._detail = f"subject {record.index} of cohort {record.seed}"

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.phantom)

    @property
    def info(self) -> SourceInfo:
        """How the frames were acquired."""
        pixel = PIXEL_SIZE * 1e3
        return SourceInfo(pixel, pixel, DEPTH, PROBE_WIDTH, "phantom", self._detail)

    def look_from(self, pose: npt.ArrayLike, contact_force: float) -> None:
        """Say where the probe stands now.

        Args:
            pose: (4, 4) of ``us_probe`` in the patient frame [m].
            contact_force: along z of ``us_probe`` [N]; with too little the frame is dark.
        """
        look = Look(np.array(pose, dtype=np.float64), float(contact_force))
        if look.pose.shape != (4, 4):
            raise SourceError(f"the probe's pose has shape {look.pose.shape}; expected a 4 x 4 matrix")
        same = np.array_equal(look.pose, self.look.pose) and look.contact_force == self.look.contact_force
        if not same:
            self.look = look

    def read(self) -> Frame:
        """The frame seen from there, with its pose.

        Raises:
            SourceError: the pose or the force is one that cannot be rendered.
        """
        look = self.look
        if self._shown is None or self._shown[0] is not look:
            try:
                pixels = self._renderer.render(look.pose, look.contact_force, look.number)[0]
            except UsGridSimError as error:
                raise SourceError(str(error)) from error
            self._shown = (look, Frame(pixels, pose=look.pose))
        return self._shown[1]

    def close(self) -> None:
        """Nothing is held."""
