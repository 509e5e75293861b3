"""What the differential inverse computes in a cycle, compiled: singular values, and the linear programme of its joints.

All in one file, since what numba keeps on disk is made anew when its own file changes, and not when another does.
"""

import math

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled

Array = npt.NDArray[np.float64]

_ORTHOGONAL = 1e-14
"""Cosine of the angle between two rows that are orthogonal."""
_SWEEPS = 30
"""Never needed: convergence is quadratic, some six sweeps."""
_FLAT = 1e-9
"""Share of a joint in the self motion below which it has none."""
_STILL = 1e-9
"""Speed [rad/s] below which nothing is moved; as little as that a joint is held back without slowing the probe."""


@compiled("float64(float64[:], float64[:])")
def _dot(one: Array, other: Array) -> float:
    total = 0.0
    for i in range(len(one)):
        total += one[i] * other[i]
    return total


@compiled("void(float64[:], float64[:], float64, float64)")
def _turn(one: Array, other: Array, cosine: float, sine: float) -> None:
    """Turn two rows into each other, in place."""
    for i in range(len(one)):
        one[i], other[i] = cosine * one[i] - sine * other[i], sine * one[i] + cosine * other[i]


@compiled("float64[::1](float64[:,::1], float64[::1])")
def _complement(rows: Array, lengths: Array) -> Array:
    """A unit vector (7,) that is orthogonal to rows (6, 7) of these lengths (6,), which are orthogonal already."""
    left = np.ones(7)
    for i in range(6):
        if lengths[i] > 0.0:
            left -= (rows[i] / lengths[i]) ** 2
    # Of the axis that the rows hold least of; twice, since once leaves what was rounded off.
    vector = np.zeros(7)
    vector[left.argmax()] = 1.0
    for _ in range(2):
        for i in range(6):
            if lengths[i] > 0.0:
                vector -= rows[i] * (_dot(rows[i], vector) / lengths[i] ** 2)
        vector /= math.sqrt(_dot(vector, vector))
    return vector


@compiled("Tuple((float64[:,::1], float64[::1], float64[:,::1], float64[::1]))(float64[:,:])")
def _decompose(jacobian: Array) -> tuple[Array, Array, Array, Array]:
    """Singular value decomposition by rotations of pairs of rows (one-sided Jacobi, Hestenes 1958).

    Args:
        jacobian: (6, 7).

    Returns:
        Left singular vectors as rows (6, 6); the singular values (6,), in no order; the right singular vectors as rows
        (6, 7), each as long as its singular value; and a unit vector (7,) that the Jacobian takes to nothing.
    """
    right, left = jacobian.copy(), np.eye(6)
    turned = True
    for _ in range(_SWEEPS):
        if not turned:
            break
        turned = False
        for i in range(5):
            for j in range(i + 1, 6):
                one, other, both = _dot(right[i], right[i]), _dot(right[j], right[j]), _dot(right[i], right[j])
                if abs(both) <= _ORTHOGONAL * math.sqrt(one * other):
                    continue
                ratio = (other - one) / (2.0 * both)
                tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.hypot(1.0, ratio))
                cosine = 1.0 / math.hypot(1.0, tangent)
                _turn(right[i], right[j], cosine, cosine * tangent)
                _turn(left[i], left[j], cosine, cosine * tangent)
                turned = True
    values = np.empty(6)
    for i in range(6):
        values[i] = math.sqrt(_dot(right[i], right[i]))
    return left, values, right, _complement(right, values)


@compiled("UniTuple(float64[::1], 2)(float64[::1], float64[::1], float64[::1], float64[::1], float64)")
def _box(q: Array, lower: Array, upper: Array, fastest: Array, share: float) -> tuple[Array, Array]:
    """Least and greatest joint velocity (7,) [rad/s]; standing still is always in between."""
    least = -np.minimum(np.maximum(share * (q - lower), 0.0), fastest)
    return least, np.minimum(np.maximum(share * (upper - q), 0.0), fastest)


