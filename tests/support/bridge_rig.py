"""The whole bridge in one process and without sockets: loop, both sides of the session, impedance, plant, in lock-step.

Time is the controller's, so that a test runs as fast as the machine lets it and always the same.
"""

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
from iiwa_bridge.fri.client_session import ClientSession
from iiwa_bridge.fri.controller_session import ControllerConfig, ControllerSession, JointLimits
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.loop import Loop
from iiwa_bridge.orders import LoopReport, Order, OrderEnd, Touch
from iiwa_bridge.robot import ArmPlant, ArmState, CommandMode, ControlMode, RobotCommand, RobotState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.types import StepCommand
from us_grid_sim.world.motion import Motion
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

Array = npt.NDArray[np.float64]

LAYOUT = load_layout()
TO_PATIENT = np.linalg.inv(LAYOUT.patient)
PERIOD = 0.005
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


class Witness:
    """A plant, and what truly happened to it in every millisecond."""

    def __init__(self, plant: ArmPlant) -> None:
        self._plant = plant
        self.forces: list[float] = []
        self.tools: list[Array] = []

    def reset(self, position: Array) -> ArmState:
        return self._seen(self._plant.reset(position))

    def step(self, torque: Array, duration: float) -> ArmState:
        return self._seen(self._plant.step(torque, duration))

    def close(self) -> None:
        self._plant.close()

    def _seen(self, state: ArmState) -> ArmState:
        self.forces.append(float(np.linalg.norm(state.contact_force)))
        self.tools.append(state.tool)
        self.along = float(state.contact_force[2])
        return state

    @property
    def pose(self) -> Array:
        """Of the probe in the patient frame (4, 4) [m], as it truly is."""
        return np.asarray(TO_PATIENT @ self.tools[-1])

    @property
    def force(self) -> float:
        """On the patient now [N]."""
        return self.forces[-1]


@dataclass
class Trace:
    """What was seen at the end of each cycle."""

    time: list[float] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    forces: list[float] = field(default_factory=list)
    poses: list[Array] = field(default_factory=list)
    sent: list[Array] = field(default_factory=list)


class Rig:
    """The bridge over a back.

    Args:
        plant: of which the truth is kept.
        config: of the bridge.
        seed: of the sensor's noise.
    """

    def __init__(self, plant: ArmPlant, config: BridgeConfig | None = None, seed: int = 0) -> None:
        self.witness = Witness(plant)
        arm = Arm()
        limits = JointLimits(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
        settings = ControllerConfig(limits, PERIOD, control=ControlMode.CARTESIAN_IMPEDANCE, command=CommandMode.WRENCH)
        self.cell = ImpedanceCell(self.witness, arm, ImpedanceConfig(LAYOUT.start), seed)
        self.robot = self.cell.reset()
        self._settings, self._before = settings, 0.0
        self.controller = ControllerSession(settings, self.robot)
        self.delay = 0.0
        """By which the loop's clock is ahead of the controller's [s]."""
        self.loop = Loop(config or BridgeConfig(), self.now)
        self.spoil = lambda state: state
        self.client = ClientSession(self._respond, self.now, timeout=0.1)
        self.trace, self._number = Trace(), 0
        self._command: RobotCommand | None = None

    def now(self) -> float:
        return self._before + self.controller.time + self.delay

    def copy(self) -> "Rig":
        """Another one in the same state, whose future is its own; not with PyBullet's arm, which is not in Python."""
        # No lock can be copied: the copy's machine gets a new one.
        return deepcopy(self, {id(self.loop._machine._lock): Lock()})

    def restart(self) -> None:
        """The controller is started again, while the robot stands and time goes on; the client hears nothing of it."""
        self._before += self.controller.time
        self.controller = ControllerSession(self._settings, self.robot)

    def _respond(self, state: RobotState) -> RobotCommand:
        self._command = self.loop(self.spoil(state))
        return self._command

    def cycle(self, lost: bool = False) -> None:
        """A message, its answer, a period of the robot; ``lost``: the message never comes."""
        message = self.controller.message(self.robot)
        if not lost and self.client.take(message):
            answer = self.client.answer()
            if answer is not None:
                self.controller.receive(answer)
        self.client.watch()
        self.controller.close_cycle()
        self.robot = self.cell.advance(self.controller.command, self.controller.control, PERIOD)
        self.trace.time.append(self.now())
        self.trace.states.append(self.state)
        self.trace.forces.append(self.witness.along)
        self.trace.poses.append(self.witness.pose)
        self.trace.sent.append(self.controller.command.position)

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds / PERIOD)):
            self.cycle()

    def until(self, *states: State, seconds: float = 40.0) -> None:
        """Go on until the machine is in one of these states."""
        for _ in range(round(seconds / PERIOD)):
            if self.state in states:
                return
            self.cycle()
        raise AssertionError(f"{self.state.value} after {seconds} s, not {states}; {self.report.reasons}")

    @property
    def report(self) -> LoopReport:
        assert self.loop.report is not None
        return self.loop.report

    @property
    def state(self) -> State:
        return State.IDLE if self.loop.report is None else self.loop.report.machine

    @property
    def peak(self) -> float:
        """Highest true force on the patient so far [N]."""
        return max(self.witness.forces)

    def order(self, event: Event, aim: StepCommand | Touch | None = None, reason: str = "") -> int:
        self._number += 1
        self.loop.take(Order(self._number, event, aim, reason))
        return self._number

    def done(self, number: int, seconds: float = 40.0) -> OrderEnd:
        """Go on until an order has ended."""
        for _ in range(round(seconds / PERIOD)):
            for ended in self.report.ended if self.loop.report else ():
                if ended.number == number:
                    return ended
            self.cycle()
        raise AssertionError(f"order {number} has not ended after {seconds} s; the machine is {self.state.value}")

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

    def close(self) -> None:
        self.cell.close()


@cache
def _ready_once() -> Rig:
    rig = Rig(plant_of("rigid", back(height=NEAR), Motion()))
    rig.ready()
    return rig


def ready_rig() -> Rig:
    """A bridge that is enabled, over the mock and a back that lies near; the way there is simulated once."""
    return _ready_once().copy()
