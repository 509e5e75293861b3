"""What the probe does: approach, hold its force, step over the back, retract, hold still; from sample to set point."""

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from iiwa_bridge.control.filters import braking_speed
from iiwa_bridge.control.force_controller import Along, ForceConfig, ForceController
from iiwa_bridge.control.lateral import Lateral, LateralConfig
from iiwa_bridge.control.set_point import MotionConfig, PoseSetPoint
from iiwa_bridge.control.surface import SurfaceConfig, SurfaceEstimator
from iiwa_bridge.errors import CommandError

Array = npt.NDArray[np.float64]

UP: Array = np.array([0.0, 0.0, -1.0])
"""Away from the body, in the patient frame."""


class Phase(Enum):
    """What the controller is at. In OFF, before the first command, the set point is where the probe is."""

    OFF = "off"
    APPROACHING = "approaching"
    IN_CONTACT = "in contact"
    STEPPING = "stepping"
    RETRACTING = "retracting"
    HOLDING = "holding"


class Outcome(Enum):
    """How something ended."""

    CONTACT = "contact made"
    STEPPED = "step done"
    LOST = "contact lost"
    RETRACTED = "retracted"


@dataclass(frozen=True)
class Event:
    """That something ended.

    Attributes:
        outcome: how.
        error: distance of the probe to the end of its step on the parallel plane [m]; 0 without a step.
        reason: why contact was lost; empty otherwise.
    """

    outcome: Outcome
    error: float = 0.0
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """What is measured in a cycle.

    Attributes:
        pose: (4, 4) of ``us_probe`` in the patient frame [m].
        wrench: (6,) on the patient by the probe in ``us_probe``, tared [N, N m].
    """

    pose: Array
    wrench: Array


@dataclass(frozen=True, eq=False)
class Reference:
    """What is commanded for a cycle.

    Attributes:
        pose: (4, 4) set point of the impedance for ``us_probe`` in the patient frame [m].
        wrench: (6,) fed forward on the patient in ``us_probe`` [N, N m].
        phase: what the controller is at.
        contact: whether the probe touches, by its force; False as soon as it is lifted.
        event: what ended in this cycle, or None.
    """

    pose: Array
    wrench: Array
    phase: Phase
    contact: bool
    event: Event | None


