"""What hangs at the flange, and what the sensors tell where nothing does: before the probe touches anybody.

A payload of mass m with its centre c in the flange's axes loads the flange, turned by R against the world, with the
force m g and the moment (R c) x m g. Both are linear in (m, m c), and so is what is read of them through a Jacobian J:

    reading = J^T [m g; -[g]x R (m c)] + bias

(Siciliano et al., Robotics, 2009, sec. 7.3.3: identification of dynamic parameters by least squares).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.errors import IiwaBridgeError

Array = npt.NDArray[np.float64]

GRAVITY: Array = np.array([0.0, 0.0, -9.81])
"""In the world frame [m/s^2]."""
WORST_CONDITION = 100.0
"""Condition number of the scaled equations beyond which noise decides [1]."""
LEAST_MASS = 0.05
"""Below which a centre of mass is not to be told from noise [kg]."""
LEAST_SAMPLES = 100
"""Of a tare: half a second of 5 ms cycles."""
STILL: Array = np.array([0.8, 0.8, 0.8, 0.3, 0.3, 0.3])
"""Largest standard deviation of a wrench at rest (6,) [N, N m]: one and a half times the noise of a sample at the
corners of the grid, where the joints' torques tell least of it (0.53 N, 0.19 N m); over its middle it is 0.3 N."""
TOUCH = 1.5
"""Force that a tare takes for contact [N]; above what bias and gravity's model leave, below a press."""


class PayloadError(IiwaBridgeError):
    """Measurements do not tell the payload, or no tare can be taken."""


@dataclass(frozen=True, eq=False)
class StaticPose:
    """What was read while the arm stood still, without contact.

    Attributes:
        rotation: of the flange in the world (3, 3).
        jacobian: (6, n) of the flange's origin in world axes, linear rows first: to joint velocities, or to the axes
            of a wrench sensor.
        reading: (n,) external torques [N m], or a wrench on the flange in its axes [N, N m].
    """

    rotation: Array
    jacobian: Array
    reading: Array


def wrench_pose(rotation: Array, wrench: Array) -> StaticPose:
    """What a wrench (6,) on the flange in its axes [N, N m] tells, the flange turned by ``rotation`` (3, 3)."""
    jacobian = np.zeros((6, 6))
    jacobian[:3, :3] = jacobian[3:, 3:] = rotation
    return StaticPose(rotation, jacobian, wrench)


@dataclass(frozen=True, eq=False)
class Payload:
    """What hangs at the flange.

    Attributes:
        mass: [kg].
        centre: of mass in the flange's axes (3,) [m].
        bias: constant part of the readings (n,) [N m, or N and N m].
        residual: of the readings, root mean square, in their unit.
    """

    mass: float
    centre: Array
    bias: Array
    residual: float

    def wrench(self, rotation: Array) -> Array:
        """Of gravity on the flange in its axes (6,) [N, N m], the flange turned by ``rotation`` (3, 3)."""
        fx, fy, fz = (rotation.T @ (self.mass * GRAVITY)).tolist()
        x, y, z = self.centre.tolist()
        # Plain numbers: numpy's cross product takes longer than all the rest.
        return np.array([fx, fy, fz, y * fz - z * fy, z * fx - x * fz, x * fy - y * fx])


def regressor(pose: StaticPose) -> Array:
    """What one pose tells of (m, m c, bias): (n, 4 + n)."""
    load = np.zeros((6, 4))
    load[:3, 0] = GRAVITY
    # Of each axis with g: v x g for any v.
    load[3:, 1:] = np.cross(np.eye(3), GRAVITY).T @ pose.rotation
    return np.hstack([pose.jacobian.T @ load, np.eye(pose.jacobian.shape[1])])


def identify_payload(poses: Sequence[StaticPose]) -> Payload:
    """Payload and bias by least squares, from poses that differ enough.

    Raises:
        PayloadError: the poses do not tell every parameter apart (the message says which, and what to add), or the
            mass is hardly any.
    """
    if not poses:
        raise PayloadError("no pose to identify a payload from; expected at least three that tilt the flange")
    equations = np.vstack([regressor(pose) for pose in poses])
    readings = np.concatenate([pose.reading for pose in poses])
    scale = np.linalg.norm(equations, axis=0)
    # A column of noughts stays one: no pose loads that parameter.
    scaled = equations / np.where(scale > 0.0, scale, 1.0)
    _check_condition(scaled)
    solution = np.linalg.lstsq(scaled, readings, rcond=None)[0] / scale
    mass, bias = float(solution[0]), solution[4:]
    if mass < LEAST_MASS:
        raise PayloadError(f"the payload's mass is {mass:.3f} kg; expected at least {LEAST_MASS:g} kg at the flange")
    residual = float(np.sqrt(np.mean((equations @ solution - readings) ** 2)))
    return Payload(mass, solution[1:4] / mass, bias, residual)


def _check_condition(scaled: Array) -> None:
    _, values, directions = np.linalg.svd(scaled, full_matrices=True)
    # Fewer equations than parameters leave directions that no singular value belongs to.
    least = float(values[-1]) if len(values) == scaled.shape[1] else 0.0
    if least > 0.0 and values[0] / least <= WORST_CONDITION:
        return
    condition = float(values[0]) / least if least > 0.0 else float("inf")
    weakest = int(np.argmax(np.abs(directions[-1])))
    if 1 <= weakest <= 3:
        axis = "xyz"[weakest - 1]
        what, remedy = f"the centre of mass along {axis}", f"add poses with the flange's {axis} axis level"
    elif weakest == 0:
        what, remedy = "the mass", "add poses that tilt the flange, one with its z axis up and one with it down"
    else:
        what = f"the bias of reading {weakest - 4}"
        remedy = "add poses in which gravity loads it the other way round"
    raise PayloadError(
        f"the poses do not tell {what} (condition number {condition:.0f}, at most {WORST_CONDITION:g}); {remedy}"
    )


def tare(wrenches: Array, expected: Array) -> Array:
    """Bias of the wrench (6,) [N, N m]: its mean over a window at rest without contact, less what gravity makes.

    Args:
        wrenches: measured in a window (n, 6) [N, N m].
        expected: of the payload in this pose (6,) [N, N m], in the same axes.

    Raises:
        PayloadError: too few samples, or the probe moves or touches.
    """
    if len(wrenches) < LEAST_SAMPLES:
        raise PayloadError(f"{len(wrenches)} samples to tare from; expected at least {LEAST_SAMPLES}")
    spread = wrenches.std(axis=0)
    worst = int(np.argmax(spread / STILL))
    # Written so that a spread that is not a number is refused too.
    if not spread[worst] <= STILL[worst]:
        name, unit = ("Fx", "Fy", "Fz", "Tx", "Ty", "Tz")[worst], "N" if worst < 3 else "N m"
        raise PayloadError(
            f"the wrench is not still: {name} has a standard deviation of {spread[worst]:.2f} {unit}; "
            f"expected {STILL[worst]:g} {unit} at most, the arm at rest"
        )
    bias: Array = wrenches.mean(axis=0) - expected
    force = float(np.linalg.norm(bias[:3]))
    if force > TOUCH:
        raise PayloadError(
            f"a force of {force:.1f} N is left without the payload; expected {TOUCH:g} N at most, the probe in the air"
        )
    return bias
