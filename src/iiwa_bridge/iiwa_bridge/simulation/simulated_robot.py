"""A simulated robot as a whole: KUKA's controller, its impedance control and a plant, over UDP."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from iiwa_bridge.description.grid import bin_centre
from iiwa_bridge.description.layout import Layout, load_layout
from iiwa_bridge.description.probe import Probe, load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.fri.losses import sample_losses
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.fri.transitions import Transition
from iiwa_bridge.fri.udp import PORT, Address
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.solve import solve
from iiwa_bridge.robot import Array, Cell, CommandMode, ControlMode, SessionState
from iiwa_bridge.simulation.errors import SimulationError
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.simulation.pacing import PacedCell
from iiwa_bridge.simulation.plants import ArmSetup, make_arm
from iiwa_bridge.simulation.truth import Truth, truth_of

CLIENT_PORT = PORT + 1
"""Of a bridge on the same machine, where the controller has PORT."""
_CONTROL = {
    CommandMode.POSITION: ControlMode.POSITION,
    CommandMode.WRENCH: ControlMode.CARTESIAN_IMPEDANCE,
}
"""How the arm is held under each kind of command."""


@dataclass(frozen=True)
class SimulationConfig:
    """Of the simulated robot.

    Attributes:
        plant: by its name in the entry-point group ``iiwa_bridge.arms``.
        client: where the bridge listens.
        address: that the controller listens on and sends from.
        period: of a cycle [s].
        subject: who lies under the probe, by the index in the cohort.
        seed: of the cohort, the patient's motion and the sensors' noise.
        breathing: whether the patient breathes.
        movement: whether the patient moves once towards the probe, some seconds after its first touch.
        contact_loss: by how much the patient sinks away from the probe once, likewise [mm].
        packet_loss: share of the datagrams that get lost, each way.
        viewer: whether a window shows the arm.
        start: bin of the grid above which the arm stands at first, "row,column"; empty: as the layout has it.
        layout: file of the layout; None: the one that comes along.
        probe: file of the probe; None: likewise.
        patience: 0: messages come in real time, as the robot's do, and an answer that is late is one that is missed.
            Above 0 each message waits so long for the answer to the one before [s]: where the machine is too slow the
            robot becomes slow, instead of losing its connection.
        restart: after a fault the motion starts again, as soon as the connection is good: the operator's key.
        command: what the controller's application takes from the client: WRENCH, under impedance, as the bridge wants
            it, or POSITION, under position control, as KUKA's joint sine example does.
    """

    plant: str = "mock"
    client: Address = ("127.0.0.1", CLIENT_PORT)
    address: Address = ("0.0.0.0", PORT)
    period: float = 0.005
    subject: int = 0
    seed: int = 0
    breathing: bool = False
    movement: bool = False
    contact_loss: float = 0.0
    packet_loss: float = 0.0
    viewer: bool = False
    start: str = ""
    layout: Path | None = None
    probe: Path | None = None
    patience: float = 0.0
    restart: bool = True
    command: CommandMode = CommandMode.WRENCH


def make_cell(config: SimulationConfig, layout: Layout, probe: Probe) -> ImpedanceCell:
    """The arm over the patient with its impedance control.

    Raises:
        IiwaBridgeError: the start or the plant is not what it has to be.
    """
    with tempfile.TemporaryDirectory() as folder:
        urdf = write_urdf(Path(folder) / "arm.urdf", probe)
        setup = ArmSetup(
            urdf,
            Arm(probe),
            layout.patient,
            config.subject,
            config.seed,
            config.breathing,
            config.movement,
            1e-3 * config.contact_loss,
            config.viewer,
        )
        start = start_above(config.start, layout, Arm(probe))
        plant = make_arm(config.plant, setup)
    return ImpedanceCell(plant, Arm(probe), ImpedanceConfig(start), config.seed)


def start_above(start: str, layout: Layout, arm: Arm) -> Array:
    """Joint position (7,) at which the probe stands over a bin, as high and as upright as at the layout's start [rad].

    Raises:
        IiwaBridgeError: it is no bin, or out of reach.
    """
    if not start:
        return layout.start
    pose = np.linalg.inv(layout.patient) @ arm.pose(layout.start)
    pose[:2, 3] = bin_centre(start)
    return solve(arm, np.asarray(layout.patient @ pose), layout.start)


class SimulatedRobot:
    """Runs on a thread of its own, as a context manager.

    Args:
        config: of the robot.

    Raises:
        IiwaBridgeError: a file or the plant is not what it has to be, or the address is taken.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._restart = config.restart
        probe, layout = load_probe(config.probe), load_layout(config.layout)
        self._model = Arm(probe)
        self._to_patient = np.asarray(np.linalg.inv(layout.patient), dtype=np.float64)
        self._arm = make_cell(config, layout, probe)
        self._cell: Cell = PacedCell(self._arm) if config.patience else self._arm
        limits = Arm().limits
        session = ControllerConfig(
            JointLimits(limits.lower, limits.upper, limits.velocity),
            config.period,
            control=_CONTROL[config.command],
            command=config.command,
        )
        losses = sample_losses(config.packet_loss, config.seed)
        network = SimAddress(config.client, config.address, config.patience or None, losses)
        try:
            self._controller = SimController(session, self._cell, network)
        except BaseException:
            self._cell.close()
            raise
        self._last: Transition | None = None

    @property
    def running(self) -> bool:
        """Whether the session runs."""
        return self._controller.running

    @property
    def session(self) -> SessionState:
        """State of the session."""
        return self._controller.session.session

    @property
    def fault(self) -> str:
        """Why the session is in a fault; empty where it is not."""
        return self._controller.session.fault

    @property
    def time(self) -> float:
        """Of the controller [s]."""
        return self._controller.session.time

    def truth(self) -> Truth:
        """What is truly so of the probe now; for one thread at a time, which need not be the robot's."""
        return truth_of(self._arm.state, self._model, self._to_patient)

    def look(self) -> list[str]:
        """What has become of the session since the last look, a line each; turns the operator's key after a fault."""
        known = self._controller.session.transitions
        new = known[known.index(self._last) + 1 if self._last in known else 0 :]
        self._last = known[-1] if known else None
        if self._controller.session.fault and self._restart:
            self._controller.session.start()
        return [str(transition) for transition in new]

    def close(self) -> None:
        """Stop, and give the port back.

        Raises:
            SimulationError: the session had ended before, by a failure of the robot.
        """
        try:
            self._controller.close()
        except Exception as error:
            raise SimulationError(f"the simulated robot has failed: {error}") from error
        finally:
            self._cell.close()

    def __enter__(self) -> "SimulatedRobot":
        self._controller.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
