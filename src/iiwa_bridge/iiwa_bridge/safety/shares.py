"""What the command guard measures of a step, compiled: how much of it each limit leaves, and what makes it unfit.

Positions of joints are (7,) [rad], poses (4, 4) in the patient frame [m]; all of them hold finite numbers.
"""

import math

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled

Array = npt.NDArray[np.float64]

LIMITS = "joint position", "joint velocity", "joint acceleration", "lead over the measured position", "workspace"
"""Of the rows of ``shares``."""


@compiled("void(float64[:], float64[:], float64[:], float64[:], float64[:])")
def _share_within(start: Array, end: Array, low: Array, high: Array, row: Array) -> None:
    """Into a row (3,): the longest share of the way from ``start``, inside the box, to ``end`` that stays inside; the
    axis that is the first to leave; and the bound that it leaves by.
    """
    row[0], row[1], row[2] = 1.0, 0.0, 0.0
    for i in range(len(start)):
        if end[i] > high[i] or end[i] < low[i]:
            bound = high[i] if end[i] > high[i] else low[i]
            share = (bound - start[i]) / (end[i] - start[i])
            if share < row[0]:
                row[0], row[1], row[2] = share, i, bound


@compiled(
    "float64[:,::1](float64[:], float64[:], float64[:], float64[:], float64[:], float64[:], float64, float64, float64,"
    " float64[:,:], float64[:,:], float64[:], float64[:])"
)
def shares(
    last: Array,
    before: Array,
    wanted: Array,
    measured: Array,
    lower: Array,
    upper: Array,
    reach: float,
    change: float,
    lead: float,
    sent_pose: Array,
    pose: Array,
    floor: Array,
    ceiling: Array,
) -> Array:
    """Share of the step that each limit leaves, its joint or axis, and the bound there: (5, 3), a row of ``LIMITS``.

    Every limit is a box that holds the last position.

    Args:
        last: position that was sent last.
        before: that was sent before it.
        wanted: that is asked for.
        measured: by the controller.
        lower: least position.
        upper: greatest position.
        reach: farthest way of a joint in a cycle [rad].
        change: of that way, from one cycle to the next [rad].
        lead: over the measured position [rad].
        sent_pose: of ``us_probe`` at ``last``.
        pose: of ``us_probe`` at ``wanted``.
        floor: lower corner of the workspace (3,) [m].
        ceiling: its upper corner (3,) [m].
    """
    found = np.empty((5, 3))
    moved = last - before
    _share_within(last, wanted, np.minimum(lower, last), np.maximum(upper, last), found[0])
    _share_within(last, wanted, last - reach, last + reach, found[1])
    slower, faster = np.minimum(moved - change, 0.0), np.maximum(moved + change, 0.0)
    _share_within(last, wanted, last + slower, last + faster, found[2])
    low, high = np.minimum(measured - lead, last), np.maximum(measured + lead, last)
    _share_within(last, wanted, low, high, found[3])
    start, end = sent_pose[:3, 3], pose[:3, 3]
    _share_within(start, end, np.minimum(floor, start), np.maximum(ceiling, start), found[4])
    return found


@compiled("UniTuple(float64, 2)(float64[:,:], float64[:,:], float64)")
def tool_speeds(sent_pose: Array, pose: Array, period: float) -> tuple[float, float]:
    """Of the tool between two poses in a period [s]: along its beam, and perpendicular to it [m/s]."""
    velocity, beam = (pose[:3, 3] - sent_pose[:3, 3]) / period, pose[:3, 2]
    along = 0.0
    for i in range(3):
        along += velocity[i] * beam[i]
    across = velocity - along * beam
    return along, math.sqrt((across * across).sum())


@compiled("Tuple((float64, int64))(float64[:], float64[:], float64[:], float64)")
def fastest_joint(last: Array, wanted: Array, velocity: Array, period: float) -> tuple[float, int]:
    """Highest share of a joint's highest velocity (7,) [rad/s] that the step takes in a period [s], and the joint."""
    rate = np.abs(wanted - last) / (velocity * period)
    joint = int(rate.argmax())
    return rate[joint], joint


@compiled("float64(float64[:,:], float64[:,:])")
def tool_jump(sent_pose: Array, pose: Array) -> float:
    """Longest way of the tool along an axis [m]."""
    jump = 0.0
    for i in range(3):
        jump = max(jump, abs(pose[i, 3] - sent_pose[i, 3]))
    return jump


@compiled("float64(float64[:,:])")
def unrigidity(pose: Array) -> float:
    """How far a matrix (4, 4) is from a rigid pose: R^T R from one; infinity where its last row is not (0, 0, 0, 1)."""
    if pose[3, 0] != 0.0 or pose[3, 1] != 0.0 or pose[3, 2] != 0.0 or pose[3, 3] != 1.0:
        return math.inf
    farthest = 0.0
    for i in range(3):
        for j in range(3):
            product = pose[0, i] * pose[0, j] + pose[1, i] * pose[1, j] + pose[2, i] * pose[2, j]
            farthest = max(farthest, abs(product - (1.0 if i == j else 0.0)))
    return farthest
