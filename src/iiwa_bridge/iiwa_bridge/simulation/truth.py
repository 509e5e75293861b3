"""What is truly so of a simulated arm, for whoever renders what the probe sees, and for figures; no robot tells it."""

from dataclasses import dataclass

import numpy as np

from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import ArmState, Array


@dataclass(frozen=True, eq=False)
class Truth:
    """Of the probe.

    Attributes:
        pose: (4, 4) of ``us_probe`` over the patient's body as it lies now: in the patient frame, with breathing and
            movement of the back taken out [m].
        wrench: on the patient by the probe (6,), in ``us_probe`` [N, N m].
        contact: whether the probe touches the skin.
    """

    pose: Array
    wrench: Array
    contact: bool


def truth_of(state: ArmState, arm: Arm, to_patient: Array) -> Truth:
    """What a state of the plant means.

    Args:
        state: of the plant.
        arm: its model, of this caller alone.
        to_patient: (4, 4), from ``world`` to ``patient``.
    """
    pose = np.asarray(to_patient @ state.tool)
    # A back that has risen towards the probe, along -z, is a probe that has come nearer to it.
    pose[2, 3] += state.rise
    torque = -arm.external_wrench(state.position, state.contact_torque)[3:]
    return Truth(pose, np.concatenate((state.contact_force, torque)), bool(state.contact_force.any()))
