"""How the patient's back moves under the probe: breathing, and a person who moves; towards the probe is positive."""

import math
from dataclasses import dataclass

import numpy as np

from us_grid_sim.errors import UsGridSimError


@dataclass(frozen=True)
class Breathing:
    """The back of one who breathes quietly: rise = amplitude sin^4(pi (frequency t + phase)).

    The form is that of Lujan et al. 1999, Med Phys 26:715, with n = 2: longer at the end of expiration (0) than at the
    end of inspiration (the amplitude). Adults at rest breathe 12 to 18 times a minute.

    Attributes:
        amplitude: from one end to the other [m].
        frequency: of breaths [Hz].
        phase: at time 0, as a part of a breath.
    """

    amplitude: float
    frequency: float
    phase: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.amplitude, self.frequency, self.phase)
        if not all(map(math.isfinite, numbers)) or self.amplitude < 0.0 or self.frequency <= 0.0:
            raise UsGridSimError(
                f"breathing: amplitude {self.amplitude} m, frequency {self.frequency} Hz, phase {self.phase}; "
                "expected finite numbers, the amplitude not negative, the frequency above 0"
            )

    def rise(self, time: float) -> tuple[float, float]:
        """Height [m] and its rate [m/s] at ``time`` [s]."""
        angle = math.pi * (self.frequency * time + self.phase)
        sine = math.sin(angle)
        rate = 4.0 * math.pi * self.frequency * sine**3 * math.cos(angle)
        return self.amplitude * sine**4, self.amplitude * rate


@dataclass(frozen=True)
class Movement:
    """A person who moves once and stays there, along a profile of minimum jerk (Flash & Hogan 1985, J Neurosci 5:1688).

    Its highest speed is 1.875 times the mean one.

    Attributes:
        distance: towards the probe, negative away from it [m].
        start: when it begins [s].
        duration: of the movement [s].
    """

    distance: float
    start: float
    duration: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.distance, self.start, self.duration))) or self.duration <= 0.0:
            raise UsGridSimError(
                f"movement: {self.distance} m from {self.start} s on, within {self.duration} s; "
                "expected finite numbers, the duration above 0"
            )

    def rise(self, time: float) -> tuple[float, float]:
        """Height [m] and its rate [m/s] at ``time`` [s]."""
        part = min(max((time - self.start) / self.duration, 0.0), 1.0)
        height = part**3 * (10.0 - 15.0 * part + 6.0 * part**2)
        rate = 30.0 * (part * (1.0 - part)) ** 2 / self.duration
        return self.distance * height, self.distance * rate


@dataclass(frozen=True)
class Motion:
    """Everything by which the back moves; what is None is switched off.

    Attributes:
        breathing: goes on all the time.
        movement: of the person, towards the probe or away from it.
        sinking: another one, away from the probe: the contact is lost and has to be found again.
        from_touch: whether the two movements' starts are counted from the probe's first touch on, so that they meet it
            however long it took to come; otherwise from the start of time.
    """

    breathing: Breathing | None = None
    movement: Movement | None = None
    sinking: Movement | None = None
    from_touch: bool = False

    def rise(self, time: float, touched: float = math.inf) -> tuple[float, float]:
        """Height towards the probe [m] and its rate [m/s].

        Args:
            time: since the start [s].
            touched: time of the first touch [s]; infinity: there was none yet.
        """
        height, rate = 0.0, 0.0
        since = time - touched if self.from_touch else time
        for part, at in ((self.breathing, time), (self.movement, since), (self.sinking, since)):
            if part is not None:
                more, faster = part.rise(at)
                height, rate = height + more, rate + faster
        return height, rate


def sample_motion(seed: int, breathing: bool, movement: bool, sinks: float = 0.0, from_touch: bool = False) -> Motion:
    """Sample how a patient moves; each part is the same whether the others are switched on or off.

    Breathing lifts the back by 2 to 5 mm, 0.2 to 0.3 times a second. The movement brings it 10 to 20 mm nearer to the
    probe within 0.5 to 1.5 s, and begins 2 to 6 s after the start. Where the patient ``sinks`` away by so much [m], it
    takes 0.5 to 1.5 s and begins after 4 to 12 s.

    Raises:
        UsGridSimError: the patient sinks by less than nothing.
    """
    if not 0.0 <= sinks < math.inf:
        raise UsGridSimError(f"motion: the patient sinks away by {sinks} m; expected 0 or more")
    draw = np.random.default_rng(seed).uniform
    breath = Breathing(float(draw(0.002, 0.005)), float(draw(0.2, 0.3)), float(draw(0.0, 1.0)))
    move = Movement(float(draw(0.010, 0.020)), float(draw(2.0, 6.0)), float(draw(0.5, 1.5)))
    sink = Movement(-sinks, float(draw(4.0, 12.0)), float(draw(0.5, 1.5)))
    return Motion(breath if breathing else None, move if movement else None, sink if sinks else None, from_touch)
