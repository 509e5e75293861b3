"""The slope of the skin under the probe, from the path of the contact points, and the beam that stands on it.

A surface is taken for its depth z(x, y) over the parallel plane of the patient frame. A Kalman filter that travels with
the probe holds depth, slopes (dz/dx, dz/dy) and curvatures (d2z/dx2, d2z/dxdy, d2z/dy2) there, and beside them the
breath, an oscillator that is kept going by chance: what comes and goes at the rate of breathing while the probe
stands still is no slope. A way (dx, dy) changes depth and slopes by Taylor's expansion. Every contact point measures
depth plus breath. (Kalman filter: Thrun, Burgard, Fox, Probabilistic Robotics, 2005, sec. 3.2.)

What a tilted transducer feels, moment and lateral force, says less than this: docs/force_control.md.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.compiled import compiled
from iiwa_bridge.control.filters import length, limited
from iiwa_bridge.errors import CommandError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceConfig:
    """What is expected of a surface and of the beam on it; deviations are standard deviations.

    Attributes:
        slope_deviation: of the slope at the first contact from the one that the beam then stands on [rad].
        curvature_deviation: of each curvature from none [1/m].
        bending: variance of the slopes that a way adds [rad^2/m].
        breath_deviation: of the depth by breathing [m].
        breath_rate: of breathing [Hz].
        breath_memory: for how long breathing keeps its pace [s].
        depth_deviation: of the mean of a second's contact points from the surface [m].
        drift: of the body in a second [m].
        tilt_limit: largest angle of the beam to z of the patient [rad].

    Raises:
        CommandError: a value is not a finite number above 0, or the tilt beyond 45 degrees.
    """

    slope_deviation: float = 0.15
    curvature_deviation: float = 5.0
    bending: float = 0.1
    breath_deviation: float = 0.002
    breath_rate: float = 0.25
    breath_memory: float = 5.0
    depth_deviation: float = 0.0005
    drift: float = 0.0003
    tilt_limit: float = math.radians(15.0)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise CommandError(f"surface: {name} is {value}; expected a number above 0")
        if self.tilt_limit > math.pi / 4.0:
            raise CommandError(f"surface: tilt_limit is {math.degrees(self.tilt_limit):g} degrees; at most 45 degrees")


@compiled("float64[::1](float64[:])")
def beam_of(slope: Array) -> Array:
    """Unit vector (3,) into the body across a surface of slope (dz/dx, dz/dy), in the patient frame."""
    long = math.sqrt(slope[0] * slope[0] + slope[1] * slope[1] + 1.0)
    return np.array([-slope[0] / long, -slope[1] / long, 1.0 / long])


def slope_of(beam: Array) -> Array:
    """Slope (2,) of the surface that a beam (3,) with a part into the body stands on; undoes ``beam_of``."""
    return -beam[:2] / float(beam[2])


DEPTH, SLOPES, CURVATURES, BREATH = 0, slice(1, 3), slice(3, 6), slice(6, 8)
"""Places in the state (8,): z, (zx, zy), (zxx, zxy, zyy), and the breath with its quadrature."""


@compiled("float64[:,::1](float64[:])")
def travel(way: Array) -> Array:
    """Transition (8, 8) of the state by a way (dx, dy) over the surface [m]: Taylor's expansion."""
    dx, dy = way[0], way[1]
    transition = np.eye(8)
    transition[0, 1], transition[0, 2] = dx, dy
    transition[0, 3], transition[0, 4], transition[0, 5] = 0.5 * dx * dx, dx * dy, 0.5 * dy * dy
    transition[1, 3] = transition[2, 4] = dx
    transition[1, 4] = transition[2, 5] = dy
    return transition


@compiled("float64[:,::1](float64[:,::1], float64[:,::1])")
def _spread(transition: Array, covariance: Array) -> Array:
    """F P F^T of a transition F and a covariance P, each (8, 8)."""
    half, whole = np.zeros((8, 8)), np.zeros((8, 8))
    for i in range(8):
        for k in range(8):
            if transition[i, k] != 0.0:
                for j in range(8):
                    half[i, j] += transition[i, k] * covariance[k, j]
    for j in range(8):
        for k in range(8):
            if transition[j, k] != 0.0:
                for i in range(8):
                    whole[i, j] += half[i, k] * transition[j, k]
    return whole


