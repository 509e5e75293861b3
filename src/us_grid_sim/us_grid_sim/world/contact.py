"""The touch of the transducer on the skin: springs and dampers along the normal, friction along the skin.

The face is a row of spheres along the array, as a linear probe is rounded across it, each of which carries an equal
share of the tissue under the face (a Winkler foundation: neighbours do not feel each other). On flat skin with the beam
along the normal the force at rest is therefore that of the phantom's own law; where the array's ends hang in the air it
is less. The arithmetic is in :mod:`us_grid_sim.world.touch`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.skin import Patient
from us_grid_sim.world.touch import Twist, place_of, pressed, pressed_on_arm
from us_grid_sim.world.vectors import Matrix, Vector, rows_of

Array = npt.NDArray[np.float64]


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
    """How ``us_probe`` moves in ``world``.

    Attributes:
        origin: [m].
        rotation: rows of the matrix from ``us_probe`` to ``world``.
        velocity: of the origin [m/s].
        spin: angular velocity [rad/s].
    """

    origin: Vector
    rotation: Matrix
    velocity: Vector
    spin: Vector


class Touch(NamedTuple):
    """What the skin does to the probe, in ``world``.

    Attributes:
        force: [N].
        torque: about the tool's origin [N m].
    """

    force: Vector
    torque: Vector


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
        skin, numbers = patient.skin, (float(law.friction), float(law.slip), float(law.dissipation))
        frame = rows_of(patient.pose.astype(np.float64).tolist())
        self._motion = patient.motion
        self._place = place_of(skin.nodes, skin.grid, skin.top, skin.springs, numbers, frame)
        self.reset()

    def reset(self) -> None:
        """Nobody has touched the patient yet."""
        self._touched, self.rise = math.inf, 0.0

    def touch(self, tool: Tool, time: float) -> Touch:
        """Force and torque on the probe at ``time`` [s]; NOTHING where no part of it touches."""
        rise, rate = self._risen(time)
        touched, force, torque = pressed(self._place, *tool, rise, rate)
        if not touched:
            return NOTHING
        self._touched = min(self._touched, time)
        return Touch(force, torque)

    def touch_arm(self, pose: Array, jacobian: Array, velocity: Array, time: float) -> tuple[Twist, Array, Array]:
        """The same for an arm of n joints, as it feels it.

        Args:
            pose: of ``us_probe`` in ``world`` (4, 4) [m].
            jacobian: from joint velocity to the twist of ``us_probe`` along its axes (6, n).
            velocity: of the joints (n,) [rad/s].
            time: [s].

        Returns:
            That twist (6,) [m/s, rad/s], the force on the patient in ``us_probe`` (3,) [N], and the joint torques by
            the touch (n,) [N m].
        """
        rise, rate = self._risen(time)
        force, torque = np.empty(3), np.empty(len(velocity))
        touched, twist = pressed_on_arm(self._place, pose, jacobian, velocity, rise, rate, force, torque)
        if touched and time < self._touched:
            self._touched = time
        return twist, force, torque

    def _risen(self, time: float) -> tuple[float, float]:
        """How far the back has come towards the probe [m], which is kept, and how fast it comes [m/s]."""
        self.rise, rate = self._motion.rise(time, self._touched)
        return self.rise, rate
