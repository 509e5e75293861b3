"""Toys of an impedance-controlled arm that presses a probe on tissue: a spring and a damper under a moving surface.

The controller's cycle is 5 ms; the motion is integrated in steps of half a millisecond. All noise is drawn from the
seed before the first cycle.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from iiwa_bridge.control.force_controller import ForceConfig, ForceController

Array = npt.NDArray[np.float64]

CYCLE = 0.005
"""Of the controller [s]."""
STEPS = 10
"""Steps of the integration in a cycle."""
SECONDS = 60
"""For which noise is drawn [s]."""
DEFAULT = ForceConfig()
"""What the product comes with."""


@dataclass(frozen=True)
class Arm:
    """An arm on its impedance, and the tissue under it.

    Attributes:
        tissue: stiffness [N/m].
        mass: effective, of the arm [kg].
        stiffness: of the impedance along the beam [N/m].
        damping_ratio: of the impedance.
        tissue_damping: [N s/m].
        friction: Coulomb friction of the arm [N].
        bias: constant force on the arm along the beam, as of a wrong model of gravity [N].
        noise: of the measured force, standard deviation of a sample [N].
        delay: of the measurement [cycles].
    """

    tissue: float = 1000.0
    mass: float = 5.0
    stiffness: float = 300.0
    damping_ratio: float = 0.8
    tissue_damping: float = 10.0
    friction: float = 0.3
    bias: float = 0.0
    noise: float = 0.3
    delay: int = 2


def still(_: float) -> float:
    """A surface that does not move [m]."""
    return 0.0


def breathing(time: float, amplitude: float = 0.003, frequency: float = 0.25) -> float:
    """A surface that breathes: its depth [m] at a time [s]."""
    return amplitude * math.sin(2.0 * math.pi * frequency * time)


class BeamToy:
    """One dimension: the probe along the beam, positive into the body.

    Args:
        arm: the arm and the tissue.
        surface: depth of the untouched skin by time [m].
        start: where the probe stands at first [m].
        seed: of the noise.
    """

    def __init__(
        self, arm: Arm, surface: Callable[[float], float] = still, start: float = -0.005, seed: int = 0
    ) -> None:
        self._arm, self._surface = arm, surface
        self._noise = np.random.default_rng(seed).normal(0.0, arm.noise, round(SECONDS / CYCLE))
        self._damping = 2.0 * arm.damping_ratio * math.sqrt(arm.mass * arm.stiffness)
        self._past = [(0.0, start)] * (arm.delay + 1)
        self._cycles = 0
        self.position, self.velocity = start, 0.0
        self.force = 0.0
        self.peak = 0.0

    @property
    def time(self) -> float:
        """Since the start [s]."""
        return self._cycles * CYCLE

    def advance(self, set_point: float, feed_forward: float) -> tuple[float, float]:
        """Hold a set point [m] and a force [N] for a cycle; the force [N] and position [m] that are measured."""
        for step in range(STEPS):
            self._move(set_point, feed_forward, self.time + step * CYCLE / STEPS)
        force, position = self.force + float(self._noise[self._cycles]), self.position
        self._past = [*self._past[1:], (force, position)]
        self._cycles += 1
        return self._past[0]

    def _move(self, set_point: float, feed_forward: float, time: float) -> None:
        arm, dt = self._arm, CYCLE / STEPS
        depth = self.position - self._surface(time)
        sinking = self.velocity - (self._surface(time + dt) - self._surface(time)) / dt
        self.force = max(0.0, arm.tissue * depth + arm.tissue_damping * sinking) if depth > 0.0 else 0.0
        self.peak = max(self.peak, self.force)
        pull = arm.stiffness * (set_point - self.position) - self._damping * self.velocity
        free = self.velocity + (pull + feed_forward + arm.bias - self.force) * dt / arm.mass
        # Friction stops the arm, but never turns it.
        held = arm.friction * dt / arm.mass
        self.velocity = 0.0 if abs(free) <= held else free - math.copysign(held, free)
        self.position += self.velocity * dt


@dataclass(frozen=True)
class Back:
    """A curved back that may sway: depth of the skin z = x^2 / 2 rx + y^2 / 2 ry + sway(time), patient frame.

    Attributes:
        radius_x: along the spine [m].
        radius_y: across it [m].
        sway: depth that is added by time [m].
        edge: x beyond which there is no back [m].
    """

    radius_x: float = 0.3
    radius_y: float = 0.15
    sway: Callable[[float], float] = still
    edge: float = math.inf

    def depth(self, x: float, y: float, time: float) -> float:
        """Of the skin [m]."""
        if x > self.edge:
            return 1.0
        return 0.5 * (x**2 / self.radius_x + y**2 / self.radius_y) + self.sway(time)

    def slope(self, x: float, y: float) -> Array:
        """Of the skin (2,)."""
        return np.array([x / self.radius_x, y / self.radius_y])


class BackToy:
    """Three dimensions: the tip of a probe whose beam stands where it is sent, on a back.

    Soft along the beam, stiff across it; skin pushes along its normal, and holds back what slides over it.

    Args:
        arm: the arm and the tissue.
        back: the skin.
        start: where the tip stands at first, in the patient frame (3,) [m].
        across: stiffness across the beam [N/m].
        skin_friction: Coulomb coefficient of the skin, with gel.
        seed: of the noise.
    """

    def __init__(
        self,
        arm: Arm,
        back: Back,
        start: tuple[float, float, float] = (0.0, 0.0, -0.005),
        across: float = 3000.0,
        skin_friction: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._arm, self._back, self._across, self._skin_friction = arm, back, across, skin_friction
        self._noise = np.random.default_rng(seed).normal(0.0, arm.noise, (round(SECONDS / CYCLE), 3))
        self._cycles = 0
        self.position: Array = np.array(start)
        self.velocity: Array = np.zeros(3)
        self.force: Array = np.zeros(3)
        self.pose: Array = np.eye(4)
        self.pose[:3, 3] = start
        self._past = [(self.pose, np.zeros(6))] * (arm.delay + 1)

    @property
    def time(self) -> float:
        """Since the start [s]."""
        return self._cycles * CYCLE

    @property
    def along(self) -> float:
        """Force on the patient along the beam, as it truly is [N]."""
        return float(self.force @ self.pose[:3, 2])

    def advance(self, pose: Array, wrench: Array) -> tuple[Array, Array]:
        """Hold a set point (4, 4) and a wrench (6,) for a cycle; the pose (4, 4) and wrench (6,) that are measured."""
        beam = pose[:3, 2]
        part = np.outer(beam, beam)
        arm = self._arm
        stiffness = arm.stiffness * part + self._across * (np.eye(3) - part)
        damping = 2.0 * arm.damping_ratio * math.sqrt(arm.mass) * np.sqrt(arm.stiffness) * part
        damping += 2.0 * arm.damping_ratio * math.sqrt(arm.mass * self._across) * (np.eye(3) - part)
        fed = (wrench[2] + arm.bias) * beam
        for step in range(STEPS):
            self._move(stiffness, damping, pose[:3, 3], fed, self.time + step * CYCLE / STEPS)
        self.pose = pose.copy()
        self.pose[:3, 3] = self.position
        felt = np.concatenate([pose[:3, :3].T @ self.force + self._noise[self._cycles], np.zeros(3)])
        self._past = [*self._past[1:], (self.pose.copy(), felt)]
        self._cycles += 1
        return self._past[0]

    def _move(self, stiffness: Array, damping: Array, set_point: Array, fed: Array, time: float) -> None:
        arm, dt = self._arm, CYCLE / STEPS
        self.force = self._contact(time, dt)
        push = stiffness @ (set_point - self.position) - damping @ self.velocity + fed - self.force
        free = self.velocity + push * dt / arm.mass
        speed, held = float(np.linalg.norm(free)), arm.friction * dt / arm.mass
        self.velocity = free * (1.0 - held / speed) if speed > held else np.zeros(3)
        self.position = self.position + self.velocity * dt

    def _contact(self, time: float, dt: float) -> Array:
        """Force on the patient (3,) [N]."""
        x, y, z = (float(value) for value in self.position)
        slope = self._back.slope(x, y)
        normal = np.array([-slope[0], -slope[1], 1.0]) / math.hypot(1.0, *slope)
        depth = (z - self._back.depth(x, y, time)) * normal[2]
        if depth <= 0.0:
            return np.zeros(3)
        rise = (self._back.sway(time + dt) - self._back.sway(time)) / dt * normal[2]
        pressed = max(0.0, self._arm.tissue * depth + self._arm.tissue_damping * (self.velocity @ normal - rise))
        sliding = self.velocity - (self.velocity @ normal) * normal
        speed = float(np.linalg.norm(sliding))
        # Smooth below 1 mm/s, so that it can be integrated.
        drag = self._skin_friction * pressed * sliding / max(speed, 1e-3)
        return pressed * normal + drag


@dataclass(frozen=True, eq=False)
class Press:
    """A press along the beam, as it went.

    Attributes:
        set_points: of each cycle [m].
        positions: of the probe at the end of each cycle, as they truly were (cycles,) [m].
        forces: on the patient, as they truly were (cycles,) [N].
        peak: highest force, between the cycles too [N].
        controller: as it was left.
    """

    set_points: Array
    positions: Array
    forces: Array
    peak: float
    controller: ForceController

    def error(self, wanted: float, since: float) -> float:
        """Root mean square of the force's error from ``since`` [s] on [N]."""
        return float(np.sqrt(np.mean((self.forces[round(since / CYCLE) :] - wanted) ** 2)))


