"""Each parameter of the nodes is described, bounded, and reaches the configuration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.config import BridgeConfig  # noqa: E402
from iiwa_bridge.errors import IiwaBridgeError  # noqa: E402
from iiwa_bridge.orders import Touch  # noqa: E402
from iiwa_bridge.ros.parameters import (  # noqa: E402
    FIRST_CONTACT,
    SETTINGS,
    SIMULATION,
    NodeConfig,
    Setting,
    changed,
    declare,
    declare_simulation,
    value_at,
)
from iiwa_bridge.simulation.simulated_robot import SimulationConfig  # noqa: E402
from rclpy.node import Node  # noqa: E402

pytestmark = pytest.mark.ros
OTHERS = {"config", "watch_frames", "autostart", "ready_on_start"}

Declare = Callable[..., tuple[Node, NodeConfig]]
Begin = Callable[..., Node]


@pytest.fixture
def started(ros_env: dict[str, str]) -> Iterator[Begin]:
    """Start a node with these parameters."""
    nodes: list[Node] = []

    def begin(**parameters: object) -> Node:
        rclpy.init(args=["--ros-args", *(word for k, v in parameters.items() for word in ("-p", f"{k}:={v}"))])
        nodes.append(Node("declares"))
        return nodes[-1]

    yield begin
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def declared(started: Begin) -> Declare:
    """Declare the bridge node's parameters on a node that was started with these."""

    def begin(**parameters: object) -> tuple[Node, NodeConfig]:
        node = started(**parameters)
        return node, declare(node)

    return begin


def another(setting: Setting, base: object) -> object:
    """A value that the parameter may have and has not by default."""
    default = value_at(base, setting.place)
    if isinstance(default, bool):
        return not default
    if setting.low is None or setting.high is None:
        return "10.0.0.7" if setting.name.endswith("host") else f"/tmp/{setting.name}.yaml"
    if isinstance(default, int):
        return default + 1
    return round(0.5 * (setting.low + default) if default > setting.low else 0.5 * setting.high, 6)


def check_reached(settings: tuple[Setting, ...], config: object, base: object, given: dict[str, object]) -> None:
    for setting in settings:
        found = value_at(config, setting.place)
        assert (str(found) if isinstance(found, Path) else found) == given[setting.name], setting.name
        assert found != value_at(base, setting.place), setting.name
    assert len({setting.place for setting in settings}) == len(settings)


def check_declared(node: Node, names: set[str]) -> None:
    """Each is described and read only, and each number bounded."""
    assert names <= set(node._parameters)
    for name in names:
        descriptor = node.describe_parameter(name)
        assert descriptor.description and descriptor.read_only, name
        value = node.get_parameter(name).value
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert len(ranges) == (isinstance(value, int | float) and not isinstance(value, bool)), name
        assert all(each.from_value <= value <= each.to_value for each in ranges), name


def test_every_parameter_reaches_its_place_and_no_other(declared: Declare) -> None:
    given = {setting.name: another(setting, BridgeConfig()) for setting in SETTINGS}
    _, config = declared(**given, watch_frames=False, autostart=False)
    check_reached(SETTINGS, config.bridge, BridgeConfig(), given)
    assert (config.watch_frames, config.autostart, config.first_contact) == (False, False, None)


def test_every_parameter_is_described_and_every_number_bounded(declared: Declare) -> None:
    node, config = declared()
    assert config == NodeConfig(BridgeConfig(), True, True, None)
    check_declared(node, {setting.name for setting in (*SETTINGS, *FIRST_CONTACT)} | OTHERS)


def test_the_first_contact_of_a_simulation_is_where_the_parameters_say(declared: Declare) -> None:
    _, config = declared(controller_host="127.0.0.1", ready_on_start=True, start="'3,10'", start_force=1.5)
    assert config.first_contact == Touch(0.06, -0.04, 1.5)


def test_a_start_that_is_no_bin_is_one_line(declared: Declare) -> None:
    with pytest.raises(IiwaBridgeError, match='start "11,0" is no bin; expected "row,column", rows 0 to 10'):
        declared(start="'11,0'")


def test_without_an_operator_no_probe_goes_to_where_a_robot_may_be(declared: Declare) -> None:
    with pytest.raises(IiwaBridgeError, match=r"ready_on_start with the controller 192\.170\.10\.2; expected"):
        declared(ready_on_start=True)


def test_every_parameter_of_the_simulated_robot_reaches_its_place(started: Begin) -> None:
    given = {setting.name: another(setting, SimulationConfig()) for setting in SIMULATION}
    config = declare_simulation(started(**given))
    check_reached(SIMULATION, config, SimulationConfig(), given)


def test_every_parameter_of_the_simulated_robot_is_described_and_bounded(started: Begin) -> None:
    node = started()
    assert declare_simulation(node) == SimulationConfig()
    check_declared(node, {setting.name for setting in SIMULATION})


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
