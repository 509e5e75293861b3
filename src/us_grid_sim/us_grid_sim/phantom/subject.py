"""A virtual lower back: skin, layers and bones over the parallel plane, built from a record by pure functions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, probe_pose
from us_grid_sim.phantom.bones import NO_BONE, Structure, first_bone
from us_grid_sim.phantom.record import SubjectRecord

Array = npt.NDArray[np.float64]

JUNCTION_X = (5.0 - (COLUMNS - 1) / 2) * COLUMN_PITCH
"""Mean place of the lumbosacral junction along x of the patient frame [m]: the sacrum lies under columns 0 to 5."""
SPACING = 0.001
"""Spacing of the maps [m]; between their points they are read bilinearly."""
HALF_EXTENT = (0.19, 0.15)
"""The maps reach this far along x and y from the middle of the grid [m]."""
INDENTATION_PER_NEWTON = 0.0015
"""How far the probe presses into the skin [m/N]: 2 N indent a relaxed back by about 3 mm."""


@dataclass(frozen=True)
class Phantom:
    """Maps of a subject over the patient frame's (x, y), row = x, column = y, SPACING apart.

    Attributes:
        record: what it was built from.
        skin: z of the skin [m] (positive: it falls away from the parallel plane).
        fat: thickness of skin and subcutaneous fat [m].
        bone: depth of the first bone below the skin [m]; 0.2 where there is none.
        structure: which bone that is, as Structure.
        lateral: distance from the spine's midline, to the right positive [m].
        along: distance from the lumbosacral junction along the spine, cranial positive [m].
    """

    record: SubjectRecord
    skin: Array
    fat: Array
    bone: Array
    structure: npt.NDArray[np.int64]
    lateral: Array
    along: Array


def anatomical(x: Array, y: Array, record: SubjectRecord) -> tuple[Array, Array]:
    """(s, t) along and lateral to the spine [m] of points (x, y) of the patient frame [m]."""
    dx, dy = x - JUNCTION_X - record.shift_x, y - record.shift_y
    cosine, sine = np.cos(record.rotation), np.sin(record.rotation)
    s, t = cosine * dx + sine * dy, cosine * dy - sine * dx
    return s, t - record.curve * np.sin(np.clip(s, 0.0, 0.18) / 0.18 * np.pi)


def build_phantom(record: SubjectRecord) -> Phantom:
    """Build the maps of a subject."""
    x, y = np.meshgrid(
        np.arange(-HALF_EXTENT[0], HALF_EXTENT[0] + SPACING / 2, SPACING),
        np.arange(-HALF_EXTENT[1], HALF_EXTENT[1] + SPACING / 2, SPACING),
        indexing="ij",
    )
    s, t = anatomical(x, y, record)
    ratio = np.clip(t / record.half_width, -0.97, 0.97)
    groove = 0.003 * np.exp(-((t / 0.012) ** 2)) * (s > 0)
    lordosis = 0.008 * np.exp(-(((s - 0.06) / 0.06) ** 2))
    skin = record.half_width * record.flatness * (1.0 - np.sqrt(1.0 - ratio**2)) + groove + lordosis
    fat = record.fat + record.fat_lateral * np.abs(t) + 0.15 * record.fat * np.exp(-(((s + 0.03) / 0.05) ** 2))
    depth, structure = first_bone(s, t, record)
    scale = 1.0 + 0.5 * record.asymmetry * np.sign(t)
    bone = np.where(depth < NO_BONE, fat + depth * scale, NO_BONE)
    return Phantom(record, skin, fat, bone, structure, t, s)


def sample(field: npt.NDArray[np.generic], x: Array, y: Array, *, nearest: bool = False) -> Array:
    """Read a map at (x, y) of the patient frame [m], bilinearly or at the nearest point; clamped at its edge."""
    row = np.clip((x + HALF_EXTENT[0]) / SPACING, 0, field.shape[0] - 1.001)
    column = np.clip((y + HALF_EXTENT[1]) / SPACING, 0, field.shape[1] - 1.001)
    if nearest:
        return np.asarray(field[np.rint(row).astype(int), np.rint(column).astype(int)], dtype=np.float64)
    i, j = row.astype(int), column.astype(int)
    a, b = row - i, column - j
    values = np.asarray(field, dtype=np.float64)
    near = (1 - b) * values[i, j] + b * values[i, j + 1]
    far = (1 - b) * values[i + 1, j] + b * values[i + 1, j + 1]
    return np.asarray((1 - a) * near + a * far)


def contact_pose(phantom: Phantom, x: float, y: float, contact_force: float, tilt: float = 0.0) -> Array:
    """Pose (4, 4) of ``us_probe`` in the patient frame when it rests on the skin over (x, y) with a force [N].

    The probe follows three quarters of the skin's lateral slope, as a compliant robot does, and ``tilt`` [rad] comes on
    top, about the patient's x axis; what is left opens a gap under one edge far from the midline.
    """
    reach = 0.010
    heights = sample(phantom.skin, np.array([x, x, x]), np.array([y - reach, y, y + reach]))
    angle = 0.75 * np.arctan2(heights[2] - heights[0], 2 * reach) + tilt
    pose = probe_pose(x, y, float(heights[1]) + INDENTATION_PER_NEWTON * contact_force)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, :3] = turn @ pose[:3, :3]
    return pose


__all__ = ["Phantom", "Structure", "anatomical", "build_phantom", "contact_pose", "sample"]
