"""Launch files: what we read means what it means to ros2 launch, and what we do not know is an error."""

from pathlib import Path

import pytest
from us_nav_agent.cli.launch import parse_assignments
from us_nav_agent.cli.launch_file import Argument, read_arguments, read_launch_file
from us_nav_agent.errors import LaunchError

ROOT = Path(__file__).resolve().parents[2]


def share(package: str) -> Path:
    return Path("/share") / package


def write(folder: Path, text: str) -> Path:
    file = folder / "x.launch.yaml"
    file.write_text(text)
    return file


NODE = """
launch:
- arg: {name: start, default: "0,14"}
- arg: {name: model, default: "$(find-pkg-share us_nav_bringup)/models/m"}
- arg: {name: number, default: "3"}
- let: {name: both, value: "$(var start) $(var model)"}
- node:
    pkg: a
    exec: b
    name: c
    output: screen
    on_exit: shutdown
    param:
    - {name: text, value: "'$(var start)'"}
    - {name: rate, value: 30.0}
    - {name: count, value: "$(var number)"}
    - {name: flag, value: true}
    - {name: version, value: "30.0"}
    - {name: both, value: "$(var both)"}
    - {name: here, value: "$(dirname)"}
    - {name: home, value: "$(env USNAV_TEST_NOTHING fallback)"}
    - {from: "$(find-pkg-share p)/x.yaml"}
    remap:
    - {from: /a, to: /b}
"""


def test_substitutions_are_made_and_values_are_yaml(tmp_path: Path) -> None:
    (node,) = read_launch_file(write(tmp_path, NODE), {"start": "5,7"}, share).nodes
    assert (node.package, node.executable, node.name, node.shutdown_on_exit) == ("a", "b", "c", True)
    assert dict(node.parameters) == {
        "text": "5,7",
        "rate": 30.0,
        "count": 3,
        "flag": True,
        # ros2 launch takes a text without substitutions as it stands, where a node then refuses it as no number.
        "version": "30.0",
        "both": "5,7 /share/us_nav_bringup/models/m",
        "here": str(tmp_path),
        "home": "fallback",
    }
    assert node.parameter_files == ("/share/p/x.yaml",)
    assert node.remappings == (("/a", "/b"),)


def test_arguments_are_listed_with_their_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, 'launch:\n- arg: {name: a, description: "first"}\n- arg: {name: b, default: "1"}\n')
    assert read_arguments(file) == (Argument("a", None, "first"), Argument("b", "1", ""))


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("launch:\n- arg: {name: a, description: words}\n", {}, r"argument a \(words\) is needed; give a:="),
        ("launch:\n- arg: {name: a, default: '1'}\n", {"b": "2"}, "no argument b; there are a"),
        ("launch:\n- group: {}\n", {}, "entity 1 is a 'group'; known are arg, let, node"),
        ("launch:\n- node: {pkg: a, exec: b, respawn: true}\n", {}, r"unknown \['respawn'\]"),
        ("launch:\n- node: {pkg: a}\n", {}, r"\['exec'\] is missing"),
        ("launch:\n- node: {pkg: a, exec: b, on_exit: restart}\n", {}, "on_exit is 'restart'; known is shutdown"),
        ("launch:\n- node: {pkg: a, exec: b, param: [{name: c}]}\n", {}, "expected name and value, or from"),
        ("launch:\n- node: {pkg: a, exec: $(var x)}\n", {}, r"\$\(var x\) is not declared above"),
        ("launch:\n- node: {pkg: a, exec: $(command ls)}\n", {}, r"unknown substitution \$\(command\)"),
        ("launch:\n- node: {pkg: a, exec: $(env USNAV_TEST_NOTHING)}\n", {}, "is not set; set it, or give a default"),
        ("launch:\n- node: [\n", {}, r"x\.launch\.yaml:3: not YAML"),
        ("nodes: []\n", {}, "expected one key, launch"),
        ("launch: [word]\n", {}, "entity 1 is 'word'"),
    ],
)
def test_what_we_do_not_know_is_an_error_that_says_what_we_do(
    tmp_path: Path, text: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(LaunchError, match=message):
        read_launch_file(write(tmp_path, text), arguments, share)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="no such launch file"):
        read_arguments(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("name", "arguments", "executables"),
    [
        ("grid", {"patient_file": "p.txt"}, ["recorder_node", "grid_replay_node", "policy_node"]),
        ("replay", {"file": "s.mha"}, ["recorder_node", "policy_node", "image_source_node"]),
        (
            "sim",
            {},
            [
                "recorder_node",
                "robot_simulation",
                "bridge_node",
                "image_source_node",
                "policy_node",
                "navigate_node",
            ],
        ),
        ("robot", {}, ["recorder_node", "bridge_node", "image_source_node", "policy_node"]),
    ],
)
def test_our_own_launch_files_are_read(name: str, arguments: dict[str, str], executables: list[str]) -> None:
    description = read_launch_file(ROOT / "launch" / f"{name}.launch.yaml", arguments, share)
    assert [node.executable for node in description.nodes] == executables
    models = [dict(node.parameters)["model"] for node in description.nodes if node.executable == "policy_node"]
    assert models == ["/share/us_nav_bringup/models/belief.safetensors"]


