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


_Pair = tuple[Vector, Vector]
NOTHING = Touch((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


class Contact:
    """The skin of a patient, as a function of how the probe moves.

    Args:
        patient: who is touched.
        law: damping and friction.

    Attributes:
        rise: of the back towards the probe, when it was asked last [m].
    """

    def __init__(self, patient: Patient, law: ContactLaw) -> None:
        self._skin, self._motion, self._law = patient.skin, patient.motion, law
        self._to_world, self._origin = rows_of(patient.pose.tolist())
        self._to_patient = transposed(self._to_world)
        self.reset()

    def reset(self) -> None:
        """Nobody has touched the patient yet."""
        self._touched, self.rise = math.inf, 0.0

    def touch(self, tool: Tool, time: float) -> Touch:
        """Force and torque on the probe at ``time`` [s], tool and answer in ``world``."""
        to_patient = self._to_patient
        (ax, _, bx), (ay, _, by), (az, _, bz) = tool.rotation
        touch = self._pressed(
            rotated(to_patient, minus(tool.origin, self._origin)),
            (rotated(to_patient, (ax, ay, az)), rotated(to_patient, (bx, by, bz))),
            (rotated(to_patient, tool.velocity), rotated(to_patient, tool.spin)),
            time,
        )
        if touch is NOTHING:
            return NOTHING
        return Touch(rotated(self._to_world, touch.force), rotated(self._to_world, touch.torque))

    def touch_in_patient(self, tool: Tool, time: float) -> Touch:
        """The same for a tool that is told in the patient frame, and so is the answer."""
        (ax, _, bx), (ay, _, by), (az, _, bz) = tool.rotation
        return self._pressed(tool.origin, ((ax, ay, az), (bx, by, bz)), (tool.velocity, tool.spin), time)

    def _pressed(self, origin: Vector, axes: _Pair, motion: _Pair, time: float) -> Touch:
        """What acts on a face with an origin, the axes along the array and the beam, a velocity and a spin."""
        self.rise, rate = self._motion.rise(time, self._touched)
        (x, y, z), ((ax, ay, az), (bx, by, bz)), ((ux, uy, uz), (wx, wy, wz)) = origin, axes, motion
        # Seen from the skin: a back that has risen towards the probe is a probe that has come nearer.
        z, uz, touched = z + self.rise, uz + rate, False
        if z < self._skin.top - _REACH:
            return NOTHING
        law, film, under, force = self._law, self._law.slip**2, self._skin.under, self._skin.force
        fx = fy = fz = mx = my = mz = 0.0
        # One loop and no calls but for the skin: taken apart it costs a tenth more of each tick.
        for offset in _OFFSETS:
            # The sphere's middle, then its foot, seen from the origin.
            cx, cy, cz = offset * ax - ROUNDING * bx, offset * ay - ROUNDING * by, offset * az - ROUNDING * bz
            height, slope_x, slope_y, give = under(x + cx, y + cy)
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
            push = force(depth, give) / SPHERES * max(1.0 + law.dissipation * approach, 0.0)
            sx, sy, sz = vx + approach * nx, vy + approach * ny, vz + approach * nz
            drag = law.friction * push / math.sqrt(sx * sx + sy * sy + sz * sz + film)
            px, py, pz = push * nx - drag * sx, push * ny - drag * sy, push * nz - drag * sz
            fx, fy, fz = fx + px, fy + py, fz + pz
            mx, my, mz = mx + cy * pz - cz * py, my + cz * px - cx * pz, mz + cx * py - cy * px
        if not touched:
            return NOTHING
        self._touched = min(self._touched, time)
        return Touch((fx, fy, fz), (mx, my, mz))
