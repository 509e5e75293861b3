"""Parameters of the nodes: what each is, what it may be, and where in the configuration it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from iiwa_bridge.config import BridgeConfig, load_config
from iiwa_bridge.description.grid import bin_centre
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.orders import Touch
from iiwa_bridge.simulation.simulated_robot import SimulationConfig

Config = TypeVar("Config")


@dataclass(frozen=True)
class Setting:
    """A parameter that goes into the configuration.

    Attributes:
        name: of the parameter.
        place: in the configuration, names and indices with dots between them.
        description: for the operator, with the unit.
        low: least value of a number; None: a text, or yes or no.
        high: greatest value of a number.
    """

    name: str
    place: str
    description: str
    low: float | None = None
    high: float | None = None


SETTINGS = (
    Setting("controller_host", "controller.0", "address of the robot's controller"),
    Setting("controller_port", "controller.1", "port that the controller sends from", 1024, 65535),
    Setting("host", "address.0", "address to listen on"),
    Setting("port", "address.1", "port to listen on, as the controller's application names it", 1024, 65535),
    Setting("timeout", "timeout", "without a message for so long the connection is lost [s]", 0.02, 5.0),
    Setting("layout", "layout", "file of the layout; empty: the one that comes along"),
    Setting("probe", "probe", "file of the probe; empty: the one that comes along"),
    Setting("load_mass", "load_mass", "at the flange and not in the controller's load data [kg]", 0.0, 7.0),
    Setting("load_centre_x", "load_centre.0", "its centre of mass in lbr_link_ee [m]", -0.5, 0.5),
    Setting("load_centre_y", "load_centre.1", "its centre of mass in lbr_link_ee [m]", -0.5, 0.5),
    Setting("load_centre_z", "load_centre.2", "its centre of mass in lbr_link_ee [m]", -0.5, 0.5),
    Setting("lateral_speed", "probe_control.lateral.speed", "of a step [m/s]", 0.001, 0.020),
    Setting("approach_speed", "probe_control.force.approach_speed", "towards the skin [m/s]", 0.001, 0.010),
    Setting("retract_speed", "probe_control.retract_speed", "away from the skin [m/s]", 0.005, 0.050),
    Setting("max_step", "max_step", "longest step [m]", 0.001, 0.030),
    Setting("border", "border", "steps end so far inside the workspace [m]", 0.001, 0.050),
    Setting("tolerance", "tolerance", "a step is reached where it ends within [m]", 0.0001, 0.010),
    Setting("max_force", "monitor.force", "along the beam, above which the probe retracts [N]", 3.5, 5.0),
    Setting("frame_age", "monitor.frame_age", "of the last frame, above which a step is held [s]", 0.1, 5.0),
    Setting("state_age", "monitor.state_age", "of the robot's state, above which it stops [s]", 0.02, 2.0),
    Setting("command_age", "monitor.command_age", "of the last command, above which it stops [s]", 0.02, 2.0),
)

FIRST_CONTACT = (
    Setting("start", "start", 'with ready_on_start: bin of the first contact, "row,column"'),
    Setting("start_force", "force", "with ready_on_start: of the first contact [N]", 0.1, 2.0),
)

SIMULATION = (
    Setting("plant", "plant", "simulated arm, by its name in the entry-point group iiwa_bridge.arms"),
    Setting("client_host", "client.0", "address of the bridge"),
    Setting("client_port", "client.1", "port of the bridge", 1024, 65535),
    Setting("host", "address.0", "address to listen on"),
    Setting("port", "address.1", "port to listen on and to send from", 1024, 65535),
    Setting("subject", "subject", "who lies under the probe, index in the cohort", 0, 10**6),
    Setting("seed", "seed", "of the cohort, the patient's motion and the sensors' noise", 0, 2**31 - 1),
    Setting("breathing", "breathing", "the patient breathes"),
    Setting("movement", "movement", "the patient moves once towards the probe, after its first touch"),
    Setting("contact_loss", "contact_loss", "the patient sinks away from it once by so much [mm]", 0.0, 50.0),
    Setting("packet_loss", "packet_loss", "share of the datagrams that get lost, each way", 0.0, 1.0),
    Setting("viewer", "viewer", "a window shows the arm"),
    Setting("start", "start", 'bin above which the arm stands at first, "row,column"; empty: as the layout has it'),
    Setting("layout", "layout", "file of the layout; empty: the one that comes along"),
    Setting("probe", "probe", "file of the probe; empty: the one that comes along"),
    Setting("patience", "patience", "0: real time; above: wait so long for each answer [s]", 0.0, 1.0),
)


@dataclass(frozen=True)
class FirstContact:
    """Of the bridge over a simulation: bin "row,column" and force [N]."""

    start: str = "5,7"
    force: float = 1.0

    def touch(self) -> Touch:
        """As an order.

        Raises:
            IiwaBridgeError: the start is no bin of the grid.
        """
        return Touch(*bin_centre(self.start), self.force)


@dataclass(frozen=True)
class NodeConfig:
    """Of the bridge node.

    Attributes:
        bridge: of the bridge behind it.
        watch_frames: a step needs frames on /us/image_raw that are not too old.
        autostart: configure and activate without a lifecycle manager; enabling is left to the operator.
        first_contact: for simulations: tare, enable and touch here without an operator; None: left to the operator.
    """

    bridge: BridgeConfig
    watch_frames: bool
    autostart: bool
    first_contact: Touch | None


def value_at(config: object, place: str) -> Any:
    """What stands at a place of a configuration."""
    for part in place.split("."):
        config = config[int(part)] if isinstance(config, tuple) else getattr(config, part)
    return config


def changed(config: Any, values: Mapping[str, object]) -> Any:
    """A configuration with other values at some places, put in all at once: each alone may contradict what was there.

    Raises:
        IiwaBridgeError: a part refuses its values.
    """
    parts: dict[str, dict[str, object]] = {}
    for place, value in values.items():
        head, _, rest = place.partition(".")
        parts.setdefault(head, {})[rest] = value
    if isinstance(config, tuple):
        return tuple(parts[str(index)][""] if str(index) in parts else old for index, old in enumerate(config))
    new = {name: inner[""] if "" in inner else changed(getattr(config, name), inner) for name, inner in parts.items()}
    return replace(config, **new)


def declare(node: Node) -> NodeConfig:
    """Declare the parameters of the bridge node and read them; what a file of ``config`` says is the default of others.

    Raises:
        IiwaBridgeError: the file or the values are no configuration.
    """
    words = "YAML file of the bridge's configuration (docs/bridge.md); empty: defaults"
    file = node.declare_parameter("config", "", _described(words)).value
    bridge = _declared(node, SETTINGS, load_config(Path(file)) if file else BridgeConfig(), file)
    frames = _described("a step is held where the last frame on /us/image_raw is older than frame_age")
    start = _described("configure and activate by itself; enabling is left to the operator")
    ready = _described("for simulations alone: tare, enable and touch the skin without an operator")
    wanted = node.declare_parameter("ready_on_start", False, ready).value
    touch = _declared(node, FIRST_CONTACT, FirstContact()).touch()
    if wanted and not _is_here(bridge.controller[0]):
        raise IiwaBridgeError(
            f"ready_on_start with the controller {bridge.controller[0]}; expected a simulation at 127.0.0.1: "
            "no probe goes to a person without an operator"
        )
    return NodeConfig(
        bridge,
        watch_frames=node.declare_parameter("watch_frames", True, frames).value,
        autostart=node.declare_parameter("autostart", True, start).value,
        first_contact=touch if wanted else None,
    )


def declare_simulation(node: Node) -> SimulationConfig:
    """Declare the parameters of the simulated robot's node and read them."""
    return _declared(node, SIMULATION, SimulationConfig())


