"""The arithmetic of the simulated controller's control (``impedance``), compiled: what a cycle needs, what a tick does.

All in one file, see :mod:`iiwa_bridge.compiled`; so ``pose_error`` of ``kinematics.servo`` is here once more.
"""

import math

import numpy as np

from iiwa_bridge.compiled import compiled
from iiwa_bridge.robot import Array

TICK = 0.001
"""Of the controller [s]."""
_FILM = 0.01
"""Speed at which Coulomb friction has come up to 0.76 of its value, at least [rad/s]."""
_CALM = 5.0
"""A joint's friction changes its speed by no more than one part in so many in a tick, so that it does not chatter."""

_ROW, _MATRIX, _ANY = "f8[::1]", "f8[:, ::1]", "f8[:, :]"


@compiled(f"Tuple(({_MATRIX}, {_MATRIX}))({_MATRIX}, {_ROW}, f8)")
def cartesian_damping(agility: Array, stiffness: Array, ratio: float) -> tuple[Array, Array]:
    """Mass and damping on springs along the axes of a probe, each mode of this damping ratio.

    One factorisation gives both: with S^2 = K and S L^-1 S = T G T^T, L is S T G^-1 T^T S, and Q sqrt(B) Q^T, which is
    the geometric mean of L and K, is S T G^-1/2 T^T S.

    Args:
        agility: inverse of the mass matrix (6, 6).
        stiffness: of the springs (6,).
        ratio: of each mode.

    Returns:
        Mass matrix (6, 6) and damping (6, 6).
    """
    root = np.sqrt(stiffness)
    values, turn = np.linalg.eigh(agility * np.outer(root, root))
    mass, damping = np.zeros((6, 6)), np.zeros((6, 6))
    for k in range(6):
        heavy, damped = 1.0 / values[k], 2.0 * ratio / math.sqrt(values[k])
        for i in range(6):
            for j in range(6):
                both = root[i] * turn[i, k] * root[j] * turn[j, k]
                mass[i, j] += heavy * both
                damping[i, j] += damped * both
    return mass, damping


@compiled(f"Tuple(({_MATRIX}, {_MATRIX}, f8))({_MATRIX}, {_MATRIX}, {_MATRIX}, {_ROW}, f8)")
def posture_of(
    jacobian: Array, agility: Array, mass: Array, stiffness: Array, ratio: float
) -> tuple[Array, Array, float]:
    """What the impedance needs of a posture.

    Args:
        jacobian: of the probe (6, 7).
        agility: inverse of the mass matrix (7, 7) [1/(kg m^2)].
        mass: the mass matrix (7, 7) [kg m^2].
        stiffness: of the impedance (6,).
        ratio: of its damping.

    Returns:
        Damping of the probe (6, 6), projector on the null space (7, 7), and the mass of a motion in it [kg m^2].
    """
    pull = jacobian.dot(agility)
    probe_mass, damping = cartesian_damping(pull.dot(jacobian.T), stiffness, ratio)
    projector = np.eye(len(mass)) - jacobian.T.dot(probe_mass).dot(pull)
    # With one joint to spare all rows of the projector lie along the motion that leaves the probe where it is.
    idle = projector[np.diag(projector).argmax()]
    return damping, projector, idle.dot(mass.dot(idle)) / idle.dot(idle)


@compiled(f"{_ROW}({_MATRIX})")
def rotation_vector(rotation: Array) -> Array:
    """Rotation vector (3,) [rad] of a rotation (3, 3), no longer than half a turn, by way of the quaternion.

    Which of its four parts is computed first is decided by the largest (Shepperd 1978, J Guidance and Control 1:223),
    so it is as exact next to no turn and to half a turn as it is between.
    """
    vector, trace, i = np.empty(3), np.trace(rotation), int(np.diag(rotation).argmax())
    j, k = (i + 1) % 3, (i + 2) % 3
    if trace >= rotation[i, i]:
        real = 1.0 + trace
        vector[i] = rotation[k, j] - rotation[j, k]
        vector[j] = rotation[i, k] - rotation[k, i]
        vector[k] = rotation[j, i] - rotation[i, j]
    else:
        real = rotation[k, j] - rotation[j, k]
        vector[i] = 1.0 + rotation[i, i] - rotation[j, j] - rotation[k, k]
        vector[j] = rotation[j, i] + rotation[i, j]
        vector[k] = rotation[k, i] + rotation[i, k]
    length = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if length == 0.0:
        return vector
    # The quaternion and its negative are the same rotation; the shorter turn has the real part that is positive.
    return vector * (math.copysign(2.0, real) * math.atan2(length, abs(real)) / length)


@compiled(f"{_ROW}({_ANY}, {_ANY})")
def pose_error(pose: Array, target: Array) -> Array:
    """What leads from a pose to another (6,): see ``kinematics.servo.pose_error``."""
    error, between = np.zeros(6), np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            error[i] += pose[j, i] * (target[j, 3] - pose[j, 3])
            for k in range(3):
                between[i, k] += pose[j, i] * target[j, k]
    error[3:] = rotation_vector(between)
    return error


@compiled(f"void({_ROW}, {_ROW}, {_ROW}, {_ANY}, {_ANY}, {_ROW}, {_ANY}, {_ROW}, {_ROW}, {_MATRIX}, {_MATRIX}, f8, f8)")
def add_impedance(
    torque: Array,
    position: Array,
    velocity: Array,
    pose: Array,
    jacobian: Array,
    wanted: Array,
    target: Array,
    wrench: Array,
    stiffness: Array,
    damping: Array,
    projector: Array,
    spring: float,
    damper: float,
) -> None:
    """Add that of the impedance to a torque.

    Args:
        torque: of the joints (7,) [N m].
        position: of the joints (7,) [rad].
        velocity: of the joints (7,) [rad/s].
        pose: of the probe at that position (4, 4) [m].
        jacobian: of the probe there (6, 7).
        wanted: joint position (7,) [rad].
        target: pose of the probe at the wanted position (4, 4) [m].
        wrench: fed forward, along the probe's axes (6,) [N, N m].
        stiffness: of the probe (6,).
        damping: of the probe (6, 6).
        projector: on the null space (7, 7).
        spring: in it [N m/rad].
        damper: in it [N m s/rad].
    """
    joints, error, twist = len(position), pose_error(pose, target), np.zeros(6)
    for i in range(6):
        for j in range(joints):
            twist[i] += jacobian[i, j] * velocity[j]
    for i in range(6):
        force = stiffness[i] * error[i] + wrench[i]
        for k in range(6):
            force -= damping[i, k] * twist[k]
        for j in range(joints):
            torque[j] += jacobian[i, j] * force
    for j in range(joints):
        pull = spring * (wanted[j] - position[j]) - damper * velocity[j]
        for i in range(joints):
            torque[i] += projector[i, j] * pull


@compiled(f"void({_ROW}, {_ROW}, {_MATRIX}, f8)")
def rub(torque: Array, velocity: Array, agility: Array, friction: float) -> None:
    """Take Coulomb friction [N m] in every joint from a torque (7,), by velocity and inverse mass matrix (7, 7)."""
    for i in range(len(torque)):
        film = max(_FILM, _CALM * friction * TICK * agility[i, i])
        torque[i] -= friction * math.tanh(velocity[i] / film)