@compiled(
    "Tuple((float64[::1], float64[:,::1]))"
    "(float64[::1], float64[:,::1], float64[:], float64, float64, float64, float64, float64)"
)
def _predicted(
    state: Array,
    covariance: Array,
    way: Array,
    kept: float,
    turn: float,
    drifted: float,
    bent: float,
    breathed: float,
) -> tuple[Array, Array]:
    """State (8,) and covariance (8, 8) after a way (2,) [m], in which the breath keeps a share and turns by an angle
    [rad], and which adds to the variances of depth [m^2], slopes [rad^2] and breath [m^2].
    """
    transition = travel(way)
    transition[6, 6] = transition[7, 7] = kept * math.cos(turn)
    transition[6, 7] = kept * math.sin(turn)
    transition[7, 6] = -transition[6, 7]
    after = np.zeros(8)
    for i in range(8):
        for k in range(8):
            after[i] += transition[i, k] * state[k]
    spread = _spread(transition, covariance)
    spread[0, 0] += drifted
    for i in range(1, 3):
        spread[i, i] += bent
    for i in range(6, 8):
        spread[i, i] += breathed
    return after, spread


@compiled("Tuple((float64[::1], float64[:,::1]))(float64[::1], float64[:,::1], float64, float64)")
def _corrected(state: Array, covariance: Array, depth: float, variance: float) -> tuple[Array, Array]:
    """State (8,) and covariance (8, 8) after a measurement of depth plus breath [m], of a variance [m^2]."""
    seen = covariance[:, 0] + covariance[:, 6]
    gain = seen / (seen[0] + seen[6] + variance)
    after = state + gain * (depth - state[0] - state[6])
    less = np.empty((8, 8))
    for i in range(8):
        for j in range(8):
            less[i, j] = covariance[i, j] - gain[i] * seen[j]
    return after, less


class SurfaceEstimator:
    """Slope of the surface, from contact points.

    Args:
        point: first contact, in the patient frame (3,) [m].
        slope: on which the beam stands there (2,).
        config: what is expected.
    """

    def __init__(self, point: Array, slope: Array, config: SurfaceConfig) -> None:
        self._config = config
        self._place: Array = np.array(point[:2], dtype=float)
        self._state: Array = np.zeros(8)
        self._state[DEPTH], self._state[SLOPES] = point[2], slope
        deviations = np.empty(8)
        deviations[DEPTH] = deviations[BREATH] = config.breath_deviation
        deviations[SLOPES], deviations[CURVATURES] = config.slope_deviation, config.curvature_deviation
        self._covariance: Array = np.diag(deviations**2)

    @property
    def slope(self) -> Array:
        """(dz/dx, dz/dy) where the probe is (2,)."""
        return self._state[SLOPES].copy()

    @property
    def beam_slope(self) -> Array:
        """Slope (2,) that the beam is to stand on: the surface's, within the limit of its tilt."""
        return limited(self.slope, math.tan(self._config.tilt_limit))

    def update(self, point: Array, dt: float) -> None:
        """Take a contact point (3,) in the patient frame [m] that stood for ``dt`` [s]."""
        self._predict(point[:2] - self._place, dt)
        self._place = np.array(point[:2], dtype=float)
        # White noise in time: the shorter a point stood, the less it says.
        variance = self._config.depth_deviation**2 / dt
        self._state, self._covariance = _corrected(self._state, self._covariance, float(point[2]), variance)

    def _predict(self, way: Array, dt: float) -> None:
        config = self._config
        kept, turn = math.exp(-dt / config.breath_memory), 2.0 * math.pi * config.breath_rate * dt
        drifted, bent = config.drift**2 * dt, config.bending * length(way)
        breathed = config.breath_deviation**2 * (1.0 - kept**2)
        self._state, self._covariance = _predicted(
            self._state, self._covariance, way, kept, turn, drifted, bent, breathed
        )
