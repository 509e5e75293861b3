"""Finds simulated arms by name in the entry-point group ``iiwa_bridge.arms``, so that no package imports another."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import ArmPlant, Array
from iiwa_bridge.simulation.errors import SimulationError

GROUP = "iiwa_bridge.arms"


@dataclass(frozen=True, eq=False)
class ArmSetup:
    """What a plant is made from.

    Attributes:
        urdf: file of the arm with its probe.
        model: of the same arm, for this plant alone.
        patient: pose (4, 4) of ``patient`` in ``world`` [m].
        subject: who lies there, by the index in the cohort.
        seed: of the cohort, and of how the back moves.
        breathing: whether the patient breathes.
        movement: whether the patient moves once towards the probe, some seconds after its first touch.
        contact_loss: by how much the patient sinks away from it once, likewise [m].
        viewer: whether a window shows the arm.
    """

    urdf: Path
    model: Arm
    patient: Array
    subject: int
    seed: int
    breathing: bool
    movement: bool
    contact_loss: float = 0.0
    viewer: bool = False


MakeArm = Callable[[ArmSetup], ArmPlant]
"""What an entry of the group is."""


def make_arm(name: str, setup: ArmSetup) -> ArmPlant:
    """Make the plant of this name.

    Raises:
        SimulationError: there is none, or it cannot be made.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise SimulationError(f'no simulated arm "{name}"; installed are {", ".join(sorted(found)) or "none"}')
    try:
        make: MakeArm = found[name].load()
        return make(setup)
    except Exception as error:
        raise SimulationError(f'simulated arm "{name}" cannot be made: {error}') from error
