"""The mock of a torque-controlled arm: true kinematics, the inertia of one posture, the same skin; fast."""

from typing import Protocol

import numpy as np

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.arm import JOINT_DAMPING, TICK, ArmState, Array, check_speed, checked, ticks_of
from us_grid_sim.world.compiled import compiled
from us_grid_sim.world.contact import Contact, ContactLaw
from us_grid_sim.world.skin import Patient


class ArmModel(Protocol):
    """Kinematics and dynamics of an arm of n joints; ``iiwa_bridge.kinematics.arm.Arm`` is one."""

    def look(self, q: Array, /) -> tuple[Array, Array]:
        """Pose (4, 4) of ``us_probe`` in ``world`` [m] at a joint position (n,) [rad], and its Jacobian (6, n): from
        joint velocity to the velocity of its origin and its angular velocity, both along its own axes.
        """
        ...

    def mass_matrix(self, q: Array, /) -> Array:
        """Joint space inertia (n, n) [kg m^2]."""
        ...

    def gravity(self, q: Array, /) -> Array:
        """Torque (n,) that holds the arm against gravity [N m]."""
        ...


@compiled("void(f8[::1], f8[::1], f8[:, ::1], f8[::1], f8[::1], f8[::1])")
def _move(position: Array, velocity: Array, agility: Array, applied: Array, gravity: Array, by_touch: Array) -> None:
    """Take position and velocity (n,) on by a tick, by TICK times the inverse mass matrix (n, n) and torques (n,)."""
    joints, load = len(position), np.empty(len(position))
    for i in range(joints):
        load[i] = applied[i] - gravity[i] + by_touch[i] - JOINT_DAMPING * velocity[i]
    for i in range(joints):
        for j in range(joints):
            velocity[i] += agility[i, j] * load[j]
        position[i] += TICK * velocity[i]


class RigidArm:
    """An arm of which the inertia is frozen where it was reset.

        M(q0) a = torque - gravity(q) + J(q)^T wrench - JOINT_DAMPING v

    A force control behind a torque interface depends on three things: where the probe is, how joint torques and a
    force on the probe stand against each other (true here: pose, Jacobian and gravity), and the mass that the probe has
    along the beam. The joints' masses are coupled, so a mass for each joint on its own would get that wrong; the whole
    matrix of one posture is right there, and within 10 cm of the middle of a back off by 6 % at most. With a constant
    matrix the Coriolis and centrifugal torques vanish by definition. Joints have no limits, the arm collides with
    nothing.

    Integrated as PyBullet does it: semi-implicitly in ticks of 1 ms, the contact held through a tick. Satisfies
    ``iiwa_bridge.robot.ArmPlant`` by its shape.

    Args:
        model: of the arm.
        patient: who lies under the probe.
        law: damping and friction of the skin.
        joints: how many the arm has.
    """

    def __init__(self, model: ArmModel, patient: Patient, law: ContactLaw | None = None, joints: int = 7) -> None:
        self._model, self._joints = model, joints
        self._contact = Contact(patient, law if law is not None else ContactLaw())
        self.reset(np.zeros(joints))

    def reset(self, position: Array) -> ArmState:
        """Stand still at a joint position [rad], at time 0 of the patient's motion.

        Raises:
            UsGridSimError: the position does not fit the arm, or its mass matrix there has no inverse.
        """
        self._position = checked(position, self._joints, "position").copy()
        self._velocity = np.zeros(self._joints)
        try:
            agility = TICK * np.linalg.inv(self._model.mass_matrix(self._position))
        except np.linalg.LinAlgError:
            raise UsGridSimError("rigid arm: the mass matrix has no inverse; expected a definite one") from None
        self._agility: Array = np.ascontiguousarray(agility, dtype=np.float64)
        self._ticks = 0
        self._contact.reset()
        self._look()
        return self._state()

    def step(self, torque: Array, duration: float) -> ArmState:
        """Apply joint torques [N m], gravity not made up for, for ``duration`` [s], a multiple of TICK.

        Raises:
            UsGridSimError: the torques do not fit the arm, the duration is no such multiple, or the arm has run away.
        """
        applied = checked(torque, self._joints, "torque")
        for _ in range(ticks_of(duration)):
            gravity = self._model.gravity(self._position)
            # Those of the tick before are in a state that was handed out.
            self._position, self._velocity = self._position.copy(), self._velocity.copy()
            _move(self._position, self._velocity, self._agility, applied, gravity, self._contact_torque)
            self._ticks += 1
            self._look()
        return self._state()

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        """Find where the tool is and how it is touched."""
        self._pose, jacobian = self._model.look(self._position)
        twist, self._force, self._contact_torque = self._contact.touch_arm(
            self._pose, jacobian, self._velocity, self._ticks * TICK
        )
        check_speed(twist)

    def _state(self) -> ArmState:
        return ArmState(
            self._position, self._velocity, self._contact_torque, self._pose, self._force, self._contact.rise
        )
