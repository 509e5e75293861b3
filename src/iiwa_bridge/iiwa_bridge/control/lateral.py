"""Place of the probe on the parallel plane: steps of exact length, however the beam is tilted and the back curved.

A step slows where the force rises above the wanted one, and where the probe is held up.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.control.filters import Profile, length, limited
from iiwa_bridge.errors import CommandError

Array = npt.NDArray[np.float64]

MAX_SPEED = 0.020
"""Highest lateral speed on a person [m/s]."""
_HELD_UP = 0.3
"""Pace below which a step does not fall for a probe that is held up: one that stays so is told what by, in its time."""
_THERE = 1e-9
"""Distance of a profile to its end that is none [m]."""


@dataclass(frozen=True)
class LateralConfig:
    """How the probe steps.

    Attributes:
        speed: of a step [m/s].
        acceleration: of a step [m/s^2].
        line_gain: rate at which the beam's line is brought over its place [1/s].
        trim_gain: rate at which what the arm gives way is made up for, after a step [1/s].
        trim_limit: of that [m].
        tolerance: distance to its end within which a step has ended [m].
        dwell: for which it must stay there [s].
        settle_limit: after which a step ends wherever the probe is [s], counted from the end of its profile.
        calm: force above the wanted one up to which a step keeps its speed [N].
        halt: force above the wanted one from which a step stands still [N].
        recovery: share of its speed that a step takes up again in a second [1/s].
        behind: distance of the probe from its place up to which a step keeps its speed [m].
        far: distance of the probe from its place from which a step goes on at 0.3 of its speed [m].

    Raises:
        CommandError: a value is not a finite number above 0, the speed is beyond its limit, halt is not above calm, or
            far not above behind.
    """

    speed: float = 0.018
    acceleration: float = 0.1
    line_gain: float = 5.0
    trim_gain: float = 3.0
    trim_limit: float = 0.003
    tolerance: float = 0.0005
    dwell: float = 0.1
    settle_limit: float = 1.0
    calm: float = 0.2
    halt: float = 0.6
    recovery: float = 1.0
    behind: float = 0.002
    far: float = 0.005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"lateral motion: {name} is {value}; expected a number above 0")
        if self.speed > MAX_SPEED:
            raise CommandError(f"lateral motion: speed is {self.speed:g} m/s; at most {MAX_SPEED:g} m/s")
        if self.halt <= self.calm:
            raise CommandError(f"lateral motion: halt is {self.halt:g} N; expected above calm, {self.calm:g} N")
        if self.far <= self.behind:
            raise CommandError(f"lateral motion: far is {self.far:g} m; expected above behind, {self.behind:g} m")


class Pace:
    """Share of its speed at which a step goes on: less where the skin rises faster than the force control gives way.

    That lags behind the skin by a force in proportion to the speed at which it comes (docs/force_control.md), and
    nobody knows the skin ahead. The pace falls at once with the force and recovers slowly: what slowed and sped up
    alike would swing on the arm's mass, which feels the skin's acceleration too. Where the force falls it stays: over
    an edge a step is to go on and lose the contact, not to climb down. And a step slows for a probe that the
    guard holds up, as down a flank, where law and slope together ask for more than it lets near a person.

    Args:
        config: forces, distances and rate.
    """

    def __init__(self, config: LateralConfig) -> None:
        self._config, self._pace = config, 1.0

    def update(self, excess: float, behind: float, dt: float) -> float:
        """The pace, 0 to 1.

        Args:
            excess: of the filtered force above the wanted one [N].
            behind: distance of the probe from its place [m].
            dt: since the last update [s].
        """
        config = self._config
        self._pace = min(_share(excess, config.calm, config.halt), self._pace + config.recovery * dt)
        return min(self._pace, max(_share(behind, config.behind, config.far), _HELD_UP))


def _share(value: float, all_up_to: float, none_from: float) -> float:
    """1 up to one value, 0 from the other on."""
    return min(max((none_from - value) / (none_from - all_up_to), 0.0), 1.0)


class Lateral:
    """Keeps the beam's line over a place, and moves the place.

    The arm is soft along the beam and stiff across it, so the probe stands on the line of the set point's beam, at
    whatever depth force and tissue leave it. That point of the line is brought over the place.

    Args:
        place: (x, y) in the patient frame (2,) [m].
        config: speeds and gains.
    """

    def __init__(self, place: Array, config: LateralConfig) -> None:
        self._config = config
        self._profile = Profile(place, config.speed, config.acceleration)
        self._pace = Pace(config)
        self._trim: Array = np.zeros(2)
        self._goal: Array | None = None
        self._near = self._settling = 0.0

    def step(self, way: Array) -> None:
        """Begin a step (2,) [m] from where the place is, which is where the last step was to end."""
        self._goal = self._profile.position + way
        self._near = self._settling = 0.0

    def stop(self) -> None:
        """Come to rest, and stay there; also after a step, lest friction makes its trim hunt."""
        self._goal = None

    def error(self, probe: Array) -> float:
        """Distance of the probe (3,) to the end of the step on the parallel plane [m]."""
        goal = self._profile.position if self._goal is None else self._goal
        return length(goal - probe[:2])

    def ended(self, probe: Array, dt: float) -> bool:
        """Whether the step has ended after another ``dt`` [s]: the probe (3,) [m] stays at its end, or time is up."""
        if not self._arrived:
            return False
        self._settling += dt
        self._near = self._near + dt if self.error(probe) <= self._config.tolerance else 0.0
        return self._near >= self._config.dwell or self._settling >= self._config.settle_limit

    def update(self, probe: Array, line: Array, advance: bool, excess: float, dt: float) -> Array:
        """Velocity of the beam's line that is wanted (2,) [m/s].

        Args:
            probe: where it is measured (3,) [m].
            line: point of the beam's line next to it (3,) [m].
            advance: whether the step goes on; it waits otherwise.
            excess: of the filtered force above the wanted one [N].
            dt: since the last update [s].
        """
        config = self._config
        pace = self._pace.update(excess, length(self._profile.position - probe[:2]), dt)
        if self._goal is None or not advance:
            self._profile.brake(dt)
        else:
            self._profile.update(self._goal, dt, pace)
            if self._arrived:
                missing = self._goal - probe[:2]
                self._trim = limited(self._trim + config.trim_gain * missing * dt, config.trim_limit)
        away = self._profile.position + self._trim - line[:2]
        return limited(self._profile.velocity + config.line_gain * away, MAX_SPEED)

    @property
    def _arrived(self) -> bool:
        return self._goal is not None and length(self._profile.position - self._goal) <= _THERE
