"""The arithmetic of the touch, compiled: the skin's maps looked up, the springs under them, a row of spheres on them.

What it computes is told in :mod:`us_grid_sim.world.skin` and :mod:`us_grid_sim.world.contact`, which hand in their
tables.
"""

import math

import numpy as np
import numpy.typing as npt

from us_grid_sim.geometry import PROBE_WIDTH
from us_grid_sim.world.compiled import MATRIX, VECTOR, compiled
from us_grid_sim.world.vectors import Matrix, Vector

Array = npt.NDArray[np.float64]

SPHERES = 5
ROUNDING = 0.008
"""Radius of the face across the array [m]; assumed of a lens and housing some 15 mm thick."""
_OFFSETS = tuple(((i + 0.5) / SPHERES - 0.5) * PROBE_WIDTH for i in range(SPHERES))
"""Places of the spheres along x of ``us_probe`` [m], each in the middle of its part of the array."""
_REACH = PROBE_WIDTH / 2 + ROUNDING
"""No part of the face is further from the tool's origin than this [m]."""

Grid = tuple[float, float, float, float, float]
"""Where a skin's maps lie: x and y of their first place [m], places in a metre, and the last row and column."""
Springs = tuple[float, float, float]
"""Under a skin: stiffness at first touch and at most [N/m], and the part of the give at which it is the latter."""
Law = tuple[float, float, float]
"""``contact.ContactLaw``: friction, slip [m/s], dissipation [s/m]."""
Frame = tuple[Matrix, Vector]
"""Rotation and origin of the patient frame [m]."""

Place = tuple[Array, Array]
"""Of a touch, by :func:`place_of`: the skin's height, slopes by x and y, and give over the patient's (x, y) (n, m, 4)
[m]; and what else there is to know of skin and patient (24,)."""
Known = tuple[Grid, float, Springs, Law, Frame]
"""That, unpacked."""
Twist = tuple[float, float, float, float, float, float]

_TWIST = "UniTuple(f8, 6)"
_MAPS = "f8[:, :, ::1], UniTuple(f8, 5)"
_PLACE = "Tuple((f8[:, :, ::1], f8[::1]))"
_KNOWN = f"Tuple((UniTuple(f8, 5), f8, {VECTOR}, {VECTOR}, Tuple(({MATRIX}, {VECTOR}))))"
_TOOL = f"{VECTOR}, {MATRIX}, {VECTOR}, {VECTOR}"


def place_of(nodes: Array, grid: Grid, top: float, springs: Springs, law: Law, frame: Frame) -> Place:
    """Of a skin's nodes, where they lie, their smallest height [m], what is under them, and where the patient lies.

    The numbers go into an array: a tuple of so many takes longer to hand in than the touch takes to compute.
    """
    (one, two, three), origin = frame
    return nodes, np.array([*grid, top, *springs, *law, *one, *two, *three, *origin], dtype=np.float64)


@compiled(f"{_KNOWN}(f8[::1])")
def _known(n: Array) -> Known:
    axes = (n[12], n[13], n[14]), (n[15], n[16], n[17]), (n[18], n[19], n[20])
    grid = n[0], n[1], n[2], n[3], n[4]
    return grid, n[5], (n[6], n[7], n[8]), (n[9], n[10], n[11]), (axes, (n[21], n[22], n[23]))


@compiled(f"UniTuple(f8, 4)({_MAPS}, f8, f8)")
def under(nodes: Array, grid: Grid, x: float, y: float) -> tuple[float, float, float, float]:
    """Height, slopes and give (see ``Skin.under``) of maps (n, m, 4) at (x, y) of the patient frame [m]."""
    low_x, low_y, scale, last_row, last_column = grid
    row, column = (x - low_x) * scale, (y - low_y) * scale
    # Asked this way round, what is no number is held within the maps too.
    row = min(row, last_row) if row > 0.0 else 0.0
    column = min(column, last_column) if column > 0.0 else 0.0
    i, j = int(row), int(column)
    p, q = row - i, column - j
    d = p * q
    b, c = q - d, p - d
    a = 1.0 - p - b
    one, two, three, four = nodes[i, j], nodes[i, j + 1], nodes[i + 1, j], nodes[i + 1, j + 1]
    return (
        a * one[0] + b * two[0] + c * three[0] + d * four[0],
        a * one[1] + b * two[1] + c * three[1] + d * four[1],
        a * one[2] + b * two[2] + c * three[2] + d * four[2],
        a * one[3] + b * two[3] + c * three[3] + d * four[3],
    )


@compiled(f"f8({VECTOR}, f8, f8)")
def spring(springs: Springs, depth: float, give: float) -> float:
    """Force [N] of the whole face, ``depth`` [m], not negative, in tissue that can ``give`` [m] (see ``Skin``)."""
    stiffness, stiffest, limit = springs
    held = min(depth / give, limit)
    return -stiffness * give * math.log1p(-held) + stiffest * (depth - held * give)


@compiled(f"{VECTOR}({MATRIX}, {VECTOR})")
def _to(frame: Matrix, vector: Vector) -> Vector:
    """A vector along the axes of a frame, whose rotation is given."""
    (a, b, c), (d, e, f), (g, h, i) = frame
    x, y, z = vector
    return a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z


@compiled(f"{VECTOR}({MATRIX}, {VECTOR})")
def _from(frame: Matrix, vector: Vector) -> Vector:
    """The inverse of :func:`_to`."""
    (a, b, c), (d, e, f), (g, h, i) = frame
    x, y, z = vector
    return a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z


