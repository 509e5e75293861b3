"""The simplest plant: a probe without mass that goes where it is sent, and a back that is a spring."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import probe_pose
from us_grid_sim.phantom.subject import INDENTATION_PER_NEWTON, Phantom, contact_force, contact_pose, indentation

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MockConfig:
    """How the mock plant moves and how the back gives way.

    Attributes:
        stiffness: of the parallel plane along the beam [N/m]; a phantom brings its own.
        lateral_speed: highest speed over the parallel plane [m/s].
        approach_speed: highest speed into the body [m/s].
        retract_speed: highest speed out of the body [m/s].
        clearance: height over the skin when retracted [m].
    """

    stiffness: float = 1.0 / INDENTATION_PER_NEWTON
    lateral_speed: float = 0.1
    approach_speed: float = 0.01
    retract_speed: float = 0.05
    clearance: float = 0.01

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise UsGridSimError(f"mock plant: {name} is {value}; expected a number above 0")


@dataclass(frozen=True, eq=False)
class MockMeasurement:
    """What the mock plant measured at the end of a step.

    Attributes:
        pose: (4, 4) of ``us_probe`` in the patient frame [m].
        wrench: (6,) force [N] and torque [N m] on the patient by the probe, in ``us_probe``.
        contact: whether the transducer touches the skin.
    """

    pose: Array
    wrench: Array
    contact: bool


class MockPlant:
    """Rigid kinematics with speed limits, and a spring for the contact: a linear one, or the phantom's soft tissue.

    The probe moves straight towards (x, y) and, independently, along z of the patient towards the depth at which the
    spring gives the wanted force. There is no mass, no friction and no noise: a step of given length ends where the
    speed limits say, however it is cut into shorter ones.

    Args:
        phantom: the back under the probe, whose lateral slope the probe follows as a compliant robot does;
            None: the parallel plane itself.
        config: speeds, stiffness and clearance.
    """

    def __init__(self, phantom: Phantom | None = None, config: MockConfig | None = None) -> None:
        self._phantom = phantom
        self._config = config if config is not None else MockConfig()
        self.reset()

    def reset(self) -> None:
        """Go to the start: above the middle of the grid, retracted, at rest."""
        self._x, self._y = 0.0, 0.0
        self._z = float(self._touching()[2, 3]) - self._config.clearance

    def step(self, x: float, y: float, force: float, duration: float) -> MockMeasurement:
        """Hold a set point for a time.

        Args:
            x: wanted place on the parallel plane, in the patient frame [m].
            y: likewise [m].
            force: wanted contact force [N]; 0 retracts the probe from the skin.
            duration: how long [s].

        Raises:
            UsGridSimError: a value is not finite, the force is negative, or the duration not positive.
        """
        if not all(map(math.isfinite, (x, y, force, duration))) or force < 0.0 or duration <= 0.0:
            raise UsGridSimError(
                f"mock plant: set point x {x}, y {y} m, force {force} N for {duration} s; "
                "expected finite numbers, the force not negative, the duration above 0"
            )
        self._move(x, y, duration)
        touching = self._touching()
        self._press(float(touching[2, 3]), force, duration)
        return self._measure(touching)

    def close(self) -> None:
        """Nothing is held."""

    def _touching(self) -> Array:
        """Pose (4, 4) at which the probe touches the skin here without force."""
        if self._phantom is None:
            return probe_pose(self._x, self._y)
        return contact_pose(self._phantom, self._x, self._y, 0.0)

    def _move(self, x: float, y: float, duration: float) -> None:
        dx, dy = x - self._x, y - self._y
        length, reach = math.hypot(dx, dy), self._config.lateral_speed * duration
        if length <= reach:
            self._x, self._y = x, y
        else:
            self._x += dx * reach / length
            self._y += dy * reach / length

    def _press(self, skin: float, force: float, duration: float) -> None:
        config = self._config
        wanted = skin + (self._depth_of(force) if force > 0.0 else -config.clearance)
        deepest, highest = self._z + config.approach_speed * duration, self._z - config.retract_speed * duration
        self._z = min(max(wanted, highest), deepest)

    def _depth_of(self, force: float) -> float:
        if self._phantom is None:
            return force / self._config.stiffness
        return indentation(self._phantom, self._x, self._y, force)

    def _force_at(self, depth: float) -> float:
        if self._phantom is None:
            return self._config.stiffness * depth
        return contact_force(self._phantom, self._x, self._y, depth)

    def _measure(self, touching: Array) -> MockMeasurement:
        pressed = max(0.0, self._z - float(touching[2, 3]))
        pose = touching.copy()
        pose[2, 3] = self._z
        wrench = np.array([0.0, 0.0, self._force_at(pressed), 0.0, 0.0, 0.0])
        return MockMeasurement(pose, wrench, pressed > 0.0)
