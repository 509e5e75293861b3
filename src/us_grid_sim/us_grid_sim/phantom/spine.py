"""Where the vertebrae and the sacrum lie: the curve of the spine in the anatomical frame.

The anatomical frame: s along the spine, cranial positive; t lateral, to the patient's right positive; a anterior
[m]. Its origin is the posterior upper corner of S1, in the midline. A vertebra has a frame of its own, (c, r, a):
cranial, right, anterior, its origin in the middle of the posterior wall of its body.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from us_grid_sim.phantom.record import LEVELS, SubjectRecord

Array = npt.NDArray[np.float64]
MM = 1e-3

LUMBAR_LENGTH = 0.18
"""The lateral curve spans this length above the sacrum [m]."""


@dataclass(frozen=True)
class VertebraSize:
    """Dimensions of a vertebra of the mean adult [mm].

    Attributes:
        height: of the posterior wall of the body.
        width, depth: of the upper end plate.
        canal_width, canal_depth: of the spinal canal.
        transverse_span: between the tips of the transverse processes.
        spinous_length: of the spinous process behind the laminae.
        facet: distance of the facets' middle from the midline.
        disc: posterior height of the disc below.
    """

    height: float
    width: float
    depth: float
    canal_width: float
    canal_depth: float
    transverse_span: float
    spinous_length: float
    facet: float
    disc: float


SIZES: dict[str, VertebraSize] = {
    # Body, canal and transverse span: Panjabi et al. 1992, Spine 17:299 (lumbar) and 1991, Spine 16:888 (T12), rounded.
    # Facets: Panjabi et al. 1993, Spine 18:1298. Spinous process: Gray's Anatomy, 41st ed., ch. 43 (quadrangular, the
    # fifth the shortest). Discs: Nissan & Gilad 1986, J Biomech 19:753 (growing from L1 to L5). T11, at the cranial
    # edge of the grid, continues T12.
    "T11": VertebraSize(21.5, 36.0, 30.0, 20.5, 17.5, 50.0, 25.0, 11.5, 4.0),
    "T12": VertebraSize(22.7, 39.0, 31.0, 22.2, 18.1, 46.9, 27.0, 12.0, 4.5),
    "L1": VertebraSize(23.8, 41.2, 34.1, 23.7, 19.0, 71.2, 30.0, 13.0, 5.5),
    "L2": VertebraSize(24.3, 42.6, 34.6, 23.8, 18.2, 76.1, 31.0, 13.5, 6.5),
    "L3": VertebraSize(23.8, 44.1, 35.2, 24.3, 17.5, 85.7, 31.0, 15.0, 7.0),
    "L4": VertebraSize(24.1, 46.6, 35.5, 25.4, 18.6, 79.4, 29.0, 18.0, 7.5),
    "L5": VertebraSize(22.9, 47.3, 34.7, 27.1, 19.7, 92.5, 20.0, 22.0, 6.5),
}

_DISC_SHARE = {"L5": 0.25, "L4": 0.17, "L3": 0.14, "L2": 0.10, "L1": 0.08, "T12": 0.02, "T11": 0.0}
_BODY_SHARE = {"L5": 0.15, "L4": 0.06, "L3": 0.02, "L2": 0.0, "L1": 0.03, "T12": -0.05, "T11": -0.05}
"""Shares of the lordosis in the disc below a vertebra and in its body: most is lumbosacral (Been et al. 2010, Spine
35:E1140)."""

_SACRUM_LENGTH = 107.0
_CANAL_AND_LAMINA = (20.0, 6.0)
"""From the anterior wall of the sacral canal to the dorsal surface, at S1 and at S5 [mm]."""


@dataclass(frozen=True)
class Vertebra:
    """A vertebra in place.

    Attributes:
        name: T11 to L5.
        index: its place in LEVELS.
        size: dimensions [mm], to be multiplied by ``scale``.
        scale: of this vertebra, in metres a millimetre.
        origin: (3,) of its frame in the anatomical frame [m].
        rotation: (3, 3), columns: its c, r and a axes in the anatomical frame.
        clearance: from the upper edge of the sacrum up to its origin, along s [m].
    """

    name: str
    index: int
    size: VertebraSize
    scale: float
    origin: Array
    rotation: Array
    clearance: float

    def place(self, c: float, r: float, a: float) -> Array:
        """(3,) in the anatomical frame [m] of a point (c, r, a) of the vertebra [mm]."""
        return np.asarray(self.origin + self.rotation @ (np.array([c, r, a]) * self.scale))

    @property
    def spinous_tip(self) -> float:
        """Coordinate a of the tip of the spinous process [mm]; negative, it is behind the body."""
        return -(self.size.canal_depth + 5.0 + self.size.spinous_length)

    @property
    def spinous_end(self) -> tuple[float, float, float]:
        """(c, r, a) of the middle of the thick end of a spinous process that does not lean [mm]."""
        return -11.5, 0.0, self.spinous_tip + 4.5


@dataclass(frozen=True)
class SpineLayout:
    """The spine of a subject in the anatomical frame.

    Attributes:
        vertebrae: T11 to L5.
        sacrum_s, sacrum_a: (n,) profile of the sacral laminae in the midline, caudal to cranial [m].
        curve: amplitude of the lateral curve [m].
    """

    vertebrae: tuple[Vertebra, ...]
    sacrum_s: Array
    sacrum_a: Array
    curve: float

    def midline(self, s: Array) -> Array:
        """Coordinate t of the spine's midline at s [m]."""
        return np.asarray(self.curve * np.sin(np.clip(s, 0.0, LUMBAR_LENGTH) / LUMBAR_LENGTH * np.pi))

    def level(self, s: float) -> float:
        """Vertebral level at s [m]: 0 at the end of the spinous process of L5, 1 at that of L4 and so on.

        Between two processes it grows evenly with s, and beyond the first and the last as beside them.
        """
        return float(np.interp(s, *self._processes))

    @cached_property
    def _processes(self) -> tuple[Array, Array]:
        """Ends of the spinous processes along s, caudal to cranial, and their levels; with a far one at either side."""
        s = np.array([vertebra.place(*vertebra.spinous_end)[0] for vertebra in reversed(self.vertebrae)])
        far, levels = 100, np.arange(len(s))
        below, above = s[0] - far * (s[1] - s[0]), s[-1] + far * (s[-1] - s[-2])
        return np.array([below, *s, above]), np.array([-far, *levels, levels[-1] + far])

    @cached_property
    def sacrum_length(self) -> float:
        """Length of the sacrum along s [m]."""
        return float(self.sacrum_s[-1] - self.sacrum_s[0])

    def sacrum_part(self, s: Array) -> Array:
        """How far along the sacrum s lies: 0 at the upper edge of S1, 1 at the end of S5."""
        return np.asarray((self.sacrum_s[-1] - s) / self.sacrum_length)

    def lamina(self, s: Array) -> Array:
        """Coordinate a of the sacral laminae in the midline at s [m]."""
        return np.interp(s, self.sacrum_s, self.sacrum_a)

    def profile(self, c: float, r: float, a: float) -> tuple[Array, Array]:
        """(s, a) in the anatomical frame [m] of the same point [mm] of every vertebra, caudal to cranial."""
        points = np.stack([vertebra.place(c, r, a) for vertebra in reversed(self.vertebrae)])
        return points[:, 0], points[:, 2]


