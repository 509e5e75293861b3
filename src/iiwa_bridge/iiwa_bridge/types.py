"""What passes inside the bridge: set points, measurements, steps, and the plant that they go to."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Measurement(Protocol):
    """What a plant measured at the end of a step; read only.

    Attributes:
        pose: (4, 4) of ``us_probe`` in the patient frame [m].
        wrench: (6,) force [N] and torque [N m] on the patient by the probe, in ``us_probe``.
        contact: whether the transducer touches the skin.
    """

    @property
    def pose(self) -> Array:
        """Pose (4, 4) of ``us_probe`` in the patient frame [m]."""
        ...

    @property
    def wrench(self) -> Array:
        """Force [N] and torque [N m] (6,) on the patient by the probe, in ``us_probe``."""
        ...

    @property
    def contact(self) -> bool:
        """Whether the transducer touches the skin."""
        ...


class Plant(Protocol):
    """The robot with its probe over a patient, or a simulation of it; found by name in ``iiwa_bridge.plants``."""

    def reset(self) -> None:
        """Go to the start: above the middle of the grid, retracted, at rest."""
        ...

    def step(self, x: float, y: float, force: float, duration: float) -> Measurement:
        """Hold a set point for ``duration`` [s]: (x, y) on the parallel plane [m] and a contact force [N].

        A force of 0 retracts the probe from the skin.
        """
        ...

    def close(self) -> None:
        """Give back what the plant holds."""
        ...


@dataclass(frozen=True)
class SetPoint:
    """Where the probe is to be: (x, y) on the parallel plane [m], contact force [N]."""

    x: float
    y: float
    force: float


@dataclass(frozen=True)
class StepCommand:
    """A step that was asked for: displacement on the parallel plane [m] and contact force to hold [N]."""

    dx: float
    dy: float
    contact_force: float


@dataclass(frozen=True)
class StepResult:
    """How a step ended: measured at its end, whether the probe stands where it was sent, and if not why not.

    ``failed`` says that it was ended (refused, stopped, late) rather than held back by a border.
    """

    measurement: Measurement
    reached: bool
    failed: bool
    reason: str
