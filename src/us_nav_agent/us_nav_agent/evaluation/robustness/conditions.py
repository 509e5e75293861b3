"""What is varied: each curve changes one thing about how a subject is scanned, from nothing to severe.

A change is a pure function of the unchanged scan, of what was sampled for the subject, and of the level.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from us_grid_sim.bmode.display import Display
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.geometry import BINS, DEPTH
from us_grid_sim.phantom.record import SubjectRecord, heavier

from us_nav_agent.rollout import MAX_ACTIONS

_SPECKLES = 5
"""Other speckle seeds a subject."""


@dataclass(frozen=True)
class Hold:
    """How the probe is held beside the errors of the hand that its sweep has.

    Attributes:
        tilt, yaw: turns on top of the sweep's, as of ``contact_pose`` [rad].
        lifted: share of the array that hangs in the air at least; the probe leans on its other end.
        end: of the array that is lifted, 1 or -1 along the x axis of ``us_probe``.
    """

    tilt: float = 0.0
    yaw: float = 0.0
    lifted: float = 0.0
    end: int = 1


@dataclass(frozen=True)
class Grabber:
    """When the frame grabber hands on the frame that it handed on before.

    Attributes:
        repeated: probability at each step after the first.
        arriving: frames of a run that arrive; from then on it always does.
    """

    repeated: float = 0.0
    arriving: int = MAX_ACTIONS

    def repeats(self, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Whether each run sees an old frame at each step (20, runs), by numbers drawn from 0 to 1 of that shape."""
        return (draws < self.repeated) | (np.arange(len(draws))[:, None] >= self.arriving)


@dataclass(frozen=True)
class Scan:
    """How a subject is scanned.

    Attributes:
        record: the body and its speckle.
        transducer, display: the scanner's settings.
        hold: of the probe.
        grabber: between scanner and policy.
    """

    record: SubjectRecord
    transducer: Transducer
    display: Display
    hold: Hold = Hold()
    grabber: Grabber = Grabber()

    @classmethod
    def of(cls, record: SubjectRecord) -> "Scan":
        """As the data set's frames were made."""
        return cls(record, Transducer(blur=record.blur), Display(gain=record.gain))


@dataclass(frozen=True, eq=False)
class Chance:
    """What was sampled for a subject; the same for all levels, so that a curve is of its levels alone.

    Attributes:
        side: 1 or -1: the sense of turns and the end that is lifted, in all bins, as of a probe that is mounted askew.
        speckle_seeds: other scatterers.
        grabber: numbers from 0 to 1 (20, 165), a step and start each: below the probability the frame is an old one.
    """

    side: int
    speckle_seeds: tuple[int, ...]
    grabber: npt.NDArray[np.float64]


def sample_chance(seed: int, record: SubjectRecord) -> Chance:
    """Sample for a subject."""
    rng = np.random.default_rng([seed, record.seed, record.index])
    side = 1 if rng.random() < 0.5 else -1
    return Chance(side, tuple(rng.integers(2**31, size=_SPECKLES).tolist()), rng.random((MAX_ACTIONS, BINS)))


Change = Callable[[Scan, Chance, float], Scan]


@dataclass(frozen=True)
class Curve:
    """One thing that is varied.

    Attributes:
        name: on the command line and in files.
        title: for people, with the unit of the levels.
        levels: of the change, in the order in which they are drawn.
        unchanged: the one of them at which nothing is changed.
        change: from the unchanged scan to that of a level.
        trend: whether the levels have an order; False: they are draws.
    """

    name: str
    title: str
    levels: tuple[float, ...]
    unchanged: float
    change: Change
    trend: bool = True

    def scan(self, record: SubjectRecord, chance: Chance, level: float) -> Scan:
        """How a subject is scanned at a level."""
        scan = Scan.of(record)
        return scan if level == self.unchanged else self.change(scan, chance, level)


def _gain(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, display=replace(scan.display, gain=scan.display.gain + level))


def _dynamic_range(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, display=replace(scan.display, dynamic_range=level))


def _depth(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, transducer=replace(scan.transducer, depth=1e-3 * level))


def _speckle(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, record=replace(scan.record, speckle_seed=chance.speckle_seeds[int(level) - 1]))


def _contact(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, hold=Hold(lifted=1e-2 * level, end=chance.side))


def _rotation(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, hold=Hold(yaw=chance.side * math.radians(level)))


def _tilt(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, hold=Hold(tilt=chance.side * math.radians(level)))


def _weight(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, record=heavier(scan.record, level))


def _stuck(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, grabber=Grabber(repeated=level))


def _frozen(scan: Scan, chance: Chance, level: float) -> Scan:
    return replace(scan, grabber=Grabber(arriving=int(level)))


# In this order neighbours share the body, and the first ones the frames.
CURVES: dict[str, Curve] = {
    curve.name: curve
    for curve in (
        Curve("stuck", "probability of a stuck frame", (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), 0.0, _stuck),
        Curve("frozen", "frames until the grabber freezes", (20, 12, 8, 5, 3, 2, 1), MAX_ACTIONS, _frozen),
        Curve("gain", "gain [dB]", (-18.0, -12.0, -6.0, 0.0, 6.0, 12.0, 18.0), 0.0, _gain),
        Curve(
            "dynamic_range", "dynamic range [dB]", (30, 40, 50, 60, 70, 80, 90), Display.dynamic_range, _dynamic_range
        ),
        Curve("depth", "imaging depth [mm]", (50.0, 60.0, 70.0, 80.0, 90.0), 1e3 * DEPTH, _depth),
        Curve("contact", "array lifted off [%]", (0.0, 12.5, 25.0, 37.5, 50.0, 62.5, 75.0), 0.0, _contact),
        Curve("rotation", "probe turned about its beam [deg]", (0.0, 5.0, 10.0, 15.0, 20.0), 0.0, _rotation),
        Curve("tilt", "probe tilted to one end [deg]", (0.0, 5.0, 10.0, 15.0, 20.0), 0.0, _tilt),
        Curve("speckle", "other speckle, draw", tuple(range(_SPECKLES + 1)), 0, _speckle, trend=False),
        Curve("weight", "body mass index, more by [kg/m²]", (0.0, 2.0, 4.0, 6.0, 8.0), 0.0, _weight),
    )
}
"""Every curve by its name."""
