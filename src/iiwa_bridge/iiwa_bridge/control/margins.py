"""How far the force loop along the beam is from instability, over arms and tissues.

The arm is a mass m on the impedance that the controller keeps (stiffness K, damping d = 2 zeta sqrt(m K)), pressed on
tissue of stiffness k and damping b. The set point follows a share a of the probe's motion through the filter
H(s) = 1 / (s / w + 1) and the delay T. From the rest of the set point to the contact force that is

    G(s) = K (k + b s) / (m s^2 + (d + b) s + K + k - a K H(s) exp(-s T)),

and the loop that is opened at the measured force is L(s) = g / s * H(s) exp(-s T) G(s), g the gain of the integral law
(Hogan 1985 for the impedance; margins as in Astrom and Murray, Feedback Systems, 2nd ed., sec. 10.3).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.control.force_controller import ForceConfig

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

FREQUENCIES: Array = np.geomspace(1e-2, 1e3, 20_000)
"""Where the loop is looked at [rad/s]."""


@dataclass(frozen=True)
class ContactPlant:
    """An impedance-controlled arm along the beam, pressed on tissue.

    Attributes:
        tissue_stiffness: k [N/m].
        mass: m, effective mass of the arm along the beam [kg].
        stiffness: K, of the impedance along the beam [N/m].
        damping_ratio: zeta, of the impedance in free space.
        tissue_damping: b [N s/m]; none is the worst.
        delay: T, from the force to the set point that answers it: sampling, transport and half a cycle of hold [s].
    """

    tissue_stiffness: float
    mass: float = 5.0
    stiffness: float = 300.0
    damping_ratio: float = 0.7
    tissue_damping: float = 0.0
    delay: float = 0.015


@dataclass(frozen=True)
class Margins:
    """Of a loop.

    Attributes:
        crossover: highest frequency at which the loop's gain is 1 [rad/s].
        gain: factor that the loop's gain may grow by before it is unstable.
        phase: least distance to -180 degrees where the gain is 1 [degrees].
    """

    crossover: float
    gain: float
    phase: float


def loop_response(plant: ContactPlant, config: ForceConfig, frequencies: Array = FREQUENCIES) -> Complex:
    """L(jw) at frequencies (n,) [rad/s], (n,)."""
    s = 1j * frequencies
    damping = 2.0 * plant.damping_ratio * math.sqrt(plant.mass * plant.stiffness)
    tissue = plant.tissue_stiffness + plant.tissue_damping * s
    measured = np.exp(-s * plant.delay) / (s / (2.0 * math.pi * config.cutoff) + 1.0)
    held = plant.stiffness * (1.0 - config.follow * measured)
    contact = plant.stiffness * tissue / (plant.mass * s**2 + damping * s + held + tissue)
    response: Complex = config.gain / s * measured * contact
    return response


def margins(plant: ContactPlant, config: ForceConfig) -> Margins:
    """Margins of the force loop on a plant.

    The loop falls below 1 for good within the frequencies that are looked at, so both crossings exist.
    """
    response = loop_response(plant, config)
    gain, phase = np.abs(response), np.unwrap(np.angle(response))
    crossings = np.flatnonzero((gain[:-1] >= 1.0) & (gain[1:] < 1.0) | (gain[:-1] < 1.0) & (gain[1:] >= 1.0))
    half_turns = np.floor((phase / math.pi - 1.0) / 2.0)
    reversals = np.flatnonzero(np.diff(half_turns))
    return Margins(
        crossover=float(FREQUENCIES[crossings[-1]]),
        gain=float(1.0 / gain[reversals].max()),
        phase=float(np.degrees(phase[crossings].min() + math.pi)),
    )
