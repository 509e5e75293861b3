"""The bridge in lock-step (``iiwa_bridge.lockstep``) over backs of any shape, with all that is seen on the way kept."""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.fri.controller_session import ControllerSession
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.lockstep import PERIOD, LockStep
from iiwa_bridge.orders import OrderEnd, Touch
from iiwa_bridge.robot import ArmPlant, ArmState, RobotCommand, RobotState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand
from us_grid_sim.world.motion import Motion
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

from iiwa_bridge import lockstep

Array = npt.NDArray[np.float64]

LAYOUT = load_layout()
TO_PATIENT = np.linalg.inv(LAYOUT.patient)
NEAR = -0.048
"""Height of a back 2 mm under the probe's start [m]."""


def back(stiffness: float = 1000.0, height: float = -0.03, radius: float = 0.0, edge: float = np.inf) -> Skin:
    """A back whose top lies at z = ``height`` over the middle of the grid: flat, or a cylinder along x; beyond x =
    ``edge`` it falls away, four down for each one on.
    """
    axis = np.linspace(-0.17, 0.17, 171)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    side = np.clip(y, -0.7 * radius, 0.7 * radius)
    depth = radius - np.sqrt(radius**2 - side**2) + height + 4.0 * np.maximum(x - edge, 0.0)
    return Skin(depth, np.full_like(depth, 1e3), stiffness, (-0.17, -0.17), float(axis[1] - axis[0]))


def plant_of(kind: str, skin: Skin, motion: Motion, folder: Path | None = None) -> ArmPlant:
    """The mock ("rigid") or PyBullet's arm over a back."""
    patient = Patient(skin, LAYOUT.patient, motion)
    if kind == "rigid":
        return RigidArm(Arm(), patient)
    assert folder is not None, "PyBullet reads its arm from a file"
    return PyBulletArm(write_urdf(folder / "arm.urdf", load_probe()), patient)


class Witness(lockstep.Witness):
    """A plant, and what truly happened to it in every millisecond."""

    def __init__(self, plant: ArmPlant) -> None:
        super().__init__(plant)
        self.forces: list[float] = []

    def _seen(self, state: ArmState) -> ArmState:
        super()._seen(state)
        self.forces.append(self.force)
        return state

    @property
    def pose(self) -> Array:
        """Of the probe in the patient frame (4, 4) [m], as it truly is."""
        return np.asarray(TO_PATIENT @ self.state.tool)


@dataclass
class Trace:
    """What was seen at the end of each cycle."""

    time: list[float] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    forces: list[float] = field(default_factory=list)
    poses: list[Array] = field(default_factory=list)
    sent: list[Array] = field(default_factory=list)


class Rig(LockStep):
    """The bridge over a back.

    Args:
        plant: of which the truth is kept.
        config: of the bridge.
        seed: of the sensor's noise.
    """

    def __init__(self, plant: ArmPlant, config: BridgeConfig | None = None, seed: int = 0) -> None:
        self.witness, self.trace = Witness(plant), Trace()
        self._before = self.delay = 0.0
        """``delay``: by which the loop's clock is ahead of the controller's [s]."""
        self.spoil = lambda state: state
        super().__init__(self.witness, config, seed=seed)

    def now(self) -> float:
        return self._before + super().now() + self.delay

    def copy(self) -> "Rig":
        """Another one in the same state, whose future is its own; not with PyBullet's arm, which is not in Python."""
        # No lock can be copied: the copy's machine gets a new one.
        return deepcopy(self, {id(self.loop._machine._lock): Lock()})

    def restart(self) -> None:
        """The controller is started again, while the robot stands and time goes on; the client hears nothing of it."""
        self._before += self.controller.time
        self.controller = ControllerSession(self._settings, self.robot)

    def _respond(self, state: RobotState) -> RobotCommand:
        return super()._respond(self.spoil(state))

    def cycle(self, lost: bool = False, answer_lost: bool = False) -> None:
        super().cycle(lost, answer_lost)
        self.trace.time.append(self.now())
        self.trace.states.append(self.state)
        self.trace.forces.append(self.witness.along)
        self.trace.poses.append(self.witness.pose)
        self.trace.sent.append(self.controller.command.position)

    def until(self, *states: State, seconds: float = 40.0) -> None:
        """Go on until the machine is in one of these states."""
        for _ in range(round(seconds / PERIOD)):
            if self.state in states:
                return
            self.cycle()
        raise AssertionError(f"{self.state.value} after {seconds} s, not {states}; {self.report.reasons}")

    @property
    def peak(self) -> float:
        """Highest true force on the patient so far [N]."""
        return self.witness.peak

    def ready(self) -> None:
        """Connect, tare, enable."""
        self.go(1.6)
        for event in (Event.TARE, Event.ENABLE):
            ended = self.done(self.order(event))
            assert ended.reached, ended.reason

    def touch(self, x: float = 0.0, y: float = 0.0, force: float = 1.5) -> OrderEnd:
        return self.done(self.order(Event.STEP, Touch(x, y, force)))

    def step(self, dx: float, dy: float, force: float = 1.5) -> OrderEnd:
        return self.done(self.order(Event.STEP, StepCommand(dx, dy, force)))


@cache
def _ready_once() -> Rig:
    rig = Rig(plant_of("rigid", back(height=NEAR), Motion()))
    rig.ready()
    return rig


def ready_rig() -> Rig:
    """A bridge that is enabled, over the mock and a back that lies near; the way there is simulated once."""
    return _ready_once().copy()
