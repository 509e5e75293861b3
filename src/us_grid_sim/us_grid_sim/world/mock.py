"""A plant without dynamics: the probe follows its set point on the parallel plane and presses on a spring.

Satisfies ``iiwa_bridge.types.Plant`` structurally; found there by the name ``mock``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import probe_pose

Array = npt.NDArray[np.float64]

STIFFNESS = 670.0
"""Of the skin under the probe [N/m]: 1.5 mm a newton, as in the phantom's indentation."""
CLEARANCE = 0.02
"""Height of the retracted probe over the skin [m]."""
_LATERAL_TIME = 0.03
_AXIAL_SPEED = 0.05


@dataclass(frozen=True)
class MockMeasurement:
    """What the mock measured: pose (4, 4) in the patient frame [m], wrench (6,) in us_probe [N, N m], contact."""

    pose: Array
    wrench: Array
    contact: bool


class MockPlant:
    """First-order lag on the plane, limited axial speed, a linear spring for the skin at z = 0."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Go to the start: above the middle of the grid, retracted."""
        self._x = self._y = 0.0
        self._z = -CLEARANCE

    def step(self, x: float, y: float, force: float, duration: float) -> MockMeasurement:
        """Hold a set point for ``duration`` [s]: (x, y) on the parallel plane [m], contact force [N], 0 to retract.

        Raises:
            UsGridSimError: the set point is not finite, or the duration not positive.
        """
        if not np.isfinite([x, y, force, duration]).all() or duration <= 0:
            raise UsGridSimError(
                f"set point ({x}, {y}) m, {force} N for {duration} s; expected finite, duration above 0"
            )
        share = 1.0 - np.exp(-duration / _LATERAL_TIME)
        self._x += share * (x - self._x)
        self._y += share * (y - self._y)
        wanted = force / STIFFNESS if force > 0 else -CLEARANCE
        self._z += float(np.clip(wanted - self._z, -_AXIAL_SPEED * duration, _AXIAL_SPEED * duration))
        pressed = max(self._z, 0.0) * STIFFNESS
        wrench = np.array([0.0, 0.0, pressed, 0.0, 0.0, 0.0])
        return MockMeasurement(probe_pose(self._x, self._y, self._z), wrench, pressed > 0.05)

    def close(self) -> None:
        """Nothing is held."""
