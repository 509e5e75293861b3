"""The robot as one URDF: the arm of ``iiwa7.urdf`` and the probe at its flange, for Pinocchio, PyBullet and viewers."""

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from iiwa_bridge.description.parameters import package_file, transform
from iiwa_bridge.description.probe import Probe

Array = npt.NDArray[np.float64]

FLANGE = "lbr_link_ee"
TOOL = "us_probe"
JOINT_NAMES = tuple(f"lbr_A{number}" for number in range(1, 8))

_PARTICLE = 1e-6  # PyBullet gives a link that states no mass 1 kg


def robot_urdf(probe: Probe) -> str:
    """URDF of the arm with a probe: links ``lbr_link_0`` to ``lbr_link_7``, ``lbr_link_ee`` and ``us_probe``.

    The load stands at ``lbr_link_ee``, as in the controller's load data; ``us_probe`` has the body of the probe and,
    but for a milligram, no mass.
    """
    robot = ET.parse(package_file("iiwa7.urdf")).getroot()
    flange = robot.find(f"link[@name='{FLANGE}']")
    assert flange is not None, "iiwa7.urdf has no flange"
    _add_inertial(flange, probe.mass, probe.center_of_mass, probe.inertia)
    length = float(np.linalg.norm(probe.back))
    _add_body(flange, _along(probe.back), "cylinder", radius=_text(probe.holder_radius), length=_text(length))
    joint = ET.SubElement(robot, "joint", name=f"{TOOL}_joint", type="fixed")
    ET.SubElement(joint, "parent", link=FLANGE)
    ET.SubElement(joint, "child", link=TOOL)
    joint.append(_origin(probe.tool))
    tool = ET.SubElement(robot, "link", name=TOOL)
    _add_inertial(tool, _PARTICLE, np.zeros(3), _PARTICLE * probe.body[2] ** 2 * np.eye(3))
    middle = np.eye(4)
    middle[2, 3] = -probe.body[2] / 2.0
    _add_body(tool, middle, "box", size=_text(*probe.body))
    ET.indent(robot)
    return ET.tostring(robot, encoding="unicode") + "\n"


def write_urdf(file: Path, probe: Probe) -> Path:
    """Write ``robot_urdf`` to a file, for those who read no text; gives the file back."""
    file.write_text(robot_urdf(probe), encoding="utf-8")
    return file


def _text(*values: float) -> str:
    return " ".join(repr(float(value)) for value in values)


def _along(vector: Array) -> Array:
    """Pose (4, 4) in the middle between the origin and ``vector`` (3,), z along it."""
    x, y, z = vector
    return transform(vector / 2.0, np.array([0.0, math.atan2(math.hypot(x, y), z), math.atan2(y, x)]))


def _origin(pose: Array) -> ET.Element:
    return ET.Element("origin", xyz=_text(*pose[:3, 3]), rpy=_text(*_angles(pose[:3, :3])))


def _angles(turn: Array) -> tuple[float, float, float]:
    """Roll, pitch and yaw of a rotation (3, 3) [rad]; where x points up or down, roll and yaw are one, the yaw 0."""
    level = math.hypot(turn[0, 0], turn[1, 0])
    pitch = math.atan2(-turn[2, 0], level)
    if level < 1e-9:
        return math.atan2(-turn[1, 2], turn[1, 1]), pitch, 0.0
    return math.atan2(turn[2, 1], turn[2, 2]), pitch, math.atan2(turn[1, 0], turn[0, 0])


def _add_inertial(link: ET.Element, mass: float, center: Array, inertia: Array) -> None:
    """Mass [kg], centre of mass (3,) [m] and inertia (3, 3) about it [kg m^2], in the link's frame."""
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "origin", xyz=_text(*center), rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=_text(mass))
    terms = {f"i{'xyz'[a]}{'xyz'[b]}": _text(inertia[a, b]) for a in range(3) for b in range(a, 3)}
    ET.SubElement(inertial, "inertia", terms)


def _add_body(link: ET.Element, pose: Array, shape: str, **size: str) -> None:
    """One primitive at a pose (4, 4) in the link's frame, to be seen and to collide."""
    for role in ("visual", "collision"):
        body = ET.SubElement(link, role)
        body.append(_origin(pose))
        ET.SubElement(ET.SubElement(body, "geometry"), shape, size)