@dataclass(frozen=True)
class ProbeConfig:
    """How the probe is moved.

    Attributes:
        force: along the beam.
        lateral: over the back.
        surface: what is expected of it.
        motion: bounds of the set point.
        retract_speed: at which the probe is lifted [m/s].
        retract_deceleration: at which that ends [m/s^2]; below the acceleration of the set point.
        lift: way along the beam before the probe goes straight up [m].
        clearance: height over the last contact at which it stays [m].

    Raises:
        CommandError: a value is not a finite number above 0.
    """

    force: ForceConfig = field(default_factory=ForceConfig)
    lateral: LateralConfig = field(default_factory=LateralConfig)
    surface: SurfaceConfig = field(default_factory=SurfaceConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    retract_speed: float = 0.030
    retract_deceleration: float = 0.3
    lift: float = 0.005
    clearance: float = 0.020

    def __post_init__(self) -> None:
        for name in ("retract_speed", "retract_deceleration", "lift", "clearance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"probe: {name} is {value}; expected a number above 0")


@dataclass(frozen=True, eq=False)
class _Wanted:
    """Of the set point in one cycle: velocity (3,) [m/s], slope to turn to (2,) or None, force fed forward [N]."""

    velocity: Array
    slope: Array | None = None
    feed_forward: float = 0.0
    event: Event | None = None


class ProbeController:
    """Moves the set point of the probe; commands may come at any time, its pose never jumps.

    Args:
        config: how.
    """

    def __init__(self, config: ProbeConfig) -> None:
        self._config = config
        self._set_point: PoseSetPoint | None = None
        self._force: ForceController | None = None
        self._lateral: Lateral | None = None
        self._surface: SurfaceEstimator | None = None
        self._before: Array | None = None
        self._skin: float | None = None
        self._lifted: Array | None = None
        self.phase = Phase.OFF

    def approach(self, force: float) -> None:
        """Go along the beam until contact, and hold a force there [N].

        Raises:
            CommandError: a force that must not be wanted, or the probe is in contact.
        """
        if self.phase in (Phase.IN_CONTACT, Phase.STEPPING):
            raise CommandError(f"approach while {self.phase.value}; a step of 0 mm changes the force")
        self._force = ForceController(force, self._config.force)
        self.phase = Phase.APPROACHING

    def step(self, dx: float, dy: float, force: float) -> None:
        """Step on the parallel plane, in contact, from where the last step was to end.

        Args:
            dx: along x of the patient [m].
            dy: along y of the patient [m].
            force: to hold [N].

        Raises:
            CommandError: the probe is not in contact, another step is under way, or a value must not be wanted.
        """
        if self.phase is not Phase.IN_CONTACT or self._force is None or self._lateral is None:
            raise CommandError(f"step while {self.phase.value}; one step at a time, in contact")
        if not (math.isfinite(dx) and math.isfinite(dy)):
            raise CommandError(f"step ({dx}, {dy}) m is not finite; expected metres")
        self._force.want(force)
        self._lateral.step(np.array([dx, dy]))
        self.phase = Phase.STEPPING

    def retract(self) -> None:
        """Lift the probe along the beam, then straight up to the clearance, from wherever it is."""
        self._force = self._lateral = self._lifted = None
        self.phase = Phase.RETRACTING

    def hold(self) -> None:
        """Come to rest at once: in contact with the force held, else in the air."""
        if self.phase in (Phase.IN_CONTACT, Phase.STEPPING) and self._lateral is not None:
            self._lateral.stop()
            self.phase = Phase.IN_CONTACT
        else:
            self._force = None
            self.phase = Phase.HOLDING

    def update(self, sample: Sample, dt: float) -> Reference:
        """Answer a sample that was taken ``dt`` [s] after the last one.

        Raises:
            CommandError: the sample is not finite, or the first beam does not point into the body.
        """
        if not all(map(math.isfinite, [*sample.pose.ravel().tolist(), *sample.wrench.tolist()])):
            raise CommandError("the sample of pose and wrench is not finite; expected metres and newtons")
        if self.phase is Phase.OFF:
            return Reference(sample.pose.copy(), np.zeros(6), Phase.OFF, False, None)
        if self._set_point is None:
            self._set_point = PoseSetPoint(sample.pose, self._config.motion, self._config.surface.tilt_limit)
        wanted = self._act(self._set_point, sample, dt)
        self._before = sample.pose[:3, 3].copy()
        self._set_point.move(wanted.velocity, wanted.slope, dt)
        wrench = np.array([0.0, 0.0, wanted.feed_forward, 0.0, 0.0, 0.0])
        contact = self._force is not None and self._force.contact
        return Reference(self._set_point.pose, wrench, self.phase, contact, wanted.event)

    def _act(self, set_point: PoseSetPoint, sample: Sample, dt: float) -> _Wanted:
        if self._force is not None:
            return self._press(set_point, sample, self._force, dt)
        if self.phase is Phase.RETRACTING:
            return self._retract(set_point, dt)
        return _Wanted(np.zeros(3))

    def _press(self, set_point: PoseSetPoint, sample: Sample, force: ForceController, dt: float) -> _Wanted:
        probe, beam = sample.pose[:3, 3], set_point.beam
        stretch = float((set_point.position - probe) @ beam)
        moved = 0.0 if self._before is None else float((probe - self._before) @ beam)
        along = force.update(float(sample.wrench[2]), stretch, moved / dt, dt)
        if force.given_up:
            self._force = self._lateral = None
            self.phase = Phase.HOLDING
            return _Wanted(np.zeros(3), event=Event(Outcome.LOST, reason=force.given_up))
        line = set_point.position - stretch * beam
        event = None
        if self._lateral is None:
            if not force.contact:
                return _Wanted(along.velocity * beam)
            self._lateral = Lateral(line[:2], self._config.lateral)
            self.phase, event = Phase.IN_CONTACT, Event(Outcome.CONTACT)
        wanted = self._glide(set_point, probe, line, along, force, self._lateral, dt)
        return _Wanted(wanted.velocity, wanted.slope, along.feed_forward, event or wanted.event)

    def _glide(
        self,
        set_point: PoseSetPoint,
        probe: Array,
        line: Array,
        along: Along,
        force: ForceController,
        lateral: Lateral,
        dt: float,
    ) -> _Wanted:
        """Over the skin: the beam's line over its place, tangentially to the surface, the beam along its normal."""
        contact = force.contact
        if self._surface is None:
            self._surface = SurfaceEstimator(probe, set_point.slope, self._config.surface)
        if contact:
            self._surface.update(probe, dt)
            self._skin = float(probe[2])
        across = lateral.update(probe, line, contact, force.excess, dt)
        slope = self._surface.beam_slope
        velocity = along.velocity * set_point.beam
        velocity[:2] += across
        velocity[2] += slope @ across
        event = None
        if self.phase is Phase.STEPPING and contact and lateral.ended(probe, dt):
            event = Event(Outcome.STEPPED, error=lateral.error(probe))
            lateral.stop()
            self.phase = Phase.IN_CONTACT
        return _Wanted(velocity, slope if contact else None, event=event)

    def _retract(self, set_point: PoseSetPoint, dt: float) -> _Wanted:
        config, beam = self._config, set_point.beam
        if self._lifted is None:
            self._lifted = set_point.position - config.lift * beam
        lift = float((set_point.position - self._lifted) @ beam)
        skin = float(self._lifted[2]) if self._skin is None else self._skin
        rise = float(set_point.position[2]) - (skin - config.clearance)
        if rise > 1e-6:
            speed = min(config.retract_speed, braking_speed(rise, config.retract_deceleration, dt))
            return _Wanted(speed * (-beam if lift > 0.0 else UP))
        if set_point.velocity.any():
            return _Wanted(np.zeros(3))
        self.phase = Phase.HOLDING
        return _Wanted(np.zeros(3), event=Event(Outcome.RETRACTED))
