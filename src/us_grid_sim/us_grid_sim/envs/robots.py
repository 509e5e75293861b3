"""The robot of a closed loop, as an environment needs one; found by its name in the entry-point group
``us_grid_sim.robots``, so that no package imports another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.arm import Array
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import ArmModel, RigidArm
from us_grid_sim.world.skin import Patient

GROUP = "us_grid_sim.robots"
ROBOT = "iiwa_bridge"

MakePlant = Callable[[Path, ArmModel, Array], PyBulletArm | RigidArm]
"""Makes a plant from the URDF of an arm with its probe, a model of the same arm, and the pose (4, 4) of ``patient`` in
``world`` [m]."""


@dataclass(frozen=True)
class RobotSetup:
    """What a robot is made from.

    Attributes:
        make_plant: the simulated arm over its patient.
        contact_force: that the robot holds [N].
        packet_loss: share of the datagrams between controller and bridge that are lost, each way.
        seed: of which ones are lost, and of the sensors' noise.
    """

    make_plant: MakePlant
    contact_force: float
    packet_loss: float
    seed: int


class Outcome(Protocol):
    """How a motion ended: reached, held back by a border (neither), or failed, with the reason."""

    @property
    def reached(self) -> bool: ...  # noqa: D102
    @property
    def failed(self) -> bool: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102


class Moment(Protocol):
    """A cycle: time [s] and true force along the beam [N]."""

    @property
    def time(self) -> float: ...  # noqa: D102
    @property
    def force(self) -> float: ...  # noqa: D102


class Statistics(Protocol):
    """What truly happened since the reset.

    Attributes:
        time: simulated [s].
        force_rmse_step: of the force along the beam while stepping [N]; NaN: no step.
        force_rmse_rest: the same at rest between steps [N].
        force_peak: highest force on the patient, the first touch included [N].
        contact_losses: times that contact was lost.
        air_time: in all of them [s].
        safety_events: faults of the bridge.
        guard_cuts: cycles in which a command was cut.
        missed_messages: of the controller, that were lost.
    """

    @property
    def time(self) -> float: ...  # noqa: D102
    @property
    def force_rmse_step(self) -> float: ...  # noqa: D102
    @property
    def force_rmse_rest(self) -> float: ...  # noqa: D102
    @property
    def force_peak(self) -> float: ...  # noqa: D102
    @property
    def contact_losses(self) -> int: ...  # noqa: D102
    @property
    def air_time(self) -> float: ...  # noqa: D102
    @property
    def safety_events(self) -> int: ...  # noqa: D102
    @property
    def guard_cuts(self) -> int: ...  # noqa: D102
    @property
    def missed_messages(self) -> int: ...  # noqa: D102


class Robot(Protocol):
    """A robot that presses a probe on a patient and steps over the skin; each call returns when its motion ended."""

    @property
    def pose(self) -> Array:
        """True pose (4, 4) of ``us_probe`` relative to the patient's body as it lies now [m]."""
        ...

    @property
    def force(self) -> float:
        """True force on the patient along the beam [N]."""
        ...

    @property
    def fault(self) -> str:
        """Why the robot's control stands in fault; empty where it does not."""
        ...

    @property
    def moments(self) -> Sequence[Moment]:
        """Of each cycle since the first contact."""
        ...

    @property
    def statistics(self) -> Statistics:
        """Since the reset."""
        ...

    def reset(self, pose: Array) -> Outcome:
        """Stand with the probe in the air at a pose (4, 4) in the patient frame [m], then touch the skin below."""
        ...

    def step(self, dx: float, dy: float) -> Outcome:
        """Step on the parallel plane [m]."""
        ...

    def close(self) -> None:
        """Give back what the robot holds."""
        ...


def make_robot(setup: RobotSetup) -> Robot:
    """Make the robot that is installed.

    Raises:
        UsGridSimError: none is.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if ROBOT not in found:
        raise UsGridSimError(f'no robot "{ROBOT}" is installed; install the package iiwa_bridge beside this one')
    make: Callable[[RobotSetup], Robot] = found[ROBOT].load()
    return make(setup)


def plant_maker(kind: str, patient: Callable[[Array], Patient]) -> MakePlant:
    """What makes a plant of a kind, ``pybullet`` or ``mock``.

    Args:
        kind: of the plant.
        patient: who lies there, from the pose (4, 4) of ``patient`` in ``world`` [m].

    Raises:
        UsGridSimError: there is no such kind.
    """
    if kind == "pybullet":
        return lambda urdf, model, pose: PyBulletArm(urdf, patient(pose))
    if kind == "mock":
        return lambda urdf, model, pose: RigidArm(model, patient(pose))
    raise UsGridSimError(f"no plant {kind!r}; there is pybullet and mock")
