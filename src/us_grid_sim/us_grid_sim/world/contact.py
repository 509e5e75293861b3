"""The touch of the transducer on the skin: springs and dampers along the normal, friction along the skin.

The face is a row of spheres along the array, as a linear probe is rounded across it, each of which carries an equal
share of the tissue under the face (a Winkler foundation: neighbours do not feel each other). On flat skin with the beam
along the normal the force at rest is therefore that of the phantom's own law; where the array's ends hang in the air it
is less.

All of it is written in plain floats: see :mod:`us_grid_sim.world.skin`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import PROBE_WIDTH
from us_grid_sim.world.skin import Patient
from us_grid_sim.world.vectors import Matrix, Vector, minus, rotated, rows_of, transposed

SPHERES = 5
ROUNDING = 0.008
"""Radius of the face across the array [m]; assumed of a lens and housing some 15 mm thick."""
_OFFSETS = tuple(((i + 0.5) / SPHERES - 0.5) * PROBE_WIDTH for i in range(SPHERES))
"""Places of the spheres along x of ``us_probe`` [m], each in the middle of its part of the array."""
_REACH = PROBE_WIDTH / 2 + ROUNDING
"""No part of the face is further from the tool's origin than this [m]."""


@dataclass(frozen=True)
class ContactLaw:
    """How the skin answers beyond its springs.

    Attributes:
        friction: Coulomb's coefficient of gelled skin. Dry skin against plastics has 0.46 +- 0.15 (Zhang & Mak 1999,
            Prosthet Orthot Int 23:135); a lubricant film takes it to about a third: 0.1 to 0.3 cover it.
        slip: speed at which friction has reached 0.7 of that [m/s]; below it the gel is a viscous film, and the probe
            creeps rather than sticks. A smaller one would chatter at 1 kHz (docs/plants.md).
        dissipation: lambda of N = spring (1 + lambda rate of indentation) [s/m] (Hunt & Crossley 1975, J Appl Mech
            42:440). The damper grows with the spring's force, so that nothing jumps at first touch; at 1.5 N and the
            assumed 10 s/m it is one of 15 N s/m.
    """

    friction: float = 0.15
    slip: float = 0.005
    dissipation: float = 10.0

    def __post_init__(self) -> None:
        numbers = (self.friction, self.slip, self.dissipation)
        if not all(map(math.isfinite, numbers)) or min(numbers) < 0.0 or self.slip == 0.0:
            raise UsGridSimError(
                f"contact: friction {self.friction}, slip {self.slip} m/s, dissipation {self.dissipation} s/m; "
                "expected finite numbers, none negative, the slip above 0"
            )


class Tool(NamedTuple):
    """How ``us_probe`` moves, in some frame.

    Attributes:
        origin: [m].
        rotation: rows of the matrix from ``us_probe`` to that frame.
        velocity: of the origin [m/s].
        spin: angular velocity [rad/s].
    """

    origin: Vector
    rotation: Matrix
    velocity: Vector
    spin: Vector


class Touch(NamedTuple):
    """What the skin does to the probe, in the frame of the tool that was asked for.

    Attributes:
        force: [N].
        torque: about the tool's origin [N m].
    """

    force: Vector
    torque: Vector


_Dent = tuple[float, float, float, float, float, float, float]
"""Where a sphere touches, in the patient frame: force of its spring [N], outward normal (x, y, z), its foot seen from
the tool's origin (x, y, z) [m]."""
NOTHING = Touch((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


class Contact:
    """The skin of a patient, as a function of how the probe moves.

    Args:
        patient: who is touched.
        law: damping and friction.
    """

    def __init__(self, patient: Patient, law: ContactLaw) -> None:
        self._skin, self._motion, self._law = patient.skin, patient.motion, law
        self._to_world, self._origin = rows_of(patient.pose.tolist())
        self._to_patient = transposed(self._to_world)

    def touch(self, tool: Tool, time: float) -> Touch:
        """Force and torque on the probe at ``time`` [s], tool and answer in ``world``."""
        rise, rate = self._motion.rise(time)
        x, y, z = rotated(self._to_patient, minus(tool.origin, self._origin))
        # Seen from the skin: a back that has risen towards the probe is a probe that has come nearer.
        origin = (x, y, z + rise)
        if origin[2] < self._skin.top - _REACH:
            return NOTHING
        dents = self._dents(origin, tool.rotation)
        if not dents:
            return NOTHING
        vx, vy, vz = rotated(self._to_patient, tool.velocity)
        spin = rotated(self._to_patient, tool.spin)
        force, torque = self._pushed(dents, (vx, vy, vz + rate), spin)
        return Touch(rotated(self._to_world, force), rotated(self._to_world, torque))

    def _dents(self, origin: Vector, rotation: Matrix) -> list[_Dent]:
        """Where the spheres of a probe at ``origin`` of the patient frame touch; ``rotation`` is to ``world``."""
        (ax, _, bx), (ay, _, by), (az, _, bz) = rotation
        ax, ay, az = rotated(self._to_patient, (ax, ay, az))
        bx, by, bz = rotated(self._to_patient, (bx, by, bz))
        x, y, z = origin
        mx, my, mz = x - ROUNDING * bx, y - ROUNDING * by, z - ROUNDING * bz
        under, force = self._skin.under, self._skin.force
        dents = []
        for offset in _OFFSETS:
            cx, cy, cz = mx + offset * ax, my + offset * ay, mz + offset * az
            height, slope_x, slope_y, give = under(cx, cy)
            scale = 1.0 / math.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
            depth = ROUNDING - (height - cz) * scale
            if depth > 0.0:
                nx, ny, nz = slope_x * scale, slope_y * scale, -scale
                fx, fy, fz = cx - ROUNDING * nx - x, cy - ROUNDING * ny - y, cz - ROUNDING * nz - z
                dents.append((force(depth, give) / SPHERES, nx, ny, nz, fx, fy, fz))
        return dents

    def _pushed(self, dents: list[_Dent], velocity: Vector, spin: Vector) -> Touch:
        """What dents do to a probe that moves against the skin; all in the patient frame."""
        law, film = self._law, self._law.slip**2
        (ux, uy, uz), (wx, wy, wz) = velocity, spin
        fx = fy = fz = mx = my = mz = 0.0
        for spring, nx, ny, nz, x, y, z in dents:
            vx, vy, vz = ux + wy * z - wz * y, uy + wz * x - wx * z, uz + wx * y - wy * x
            approach = -(vx * nx + vy * ny + vz * nz)
            # Where the probe leaves faster than the tissue follows, the skin lets go: it never pulls.
            push = spring * max(1.0 + law.dissipation * approach, 0.0)
            sx, sy, sz = vx + approach * nx, vy + approach * ny, vz + approach * nz
            drag = law.friction * push / math.sqrt(sx * sx + sy * sy + sz * sz + film)
            px, py, pz = push * nx - drag * sx, push * ny - drag * sy, push * nz - drag * sz
            fx, fy, fz = fx + px, fy + py, fz + pz
            mx, my, mz = mx + y * pz - z * py, my + z * px - x * pz, mz + x * py - y * px
        return Touch((fx, fy, fz), (mx, my, mz))
