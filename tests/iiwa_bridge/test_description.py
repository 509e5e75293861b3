"""The robot's description: KUKA's numbers, a probe from a file, a cell that is right-handed, one URDF for all."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from iiwa_bridge.description.errors import DescriptionError
from iiwa_bridge.description.layout import Layout, load_layout
from iiwa_bridge.description.parameters import package_file, transform
from iiwa_bridge.description.probe import Probe, load_probe
from iiwa_bridge.description.urdf import JOINT_NAMES, robot_urdf, write_urdf

Array = npt.NDArray[np.float64]

PROBE = load_probe()


@pytest.fixture(scope="session")
def facts(repository: Path) -> dict[str, Any]:
    """KUKA's numbers, which are not part of the product."""
    file = repository.parent / "shared" / "reference" / "iiwa7.yaml"
    if not file.exists():
        pytest.skip("the robot's reference numbers are not here: no folder `shared` beside the checkout")
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def vector(element: ET.Element, name: str) -> list[float]:
    return [float(number) for number in element.attrib[name].split()]


def part(parent: ET.Element, path: str) -> ET.Element:
    found = parent.find(path)
    assert found is not None, path
    return found


def test_the_joints_are_kukas(facts: dict[str, Any]) -> None:
    robot = ET.fromstring(robot_urdf(PROBE))
    for number, (name, fact) in enumerate(zip(JOINT_NAMES, facts["joints"], strict=True)):
        joint = part(robot, f"joint[@name='{name}']")
        assert name == f"lbr_{fact['name']}"
        assert part(joint, "parent").get("link") == f"lbr_link_{number}"
        assert part(joint, "child").get("link") == f"lbr_link_{number + 1}"
        assert vector(part(joint, "origin"), "xyz") == fact["xyz"]
        assert vector(part(joint, "origin"), "rpy") == [0.0, 0.0, 0.0]
        assert vector(part(joint, "axis"), "xyz") == fact["axis"]
        limit = part(joint, "limit")
        for key, value in (("lower", "lower_deg"), ("upper", "upper_deg"), ("velocity", "velocity_deg_s")):
            assert float(limit.attrib[key]) == pytest.approx(math.radians(fact[value]), abs=1e-12)
        assert float(limit.attrib["effort"]) == fact["effort_nm"]


def test_the_links_are_kukas(facts: dict[str, Any]) -> None:
    robot = ET.fromstring(robot_urdf(PROBE))
    for fact in facts["links"]:
        inertial = part(robot, f"link[@name='lbr_{fact['name']}']/inertial")
        assert float(part(inertial, "mass").attrib["value"]) == fact["mass"]
        assert vector(part(inertial, "origin"), "xyz") == fact["com"]
        inertia = part(inertial, "inertia").attrib
        terms = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
        assert [float(inertia[term]) for term in terms] == [fact.get(term, 0.0) for term in terms]
    assert vector(part(robot, "joint[@name='lbr_joint_ee']/origin"), "xyz") == facts["flange"]["xyz"]


def test_the_load_stands_at_the_flange_as_it_was_given() -> None:
    inertia = np.array([[4e-4, 1e-5, 2e-5], [1e-5, 5e-4, 3e-5], [2e-5, 3e-5, 6e-4]])
    probe = replace(PROBE, mass=0.7, center_of_mass=np.array([0.01, -0.02, 0.03]), inertia=inertia)
    inertial = part(ET.fromstring(robot_urdf(probe)), "link[@name='lbr_link_ee']/inertial")
    assert float(part(inertial, "mass").attrib["value"]) == 0.7
    assert vector(part(inertial, "origin"), "xyz") == [0.01, -0.02, 0.03]
    found = part(inertial, "inertia").attrib
    assert [float(found[term]) for term in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")] == [
        4e-4, 1e-5, 2e-5, 5e-4, 3e-5, 6e-4,
    ]  # fmt: skip


