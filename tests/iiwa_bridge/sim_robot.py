"""Runs ``iiwa_bridge.simulation.main`` with the fast arm over a flat back: a robot for tests of whole processes.

On a machine that is busy with other things it becomes slow instead of losing its connection.
"""

import sys

from iiwa_bridge.simulation import simulated_robot
from iiwa_bridge.simulation.main import main
from iiwa_bridge.simulation.plants import ArmSetup
from support.bridge_rig import back
from us_grid_sim.world.motion import sample_motion
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient


def make_arm(name: str, setup: ArmSetup) -> RigidArm:
    motion = sample_motion(setup.seed, breathing=setup.breathing, movement=setup.movement)
    return RigidArm(setup.model, Patient(back(), setup.patient, motion))


if __name__ == "__main__":
    simulated_robot.make_arm = make_arm
    sys.exit(main([*sys.argv[1:], "--patience", "0.05"]))
