"""Runs ``iiwa_bridge.simulation.main`` with the fast arm over a flat back: a robot for tests of whole processes.

On a machine that is busy with other things it becomes slow instead of losing its connection: each message waits for the
answer to the one before, 50 ms at most, and time is that of the steady clock or later.
"""

import sys
import time
from functools import partial

from iiwa_bridge.fri.sim_controller import SimAddress
from iiwa_bridge.robot import ArmState, Array
from iiwa_bridge.simulation import main as simulation
from iiwa_bridge.simulation.plants import ArmSetup
from support.bridge_rig import back
from us_grid_sim.world.motion import sample_motion
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient

_AHEAD = 0.005
"""Of the steady clock, at which the arm waits [s]."""


class PacedArm(RigidArm):
    """An arm that is never faster than time."""

    def reset(self, position: Array) -> ArmState:
        self._due = time.monotonic()
        return super().reset(position)

    def step(self, torque: Array, duration: float) -> ArmState:
        self._due = max(self._due + duration, time.monotonic() - _AHEAD)
        ahead = self._due - time.monotonic()
        if ahead > _AHEAD:
            time.sleep(ahead)
        return super().step(torque, duration)


def make_arm(name: str, setup: ArmSetup) -> PacedArm:
    motion = sample_motion(setup.seed, breathing=setup.breathing, movement=setup.movement)
    return PacedArm(setup.model, Patient(back(), setup.patient, motion))


if __name__ == "__main__":
    simulation.make_arm = make_arm
    simulation.SimAddress = partial(SimAddress, answer_timeout=0.05)  # type: ignore[misc]
    sys.exit(simulation.main())
