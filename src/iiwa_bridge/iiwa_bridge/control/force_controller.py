"""Force along the beam: approach until contact, ramp to the wanted force, hold it; one axis, no pose.

The arm keeps a soft impedance along the beam, so that the force on the patient at rest is

    force = feed-forward + K (set point - probe).

The wanted force is fed forward. The set point is moved by the integral of the force error, which takes up what
friction, breathing and a wrong model of gravity leave, and it follows half of the probe's own motion, which makes
the impedance half as stiff against a body that moves. docs/force_control.md derives the gains.
"""

import math
from dataclasses import dataclass

from iiwa_bridge.control.filters import LowPass, towards
from iiwa_bridge.errors import CommandError

MAX_FORCE = 2.0
"""Highest force that may be wanted on a person [N] (Hase et al. 2020)."""
MAX_APPROACH_SPEED = 0.010
"""Highest speed towards a person who is not touched yet [m/s]."""


@dataclass(frozen=True)
class ForceConfig:
    """How the force along the beam is controlled.

    Attributes:
        gain: speed of the set point by the force error [m/s/N].
        follow: share of the probe's own motion along the beam that the set point follows in contact, below 1.
        cutoff: corner frequency of the filters of the measured force and of the probe's motion [Hz].
        ramp: rate at which the wanted force changes [N/s].
        contact_force: filtered force from which the probe is in contact [N].
        loss_force: filtered force below which contact is lost [N].
        contact_time: for which the force is above before contact is believed [s].
        loss_time: likewise below [s].
        approach_speed: of the set point before contact [m/s].
        approach_distance: without contact after which an approach is given up [m].
        search_speed: of the set point after contact was lost [m/s].
        search_distance: without contact after which it is given up [m].
        lead_gain: rate at which the set point makes up for what the probe lags behind the approach [1/s].
        advance_speed: highest of the set point into the body in contact [m/s].
        retreat_speed: highest of the set point out of the body in contact [m/s].
        leash: farthest that the set point is from the probe along the beam [m]; bounds the force of the impedance.

    Raises:
        CommandError: a value is not a finite number above 0, or the values contradict each other.
    """

    gain: float = 0.0117
    follow: float = 0.5
    cutoff: float = 5.0
    ramp: float = 1.0
    contact_force: float = 0.4
    loss_force: float = 0.1
    contact_time: float = 0.05
    loss_time: float = 0.1
    approach_speed: float = 0.005
    approach_distance: float = 0.060
    search_speed: float = 0.003
    search_distance: float = 0.010
    lead_gain: float = 1.5
    advance_speed: float = 0.010
    retreat_speed: float = 0.040
    leash: float = 0.008

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"force control: {name} is {value}; expected a number above 0")
        for name in ("approach_speed", "search_speed"):
            if getattr(self, name) > MAX_APPROACH_SPEED:
                raise CommandError(
                    f"force control: {name} is {getattr(self, name):g} m/s; at most {MAX_APPROACH_SPEED:g} m/s"
                )
        if self.follow >= 1.0:
            raise CommandError(
                f"force control: follow is {self.follow:g}; expected below 1, or nothing holds the probe"
            )
        if self.loss_force >= self.contact_force:
            raise CommandError(f"force control: loss_force is {self.loss_force:g} N; expected below contact_force")


class ContactDetector:
    """Whether the probe touches, from the filtered force: two thresholds, and a time for which each must be passed.

    The time counts up beyond the threshold and down before it, so that noise neither makes a contact nor, as a
    count that starts again would, hides its loss.
    """

    def __init__(self, config: ForceConfig) -> None:
        self._config = config
        self._time = 0.0
        self.contact = False

    def update(self, force: float, dt: float) -> bool:
        """Take the filtered force [N] after ``dt`` [s]."""
        config = self._config
        if self.contact:
            against, needed = force < config.loss_force, config.loss_time
        else:
            against, needed = force > config.contact_force, config.contact_time
        self._time = self._time + dt if against else max(0.0, self._time - dt)
        # A hair's breadth, so that the sum of equal cycles counts as the time that they make.
        if self._time >= needed - 1e-9:
            self.contact, self._time = not self.contact, 0.0
        return self.contact


