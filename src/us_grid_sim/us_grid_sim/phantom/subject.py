"""A virtual lower back, built from its record by pure functions, and how a probe comes to rest on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import PROBE_WIDTH, probe_pose
from us_grid_sim.phantom.build import JUNCTION_X, Structure, anatomical, build_volume
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.volume import LOWER, SHAPE, SPACING, Volume

Array = npt.NDArray[np.float64]

INDENTATION_PER_NEWTON = 0.0015
"""How far a light force presses the probe into the mean back [m/N]."""
_SOFT = 0.5
"""Share of the soft tissue over bone by which it can at most be indented."""
_DEEPEST_EDGE = 0.012
"""No part of the probe's face is pressed deeper into the skin than this [m]."""
_RIGID_DEPTH = 0.060
"""Deeper than this the tissue does not move, with or without bone [m]."""


@dataclass(frozen=True)
class Phantom:
    """A subject: tissue fields, and maps over the patient frame's (x, y), row = x, column = y, 1 mm apart.

    Attributes:
        record: what it was built from.
        volume: the tissue fields.
        skin: z of the skin [m]; it falls away from the parallel plane.
        fat: thickness of skin and subcutaneous fat [m].
        rigid: depth below the skin at which the tissue does not give way: bone, smoothed, or 60 mm [m].
    """

    record: SubjectRecord
    volume: Volume
    skin: Array
    fat: Array
    rigid: Array

    def lateral(self, x: float, y: float) -> float:
        """Distance of a place of the patient frame from the spine's axis, to the right positive [m]."""
        return float(anatomical(np.array(x), np.array(y), self.record)[1])


def build_phantom(record: SubjectRecord) -> Phantom:
    """Build a subject; takes about a second and 190 MB."""
    volume, layers, first = build_volume(record)
    rigid = np.minimum(first - layers.skin, _RIGID_DEPTH)
    rigid = ndimage.gaussian_filter(ndimage.grey_erosion(rigid, size=(7, 7)), 6.0)
    return Phantom(record, volume, layers.skin, layers.fascia - layers.skin, np.maximum(rigid, 0.004))


def sample(field: Array, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Read a map at (x, y) of the patient frame [m], bilinearly; clamped at its edge."""
    places = [(np.asarray(p, dtype=np.float64) - low) / SPACING for p, low in zip((x, y), LOWER, strict=False)]
    values = ndimage.map_coordinates(field, [np.atleast_1d(place) for place in places], order=1, mode="nearest")
    return np.asarray(values.reshape(places[0].shape))


def check_inside(x: float, y: float) -> None:
    """Refuse a place beyond the subject's back.

    Raises:
        UsGridSimError: (x, y) [m] lies off the grid of the tissue fields, or is not finite.
    """
    limits = [low + SPACING * (size - 1) for low, size in zip(LOWER, SHAPE, strict=True)]
    if not (LOWER[0] <= x <= limits[0] and LOWER[1] <= y <= limits[1]):
        raise UsGridSimError(
            f"probe at x {x:.3f}, y {y:.3f} m is beyond the subject's back; expected x within "
            f"{LOWER[0]:.3f} to {limits[0]:.3f}, y within {LOWER[1]:.3f} to {limits[1]:.3f}"
        )


def indentation(phantom: Phantom, x: float, y: float, contact_force: float) -> float:
    """How far a force [N] presses the probe into the skin over (x, y) [m].

    Soft tissue stiffens as it is squeezed, and there is less of it over bone: an exponential approach to half of its
    thickness, with the mean back's slope at the origin (form: Zheng & Mak 1996, IEEE Trans Biomed Eng 43:912).
    """
    most = _SOFT * float(sample(phantom.rigid, x, y))
    return most * float(1.0 - np.exp(-contact_force * INDENTATION_PER_NEWTON / phantom.record.stiffness / most))


def contact_force(phantom: Phantom, x: float, y: float, depth: float) -> float:
    """The force [N] that presses the probe ``depth`` [m] into the skin over (x, y) [m]: the inverse of
    :func:`indentation`.
    """
    most = _SOFT * float(sample(phantom.rigid, x, y))
    squeezed = min(max(depth, 0.0) / most, 0.999)
    return -float(np.log1p(-squeezed)) * most * phantom.record.stiffness / INDENTATION_PER_NEWTON


def contact_pose(
    phantom: Phantom,
    x: float,
    y: float,
    contact_force: float,
    tilt: float = 0.0,
    pitch: float = 0.0,
    yaw: float = 0.0,
) -> Array:
    """Pose (4, 4) of ``us_probe`` in the patient frame when it rests on the skin over (x, y) with a force [N].

    The probe follows a share of the skin's lateral slope (``following``), as a compliant robot does; what is left opens
    a gap under one edge far from the midline. A torso that lies rolled turns under the probe likewise. Errors of the
    hand come on top [rad]: ``tilt`` about the patient's x axis (towards an edge of the array), ``pitch`` about the
    array (the plane leans along the spine), ``yaw`` about the beam. Where the skin bulges beside the probe's middle, as
    beside a deep furrow, it holds the probe off.

    Raises:
        UsGridSimError: (x, y) lies beyond the subject's back, or a value is not finite.
    """
    check_inside(x, y)
    if not np.isfinite([contact_force, tilt, pitch, yaw]).all():
        raise UsGridSimError(
            f"contact force {contact_force} N, tilt {tilt}, pitch {pitch}, yaw {yaw} rad; expected finite numbers"
        )
    reach = 0.010
    heights = sample(phantom.skin, [x, x, x], [y - reach, y, y + reach])
    record = phantom.record
    slope = np.arctan2(heights[2] - heights[0], 2 * reach) + record.roll
    angle = record.following * slope - record.roll + tilt
    pose = probe_pose(x, y, float(heights[1]) + indentation(phantom, x, y, contact_force))
    following = Rotation.from_rotvec([angle, 0.0, 0.0]).as_matrix()
    by_hand = Rotation.from_euler("XZ", [pitch, yaw]).as_matrix()
    pose[:3, :3] = following @ pose[:3, :3] @ by_hand
    face = pose[:3, 3] + np.linspace(-0.5, 0.5, 5)[:, None] * PROBE_WIDTH * pose[:3, 0]
    depth = face[:, 2] - sample(phantom.skin, face[:, 0], face[:, 1])
    pose[2, 3] -= max(float(depth.max()) - _DEEPEST_EDGE, 0.0)
    return pose


__all__ = [
    "JUNCTION_X",
    "Phantom",
    "Structure",
    "anatomical",
    "build_phantom",
    "check_inside",
    "contact_force",
    "contact_pose",
    "indentation",
    "sample",
]
