"""A run over a virtual patient with the robot in the loop: in one process and without clocks."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from us_grid_sim.dataset.synth import subject_name
from us_grid_sim.dataset.targets import Targets
from us_grid_sim.dataset.virtual import virtual_targets
from us_grid_sim.envs.robots import Outcome, RobotSetup, make_robot, plant_maker
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, PROBE_WIDTH, Action, Bin, displacement, probe_pose
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import Phantom, sample
from us_grid_sim.preprocess import Frame8
from us_grid_sim.sources.phantom import PhantomSource
from us_grid_sim.world.arm import Array
from us_grid_sim.world.motion import sample_motion
from us_grid_sim.world.skin import Patient, Skin

CONTACT_FORCE = 1.0
"""That the robot holds [N]."""
_ABOVE = 0.015
"""Gap between the face and the highest skin under it at first [m]; breathing takes up to 5 mm of it."""


@dataclass(frozen=True)
class Disturbances:
    """What makes a run hard.

    Attributes:
        breathing: whether the patient breathes.
        movement: whether the patient moves once towards the probe, some seconds after the first touch.
        packet_loss: share of the datagrams between controller and bridge that are lost, each way.
        contact_loss: by how much the patient sinks away from the probe once [m]; 0: not at all.
    """

    breathing: bool = True
    movement: bool = False
    packet_loss: float = 0.0
    contact_loss: float = 0.0


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """A subject as eye and hand meet it.

    Attributes:
        name: as a data set has it.
        source: renders what the probe sees.
        skin: what the probe feels.
        targets: the goal bins of each target, as a data set of this subject has them.
    """

    name: str
    source: PhantomSource
    skin: Skin
    targets: Targets


@lru_cache(maxsize=1)
def virtual_patient(record: SubjectRecord) -> VirtualPatient:
    """A patient; the last one is kept, since it takes some seconds and 200 MB."""
    source = PhantomSource(record)
    return VirtualPatient(subject_name(record.index), source, Skin.of(source.phantom), virtual_targets(source.phantom))


class LoopRun:
    """One run: the robot has touched the skin of the start bin, and steps as it is told.

    Args:
        patient: who lies there.
        plant: kind of the simulated arm, ``pybullet`` or ``mock``.
        disturbances: what makes it hard.
        start: bin.
        seed: of the motion, the losses and the sensors' noise.

    Attributes:
        robot: asked for the truth.
        frame: what the probe sees, uint8 (600, 800).
        reason: why the run cannot go on; empty while it can.

    Raises:
        UsGridSimError: no robot is installed, or no such plant.
    """

    def __init__(self, patient: VirtualPatient, plant: str, disturbances: Disturbances, start: Bin, seed: int) -> None:
        self._source, what = patient.source, disturbances
        motion = sample_motion(seed, what.breathing, what.movement, what.contact_loss, from_touch=True)
        maker = plant_maker(plant, lambda pose: Patient(patient.skin, pose, motion))
        self.robot = make_robot(RobotSetup(maker, CONTACT_FORCE, what.packet_loss, seed))
        self.reason = ""
        try:
            self._judge(self.robot.reset(above(patient.source.phantom, start)))
            self._look()
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> Bin:
        """The bin that the probe truly is nearest to."""
        x, y = self.robot.pose[:2, 3]
        return Bin.nearest(float(x), float(y))

    def step(self, action: Action) -> None:
        """Carry out an action and look; a stop moves nothing, and nothing moves in a run that cannot go on."""
        if action is Action.STOP or self.reason:
            return
        try:
            self._judge(self.robot.step(*displacement(action)))
        except UsGridSimError as error:
            self.reason = f"the plant failed: {error}"
        self._look()

    def close(self) -> None:
        """Give the robot back."""
        self.robot.close()

    def _judge(self, outcome: Outcome) -> None:
        failed = f"probe step failed: {outcome.reason}" if outcome.failed else ""
        self.reason = self.robot.fault or failed

    def _look(self) -> None:
        # Where two spheres leave the skin at once friction may pull; the renderer wants no negative force.
        self._source.look_from(self.robot.pose, max(self.robot.force, 0.0))
        try:
            self.frame: Frame8 = self._source.read().pixels
        except UsGridSimError as error:
            self.frame = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), np.uint8)
            self.reason = self.reason or f"no frame: {error}"


def above(phantom: Phantom, place: Bin) -> Array:
    """Pose (4, 4) of an upright probe in the patient frame [m], in the air close above the skin of a bin."""
    x, y = place.center
    under = sample(phantom.skin, np.full(9, x), y + np.linspace(-0.5, 0.5, 9) * PROBE_WIDTH)
    return probe_pose(x, y, float(under.min()) - _ABOVE)
