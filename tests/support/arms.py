"""Small arms whose motion is known from a textbook, and backs to press them on."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from us_grid_sim.world.motion import Motion
from us_grid_sim.world.skin import Patient, Skin

Array = npt.NDArray[np.float64]

DOWN = np.diag([1.0, -1.0, -1.0, 1.0])
"""Pose of a frame whose z points down."""
GRAVITY = 9.81
CARRIAGES = (1.0, 1.0, 1.0)
"""Masses of the gantry's carriages along x, y and z [kg]; each carries the next, the last is the probe."""
LENGTH, BOB = 0.5, 2.0
"""Of the pendulum [m, kg]."""

_INERTIA = '<inertia ixx="1e-9" ixy="0" ixz="0" iyy="1e-9" iyz="0" izz="1e-9"/>'


def _link(name: str, mass: float, body: str = "") -> str:
    return f'<link name="{name}"><inertial><mass value="{mass}"/>{_INERTIA}</inertial>{body}</link>'


def _joint(kind: str, parent: str, child: str, axis: str, origin: str = 'xyz="0 0 0"') -> str:
    return (
        f'<joint name="to_{child}" type="{kind}"><parent link="{parent}"/><child link="{child}"/><origin {origin}/>'
        f'<axis xyz="{axis}"/><limit lower="-3" upper="3" effort="1000" velocity="100"/></joint>'
    )


def gantry_urdf(folder: Path, probe_mass: float = CARRIAGES[2]) -> Path:
    """Three sliding joints along x, y and z of ``world``; the probe looks down, at the joints' position."""
    parts = [
        '<link name="base"/>',
        _joint("prismatic", "base", "along_x", "1 0 0"),
        _link("along_x", CARRIAGES[0]),
        _joint("prismatic", "along_x", "along_y", "0 1 0"),
        _link("along_y", CARRIAGES[1]),
        _joint("prismatic", "along_y", "us_probe", "0 0 -1", f'xyz="0 0 0" rpy="{np.pi} 0 0"'),
        _link("us_probe", probe_mass, '<collision><geometry><sphere radius="0.01"/></geometry></collision>'),
    ]
    return _written(folder, parts)


def pendulum_urdf(folder: Path) -> Path:
    """A point mass at the end of a rod that turns about y of ``world``; it hangs down at 0, the probe at its end."""
    parts = [
        '<link name="base"/>',
        _joint("revolute", "base", "pivot", "0 1 0"),
        _link("pivot", 1e-6),
        _joint("fixed", "pivot", "us_probe", "1 0 0", f'xyz="0 0 {-LENGTH}" rpy="{np.pi} 0 0"'),
        _link("us_probe", BOB),
    ]
    return _written(folder, parts)


def _written(folder: Path, parts: list[str]) -> Path:
    file = folder / "arm.urdf"
    file.write_text(f'<robot name="arm">{"".join(parts)}</robot>')
    return file


class GantryModel:
    """The same gantry as an ``ArmModel``."""

    def __init__(self, probe_mass: float = CARRIAGES[2]) -> None:
        self.carried = np.cumsum([probe_mass, CARRIAGES[1], CARRIAGES[0]])[::-1]

    def look(self, q: Array) -> tuple[Array, Array]:
        tool = DOWN.copy()
        tool[:3, 3] = q
        return tool, np.vstack([DOWN[:3, :3], np.zeros((3, 3))])

    def mass_matrix(self, q: Array) -> Array:
        return np.diag(self.carried)

    def gravity(self, q: Array) -> Array:
        return np.array([0.0, 0.0, self.carried[2] * GRAVITY])


def plane(stiffness: float = 1000.0, slope: float = 0.0) -> Skin:
    """A plane through the patient frame's origin, 20 cm wide, that is a linear spring; z grows by ``slope`` with x."""
    x = np.linspace(-0.1, 0.1, 21)
    height = np.tile(slope * x[:, None], (1, 21))
    return Skin(height, np.full_like(height, 1e3), stiffness, (-0.1, -0.1), 0.01)


def ball(radius: float, stiffness: float = 1000.0) -> Skin:
    """A back that is part of a ball, its top at the patient frame's origin."""
    x, y = np.meshgrid(*2 * [np.linspace(-0.1, 0.1, 201)], indexing="ij")
    height = radius - np.sqrt(radius**2 - x**2 - y**2)
    return Skin(height, np.full_like(height, 1e3), stiffness, (-0.1, -0.1), 0.001)


def lying(skin: Skin, motion: Motion | None = None) -> Patient:
    """A patient whose frame has its origin in that of ``world`` and its z down."""
    return Patient(skin, DOWN, motion if motion is not None else Motion())
