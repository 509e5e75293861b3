"""What the flange carries: an ultrasound probe in its holder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iiwa_bridge.description.errors import DescriptionError
from iiwa_bridge.description.parameters import check_transform, numbers, package_file, read_mapping, transform

Array = npt.NDArray[np.float64]

_KEYS = ("mass", "center_of_mass", "inertia", "tool_translation", "tool_rpy_deg", "body", "holder_radius")
_PAYLOAD = 7.0
"""What the LBR iiwa 7 R800 may carry [kg]."""


@dataclass(frozen=True, eq=False)
class Probe:
    """The load at the flange, as the controller's load data have it, and where the transducer is.

    Attributes:
        mass: of probe and holder, with the part of the cable that hangs on them [kg].
        center_of_mass: (3,) in ``lbr_link_ee`` [m].
        inertia: (3, 3) about the centre of mass, along the axes of ``lbr_link_ee`` [kg m^2].
        tool: pose (4, 4) of ``us_probe`` in ``lbr_link_ee`` [m].
        body: size (3,) of the box around the probe's body, along the array, out of plane, and from the face
            backwards [m].
        holder_radius: of the cylinder from the flange to the back of that box [m].

    Raises:
        DescriptionError: a value is not one that a body at the flange can have.
    """

    mass: float
    center_of_mass: Array
    inertia: Array
    tool: Array
    body: Array
    holder_radius: float

    def __post_init__(self) -> None:
        if not 0.0 < self.mass <= _PAYLOAD:
            raise DescriptionError(f"probe: mass is {self.mass:g} kg; expected above 0, at most {_PAYLOAD:g}")
        if self.center_of_mass.shape != (3,) or not np.isfinite(self.center_of_mass).all():
            raise DescriptionError(f"probe: center_of_mass is {self.center_of_mass}; expected 3 finite numbers [m]")
        if not _is_inertia(self.inertia):
            raise DescriptionError(
                f"probe: inertia {self.inertia.tolist()} is no body's; expected (3, 3), symmetric, its principal "
                "moments above 0 and each at most the sum of the other two [kg m^2]"
            )
        check_transform(self.tool, "probe: tool")
        for name, size in (("body", self.body), ("holder_radius", np.array([self.holder_radius] * 3))):
            if not (size.shape == (3,) and np.isfinite(size).all() and (size > 0.0).all()):
                raise DescriptionError(f"probe: {name} is {getattr(self, name)}; expected lengths above 0 [m]")
        if self.back[2] <= 0.0:
            raise DescriptionError(
                f"probe: its body begins {-1e3 * self.back[2]:.1f} mm behind the flange; expected a tool and a body "
                "that leave room for the holder"
            )

    @property
    def back(self) -> Array:
        """Middle (3,) of the back of the probe's body in ``lbr_link_ee`` [m]."""
        return np.asarray(self.tool[:3, 3] - self.body[2] * self.tool[:3, 2])


def load_probe(file: Path | None = None) -> Probe:
    """The probe of a parameter file, laid out as ``probe.yaml`` beside this module; None: that one.

    Raises:
        DescriptionError: the file cannot be read, or holds something else than a probe.
    """
    file = package_file("probe.yaml") if file is None else file
    content = read_mapping(file, _KEYS)
    translation, angles = (numbers(content, key, (3,), file) for key in ("tool_translation", "tool_rpy_deg"))
    return Probe(
        mass=float(numbers(content, "mass", (), file)),
        center_of_mass=numbers(content, "center_of_mass", (3,), file),
        inertia=numbers(content, "inertia", (3, 3), file),
        tool=transform(translation, np.deg2rad(angles)),
        body=numbers(content, "body", (3,), file),
        holder_radius=float(numbers(content, "holder_radius", (), file)),
    )


def _is_inertia(inertia: Array) -> bool:
    """Whether (3, 3) is the inertia of some body about its centre of mass."""
    if inertia.shape != (3, 3) or not np.isfinite(inertia).all() or not np.allclose(inertia, inertia.T, atol=1e-9):
        return False
    smallest, middle, largest = np.linalg.eigvalsh(inertia)
    return bool(smallest > 0.0 and largest <= smallest + middle)
