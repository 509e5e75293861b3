"""What the simulated arms share: their clock, and their state, of the shape of ``iiwa_bridge.robot.ArmState``."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.contact import Tool

Array = npt.NDArray[np.float64]

TICK = 0.001
"""Step of the simulated time [s]; a torque is held for a whole number of them."""
JOINT_DAMPING = 0.1
"""Viscous friction of every joint [N m s/rad, or N s/m where it slides]. The drives of a torque-controlled arm make up
for their own friction by the torque sensors; this is what is assumed to be left, 0.1 N m at a brisk 1 rad/s."""

FASTEST = 100.0
"""A tool whose speeds add up to more has run away [m/s and rad/s]."""


class ArmState(NamedTuple):
    """A simulated arm of n joints; a tuple, since a frozen dataclass takes twice as long to make, each tick.

    Attributes:
        position: (n,) [rad].
        velocity: (n,) [rad/s].
        contact_torque: by the contact of the probe (n,) [N m].
        tool: pose (4, 4) of ``us_probe`` in ``world`` [m].
        contact_force: on the patient by the probe (3,), in ``us_probe`` [N].
        rise: of the patient's back towards the probe, along -z of ``patient`` [m].
    """

    position: Array
    velocity: Array
    contact_torque: Array
    tool: Array
    contact_force: Array
    rise: float


def pose_of(tool: Tool) -> Array:
    """Pose (4, 4) of ``us_probe`` [m] in the tool's frame of reference."""
    (a, b, c), (d, e, f), (g, h, i) = tool.rotation
    x, y, z = tool.origin
    return np.array((a, b, c, x, d, e, f, y, g, h, i, z, 0.0, 0.0, 0.0, 1.0)).reshape(4, 4)


def check_speed(twist: Sequence[float]) -> None:
    """Refuse to go on where the arm has run away, by the tool's velocity and angular velocity (6,) [m/s, rad/s].

    Raises:
        UsGridSimError: the tool is faster than FASTEST, or its speed is no number.
    """
    a, b, c, d, e, f = twist
    if not abs(a) + abs(b) + abs(c) + abs(d) + abs(e) + abs(f) <= FASTEST:
        raise UsGridSimError(
            f"arm: the tool moves at {twist[:3]} m/s and turns at {twist[3:]} rad/s; expected less than "
            f"{FASTEST:.0f} together: the control of its torques is unstable at {1 / TICK:.0f} Hz"
        )


def ticks_of(duration: float) -> int:
    """How many ticks a duration [s] has.

    Raises:
        UsGridSimError: it is not a whole number of them, above 0.
    """
    if duration == TICK:
        return 1
    ticks = round(duration / TICK) if math.isfinite(duration) else 0
    if ticks < 1 or abs(duration - ticks * TICK) > 1e-9:
        raise UsGridSimError(f"arm: a step of {duration} s; expected a multiple of {TICK} s, above 0")
    return ticks


def checked(values: Array, joints: int, what: str) -> Array:
    """The values of all joints.

    Raises:
        UsGridSimError: there is not one finite number for each joint.
    """
    array = np.asarray(values, dtype=np.float64)
    numbers = array.tolist()
    # A sum that is finite has no other terms, and takes a third of the time.
    if array.shape != (joints,) or not (math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))):
        raise UsGridSimError(f"arm: {what} is {numbers}; expected {joints} finite numbers")
    return array
