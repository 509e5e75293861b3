"""A robot that is asked for probe steps and answers when they have ended: the bridge in lock-step, for environments.

It is found by its name in the entry-point group ``us_grid_sim.robots``, so that neither package imports the other.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.fri.losses import Losses, sample_losses
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.solve import solve
from iiwa_bridge.lockstep import PERIOD, LockStep, Witness
from iiwa_bridge.orders import OrderEnd
from iiwa_bridge.robot import ArmPlant, Array
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand

CONNECTING = 1.6
"""After which the controller takes commands, and has stood still long enough for a tare [s]."""
SETTLING = 1.0
"""After the first contact, in which the force comes up to its set point [s]."""
PAUSE = 0.2
"""After each step, in which a frame is taken and decided on [s]: two frames at 15 a second, and a decision."""
LOST = 0.1
"""Without any force for so long, contact is lost; so long the force control waits too [s]."""
_FAULTS = frozenset({State.FAULT, State.FAULT_RETRACTING})


class Setup(Protocol):
    """What a robot is made from (``us_grid_sim.envs.robots.RobotSetup``).

    Attributes:
        make_plant: makes the plant from the URDF of the arm with its probe, a model of the same arm, and the pose
            (4, 4) of ``patient`` in ``world`` [m].
        contact_force: that is held [N].
        packet_loss: share of the FRI datagrams that are lost, each way.
        seed: of which ones are lost, and of the sensors' noise.
    """

    @property
    def make_plant(self) -> Callable[[Path, Arm, Array], ArmPlant]: ...  # noqa: D102
    @property
    def contact_force(self) -> float: ...  # noqa: D102
    @property
    def packet_loss(self) -> float: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Statistics:
    """What truly happened since the plant's reset.

    The errors of the force count each cycle in which the bridge believes to be in contact.

    Attributes:
        time: simulated [s].
        force_rmse_step: of the force along the beam against what is to be held, while stepping [N]; NaN: no step.
        force_rmse_rest: the same at rest between steps [N].
        force_peak: highest force on the patient in any millisecond, the first touch included [N].
        contact_losses: times that it was without force for LOST or longer, after the first contact.
        air_time: in all of them [s].
        safety_events: faults of the machine.
        guard_cuts: cycles in which the guard took something away from a command.
        missed_messages: that the client never got.
    """

    time: float
    force_rmse_step: float
    force_rmse_rest: float
    force_peak: float
    contact_losses: int
    air_time: float
    safety_events: int
    guard_cuts: int
    missed_messages: int


@dataclass(frozen=True)
class Moment:
    """The end of a cycle: time [s], true force along the beam [N], and the machine's state."""

    time: float
    force: float
    state: State


class _Watched(LockStep):
    """Loses datagrams, and keeps what truly happened in each cycle."""

    def __init__(self, witness: Witness, losses: Losses, start: Array, seed: int) -> None:
        self._witness, self._losses = witness, losses
        self._cycles = self.faults = 0
        self.moments: list[Moment] = []
        super().__init__(witness, start=start, seed=seed)

    def cycle(self, lost: bool = False, answer_lost: bool = False) -> None:
        message, answer = self._losses.of(self._cycles)
        before = self.state
        super().cycle(lost or message, answer_lost or answer)
        self._cycles += 1
        self.faults += self.state in _FAULTS and before not in _FAULTS
        self.moments.append(Moment(self._witness.time, self._witness.along, self.state))


class LockStepRobot:
    """The bridge in lock-step on a plant.

    Args:
        setup: what it is made from.

    Raises:
        IiwaBridgeError: the share of lost datagrams is none.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup, self._layout = setup, load_layout()
        self._to_patient = np.linalg.inv(self._layout.patient)
        self._losses = sample_losses(setup.packet_loss, setup.seed)
        probe = load_probe()
        with tempfile.TemporaryDirectory() as folder:
            urdf = write_urdf(Path(folder) / "arm.urdf", probe)
            self._witness = Witness(setup.make_plant(urdf, Arm(probe), self._layout.patient))

    def reset(self, pose: Array) -> OrderEnd:
        """Stand with the probe in the air, then connect, tare, enable, and touch the skin below.

        Args:
            pose: (4, 4) of ``us_probe`` in the patient frame [m].

        Returns:
            How the first contact ended, or what failed before it.

        Raises:
            IiwaBridgeError: the pose is out of reach.
        """
        start = solve(Arm(), np.asarray(self._layout.patient @ pose), self._layout.start)
        self._bridge = _Watched(self._witness, self._losses, start, self._setup.seed)
        self._touched = math.inf
        self._bridge.go(CONNECTING)
        for event in (Event.TARE, Event.ENABLE):
            ended = self._bridge.done(self._bridge.order(event))
            if ended.failed:
                return ended
        ended = self._step(0.0, 0.0)
        if not ended.failed:
            self._bridge.go(SETTLING)
            self._touched = self._witness.time
        return ended

    def step(self, dx: float, dy: float) -> OrderEnd:
        """Step on the parallel plane [m], and stand still for a frame; without contact the probe first approaches."""
        ended = self._step(dx, dy)
        self._bridge.go(PAUSE)
        return ended

    @property
    def pose(self) -> Array:
        """True pose (4, 4) of ``us_probe`` relative to the patient's body as it lies now [m]."""
        pose = np.asarray(self._to_patient @ self._witness.state.tool)
        pose[2, 3] += self._witness.state.rise
        return pose

    @property
    def force(self) -> float:
        """True force on the patient along the beam [N]."""
        return self._witness.along

    @property
    def fault(self) -> str:
        """Why the bridge is in fault; empty where it is not."""
        return "; ".join(self._bridge.report.reasons) if self._bridge.state in _FAULTS else ""

    @property
    def moments(self) -> list[Moment]:
        """Of each cycle since the first contact has settled."""
        return [moment for moment in self._bridge.moments if moment.time > self._touched]

    @property
    def statistics(self) -> Statistics:
        """Since the last reset."""
        moments = self.moments
        force, wanted = np.array([moment.force for moment in moments]), self._setup.contact_force
        stepping = np.array([moment.state is State.STEPPING for moment in moments], dtype=bool)
        resting = np.array([moment.state is State.IN_CONTACT for moment in moments], dtype=bool)
        gaps = _gaps(force <= 0.0)
        return Statistics(
            time=self._witness.time,
            force_rmse_step=_rms(force[stepping] - wanted),
            force_rmse_rest=_rms(force[resting] - wanted),
            force_peak=self._witness.peak,
            contact_losses=len(gaps),
            air_time=PERIOD * sum(gaps),
            safety_events=self._bridge.faults,
            guard_cuts=self._bridge.report.cuts,
            missed_messages=self._bridge.client.counts.missed,
        )

    def close(self) -> None:
        """Give the plant back."""
        self._witness.close()

    def _step(self, dx: float, dy: float) -> OrderEnd:
        return self._bridge.done(self._bridge.order(Event.STEP, StepCommand(dx, dy, self._setup.contact_force)))


def _rms(values: Array) -> float:
    """Root mean square; NaN of none."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else math.nan


def _gaps(without: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of cycles without force that last LOST or longer."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], without.astype(np.int64), [0]))))
    lengths = np.diff(edges)[::2]
    return [int(length) for length in lengths if length >= LOST / PERIOD]
