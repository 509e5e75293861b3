"""The bridge with its loop in a process of its own, against the simulated controller over UDP.

The controller waits for answers, and its robot never runs ahead of the clock: so that a busy machine makes a test slow
and nothing else.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from iiwa_bridge.bridge import Bridge, BridgeStatus
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.fri.errors import FriProcessError
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.orders import OrderEnd, Touch
from iiwa_bridge.robot import CellState, CommandMode, ControlMode, RobotCommand, SessionState
from iiwa_bridge.safety.limits import MonitorLimits
from iiwa_bridge.safety.machine import State
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.types import StepCommand
from support.bridge_rig import LAYOUT, Witness, back, plant_of
from us_grid_sim.world.motion import Motion

from .support_fri import LOCALHOST, free_port, wait_until


@dataclass
class Pair:
    """A bridge and the robot that it drives."""

    bridge: Bridge
    controller: SimController
    witness: Witness

    def ends(self, number: int) -> OrderEnd:
        """How an order ended."""
        found: list[OrderEnd] = []

        def look() -> bool:
            found[:] = [each for each in self.bridge.status().ended if each.number == number]
            return bool(found)

        wait_until(look, f"order {number}, {self.bridge.status()}")
        return found[0]

    def does(self, number: int) -> None:
        ended = self.ends(number)
        assert ended.reached, ended.reason

    def ready(self) -> None:
        wait_until(lambda: self.bridge.status().session is SessionState.COMMANDING_ACTIVE, "a commanding session")
        until = self.controller.session.time + 1.5
        wait_until(lambda: self.controller.session.time > until, "a second and a half at rest")
        self.does(self.bridge.tare())
        self.does(self.bridge.enable())

    def steps(self) -> int:
        """Touch, and begin a step; the number of its order."""
        self.ready()
        self.does(self.bridge.touch(Touch(0.0, 0.0, 1.5)))
        number = self.bridge.step(StepCommand(0.02, 0.0, 1.5))
        wait_until(lambda: self.bridge.status().machine is State.STEPPING, "a step")
        return number


class Paced(ImpedanceCell):
    """A cell that takes at least as long as what it simulates, and never catches up."""

    _due = 0.0

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
        state = super().advance(command, control, duration)
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due, time.monotonic()) + duration
        return state


@contextmanager
def connected() -> Iterator[Pair]:
    witness, arm = Witness(plant_of("rigid", back(height=-0.048), Motion())), Arm()
    cell = Paced(witness, arm, ImpedanceConfig(LAYOUT.start), 0)
    limits = JointLimits(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
    impedance, wrench = ControlMode.CARTESIAN_IMPEDANCE, CommandMode.WRENCH
    settings = ControllerConfig(limits, 0.010, control=impedance, command=wrench)
    client = (LOCALHOST, free_port())
    with SimController(settings, cell, SimAddress(client, (LOCALHOST, 0), answer_timeout=0.2)) as controller:
        config = BridgeConfig(controller.address, client, timeout=5.0, monitor=MonitorLimits(command_age=1.0))
        with Bridge(config) as bridge:
            yield Pair(bridge, controller, witness)


def test_orders_are_carried_out_and_the_status_tells_how() -> None:
    with connected() as pair:
        number = pair.steps()
        pair.does(number)
        status = pair.bridge.status()
        assert (status.machine, status.contact, status.force_set_point) == (State.IN_CONTACT, True, 1.5)
        assert status.pose is not None and status.wrench is not None
        assert status.pose[:2, 3] == pytest.approx([0.02, 0.0], abs=2e-3)
        assert status.wrench.shape == (6,)
        assert status.state_age < 0.5
        assert status.cycle_p99 > 0.0
        assert (status.failure, status.reasons) == ("", ())
        pair.does(pair.bridge.retract())
        pair.does(pair.bridge.disable())
        assert pair.ends(pair.bridge.step(StepCommand(0.0, 0.0, 1.5))).reason.endswith("enable first")
        assert max(pair.witness.forces) < 5.0


def test_a_stop_takes_no_time_and_no_lock_and_the_session_lives() -> None:
    with connected() as pair:
        number = pair.steps()
        hanging = threading.Event()
        with pair.bridge._lock:
            began = time.monotonic()
            stopper = threading.Thread(target=lambda: (pair.bridge.stop("the operator's word"), hanging.set()))
            stopper.start()
            assert hanging.wait(1.0), "the stop waits for a lock"
            assert time.monotonic() - began < 0.2
        wait_until(lambda: pair.bridge.status().machine is State.FAULT, "the fault")
        status = pair.bridge.status()
        assert status.reasons == ("the operator's word",)
        assert status.session is SessionState.COMMANDING_ACTIVE
        assert pair.ends(number).reason == "the operator's word"
        sent = pair.controller.session.command
        time.sleep(0.2)
        assert np.array_equal(pair.controller.session.command.position, sent.position)
        pair.does(pair.bridge.clear())
        pair.does(pair.bridge.enable())
        pair.does(pair.bridge.retract())
        assert max(pair.witness.forces) < 5.0


def test_a_stop_that_the_loop_cannot_hear_ends_the_client_and_the_controller_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connected() as pair:
        pair.steps()

        def deaf(_: bytes) -> None:
            raise FriProcessError("takes no order")

        monkeypatch.setattr(pair.bridge._process, "order", deaf)
        pair.bridge.stop("the operator's word")
        wait_until(lambda: not pair.controller.session.commanding, "the controller to stop the robot")
        assert max(pair.witness.forces) < 5.0


def test_a_bridge_that_is_killed_while_it_steps_stops_the_robot_within_100_ms() -> None:
    with connected() as pair:
        pair.steps()
        os.kill(pair.bridge.pid, signal.SIGKILL)
        killed = pair.controller.session.time
        wait_until(lambda: pair.controller.session.fault != "", "a fault")
        assert pair.controller.session.transitions[-1].time - killed <= 0.1
        assert pair.controller.session.fault == "connection quality POOR"
        wait_until(lambda: pair.bridge.status().failure != "", "the status to tell")
        assert pair.bridge.status().failure == "the client's process has ended"
        with pytest.raises(FriProcessError):
            pair.bridge.enable()
        pair.bridge.stop("nothing is left to stop, and nothing is raised")
        time.sleep(0.5)
        assert max(pair.witness.forces) < 5.0


def test_without_a_controller_there_is_a_status_and_no_motion() -> None:
    with Bridge(BridgeConfig(controller=(LOCALHOST, 9), address=(LOCALHOST, free_port()))) as bridge:
        status: BridgeStatus = bridge.status()
        assert (status.machine, status.session, status.state_age) == (None, SessionState.IDLE, float("inf"))
        assert (status.pose, status.wrench, status.position) == (None, None, None)