def lay_out(record: SubjectRecord) -> SpineLayout:
    """Put the vertebrae on the subject's curve, from S1 upwards, and the sacrum below."""
    vertebrae = []
    s, a = _sacral_profile(record)
    position, angle = np.zeros(2), record.sacral_slope
    for index in reversed(range(len(LEVELS))):
        name = LEVELS[index]
        size, scale = SIZES[name], MM * record.size * record.vertebra_scale[index]
        disc, body = _DISC_SHARE[name] * record.lordosis, _BODY_SHARE[name] * record.lordosis
        position = position + _along(angle - disc / 2) * size.disc * scale * record.disc
        middle = angle - disc - body / 2
        half = _along(middle) * size.height * scale / 2
        origin, rotation = _posture(position + half, middle, record)
        vertebrae.append(Vertebra(name, index, size, scale, origin, rotation, float(origin[0] - s[-1])))
        position, angle = position + 2 * half, angle - disc - body
    return SpineLayout(tuple(reversed(vertebrae)), s, a, record.curve)


def _along(angle: float) -> Array:
    """(s, a) of the cranial direction at a slope."""
    return np.array([np.cos(angle), np.sin(angle)])


def _posture(position: Array, angle: float, record: SubjectRecord) -> tuple[Array, Array]:
    """Origin and axes of a vertebra at (s, a) with a sagittal slope: on the lateral curve, turned with it."""
    part = np.clip(position[0] / LUMBAR_LENGTH, 0.0, 1.0) * np.pi
    lean = np.arctan(record.curve * np.pi / LUMBAR_LENGTH * np.cos(part))
    turn = record.axial_rotation * np.sin(part)
    sagittal = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    leaning = Rotation.from_rotvec([0.0, 0.0, lean]).as_matrix()
    turned = Rotation.from_rotvec([turn, 0.0, 0.0]).as_matrix()
    origin = np.array([position[0], record.curve * np.sin(part), position[1]])
    return origin, leaning @ sagittal @ turned


def _sacral_profile(record: SubjectRecord) -> tuple[Array, Array]:
    """(s, a) of the sacral laminae, caudal to cranial [m]: a convex curve that turns by the sacral kyphosis."""
    part = np.linspace(0.0, 1.0, 60)
    angle = record.sacral_slope - record.sacral_kyphosis * part**1.2
    step = _SACRUM_LENGTH * MM * record.size * record.sacrum_length / (len(part) - 1)
    path = np.cumsum(-step * np.stack([np.cos(angle), np.sin(angle)]), axis=1)
    height = MM * record.size * (_CANAL_AND_LAMINA[0] + (_CANAL_AND_LAMINA[1] - _CANAL_AND_LAMINA[0]) * part)
    dorsal = path + height * np.stack([np.sin(angle), -np.cos(angle)])
    return dorsal[0, ::-1], dorsal[1, ::-1]