@dataclass(frozen=True)
class Along:
    """What is to be done along the beam.

    Attributes:
        velocity: of the set point, positive into the body [m/s].
        feed_forward: force on the patient that is fed forward [N].
    """

    velocity: float
    feed_forward: float


class ForceController:
    """Force along the beam, from the first approach on; a new approach is a new controller.

    Args:
        force: wanted [N].
        config: gains and limits.

    Raises:
        CommandError: a force that must not be wanted.
    """

    def __init__(self, force: float, config: ForceConfig) -> None:
        self.want(force)
        self._config = config
        self._filter, self._motion = LowPass(config.cutoff), LowPass(config.cutoff)
        self._detector = ContactDetector(config)
        self._speed, self._distance = config.approach_speed, config.approach_distance
        self._searched = self._lag = 0.0
        self._ramped = self._at_contact = 0.0
        self.force = 0.0
        self.given_up = ""

    @property
    def contact(self) -> bool:
        """Whether the probe touches."""
        return self._detector.contact

    @property
    def excess(self) -> float:
        """Of the filtered force above the one that is ramped to the wanted one [N]."""
        return self.force - self._ramped

    def want(self, force: float) -> None:
        """Change the force that is wanted [N]; it is ramped to.

        Raises:
            CommandError: the force is not above 0 or above 2 N.
        """
        if not 0.0 < force <= MAX_FORCE:
            raise CommandError(f"contact force {force:g} N; expected above 0, at most {MAX_FORCE:g} N")
        self._wanted = force

    def update(self, force: float, stretch: float, velocity: float, dt: float) -> Along:
        """Answer a measurement.

        Args:
            force: on the patient along the beam, as measured [N].
            stretch: of the set point beyond the probe along the beam [m].
            velocity: of the probe along the beam, positive into the body [m/s].
            dt: since the last one [s].
        """
        self.force = self._filter.update(force, dt)
        motion = self._motion.update(velocity, dt)
        touched = self.contact
        if not self._detector.update(self.force, dt):
            if touched:
                self._speed, self._distance = self._config.search_speed, self._config.search_distance
                self._searched = self._lag = 0.0
            return self._search(stretch, velocity, dt)
        if not touched:
            # From where the force is: the impedance carries this much, the feed-forward what is added to it.
            self._ramped = self._at_contact = self.force
        return self._regulate(stretch, motion, dt)

    def _search(self, stretch: float, velocity: float, dt: float) -> Along:
        """Go on towards the skin, with nothing fed forward: what is not held back by tissue would be thrown at it.

        The damping of the impedance holds a moving probe back; the set point leads by that much, never faster than a
        person may be approached.
        """
        if self._searched >= self._distance:
            self.given_up = f"no contact within {self._distance * 1e3:.0f} mm"
            return Along(0.0, 0.0)
        # Counted where the leash holds it too, so that an arm that does not follow is given up as well.
        self._searched += self._speed * dt
        self._lag += (self._speed - velocity) * dt
        wanted = min(max(self._speed + self._config.lead_gain * self._lag, 0.0), MAX_APPROACH_SPEED)
        return Along(self._leashed(wanted, stretch), 0.0)

    def _regulate(self, stretch: float, motion: float, dt: float) -> Along:
        config = self._config
        self._ramped = towards(self._ramped, self._wanted, config.ramp * dt)
        velocity = config.gain * (self._ramped - self.force) + config.follow * motion
        velocity = min(max(velocity, -config.retreat_speed), config.advance_speed)
        return Along(self._leashed(velocity, stretch), max(0.0, self._ramped - self._at_contact))

    def _leashed(self, velocity: float, stretch: float) -> float:
        """No farther from a probe that does not follow: it would be thrown when it comes free (anti-windup)."""
        pulled = stretch * math.copysign(1.0, velocity) >= self._config.leash
        return 0.0 if pulled else velocity
