"""The bridge over real UDP in lock-step, over a wire that loses, repeats, reorders and spoils datagrams."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.loop import Loop
from iiwa_bridge.orders import LoopReport, Order, Touch
from iiwa_bridge.robot import CommandMode, ControlMode, SessionState
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.types import StepCommand
from support.bridge_rig import LAYOUT, Witness, back, plant_of
from us_grid_sim.world.motion import Motion

from .support_fri import LOCALHOST, Faults, Wire, free_port, thread_client, wait_until
from .test_fri_wire import shoot


class Wired:
    """A loop in a client's thread, and the controller on the other end of the wire."""

    def __init__(self, stack: ExitStack) -> None:
        self.wire = stack.enter_context(Wire(Faults()))
        self.witness, arm = Witness(plant_of("rigid", back(height=-0.048), Motion())), Arm()
        cell = ImpedanceCell(self.witness, arm, ImpedanceConfig(LAYOUT.start), 0)
        limits = JointLimits(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
        impedance, wrench = ControlMode.CARTESIAN_IMPEDANCE, CommandMode.WRENCH
        settings = ControllerConfig(limits, control=impedance, command=wrench)
        network = SimAddress(self.wire.to_client, (LOCALHOST, 0), answer_timeout=0.05)
        self.controller = stack.enter_context(SimController(settings, cell, network))
        address = (LOCALHOST, free_port())
        self.wire.peers = [self.controller.address, address]
        self.loop = Loop(BridgeConfig(), lambda: self.controller.session.time)
        self.client = stack.enter_context(thread_client(ClientConfig(self.wire.to_controller, address, 5.0), self.loop))
        self._number = 0

    @property
    def report(self) -> LoopReport:
        assert self.client.error is None
        assert self.loop.report is not None
        return self.loop.report

    def go_on(self, seconds: float) -> None:
        until = self.controller.session.time + seconds
        wait_until(lambda: self.controller.session.time >= until, f"the controller's time {until:.2f} s", 60.0)

    def does(self, event: Event, aim: StepCommand | Touch | None = None) -> None:
        number = self.order(event, aim)
        wait_until(lambda: any(each.number == number for each in self.report.ended), f"{event.value}", 60.0)
        assert self.report.ended[-1].reached, self.report.ended[-1].reason

    def order(self, event: Event, aim: StepCommand | Touch | None = None) -> int:
        self._number += 1
        self.loop.take(Order(self._number, event, aim))
        return self._number


@contextmanager
def stepping() -> Iterator[Wired]:
    with ExitStack() as stack:
        wired = Wired(stack)
        session = wired.controller.session
        wait_until(lambda: session.session is SessionState.COMMANDING_ACTIVE, "a commanding session")
        wired.go_on(1.2)
        wired.does(Event.TARE)
        wired.does(Event.ENABLE)
        wired.does(Event.STEP, Touch(0.0, 0.0, 1.5))
        wired.go_on(0.5)
        wired.order(Event.STEP, StepCommand(0.02, 0.0, 1.5))
        wired.go_on(0.3)
        assert wired.report.machine is State.STEPPING
        yield wired
        assert max(wired.witness.forces) < 5.0


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.05, seed=1),
        Faults(duplicate=0.2, swap=0.01, seed=2),
        Faults(garbage=0.2, truncate=0.2, seed=3),
    ],
    ids=["loss", "twice and out of order", "garbage and truncated"],
)
def test_what_the_connection_bears_the_step_bears(faults: Faults) -> None:
    with stepping() as wired:
        wired.wire.faults = faults
        wired.go_on(2.5)
        assert wired.report.ended[-1].reached, wired.report.ended[-1].reason
        assert wired.report.machine is State.IN_CONTACT
        assert wired.witness.along == pytest.approx(1.5, abs=0.4)


def test_a_stall_of_50_ms_and_its_burst_are_borne() -> None:
    with stepping() as wired:
        wired.wire.stall(to_client=10)
        wired.go_on(2.5)
        assert wired.report.ended[-1].reached


def test_a_second_client_and_a_second_controller_are_not_heard() -> None:
    with stepping() as wired:
        for _ in range(20):
            shoot(wired.controller.address, [b"", b"x" * 1400, np.random.default_rng(0).bytes(200)], 5)
            wired.go_on(0.05)
        wired.go_on(1.5)
        assert wired.report.ended[-1].reached
        assert wired.controller.foreign > 0


def test_a_loss_of_every_fifth_datagram_each_way_stops_the_robot() -> None:
    with stepping() as wired:
        wired.wire.faults = Faults(loss=0.20, seed=4)
        wait_until(lambda: wired.controller.session.fault != "", "a fault", 60.0)
        assert wired.controller.session.fault.startswith("connection quality")
        wired.wire.faults = Faults()
        wired.go_on(0.5)
        assert wired.report.machine is State.FAULT
        assert wired.report.reasons