def test_what_is_written_is_the_text(tmp_path: Path) -> None:
    file = write_urdf(tmp_path / "robot.urdf", PROBE)
    assert file.read_text(encoding="utf-8") == robot_urdf(PROBE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": 0.0}, "mass is 0 kg; expected above 0, at most 7"),
        ({"mass": math.nan}, "mass is nan kg"),
        ({"mass": 8.0}, "mass is 8 kg"),
        ({"center_of_mass": np.array([0.0, math.inf, 0.0])}, "center_of_mass"),
        ({"inertia": np.diag([1.0, 1.0, 2.1])}, "inertia .* is no body's"),
        ({"inertia": np.diag([1.0, 1.0, -0.1])}, "inertia .* is no body's"),
        ({"inertia": np.array([[2.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])}, "inertia .* is no body's"),
        ({"tool": 2.0 * np.eye(4)}, "tool is no pose"),
        ({"tool": np.diag([1.0, 1.0, -1.0, 1.0])}, "tool is no pose"),
        ({"body": np.array([0.06, 0.0, 0.11])}, "body is .* expected lengths above 0"),
        ({"body": np.array([0.06, 0.02, 0.30])}, r"its body begins 47\.0 mm behind the flange"),
        ({"holder_radius": -0.01}, "holder_radius is -0.01"),
    ],
)
def test_a_load_that_cannot_be_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptionError, match=message) as caught:
        replace(PROBE, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mass: 0.45", "weight: 0.45", "expected the keys body, center_of_mass, holder_radius, inertia, mass, tool"),
        ("mass: 0.45", "mass: heavy", "mass is heavy; expected a finite number"),
        ("mass: 0.45", "mass: [", "is no YAML"),
        ("[0.0, 62.0, 0.0]", "[0.0, 62.0]", r"tool_rpy_deg is \[0.0, 62.0\]; expected 3 finite numbers"),
        ("[0.0, 62.0, 0.0]", "[0.0, .nan, 0.0]", "tool_rpy_deg is .* expected 3 finite numbers"),
    ],
)
def test_a_parameter_file_that_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = package_file("probe.yaml").read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DescriptionError, match=message) as caught:
        load_probe(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parameter_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match=r"none.yaml cannot be read"):
        load_probe(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"empty.yaml holds no mapping; expected the keys patient_rpy_deg"):
        load_layout(tmp_path / "empty.yaml")


def test_every_parameter_of_a_file_arrives(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "mass: 0.5\ncenter_of_mass: [0.01, 0.02, 0.03]\n"
        "inertia: [[4.0e-4, 0, 0], [0, 5.0e-4, 0], [0, 0, 6.0e-4]]\n"
        "tool_translation: [0.1, 0.2, 0.3]\ntool_rpy_deg: [0, 0, 90]\nbody: [0.05, 0.02, 0.1]\nholder_radius: 0.04\n",
        encoding="utf-8",
    )
    probe = load_probe(file)
    assert (probe.mass, probe.holder_radius) == (0.5, 0.04)
    assert probe.center_of_mass.tolist() == [0.01, 0.02, 0.03]
    assert np.diag(probe.inertia).tolist() == [4e-4, 5e-4, 6e-4]
    assert np.allclose(probe.tool, [[0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]], atol=1e-15)
    assert probe.body.tolist() == [0.05, 0.02, 0.1]
    assert np.allclose(probe.back, [0.1, 0.2, 0.2])


def test_the_patient_lies_prone_with_the_robot_at_the_right() -> None:
    patient = load_layout().patient
    turn = patient[:3, :3]
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert np.allclose(turn[:, 2], [0.0, 0.0, -1.0])  # into the body is down
    assert np.allclose(turn[:, 1], [-1.0, 0.0, 0.0])  # the patient's right is towards the robot
    assert np.allclose(turn[:, 0], [0.0, -1.0, 0.0])


def test_a_layout_that_cannot_be_is_refused() -> None:
    layout = load_layout()
    with pytest.raises(DescriptionError, match="patient is no pose"):
        Layout(np.zeros((4, 4)), layout.start)
    with pytest.raises(DescriptionError, match=r"start is .* expected 7 finite angles"):
        Layout(layout.patient, layout.start[:6])


@pytest.mark.parametrize(
    "angles", [(0.0, 0.0, 0.0), (0.3, -0.8, 2.9), (0.4, math.pi / 2, 0.0), (0.4, -math.pi / 2, 1.0)]
)
def test_a_tool_keeps_its_direction_in_the_urdf(angles: tuple[float, float, float]) -> None:
    tool = transform(np.array([0.02, 0.01, 0.3]), np.array(angles))
    joint = part(ET.fromstring(robot_urdf(replace(PROBE, tool=tool))), "joint[@name='us_probe_joint']")
    origin = part(joint, "origin")
    again = transform(np.array(vector(origin, "xyz")), np.array(vector(origin, "rpy")))
    assert np.allclose(again, tool, atol=1e-9)


@pytest.mark.parametrize("back", [(0.0, 0.0, 0.1), (0.05, -0.04, 0.1), (-0.1, 0.02, 0.01)])
def test_the_holder_reaches_from_the_flange_to_the_probe(back: tuple[float, float, float]) -> None:
    tool = transform(np.add(back, (0.0, 0.0, 0.11)), np.zeros(3))
    probe: Probe = replace(PROBE, tool=tool)
    body = part(ET.fromstring(robot_urdf(probe)), "link[@name='lbr_link_ee']/collision")
    origin = part(body, "origin")
    pose = transform(np.array(vector(origin, "xyz")), np.array(vector(origin, "rpy")))
    half = float(part(body, "geometry/cylinder").attrib["length"]) / 2.0
    assert np.allclose(pose @ [0.0, 0.0, -half, 1.0], [0.0, 0.0, 0.0, 1.0], atol=1e-9)
    assert np.allclose(pose @ [0.0, 0.0, half, 1.0], [*back, 1.0], atol=1e-9)