def test_what_launches_is_what_lies_in_the_checkout() -> None:
    """A model that was trained and installed since the set-up is the one that runs."""
    packages = pytest.importorskip("ament_index_python", reason="ROS 2 is not installed: run `make setup`")
    installed = Path(packages.get_package_share_directory("us_nav_bringup"))
    for file in (*(ROOT / "models").glob("*.safetensors"), *(ROOT / "models").glob("*.sha256")):
        assert (installed / "models" / file.name).samefile(file)
    for file in (ROOT / "launch").glob("*.launch.yaml"):
        assert (installed / file.name).samefile(file)


def parameters(name: str, **arguments: str) -> dict[str, dict[str, object]]:
    """Of the nodes of one of our launch files, by the node's name."""
    nodes = read_launch_file(ROOT / "launch" / f"{name}.launch.yaml", arguments, share).nodes
    return {node.name: dict(node.parameters) for node in nodes}


def test_who_is_felt_is_who_is_seen_and_the_arm_starts_where_the_bridge_touches() -> None:
    given = parameters("sim", subject="31", seed="7", start="10,2", controller_port="41200", port="41201")
    robot, bridge, image = (given[name] for name in ("robot_simulation", "bridge", "image_source"))
    assert (robot["subject"], robot["seed"]) == (image["subject"], image["seed"]) == (31, 7)
    assert robot["start"] == bridge["start"] == "10,2"
    assert robot["port"] == bridge["controller_port"] == 41200
    assert robot["client_port"] == bridge["port"] == 41201


def test_what_happens_to_the_patient_and_to_the_network_is_chosen_in_the_launch() -> None:
    chosen = {"breathing": "true", "movement": "true", "contact_loss": "20.0", "packet_loss": "0.05", "viewer": "true"}
    robot = parameters("sim", **chosen)["robot_simulation"]
    assert {name: robot[name] for name in chosen} == {
        "breathing": True, "movement": True, "contact_loss": 20.0, "packet_loss": 0.05, "viewer": True
    }  # fmt: skip


def test_without_a_target_the_node_that_starts_the_run_is_told_an_empty_one() -> None:
    assert parameters("sim")["navigate"] == {"target": "sacrum"}
    assert parameters("sim", target="")["navigate"] == {"target": ""}


def test_at_the_robot_the_bridge_keeps_its_own_limits_and_does_nothing_by_itself() -> None:
    given = parameters("robot")
    assert set(given["bridge"]) == {"controller_host", "controller_port", "port", "config"}
    assert (given["bridge"]["controller_host"], given["bridge"]["port"]) == ("172.31.1.147", 30200)
    assert "navigate" not in given
    assert given["image_source"]["device"] == "/dev/video0"


def test_a_bin_stays_a_text_for_the_node() -> None:
    file = ROOT / "launch" / "grid.launch.yaml"
    nodes = read_launch_file(file, {"patient_file": "p.txt", "start": "5,7"}, share).nodes
    assert dict(nodes[1].parameters)["start"] == "5,7"


def test_assignments_are_name_and_value() -> None:
    assert parse_assignments(["a:=1", "b:=x:=y"]) == {"a": "1", "b": "x:=y"}
    with pytest.raises(LaunchError, match="argument 'a=1'; expected name:=value"):
        parse_assignments(["a=1"])
