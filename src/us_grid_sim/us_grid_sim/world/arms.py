"""The simulated arms by name: what the entry-point group ``iiwa_bridge.arms`` makes, over a virtual back."""

from pathlib import Path
from typing import Protocol

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import build_phantom
from us_grid_sim.world.arm import Array
from us_grid_sim.world.motion import sample_motion
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import ArmModel, RigidArm
from us_grid_sim.world.skin import Patient, Skin


class Setup(Protocol):
    """What an arm is made from (``iiwa_bridge.simulation.plants.ArmSetup``).

    Attributes:
        urdf: file of the arm with its probe; read at once.
        model: mass matrix and poses of the same arm.
        patient: pose (4, 4) of ``patient`` in ``world`` [m].
        subject: who lies there, by the index in the cohort.
        seed: of the cohort, and of how the back moves.
        breathing: whether the patient breathes.
        movement: whether the patient moves once towards the probe, some seconds after its first touch.
        contact_loss: by how much the patient sinks away from it once, likewise [m].
        viewer: whether a window shows it.
    """

    @property
    def urdf(self) -> Path: ...  # noqa: D102
    @property
    def model(self) -> ArmModel: ...  # noqa: D102
    @property
    def patient(self) -> Array: ...  # noqa: D102
    @property
    def subject(self) -> int: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def breathing(self) -> bool: ...  # noqa: D102
    @property
    def movement(self) -> bool: ...  # noqa: D102
    @property
    def contact_loss(self) -> float: ...  # noqa: D102
    @property
    def viewer(self) -> bool: ...  # noqa: D102


def make_mock(setup: Setup) -> RigidArm:
    """The fast arm, without PyBullet.

    Raises:
        UsGridSimError: a viewer is asked for.
    """
    if setup.viewer:
        raise UsGridSimError("the mock has no viewer; choose the plant pybullet, or go without")
    return RigidArm(setup.model, _patient(setup))


def make_pybullet(setup: Setup) -> PyBulletArm:
    """PyBullet's arm."""
    return PyBulletArm(setup.urdf, _patient(setup), gui=setup.viewer)


def _patient(setup: Setup) -> Patient:
    skin = Skin.of(build_phantom(sample_subject(setup.seed, setup.subject)))
    motion = sample_motion(setup.seed, setup.breathing, setup.movement, setup.contact_loss, from_touch=True)
    return Patient(skin, setup.patient, motion)
