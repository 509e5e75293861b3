"""The patient as a plant feels it: the skin as a height field, how the tissue under it gives way, where it lies.

A contact is looked up a thousand times a second at a handful of places, by :mod:`us_grid_sim.world.touch`; what it
looks up is sampled here once from the phantom's maps.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.phantom.subject import INDENTATION_PER_NEWTON, Phantom, indentation, sample
from us_grid_sim.phantom.volume import LOWER, SPACING
from us_grid_sim.world.motion import Motion
from us_grid_sim.world.touch import Grid, Springs, spring, under

Array = npt.NDArray[np.float64]

SOFTEST, STIFFEST = 200.0, 5000.0
"""The tissue's stiffness under the whole face stays within these [N/m]; bone itself is much stiffer, but has skin and
periosteum over it, and a stiffer spring would add nothing that a force control has to cope with."""


class Skin:
    """A height field with springs under it.

    The force of the whole face at an indentation d is that of :func:`us_grid_sim.phantom.subject.contact_force`,
    -stiffness give log(1 - d / give), whose slope grows from ``stiffness`` to infinity; from where it is
    :data:`STIFFEST` on, the law goes on as its tangent. Where bone lies shallow ``give`` is small, and the tissue
    stiffens early.

    Args:
        height: (n, m) z of the skin over (x, y) of the patient frame [m]; smaller is nearer to the probe.
        give: (n, m) by how much the tissue can at most be indented [m]; some metres make a linear spring.
        stiffness: at first touch [N/m]; held within SOFTEST and STIFFEST.
        lower: (x, y) of the maps' first place [m].
        spacing: of neighbouring places [m].

    Beyond the edge of the maps their last values hold.

    Raises:
        UsGridSimError: the maps differ in shape, or a value is not finite, or give or stiffness is not above 0.
    """

    def __init__(
        self, height: Array, give: Array, stiffness: float, lower: tuple[float, float], spacing: float
    ) -> None:
        if height.shape != give.shape or height.ndim != 2 or min(height.shape) < 2:
            raise UsGridSimError(
                f"skin: height {height.shape}, give {give.shape}; expected two maps of one shape, at least 2 x 2"
            )
        if not (np.isfinite(height).all() and np.isfinite(give).all() and give.min() > 0.0 and stiffness > 0.0):
            raise UsGridSimError("skin: a height is not finite, or a give or the stiffness is not above 0")
        self.stiffness = min(max(float(stiffness), SOFTEST), STIFFEST)
        self.top = float(height.min())
        """The smallest z of the skin [m]."""
        self.springs: Springs = self.stiffness, STIFFEST, 1.0 - self.stiffness / STIFFEST
        """As ``touch`` takes them."""
        self.nodes = np.stack([height, *np.gradient(height, spacing), give], axis=-1, dtype=np.float64)
        """Height, its slopes by x and y, and give (n, m, 4) [m]."""
        rows, columns = height.shape
        # The last place has no neighbour beyond it.
        last = math.nextafter(rows - 1, 0.0), math.nextafter(columns - 1, 0.0)
        self.grid: Grid = float(lower[0]), float(lower[1]), 1.0 / spacing, *last
        """Where the nodes lie, as ``touch`` takes it."""

    @classmethod
    def of(cls, phantom: Phantom) -> "Skin":
        """The skin of a subject, over all of its maps."""
        most = indentation(phantom, 0.0, 0.0, math.inf)
        share = most / float(sample(phantom.rigid, 0.0, 0.0))
        stiffness = phantom.record.stiffness / INDENTATION_PER_NEWTON
        return cls(phantom.skin, share * phantom.rigid, stiffness, LOWER[:2], SPACING)

    def surface(self, every: int) -> npt.NDArray[np.float64]:
        """Points (n, m, 3) of the skin in the patient frame [m]: each ``every``-th place of the maps, both ways."""
        heights = self.nodes[::every, ::every, 0]
        x, y, scale, _, _ = self.grid
        rows, columns = (every / scale * np.arange(count) for count in heights.shape)
        return np.stack([*np.meshgrid(x + rows, y + columns, indexing="ij"), heights], axis=-1)

    def under(self, x: float, y: float) -> tuple[float, float, float, float]:
        """The skin at (x, y) of the patient frame [m], bilinearly between the maps' places.

        Returns:
            z of the skin [m], its derivatives by x and by y, and by how much the tissue can give [m].
        """
        return under(self.nodes, self.grid, x, y)

    def distance(self, x: float, y: float, z: float) -> float:
        """Signed distance of a point of the patient frame from the skin [m], positive outside.

        Right to first order at the skin, as the phantom's fields are, and exact over a plane.
        """
        height, slope_x, slope_y, _ = self.under(x, y)
        return (height - z) / math.sqrt(1.0 + slope_x**2 + slope_y**2)

    def normal(self, x: float, y: float) -> tuple[float, float, float]:
        """The outward unit normal over (x, y), in the patient frame: its z is negative."""
        _, slope_x, slope_y, _ = self.under(x, y)
        length = math.sqrt(1.0 + slope_x**2 + slope_y**2)
        return slope_x / length, slope_y / length, -1.0 / length

    def force(self, depth: float, give: float) -> float:
        """The force [N] of the whole face pressed ``depth`` [m], not negative, into tissue that can ``give`` [m]."""
        return spring(self.springs, depth, give)

    def stiffness_at(self, x: float, y: float, depth: float) -> float:
        """The slope of :meth:`force` over (x, y) at an indentation [N/m]: SOFTEST to STIFFEST."""
        return self.stiffness / (1.0 - min(depth / self.under(x, y)[3], self.springs[2]))


@dataclass(frozen=True, eq=False)
class Patient:
    """Who lies under the probe.

    Attributes:
        skin: in the patient frame.
        pose: (4, 4) of the patient frame in ``world`` [m].
        motion: by which the back comes nearer to the probe, along -z of the patient frame.

    Raises:
        UsGridSimError: the pose is no pose.
    """

    skin: Skin
    pose: Array
    motion: Motion = field(default_factory=Motion)

    def __post_init__(self) -> None:
        pose = np.asarray(self.pose)
        if pose.shape != (4, 4) or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6):
            raise UsGridSimError("patient: the pose is no 4 x 4 matrix whose first 3 x 3 are a rotation")
