"""What the controller's estimate of external torque adds to the truth: a lag, noise, and a bias that drifts.

All of it is drawn once from a seed; the estimate is then a function of that record and of the true torque.
"""

import math
from dataclasses import dataclass

import numpy as np

from iiwa_bridge.compiled import compiled
from iiwa_bridge.robot import JOINTS, Array
from iiwa_bridge.simulation.errors import SimulationError

_SAMPLES = 12_000
"""Of noise that are drawn; a minute of 5 ms cycles, after which they come again."""
_DRIFTS = 2
_DRIFT_PERIOD = 60.0, 300.0
"""Shortest and longest period of a part of the drift [s]."""


@compiled("f8[::1](f8[::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8)")
def _with_drift(noise: Array, amplitude: Array, rate: Array, phase: Array, time: float) -> Array:
    """Noise (n,) and the sum of some sines (m, n) at a time."""
    total = noise.copy()
    for i in range(amplitude.shape[0]):
        for j in range(len(noise)):
            total[j] += amplitude[i, j] * math.sin(rate[i, j] * time + phase[i, j])
    return total


@compiled("void(f8[::1], f8[::1], f8)")
def _follow(felt: Array, torque: Array, share: float) -> None:
    """Take what is felt (n,) this share of its way to a torque (n,)."""
    for i in range(len(felt)):
        felt[i] += share * (torque[i] - felt[i])


@dataclass(frozen=True)
class SensorConfig:
    """Of the estimate of external torque.

    Attributes:
        lag: time constant of the estimate [s].
        noise: standard deviation of a sample, each joint [N m]. At the start of ``layout.yaml`` the wrench along the
            beam has 3.2 N of it for each N m, so 0.094 N m are 0.3 N.
        bias: highest amplitude of each of the two sines that each joint's bias is made of [N m].

    Raises:
        SimulationError: a value is negative or not finite, or there is no lag.
    """

    lag: float = 0.005
    noise: float = 0.094
    bias: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0.0) or (name == "lag" and value == 0.0):
                raise SimulationError(f"torque sensor: {name} is {value}; expected at least 0, a lag above 0")


@dataclass(frozen=True, eq=False)
class SensorRecord:
    """What was drawn for a sensor.

    Attributes:
        noise: (n, 7) of each sample [N m].
        amplitude: of the drift's parts (2, 7) [N m].
        rate: of the drift's parts (2, 7) [rad/s].
        phase: of the drift's parts (2, 7) [rad].
    """

    noise: Array
    amplitude: Array
    rate: Array
    phase: Array

    def error(self, sample: int, time: float) -> Array:
        """What is added to a sample (7,) at a time [s] [N m]."""
        return _with_drift(self.noise[sample % len(self.noise)], self.amplitude, self.rate, self.phase, time)


def sample_sensor(config: SensorConfig, seed: int) -> SensorRecord:
    """Draw a sensor."""
    rng = np.random.default_rng(seed)
    parts = (_DRIFTS, JOINTS)
    return SensorRecord(
        noise=rng.normal(0.0, config.noise, (_SAMPLES, JOINTS)),
        amplitude=rng.uniform(0.0, config.bias, parts),
        rate=2.0 * math.pi / rng.uniform(*_DRIFT_PERIOD, parts),
        phase=rng.uniform(0.0, 2.0 * math.pi, parts),
    )


class TorqueSensor:
    """The estimate of external torque.

    Args:
        config: of the estimate.
        record: that was drawn for it.
    """

    def __init__(self, config: SensorConfig, record: SensorRecord) -> None:
        self._lag, self._record = config.lag, record
        self._felt: Array = np.zeros(JOINTS)
        self._time, self._samples = 0.0, 0

    def feel(self, torque: Array, duration: float) -> None:
        """The torque by contact (7,) [N m] that acted for ``duration`` [s]."""
        _follow(self._felt, torque, -math.expm1(-duration / self._lag))
        self._time += duration

    def read(self) -> Array:
        """A sample (7,) [N m]."""
        self._samples += 1
        return self._felt + self._record.error(self._samples, self._time)
