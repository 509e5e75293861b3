"""Filters and profiles that the controllers share; each keeps its own state and is told the time that passed."""

import math

import numpy as np
import numpy.typing as npt

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


def length(vector: Array) -> float:
    """Of a vector (n,); as numpy's norm computes it, without the checks that cost a cycle most of that time."""
    return math.sqrt(vector @ vector)


def limited(vector: Array, most: float) -> Array:
    """A vector (n,) of the same direction and at most this length."""
    long = length(vector)
    return vector if long <= most else vector * (most / long)


def towards(value: float, target: float, most: float) -> float:
    """A value moved to a target, by ``most`` at most: a limit of its rate."""
    return value + min(max(target - value, -most), most)


def braking_speed(distance: float, deceleration: float, dt: float) -> float:
    """Highest speed [m/s] from which cycles of ``dt`` [s] still stop within a distance [m], the first one included.

    With u = deceleration * dt, the speed u (n + f), n whole and f below 1, falls by u a cycle and covers
    u dt ((n + 1) f + n (n + 1) / 2) until it is nought.
    """
    cycle = deceleration * dt
    cycles = distance / (cycle * dt)
    whole = math.floor((math.sqrt(8.0 * cycles + 1.0) - 1.0) / 2.0)
    return cycle * (whole + (cycles - whole * (whole + 1) / 2.0) / (whole + 1))


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

    def update(self, target: Array, dt: float) -> Array:
        """Move towards a target (n,) for ``dt`` [s]; the new position (n,)."""
        way = target - self.position
        distance = length(way)
        speed = min(self._speed, braking_speed(distance, self._acceleration, dt))
        return self._follow(way * (speed / distance) if distance > 0.0 else np.zeros_like(way), dt)

    def brake(self, dt: float) -> Array:
        """Come to rest as soon as the acceleration allows, for ``dt`` [s]; the new position (n,)."""
        return self._follow(np.zeros_like(self.velocity), dt)

    def _follow(self, velocity: Array, dt: float) -> Array:
        self.velocity = self.velocity + limited(velocity - self.velocity, self._acceleration * dt)
        self.position = self.position + self.velocity * dt
        return self.position
