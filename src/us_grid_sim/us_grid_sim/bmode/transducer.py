"""The linear array: its scan lines, its pulse, and how its point spread changes with depth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import DEPTH, FRAME_HEIGHT, FRAME_WIDTH, PROBE_WIDTH

SPEED_OF_SOUND = 1540.0
"""Assumed by the scanner, and by us for all soft tissue [m/s]."""
_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation."""


@dataclass(frozen=True)
class Transducer:
    """A linear array of the kind of the L8-3: 3 to 8 MHz, 50 mm, by default 70 mm deep.

    The point spread is a Gaussian in all three directions (amplitude, pulse and echo): laterally as of an aperture
    that is focused on transmit and dynamically on receive, elevationally as of a fixed lens, axially as of a pulse
    that loses its high frequencies on the way (Szabo 2014, Diagnostic Ultrasound Imaging, ch. 6, 7, 10).

    Attributes:
        lines: scan lines, one an element or denser.
        samples: of a scan line.
        depth: that the scanner is set to [m]; from 37.5 mm on the array fits into a frame of square pixels.
        frequency: centre of the band [Hz].
        bandwidth: fractional, at half the amplitude of the pulse-echo spectrum.
        f_number: of the aperture at the focus, transmit and receive together.
        focus: lateral focus [m].
        lens_f_number, lens_focus: likewise elevationally [-, m].
        blur: scale of all widths (aberration).
    """

    lines: int = 160
    samples: int = FRAME_HEIGHT
    depth: float = DEPTH
    frequency: float = 5.5e6
    bandwidth: float = 0.45
    f_number: float = 2.1
    focus: float = 0.030
    lens_f_number: float = 4.2
    lens_focus: float = 0.028
    blur: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise UsGridSimError(f"transducer: {name} is {value}; expected a number above 0")
        shallowest = PROBE_WIDTH * FRAME_HEIGHT / FRAME_WIDTH
        if self.depth < shallowest:
            raise UsGridSimError(
                f"transducer: depth is {1e3 * self.depth:.1f} mm; expected at least {1e3 * shallowest:.1f} mm, or the "
                "array is wider than the frame"
            )

    @property
    def wavelength(self) -> float:
        """At the centre frequency [m]."""
        return SPEED_OF_SOUND / self.frequency

    @property
    def pitch(self) -> float:
        """Distance of neighbouring scan lines [m]."""
        return PROBE_WIDTH / self.lines

    @property
    def sample_spacing(self) -> float:
        """Distance of neighbouring samples of a line [m]."""
        return self.depth / self.samples

    def lateral_width(self, depth: Tensor) -> Tensor:
        """Standard deviation of the point spread along the array at depths [m]: F wavelengths in focus, wider away."""
        away = (depth - self.focus) / (1.3 * self.focus)
        return self.blur * self.f_number * self.wavelength / _FWHM * torch.sqrt(1.0 + away**2)

    def elevational_width(self, depth: Tensor) -> Tensor:
        """Likewise out of the image plane: the slice thickness."""
        away = (depth - self.lens_focus) / (0.6 * self.lens_focus)
        return self.lens_f_number * self.wavelength / _FWHM * torch.sqrt(1.0 + away**2)

    def axial_width(self, depth: Tensor) -> Tensor:
        """Likewise along the beam: half the pulse's length; a Gaussian's widths in time and frequency are
        reciprocal.
        """
        duration = 2.0 * math.log(2.0) * 2.0 / (math.pi * self.bandwidth * self.frequency)
        return self.blur * SPEED_OF_SOUND / 2 * duration / _FWHM * (1.0 + 0.5 * depth / DEPTH)
