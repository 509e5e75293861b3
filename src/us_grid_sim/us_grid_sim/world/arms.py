"""The simulated arms by name: what the entry-point group ``iiwa_bridge.arms`` makes, over a virtual back."""

from pathlib import Path
from typing import Protocol

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
        movement: whether the patient moves once towards the probe.
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


def make_mock(setup: Setup) -> RigidArm:
    """The fast arm, without PyBullet."""
    return RigidArm(setup.model, _patient(setup))


def make_pybullet(setup: Setup) -> PyBulletArm:
    """PyBullet's arm."""
    return PyBulletArm(setup.urdf, _patient(setup))


def _patient(setup: Setup) -> Patient:
    skin = Skin.of(build_phantom(sample_subject(setup.seed, setup.subject)))
    return Patient(skin, setup.patient, sample_motion(setup.seed, setup.breathing, setup.movement))
