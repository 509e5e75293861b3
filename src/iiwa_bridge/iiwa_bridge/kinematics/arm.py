"""The arm with its probe as a rigid-body model: poses, Jacobian, dynamics and contact, numpy in and out.

Joint vectors are (7,), A1 to A7. The base is upright in ``world``, the frame of ``lbr_link_0``. A twist is
(6,): velocity of the origin of ``us_probe`` [m/s] and angular velocity [rad/s], both along the axes of ``us_probe``;
a wrench is (6,): force [N] and torque about the origin of ``us_probe`` [N m], along the same axes. So a wrench times a
twist is power, and z is the beam.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pinocchio

from iiwa_bridge.description.probe import Probe, load_probe
from iiwa_bridge.description.urdf import JOINT_NAMES, TOOL, robot_urdf
from iiwa_bridge.kinematics.wrench import explaining_wrench

Array = npt.NDArray[np.float64]

WRENCH_DAMPING = 2e-3
"""Weight of a wrench's norm against that of the joint torque which it leaves unexplained (``external_wrench``)."""


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Of the arm, each (7,).

    Attributes:
        lower: least position [rad].
        upper: greatest position [rad].
        velocity: greatest speed [rad/s].
        effort: greatest torque [N m].
    """

    lower: Array
    upper: Array
    velocity: Array
    effort: Array

    def margins(self, q: Array) -> Array:
        """Distance (7,) of a joint position to the nearer of each joint's two limits [rad]; negative beyond it."""
        return np.minimum(q - self.lower, self.upper - q)


class Arm:
    """The LBR iiwa 7 R800 with a probe at its flange (Featherstone 2008 for the algorithms, Pinocchio computes them).

    An arm keeps what it computes in buffers of its own, so each thread has its own arm; what it returns is the
    caller's.

    Args:
        probe: what the flange carries; None: the one of ``probe.yaml``.

    Attributes:
        limits: of the joints.
    """

    def __init__(self, probe: Probe | None = None) -> None:
        self._model = pinocchio.buildModelFromXML(robot_urdf(load_probe() if probe is None else probe))
        assert tuple(self._model.names)[1:] == JOINT_NAMES, "the URDF's joints are not A1 to A7"
        self._data = self._model.createData()
        self._tool = self._model.getFrameId(TOOL)
        self.limits = JointLimits(
            lower=self._model.lowerPositionLimit.copy(),
            upper=self._model.upperPositionLimit.copy(),
            velocity=self._model.velocityLimit.copy(),
            effort=self._model.effortLimit.copy(),
        )

    def pose(self, q: Array) -> Array:
        """Pose (4, 4) of ``us_probe`` in ``world`` [m] at a joint position [rad]."""
        pinocchio.forwardKinematics(self._model, self._data, q)
        placement = pinocchio.updateFramePlacement(self._model, self._data, self._tool)
        homogeneous: Array = placement.homogeneous
        return homogeneous

    def jacobian(self, q: Array) -> Array:
        """Jacobian (6, 7) from joint velocity to the twist of ``us_probe``: three rows [m], then three of angle."""
        local = pinocchio.ReferenceFrame.LOCAL
        jacobian: Array = pinocchio.computeFrameJacobian(self._model, self._data, q, self._tool, local)
        return jacobian

    def look(self, q: Array) -> tuple[Array, Array]:
        """What ``pose`` and ``jacobian`` tell, of one pass through the arm: for a control at 1 kHz."""
        pinocchio.computeJointJacobians(self._model, self._data, q)
        placement = pinocchio.updateFramePlacement(self._model, self._data, self._tool)
        local = pinocchio.ReferenceFrame.LOCAL
        return placement.homogeneous, pinocchio.getFrameJacobian(self._model, self._data, self._tool, local)

    def mass_matrix(self, q: Array) -> Array:
        """Joint space inertia (7, 7) [kg m^2]."""
        inertia: Array = pinocchio.crba(self._model, self._data, q).copy()
        return inertia

    def agility(self, q: Array) -> Array:
        """Inverse of the mass matrix (7, 7) [1/(kg m^2)], without the mass matrix (Carpentier 2018)."""
        inverse: Array = pinocchio.computeMinverse(self._model, self._data, q).copy()
        return inverse

    def gravity(self, q: Array) -> Array:
        """Torque that holds the arm against gravity (7,) [N m]."""
        torque: Array = pinocchio.computeGeneralizedGravity(self._model, self._data, q).copy()
        return torque

    def bias(self, q: Array, velocity: Array) -> Array:
        """Torque of Coriolis and centrifugal forces and of gravity (7,) [N m], at a joint velocity [rad/s]."""
        torque: Array = pinocchio.nonLinearEffects(self._model, self._data, q, velocity).copy()
        return torque

    def inverse_dynamics(self, q: Array, velocity: Array, acceleration: Array) -> Array:
        """Torque (7,) that gives a joint acceleration [rad/s^2] without contact [N m]."""
        torque: Array = pinocchio.rnea(self._model, self._data, q, velocity, acceleration).copy()
        return torque

    def contact_torque(self, q: Array, wrench: Array) -> Array:
        """Joint torque (7,) by a wrench on the probe: J^T w [N m]."""
        return np.asarray(self.jacobian(q).T @ wrench)

    def external_wrench(self, q: Array, torque: Array) -> Array:
        """Wrench (6,) on the probe that explains an external joint torque (7,) [N m].

        The w that minimises |J^T w - torque|^2 + WRENCH_DAMPING^2 |w|^2. A component whose singular value is s comes
        out too small by the share WRENCH_DAMPING^2 / s^2: 0.04 % at 0.1, and near a singularity, where no joint torque
        tells it, it goes to zero instead of to infinity. Touch beside the probe is taken for touch at the probe.
        """
        return explaining_wrench(self.jacobian(q), torque, WRENCH_DAMPING)
