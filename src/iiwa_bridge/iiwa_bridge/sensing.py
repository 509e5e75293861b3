"""What the robot's state tells of the probe: its pose over the patient, and the wrench on the patient."""

from collections import deque

import numpy as np

from iiwa_bridge.control.payload import Payload, tare
from iiwa_bridge.control.probe_controller import Sample
from iiwa_bridge.kinematics.arm import WRENCH_DAMPING, Arm
from iiwa_bridge.kinematics.wrench import explaining_wrench
from iiwa_bridge.robot import Array, RobotState

_WINDOW = 200
"""Samples of a tare: a second of 5 ms cycles."""


class Sensing:
    """Pose and wrench of the probe.

    Args:
        arm: with the probe.
        patient: pose (4, 4) of ``patient`` in ``world`` [m].
        load: what hangs at the flange and is not in the controller's load data, its centre seen from ``us_probe``.
    """

    def __init__(self, arm: Arm, patient: Array, load: Payload) -> None:
        self._arm, self._load = arm, load
        self._patient, self._to_patient = patient, np.linalg.inv(patient)
        self._bias: Array = np.zeros(6)
        self._still: deque[Array] = deque(maxlen=_WINDOW)
        self.tared = False
        """Whether a tare was taken."""

    def over_patient(self, q: Array) -> Array:
        """Pose (4, 4) of ``us_probe`` in the patient frame [m] at a joint position (7,) [rad]."""
        return self.from_world(self._arm.pose(q))

    def from_world(self, pose: Array) -> Array:
        """A pose (4, 4) in ``world`` as one in the patient frame [m]."""
        return np.asarray(self._to_patient @ pose)

    def in_world(self, pose: Array) -> Array:
        """A pose (4, 4) in the patient frame as one in ``world`` [m]."""
        return np.asarray(self._patient @ pose)

    def sample(self, state: RobotState, at_rest: bool) -> Sample:
        """Pose and wrench by a state.

        Args:
            state: of the robot.
            at_rest: whether the arm is to stand still; a tare is taken of such samples alone.
        """
        pose, jacobian = self._arm.look(state.position)
        felt = explaining_wrench(jacobian, state.external_torque, WRENCH_DAMPING)
        if at_rest:
            self._still.append(felt)
        else:
            self._still.clear()
        weight = self._load.wrench(pose[:3, :3])
        return Sample(self.from_world(pose), -(felt - weight - self._bias))

    def tare(self, state: RobotState) -> None:
        """Take what is felt at rest, in the air, for nothing.

        Raises:
            PayloadError: too few samples at rest, or the probe moves or touches.
        """
        window = np.array(self._still) if self._still else np.zeros((0, 6))
        self._bias = tare(window, self._load.wrench(self._arm.pose(state.position)[:3, :3]))
        self.tared = True
