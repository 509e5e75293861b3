"""The whole bridge in one process and without sockets: loop, both sides of the session, impedance, plant, in lock-step.

What goes between controller and client are real FRI datagrams. Time is the controller's, the loop's deadlines
included, so that a run is as fast as the machine lets it be, and always the same.
"""

import numpy as np

from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.fri.client_session import ClientSession
from iiwa_bridge.fri.controller_session import ControllerConfig, ControllerSession, JointLimits
from iiwa_bridge.fri.messages import decode_command, decode_monitoring, encode_command, encode_monitoring
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.loop import Loop
from iiwa_bridge.orders import LoopReport, Order, OrderEnd, Touch
from iiwa_bridge.robot import ArmPlant, ArmState, Array, CommandMode, ControlMode, RobotCommand, RobotState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.types import StepCommand

PERIOD = 0.005
"""Of a cycle [s]."""
LONGEST = 40.0
"""Within this an order has ended: an approach alone may take 30 s [s]."""


class LockStepError(IiwaBridgeError):
    """An order does not end."""


class Witness:
    """A plant, and what is truly so of it.

    Args:
        plant: that is driven.

    Attributes:
        time: since the plant's reset [s]; that of the patient's motion.
        state: of the plant now.
        peak: highest force on the patient since the plant's reset [N].
    """

    def __init__(self, plant: ArmPlant) -> None:
        self._plant = plant
        self.time = self.peak = 0.0
        self.state: ArmState

    def reset(self, position: Array) -> ArmState:
        """Stand still at a joint position (7,) [rad]."""
        self.time = self.peak = 0.0
        return self._seen(self._plant.reset(position))

    def step(self, torque: Array, duration: float) -> ArmState:
        """Apply joint torques (7,) [N m] for ``duration`` [s]."""
        self.time += duration
        return self._seen(self._plant.step(torque, duration))

    def close(self) -> None:
        """Close the plant."""
        self._plant.close()

    def _seen(self, state: ArmState) -> ArmState:
        self.state = state
        self.peak = max(self.peak, self.force)
        return state

    @property
    def force(self) -> float:
        """On the patient now, its amount [N]."""
        return float(np.linalg.norm(self.state.contact_force))

    @property
    def along(self) -> float:
        """Of that the part along the beam, into the body [N]."""
        return float(self.state.contact_force[2])


class LockStep:
    """The bridge on a simulated robot.

    Args:
        witness: the plant.
        config: of the bridge.
        start: joint position (7,) that the robot stands at first [rad]; None: that of the layout.
        seed: of the noise of the robot's sensors.

    Attributes:
        cell: the robot with its own control.
        robot: what its sensors told last.
        controller, client: the two sides of the session.
        loop: of the bridge.

    Raises:
        IiwaBridgeError: layout, probe or limits are not what they have to be.
    """

    def __init__(
        self, witness: Witness, config: BridgeConfig | None = None, start: Array | None = None, seed: int = 0
    ) -> None:
        config = config or BridgeConfig()
        layout, arm = load_layout(config.layout), Arm(load_probe(config.probe))
        limits = JointLimits(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
        self._settings = ControllerConfig(
            limits, PERIOD, control=ControlMode.CARTESIAN_IMPEDANCE, command=CommandMode.WRENCH
        )
        self.cell = ImpedanceCell(witness, arm, ImpedanceConfig(layout.start if start is None else start), seed)
        self.robot = self.cell.reset()
        self.controller = ControllerSession(self._settings, self.robot)
        self.loop = Loop(config, self.now)
        self.client = ClientSession(self._respond, self.now, config.timeout)
        self._number = 0

    def now(self) -> float:
        """The controller's time [s], which is the loop's too."""
        return self.controller.time

    def cycle(self, lost: bool = False, answer_lost: bool = False) -> None:
        """A message, its answer, a period of the robot; what is lost never comes."""
        message = encode_monitoring(self.controller.message(self.robot))
        if not lost and self.client.take(decode_monitoring(message)):
            answer = self.client.answer()
            if answer is not None and not answer_lost:
                self.controller.receive(decode_command(encode_command(answer)))
        self.client.watch()
        self.controller.close_cycle()
        self.robot = self.cell.advance(self.controller.command, self.controller.control, PERIOD)

    def go(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / PERIOD)):
            self.cycle()

    @property
    def report(self) -> LoopReport:
        """Of the loop, after its first cycle."""
        assert self.loop.report is not None, "the controller sends its first message with the first cycle"
        return self.loop.report

    @property
    def state(self) -> State:
        """Of the machine."""
        return State.IDLE if self.loop.report is None else self.loop.report.machine

    def order(self, event: Event, aim: StepCommand | Touch | None = None, reason: str = "") -> int:
        """Ask something of the loop; the order's number."""
        self._number += 1
        self.loop.take(Order(self._number, event, aim, reason))
        return self._number

    def done(self, number: int, seconds: float = LONGEST) -> OrderEnd:
        """Go on until an order has ended.

        Raises:
            LockStepError: it has not, after so long.
        """
        for _ in range(round(seconds / PERIOD)):
            for ended in self.report.ended if self.loop.report else ():
                if ended.number == number:
                    return ended
            self.cycle()
        raise LockStepError(f"order {number} has not ended after {seconds:g} s; the machine is {self.state.value}")

    def close(self) -> None:
        """Close the plant."""
        self.cell.close()

    def _respond(self, state: RobotState) -> RobotCommand:
        return self.loop(state)