def _declared(node: Node, settings: tuple[Setting, ...], base: Config, file: str = "") -> Config:
    """A configuration with what the parameters say put over what is there, which may have come from a file."""
    values: dict[str, object] = {}
    for setting in settings:
        default = value_at(base, setting.place)
        if setting.low is not None:
            _check_range(setting, default, file)
            values[setting.place] = node.declare_parameter(setting.name, default, _ranged(setting, default)).value
        elif isinstance(default, bool):
            values[setting.place] = node.declare_parameter(setting.name, default, _described(setting.description)).value
        else:
            text = node.declare_parameter(setting.name, str(default or ""), _described(setting.description)).value
            is_file = setting.name in ("layout", "probe")
            values[setting.place] = (Path(text) if text else None) if is_file else text
    config: Config = changed(base, values)
    return config


def _is_here(host: str) -> bool:
    """Whether an address is of this machine alone, where no robot is."""
    return host == "localhost" or host.startswith("127.")


def _check_range(setting: Setting, default: float, file: str) -> None:
    """ROS names a default out of its range by an exception of its own and no file."""
    assert setting.low is not None and setting.high is not None
    if not setting.low <= default <= setting.high:
        raise IiwaBridgeError(
            f"{file}: {setting.place} is {default}; the node takes {setting.low:g} to {setting.high:g}"
        )


def _described(words: str, **limits: object) -> ParameterDescriptor:
    return ParameterDescriptor(description=words, read_only=True, **limits)


def _ranged(setting: Setting, default: object) -> ParameterDescriptor:
    if isinstance(default, int):
        whole = IntegerRange(from_value=int(setting.low or 0), to_value=int(setting.high or 0), step=1)
        return _described(setting.description, integer_range=[whole])
    number = FloatingPointRange(from_value=float(setting.low or 0), to_value=float(setting.high or 0), step=0.0)
    return _described(setting.description, floating_point_range=[number])
