"""How the bridge is set up: one frozen record, read from a YAML file, where what is not named keeps its default.

A key of the file is a name in :class:`BridgeConfig`, a part of it a mapping under its name:

    controller: [192.170.10.2, 30200]
    commands: {lateral_speed: 0.015}
    probe_control: {lateral: {speed: 0.012}}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from iiwa_bridge.control.force_controller import ForceConfig
from iiwa_bridge.control.probe_controller import ProbeConfig
from iiwa_bridge.control.set_point import MotionConfig
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.kinematics.inverse import InverseConfig
from iiwa_bridge.safety.limits import CommandLimits, MonitorLimits, Workspace

Address = tuple[str, int]
Record = TypeVar("Record")


class ConfigError(IiwaBridgeError):
    """A file is no configuration of the bridge, or its values contradict each other."""


def iiwa_probe() -> ProbeConfig:
    """How this arm moves the probe.

    Its start stands 50 mm above the parallel plane, and the small of a back may lie 40 mm below it. Its mass couples a
    turn of the beam with a force along it, 10 N for each rad/s, so the beam is turned more slowly than elsewhere.
    """
    return ProbeConfig(
        force=ForceConfig(approach_distance=0.125),
        motion=MotionConfig(tilt_speed=math.radians(1.5), tilt_acceleration=0.06),
    )


@dataclass(frozen=True)
class BridgeConfig:
    """Of the bridge.

    Attributes:
        controller: where the robot's controller is; its messages alone are heard.
        address: to listen on.
        timeout: without a message for so long the connection is lost [s].
        layout: file that says where the patient lies; None: ``layout.yaml`` of the description.
        probe: file of the probe at the flange; None: ``probe.yaml``.
        load_mass: of what hangs at the flange and is not in the controller's load data [kg].
        load_centre: its centre of mass in ``lbr_link_ee`` [m].
        probe_control: how the probe is moved.
        inverse: how the joints may move.
        commands: limits of what is sent.
        monitor: limits of what is measured.
        workspace: of the tool.
        max_step: longest step [m].
        border: steps end so far inside the workspace, along x and y [m].
        tolerance: a step is reached where it ends within this distance [m].
        travel_height: above the parallel plane, at which the probe crosses to the place of a first contact [m].

    Raises:
        ConfigError: a value is not above 0 (``load_mass``: negative), or the motions ask for more than the limits
            leave.
    """

    controller: Address = ("192.170.10.2", 30200)
    address: Address = ("0.0.0.0", 30200)
    timeout: float = 0.1
    layout: Path | None = None
    probe: Path | None = None
    load_mass: float = 0.0
    load_centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    probe_control: ProbeConfig = field(default_factory=iiwa_probe)
    inverse: InverseConfig = field(default_factory=InverseConfig)
    commands: CommandLimits = field(default_factory=CommandLimits)
    monitor: MonitorLimits = field(default_factory=MonitorLimits)
    workspace: Workspace = field(default_factory=Workspace)
    max_step: float = 0.030
    border: float = 0.009
    tolerance: float = 0.001
    travel_height: float = 0.050

    def __post_init__(self) -> None:
        for name in ("timeout", "max_step", "border", "tolerance", "travel_height"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"bridge: {name} is {getattr(self, name)}; expected above 0")
        if not self.load_mass >= 0.0:
            raise ConfigError(f"bridge: load_mass is {self.load_mass} kg; expected at least 0")
        sides = zip(self.workspace.lower[:2], self.workspace.upper[:2], strict=True)
        if not all(high - low > 2.0 * self.border for low, high in sides):
            raise ConfigError(f"bridge: border {self.border} m leaves nothing of the workspace; expected less")
        if not -self.travel_height > self.workspace.lower[2]:
            raise ConfigError(f"bridge: travel_height {self.travel_height} m is above the workspace; expected below")
        self._check_speeds()

    def _check_speeds(self) -> None:
        """The motions have to fit between the limits of what is sent, or each of them would be cut all the time."""
        force, lateral, commands = self.probe_control.force, self.probe_control.lateral, self.commands
        for name, speed, limit in (
            ("probe_control.lateral.speed", lateral.speed, commands.lateral_speed),
            ("probe_control.force.approach_speed", force.approach_speed, commands.approach_speed),
            ("probe_control.force.advance_speed", force.advance_speed, commands.approach_speed),
        ):
            if speed > limit:
                raise ConfigError(f"bridge: {name} is {speed:g} m/s; commands allow {limit:g} m/s")


def load_config(file: Path) -> BridgeConfig:
    """The configuration in a YAML file.

    Raises:
        ConfigError: it cannot be read, or holds a key or a value that is none.
        IiwaBridgeError: a part refuses its values.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{file} cannot be read ({why}); expected YAML") from error
    return _changed(BridgeConfig(), {} if content is None else content, str(file))


def _changed(default: Record, content: object, where: str) -> Record:
    """A dataclass with what a mapping names changed, and all else as it was."""
    assert is_dataclass(default) and not isinstance(default, type)
    hints = get_type_hints(type(default))
    names = [each.name for each in fields(default)]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} is {str(content)[:40]}; expected some of the keys {', '.join(names)}")
    unknown = [str(key) for key in content if key not in names]
    if unknown:
        raise ConfigError(f"{where}: no key {', '.join(unknown)}; expected some of {', '.join(names)}")
    named = {
        name: _value(hints[name], value, getattr(default, name), f"{where}: {name}") for name, value in content.items()
    }
    return replace(default, **named)


def _value(kind: Any, value: object, default: object, where: str) -> object:
    """A value of this type, from what YAML makes of it."""
    if is_dataclass(default):
        return _changed(default, value, where)
    if get_origin(kind) is UnionType:
        return None if value is None else _value(get_args(kind)[0], value, None, where)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list) or len(value) != len(kinds):
            raise ConfigError(f"{where} is {str(value)[:40]}; expected a list of {len(kinds)}")
        return tuple(_value(each, part, None, where) for each, part in zip(kinds, value, strict=True))
    if isinstance(kind, type) and issubclass(kind, Enum):
        if value not in kind.__members__:
            raise ConfigError(f"{where} is {value}; expected one of {', '.join(kind.__members__)}")
        return kind[str(value)]
    if kind is Path and isinstance(value, str):
        return Path(value)
    # YAML writes a whole number where a length is meant, and true is a number to Python.
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise ConfigError(f"{where} is {str(value)[:40]}; expected {getattr(kind, '__name__', kind)}")
    return float(value) if kind is float and isinstance(value, (int, float)) else value
