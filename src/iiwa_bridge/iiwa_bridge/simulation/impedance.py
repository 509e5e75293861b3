"""What KUKA's controller does at 1 kHz: Cartesian impedance or position control of the arm, and what its sensors tell.

The impedance acts at the origin of ``us_probe``, along its axes:

    torque = J^T (K e - D v + w) + N (k (q_d - q) - d dq) + bias(q, dq),

e leads from the probe's pose to that of the commanded joint position q_d, v is the probe's twist, w the wrench that is
fed forward, N the projector on what does not move the probe (Khatib 1987, dynamically consistent). D = 2 Q zeta
sqrt(B) Q^T from the double diagonalisation of K and of the mass matrix L that the probe has there: L = Q Q^T,
K = Q B Q^T (Albu-Schaeffer, Ott, Frese, Hirzinger 2003, "Cartesian impedance control of redundant robots", sec. 4).
What depends on the posture alone (D, N) is computed once a cycle, the rest every millisecond; ``law`` has the
arithmetic. KUKA does not publish its own law.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import JOINTS, ArmPlant, ArmState, Array, CellState, ControlMode, RobotCommand
from iiwa_bridge.simulation.errors import SimulationError
from iiwa_bridge.simulation.law import TICK, add_impedance, posture_of, rub
from iiwa_bridge.simulation.sensor import SensorConfig, TorqueSensor, sample_sensor


@dataclass(frozen=True, eq=False)
class ImpedanceConfig:
    """How the simulated controller holds the arm.

    Attributes:
        start: joint position (7,) at first [rad].
        stiffness: of the impedance along and about the axes of ``us_probe`` (6,) [N/m, N m/rad].
        damping_ratio: of the impedance and of the null space.
        posture_stiffness: towards the commanded joint position, in the null space [N m/rad].
        position_rate: natural frequency of every joint in position control, critically damped [rad/s].
        friction: of Coulomb in every joint [N m]; the torque sensors lie behind the gears, so most of it is made up
            for.
        sensor: estimate of external torque.

    Raises:
        SimulationError: a value has another shape, is not finite, or not above 0 (friction: negative).
    """

    start: Array
    stiffness: tuple[float, ...] = (3000.0, 3000.0, 300.0, 200.0, 200.0, 200.0)
    damping_ratio: float = 0.7
    posture_stiffness: float = 10.0
    position_rate: float = 60.0
    friction: float = 0.0
    sensor: SensorConfig = field(default_factory=SensorConfig)

    def __post_init__(self) -> None:
        if np.shape(self.start) != (JOINTS,) or not np.isfinite(self.start).all():
            raise SimulationError(f"impedance: start is {self.start}; expected {JOINTS} finite angles [rad]")
        values = (*self.stiffness, self.damping_ratio, self.posture_stiffness, self.position_rate)
        if len(self.stiffness) != 6 or not all(0.0 < value < math.inf for value in values):
            raise SimulationError(
                f"impedance: stiffness {self.stiffness}, damping ratio {self.damping_ratio}, posture "
                f"{self.posture_stiffness}, rate {self.position_rate}; expected 6 stiffnesses, all of them above 0"
            )
        if not 0.0 <= self.friction < math.inf:
            raise SimulationError(f"impedance: friction is {self.friction} N m; expected at least 0")


class _Posture:
    """What the control needs of a posture.

    Attributes:
        mass: of the joints (7, 7) [kg m^2].
        agility: its inverse.
        damping: of the probe (6, 6).
        projector: on the null space (7, 7).
        damper: in the null space [N m s/rad].
    """

    def __init__(self, arm: Arm, q: Array, config: ImpedanceConfig, stiffness: Array) -> None:
        self.agility, self.mass, ratio = arm.agility(q), arm.mass_matrix(q), config.damping_ratio
        self.damping, self.projector, idle_mass = posture_of(arm.jacobian(q), self.agility, self.mass, stiffness, ratio)
        self.damper = 2.0 * ratio * math.sqrt(config.posture_stiffness * idle_mass)


class ImpedanceCell:
    """A plant under the controller's own control; a ``robot.Cell``.

    Args:
        plant: that is moved.
        arm: its model, for this cell alone.
        config: how it is held.
        seed: of the sensor's noise.
    """

    def __init__(self, plant: ArmPlant, arm: Arm, config: ImpedanceConfig, seed: int) -> None:
        self._plant, self._arm, self._config = plant, arm, config
        self._record = sample_sensor(config.sensor, seed)
        self._stiffness: Array = np.array(config.stiffness, dtype=np.float64)

    @property
    def state(self) -> ArmState:
        """Of the plant, after its last tick; another thread may ask."""
        return self._state

    def reset(self) -> CellState:
        """Stand still at the start."""
        self._sensor = TorqueSensor(self._config.sensor, self._record)
        self._state = self._plant.reset(self._config.start)
        return self._told(self._arm.gravity(self._state.position))

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
        """Hold a command for ``duration`` [s], whole milliseconds, in impedance or in position control.

        Raises:
            SimulationError: another control mode.
        """
        if control not in (ControlMode.CARTESIAN_IMPEDANCE, ControlMode.POSITION):
            raise SimulationError(f"control mode {control.name} is not simulated; CARTESIAN_IMPEDANCE or POSITION is")
        soft = control is ControlMode.CARTESIAN_IMPEDANCE
        posture = _Posture(self._arm, self._state.position, self._config, self._stiffness)
        wanted = np.array(command.position, dtype=np.float64)
        target, wrench = self._arm.pose(wanted), _felt_at_probe(command.wrench)
        for _ in range(round(duration / TICK)):
            state = self._state
            torque = self._arm.bias(state.position, state.velocity)
            if soft:
                self._yield(torque, state, posture, wanted, target, wrench)
            else:
                torque += self._stand(state, posture, wanted)
            rubbed = torque
            if self._config.friction:
                rubbed = torque.copy()
                rub(rubbed, state.velocity, posture.agility, self._config.friction)
            self._state = self._plant.step(rubbed, TICK)
            self._sensor.feel(self._state.contact_torque, TICK)
        return self._told(torque)

    def close(self) -> None:
        """Close the plant."""
        self._plant.close()

    def _yield(
        self, torque: Array, state: ArmState, posture: _Posture, wanted: Array, target: Array, wrench: Array
    ) -> None:
        """Add that of the impedance to a torque (7,) [N m]: towards a joint position and the pose it has."""
        q, stiffness, spring = state.position, self._stiffness, self._config.posture_stiffness
        pose, jacobian = self._arm.look(q)
        add_impedance(
            torque, q, state.velocity, pose, jacobian, wanted, target, wrench, stiffness,
            posture.damping, posture.projector, spring, posture.damper,
        )  # fmt: skip

    def _stand(self, state: ArmState, posture: _Posture, wanted: Array) -> Array:
        """Torque (7,) of position control beside the bias [N m]: the same stiff spring for each joint's own mass."""
        rate = self._config.position_rate
        return np.asarray(posture.mass @ (rate**2 * (wanted - state.position) - 2.0 * rate * state.velocity))

    def _told(self, torque: Array) -> CellState:
        return CellState(self._state.position.copy(), torque, self._sensor.read())


def _felt_at_probe(wrench: Array | None) -> Array:
    """A wrench of a command as one along the axes of ``us_probe`` (6,): FRI's torques are about z, y and x."""
    return np.zeros(6) if wrench is None else np.concatenate((wrench[:3], wrench[:2:-1]), dtype=np.float64)