@compiled(f"Tuple((b1, {VECTOR}, {VECTOR}))({_PLACE}, {_TOOL}, f8, f8)")
def pressed(
    place: Place,
    origin: Vector,
    rotation: Matrix,
    velocity: Vector,
    spin: Vector,
    rise: float,
    rate: float,
) -> tuple[bool, Vector, Vector]:
    """What the skin does to the face.

    Args:
        place: of the touch.
        origin: of the tool in ``world`` [m].
        rotation: rows of the matrix from the tool to ``world``.
        velocity: of its origin [m/s].
        spin: angular velocity [rad/s].
        rise: of the back towards the probe [m].
        rate: of that [m/s].

    Returns:
        Whether it touches, the force [N], and the torque about the tool's origin [N m], both in ``world``.
    """
    nodes = place[0]
    grid, top, springs, (friction, slip, dissipation), (axes, (left, front, low)) = _known(place[1])
    x, y, z = _to(axes, (origin[0] - left, origin[1] - front, origin[2] - low))
    ax, ay, az = _to(axes, (rotation[0][0], rotation[1][0], rotation[2][0]))
    bx, by, bz = _to(axes, (rotation[0][2], rotation[1][2], rotation[2][2]))
    ux, uy, uz = _to(axes, velocity)
    wx, wy, wz = _to(axes, spin)
    fx = fy = fz = mx = my = mz = 0.0
    # Seen from the skin: a back that has risen towards the probe is a probe that has come nearer.
    z, uz, touched = z + rise, uz + rate, False
    if z < top - _REACH:
        return touched, (fx, fy, fz), (mx, my, mz)
    for offset in _OFFSETS:
        # The sphere's middle, then its foot, seen from the origin.
        cx, cy, cz = offset * ax - ROUNDING * bx, offset * ay - ROUNDING * by, offset * az - ROUNDING * bz
        height, slope_x, slope_y, give = under(nodes, grid, x + cx, y + cy)
        scale = 1.0 / math.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
        depth = ROUNDING - (height - z - cz) * scale
        if depth <= 0.0:
            continue
        touched = True
        nx, ny, nz = slope_x * scale, slope_y * scale, -scale
        cx, cy, cz = cx - ROUNDING * nx, cy - ROUNDING * ny, cz - ROUNDING * nz
        vx, vy, vz = ux + wy * cz - wz * cy, uy + wz * cx - wx * cz, uz + wx * cy - wy * cx
        approach = -(vx * nx + vy * ny + vz * nz)
        # Where the probe leaves faster than the tissue follows, the skin lets go: it never pulls.
        push = spring(springs, depth, give) / SPHERES * max(1.0 + dissipation * approach, 0.0)
        sx, sy, sz = vx + approach * nx, vy + approach * ny, vz + approach * nz
        drag = friction * push / math.sqrt(sx * sx + sy * sy + sz * sz + slip * slip)
        px, py, pz = push * nx - drag * sx, push * ny - drag * sy, push * nz - drag * sz
        fx, fy, fz = fx + px, fy + py, fz + pz
        mx, my, mz = mx + cy * pz - cz * py, my + cz * px - cx * pz, mz + cx * py - cy * px
    return touched, _from(axes, (fx, fy, fz)), _from(axes, (mx, my, mz))


@compiled(f"Tuple((b1, {_TWIST}))({_PLACE}, f8[:, :], f8[:, :], f8[::1], f8, f8, f8[::1], f8[::1])")
def pressed_on_arm(
    place: Place,
    pose: Array,
    jacobian: Array,
    joint_velocity: Array,
    rise: float,
    rate: float,
    on_patient: Array,
    by_touch: Array,
) -> tuple[bool, Twist]:
    """The same for an arm, and told as it feels it.

    Args:
        place: of the touch.
        pose: of the tool in ``world`` (4, 4) [m].
        jacobian: from joint velocity to the tool's twist (6, n), along the tool's axes.
        joint_velocity: (n,) [rad/s].
        rise: of the back towards the probe [m].
        rate: of that [m/s].
        on_patient: gets the force on the patient (3,), in the tool's frame [N].
        by_touch: gets the joint torques by the touch (n,) [N m].

    Returns:
        Whether it touches, and the tool's twist along its axes (6,) [m/s, rad/s].
    """
    joints, twist, wrench = len(joint_velocity), np.zeros(6), np.zeros(6)
    for i in range(6):
        for j in range(joints):
            twist[i] += jacobian[i, j] * joint_velocity[j]
    rotation = (
        (pose[0, 0], pose[0, 1], pose[0, 2]),
        (pose[1, 0], pose[1, 1], pose[1, 2]),
        (pose[2, 0], pose[2, 1], pose[2, 2]),
    )
    velocity = _from(rotation, (twist[0], twist[1], twist[2]))
    spin = _from(rotation, (twist[3], twist[4], twist[5]))
    origin = (pose[0, 3], pose[1, 3], pose[2, 3])
    touched, force, torque = pressed(place, origin, rotation, velocity, spin, rise, rate)
    wrench[0], wrench[1], wrench[2] = _to(rotation, force)
    wrench[3], wrench[4], wrench[5] = _to(rotation, torque)
    on_patient[:] = -wrench[:3]
    by_touch[:] = 0.0
    for i in range(6):
        for j in range(joints):
            by_touch[j] += jacobian[i, j] * wrench[i]
    return touched, (twist[0], twist[1], twist[2], twist[3], twist[4], twist[5])