def press(toy: BeamToy, wanted: float, seconds: float, config: ForceConfig = DEFAULT) -> Press:
    """Approach and hold a force [N] on a toy."""
    controller = ForceController(wanted, config)
    set_point = before = toy.position
    measured = (0.0, set_point)
    set_points, positions, forces = [], [], []
    for _ in range(round(seconds / CYCLE)):
        force, position = measured
        along = controller.update(force, set_point - position, (position - before) / CYCLE, CYCLE)
        before, set_point = position, set_point + along.velocity * CYCLE
        measured = toy.advance(set_point, along.feed_forward)
        set_points.append(set_point)
        positions.append(toy.position)
        forces.append(toy.force)
    return Press(np.array(set_points), np.array(positions), np.array(forces), toy.peak, controller)


def person(time: float, start: float = 8.0) -> float:
    """A body that moves 20 mm towards the probe in a second, from rest to rest: its depth [m]."""
    share = min(max(time - start, 0.0), 1.0)
    return -0.010 * (1.0 - math.cos(math.pi * share))


class SpringBack:
    """A back under a probe that follows at once: no mass, no noise, so that it costs next to nothing.

    Args:
        back: the skin; its slope does not turn the force.
        tissue: stiffness [N/m].
        stiffness: of the impedance along z [N/m].
        given: by which the arm gives way along x [m].
        bias: constant force on the arm into the body, as of a wrong model of gravity [N].
        start: pose (4, 4) at first.
    """

    def __init__(
        self,
        back: Back,
        start: Array,
        tissue: float = 1000.0,
        stiffness: float = 300.0,
        given: float = 0.0,
        bias: float = 0.0,
    ) -> None:
        self._back, self._tissue, self._stiffness = back, tissue, stiffness
        self.given, self.bias = given, bias
        self._cycles = 0
        self.pose: Array = start.copy()
        self.force = 0.0

    def advance(self, pose: Array, wrench: Array) -> tuple[Array, Array]:
        """Hold a set point (4, 4) and a wrench (6,) for a cycle; the pose (4, 4) and wrench (6,) that are measured."""
        self._cycles += 1
        self.pose = pose.copy()
        free = float(pose[2, 3]) + (float(wrench[2]) + self.bias) / self._stiffness
        # Where the line of the beam is at the depth at which the probe stands.
        for _ in range(3):
            skin = self._back.depth(float(self.pose[0, 3]), float(self.pose[1, 3]), self._cycles * CYCLE)
            pressed = max(0.0, self._stiffness * (free - skin) / (self._stiffness + self._tissue))
            depth = skin + pressed if free > skin else free
            self.pose[:3, 3] = pose[:3, 3] + (depth - pose[2, 3]) / pose[2, 2] * pose[:3, 2]
        self.pose[0, 3] += self.given
        self.force = self._tissue * pressed
        return self.pose.copy(), np.array([0.0, 0.0, self.force, 0.0, 0.0, 0.0])