@compiled("float64(float64[::1], float64[::1], float64[::1], float64, float64)")
def _towards(q: Array, posture: Array, free: Array, gain: float, speed: float) -> float:
    """The speed along n that the posture asks for [rad/s]."""
    wanted = 0.0
    for i in range(len(q)):
        wanted += gain * free[i] * (posture[i] - q[i])
    return min(max(wanted, -speed), speed)


@compiled("Tuple((float64[::1], float64[::1], float64))(float64[:,:], float64[::1], float64, float64)")
def _split(jacobian: Array, twist: Array, singular: float, damping: float) -> tuple[Array, Array, float]:
    """J# v (7,), n (7,) and the smallest singular value.

    Numerical filtering (Maciejewski and Klein 1988; the damping as in Chiaverini 1997): a singular value s
    below ``singular`` is inverted as s / (s^2 + damping^2 (1 - (s / singular)^2)), the others exactly.
    """
    left, values, right, free = _decompose(jacobian)
    task = np.zeros(7)
    for i in range(6):
        short = max(0.0, 1.0 - (values[i] / singular) ** 2)
        # ``right`` holds the s of the numerator.
        task += right[i] * (_dot(left[i], twist) / (values[i] ** 2 + damping**2 * short))
    return task, free, values.min()


@compiled("UniTuple(float64, 2)(float64[::1], float64[::1], float64[::1], float64[::1], float64)")
def _largest_scale(task: Array, free: Array, lower: Array, upper: Array, wanted: float) -> tuple[float, float]:
    """The largest s in [0, 1] for which some r has lower <= s task + r free <= upper, and the r nearest to ``wanted``.

    Fourier-Motzkin elimination of r: joint i holds r in [l_i - s c_i, u_i - s c_i] with c_i = task_i / free_i. These
    intervals meet as long as l_i - s c_i <= u_j - s c_j for all i and j. The box holds 0, so s = 0 is always allowed.
    """
    scale = 1.0
    low, high, slope = np.full(7, -np.inf), np.full(7, np.inf), np.zeros(7)
    for i in range(7):
        if abs(free[i]) > _FLAT:
            least, greatest = lower[i] / free[i], upper[i] / free[i]
            low[i], high[i], slope[i] = min(least, greatest), max(least, greatest), task[i] / free[i]
        elif abs(task[i]) > _STILL:
            scale = min(scale, max(upper[i] / task[i], lower[i] / task[i]))
    for i in range(7):
        for j in range(7):
            if slope[j] - slope[i] > _STILL:
                scale = min(scale, (high[j] - low[i]) / (slope[j] - slope[i]))
    return scale, min(max(wanted, (low - scale * slope).max()), (high - scale * slope).min())


@compiled(
    "Tuple((float64[::1], float64, float64))(float64[::1], float64[:,:], float64[::1], float64,"
    " float64[::1], float64[::1], float64[::1], float64[::1], float64, float64, float64, float64, float64)"
)
def joint_step(
    q: Array,
    jacobian: Array,
    twist: Array,
    period: float,
    lower: Array,
    upper: Array,
    fastest: Array,
    posture: Array,
    damper: float,
    singular: float,
    damping: float,
    posture_gain: float,
    posture_speed: float,
) -> tuple[Array, float, float]:
    """Motion (7,) in a period [rad], the share of the twist that it does, and the smallest singular value.

    Args:
        q: joint position (7,) [rad].
        jacobian: there (6, 7).
        twist: that is wanted (6,).
        period: [s].
        lower: least position (7,) [rad].
        upper: greatest position (7,) [rad].
        fastest: speed of each joint (7,) [rad/s].
        posture: joint position (7,) that the elbow keeps near to [rad].
        damper: of ``InverseConfig``, as are all that follow.
        singular: likewise.
        damping: likewise.
        posture_gain: likewise.
        posture_speed: likewise.
    """
    task, free, smallest = _split(jacobian, twist, singular, damping)
    least, greatest = _box(q, lower, upper, fastest, min(damper, 1.0 / period))
    wanted = _towards(q, posture, free, posture_gain, posture_speed)
    scale, along = _largest_scale(task, free, least, greatest, wanted)
    # What leaves the box here is rounding, or below _STILL.
    velocity = np.minimum(np.maximum(scale * task + along * free, least), greatest)
    return period * velocity, scale, smallest
