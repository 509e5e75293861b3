"""What is asked of the bridge by /probe/step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepCommand:
    """A step that was asked for: displacement on the parallel plane [m] and contact force to hold [N]."""

    dx: float
    dy: float
    contact_force: float
