"""The wrench that explains joint torques: damped least squares, compiled."""

import math

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled

Array = npt.NDArray[np.float64]


@compiled("float64[::1](float64[:,:], float64[:], float64)")
def explaining_wrench(jacobian: Array, torque: Array, damping: float) -> Array:
    """The w (6,) that minimises |J^T w - torque|^2 + damping^2 |w|^2, by Cholesky's factors of J J^T + damping^2.

    Args:
        jacobian: J (6, 7).
        torque: of the joints (7,) [N m].
        damping: above 0.
    """
    factor, wrench = np.zeros((6, 6)), np.zeros(6)
    # Forwards through L y = J torque, L as it is found.
    for i in range(6):
        for j in range(i + 1):
            rest = damping * damping if i == j else 0.0
            for k in range(7):
                rest += jacobian[i, k] * jacobian[j, k]
            for k in range(j):
                rest -= factor[i, k] * factor[j, k]
            factor[i, j] = math.sqrt(rest) if i == j else rest / factor[j, j]
        felt = 0.0
        for k in range(7):
            felt += jacobian[i, k] * torque[k]
        for k in range(i):
            felt -= factor[i, k] * wrench[k]
        wrench[i] = felt / factor[i, i]
    # Backwards through L^T w = y.
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            wrench[i] -= factor[k, i] * wrench[k]
        wrench[i] /= factor[i, i]
    return wrench
