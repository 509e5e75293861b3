"""Filters and profiles that the controllers share; each keeps its own state and is told the time that passed."""

import math

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled

Array = npt.NDArray[np.float64]


class LowPass:
    """First-order low pass, exact for an input that is held between two updates.

    It starts at nought, as what it filters does: at rest, the probe in the air. At its first input it would hold the
    noise of a single sample for a true value.

    Args:
        cutoff: corner frequency [Hz].
    """

    def __init__(self, cutoff: float) -> None:
        self._rate = 2.0 * math.pi * cutoff
        self._value = 0.0

    def update(self, value: float, dt: float) -> float:
        """Take the input that held for ``dt`` [s]; the output at its end."""
        self._value += (value - self._value) * -math.expm1(-self._rate * dt)
        return self._value


@compiled("float64(float64[:])")
def length(vector: Array) -> float:
    """Of a vector (n,)."""
    square = 0.0
    for i in range(len(vector)):
        square += vector[i] * vector[i]
    return math.sqrt(square)


@compiled("float64[:](float64[:], float64)")
def limited(vector: Array, most: float) -> Array:
    """A vector (n,) of the same direction and at most this length."""
    long = length(vector)
    return vector if long <= most else vector * (most / long)


def towards(value: float, target: float, most: float) -> float:
    """A value moved to a target, by ``most`` at most: a limit of its rate."""
    return value + min(max(target - value, -most), most)


@compiled("float64(float64, float64, float64)")
def braking_speed(distance: float, deceleration: float, dt: float) -> float:
    """Highest speed [m/s] from which cycles of ``dt`` [s] still stop within a distance [m], the first one included.

    With u = deceleration * dt, the speed u (n + f), n whole and f below 1, falls by u a cycle and covers
    u dt ((n + 1) f + n (n + 1) / 2) until it is nought.
    """
    cycle = deceleration * dt
    cycles = distance / (cycle * dt)
    whole = math.floor((math.sqrt(8.0 * cycles + 1.0) - 1.0) / 2.0)
    return cycle * (whole + (cycles - whole * (whole + 1) / 2.0) / (whole + 1))


@compiled("UniTuple(float64[:], 2)(float64[:], float64[:], float64[:], float64, float64)")
def follow(position: Array, velocity: Array, wanted: Array, acceleration: float, dt: float) -> tuple[Array, Array]:
    """Position and velocity (n,) after another ``dt`` [s] of a point that is to have a velocity (n,) [1/s], bounded in
    its acceleration [1/s^2].
    """
    velocity = velocity + limited(wanted - velocity, acceleration * dt)
    return position + velocity * dt, velocity


@compiled("UniTuple(float64[:], 2)(float64[:], float64[:], float64[:], float64, float64, float64)")
def approach(
    position: Array, velocity: Array, target: Array, speed: float, acceleration: float, dt: float
) -> tuple[Array, Array]:
    """Likewise of a point that is to come to a target (n,), bounded in speed [1/s] too, and to rest there."""
    way = target - position
    distance = length(way)
    wanted = np.zeros(len(way))
    if distance > 0.0:
        wanted = way * (min(speed, braking_speed(distance, acceleration, dt)) / distance)
    return follow(position, velocity, wanted, acceleration, dt)


class Profile:
    """Moves a point (n,) to wherever its target is, bounded in speed and acceleration, and ends there exactly.

    From rest it runs along a straight line without overshoot: as fast as the acceleration lets it, at the speed, and
    down in time. The target may be moved at any moment; velocity stays continuous.

    Args:
        position: where it starts, at rest (n,).
        speed: highest [1/s].
        acceleration: highest [1/s^2].
    """

    def __init__(self, position: Array, speed: float, acceleration: float) -> None:
        self._speed, self._acceleration = speed, acceleration
        self.position: Array = np.array(position, dtype=float)
        self.velocity: Array = np.zeros_like(self.position)

    def update(self, target: Array, dt: float, pace: float = 1.0) -> Array:
        """Move towards a target (n,) for ``dt`` [s], at a share of the highest speed; the new position (n,)."""
        self.position, self.velocity = approach(
            self.position, self.velocity, target, pace * self._speed, self._acceleration, dt
        )
        return self.position

    def brake(self, dt: float) -> Array:
        """Come to rest as soon as the acceleration allows, for ``dt`` [s]; the new position (n,)."""
        rest = np.zeros_like(self.velocity)
        self.position, self.velocity = follow(self.position, self.velocity, rest, self._acceleration, dt)
        return self.position

    def keep_within(self, radius: float, before: Array, dt: float) -> None:
        """Take back by how far the move from ``before`` (n,) in ``dt`` [s] left a circle about the origin.

        Targets that slide along the circle leave a point that brakes a second-order way outside. The nearest point of
        the circle is no further from ``before`` than the point was, so no bound of the speed is broken; what turns
        it along the circle, speed^2 / radius, comes on top of the bounded acceleration.
        """
        if length(self.position) > radius:
            self.position = limited(self.position, radius)
            self.velocity = (self.position - before) / dt
