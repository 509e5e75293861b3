"""Each parameter of the robot node is described, bounded, and reaches the configuration of the bridge."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.config import BridgeConfig  # noqa: E402
from iiwa_bridge.errors import IiwaBridgeError  # noqa: E402
from iiwa_bridge.ros.parameters import SETTINGS, NodeConfig, changed, declare, value_at  # noqa: E402
from rclpy.node import Node  # noqa: E402

pytestmark = pytest.mark.ros
OTHERS = {"config": "", "watch_frames": True, "autostart": True}

Declare = Callable[..., tuple[Node, NodeConfig]]


@pytest.fixture
def declared(ros_env: dict[str, str]) -> Iterator[Declare]:
    """Declare on a node that was started with these parameters."""
    nodes: list[Node] = []

    def begin(**parameters: object) -> tuple[Node, NodeConfig]:
        rclpy.init(args=["--ros-args", *(word for k, v in parameters.items() for word in ("-p", f"{k}:={v}"))])
        nodes.append(Node("declares"))
        return nodes[-1], declare(nodes[-1])

    yield begin
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def another(name: str) -> object:
    """A value that the parameter may have and has not by default."""
    (setting,) = (each for each in SETTINGS if each.name == name)
    default = value_at(BridgeConfig(), setting.place)
    if setting.low is None or setting.high is None:
        return "10.0.0.7" if name.endswith("host") else f"/tmp/{name}.yaml"
    if isinstance(default, int):
        return default + 1
    return round(0.5 * (setting.low + default) if default > setting.low else 0.5 * setting.high, 6)


def test_every_parameter_reaches_its_place_and_no_other(declared: Declare) -> None:
    given = {setting.name: another(setting.name) for setting in SETTINGS}
    _, config = declared(**given, watch_frames=False, autostart=False)
    for setting in SETTINGS:
        found = value_at(config.bridge, setting.place)
        assert (str(found) if isinstance(found, Path) else found) == given[setting.name], setting.name
        assert found != value_at(BridgeConfig(), setting.place), setting.name
    assert len({setting.place for setting in SETTINGS}) == len(SETTINGS)
    assert (config.watch_frames, config.autostart) == (False, False)


def test_every_parameter_is_described_and_every_number_bounded(declared: Declare) -> None:
    node, config = declared()
    assert config == NodeConfig(BridgeConfig(), True, True)
    names = {setting.name for setting in SETTINGS} | OTHERS.keys()
    assert names <= set(node._parameters)
    for name in names:
        descriptor = node.describe_parameter(name)
        assert descriptor.description and descriptor.read_only, name
        value = node.get_parameter(name).value
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert len(ranges) == (isinstance(value, int | float) and not isinstance(value, bool)), name
        assert all(each.from_value <= value <= each.to_value for each in ranges), name


def test_what_the_file_says_is_the_default_and_a_parameter_is_put_over_it(declared: Declare, tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    file.write_text("controller: [10.0.0.1, 30201]\nprobe_control: {lateral: {speed: 0.012}}\nmax_step: 0.02\n")
    _, config = declared(config=file, max_step=0.01)
    assert config.bridge.controller == ("10.0.0.1", 30201)
    assert config.bridge.probe_control.lateral.speed == 0.012
    assert config.bridge.max_step == 0.01


def test_a_file_beyond_the_range_of_the_node_is_one_line(declared: Declare, tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    file.write_text("max_step: 0.2\n")
    with pytest.raises(IiwaBridgeError, match=r"bridge\.yaml: max_step is 0\.2; the node takes 0\.001 to 0\.03"):
        declared(config=file)


def test_values_that_contradict_each_other_only_one_by_one_are_put_in_together() -> None:
    narrow = changed(BridgeConfig(), {"commands.lateral_speed": 0.005, "probe_control.lateral.speed": 0.004})
    assert narrow.probe_control.lateral.speed == 0.004
    with pytest.raises(IiwaBridgeError, match=r"commands allow 0\.005"):
        changed(BridgeConfig(), {"commands.lateral_speed": 0.005})
