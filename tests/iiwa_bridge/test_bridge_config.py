"""The bridge's configuration: what a file names is changed, all else keeps its default, and nothing else is a key."""

import math
from pathlib import Path

import pytest
from iiwa_bridge.config import BridgeConfig, ConfigError, load_config
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.robot import ControlMode


def written(folder: Path, text: str) -> Path:
    file = folder / "bridge.yaml"
    file.write_text(text)
    return file


def test_what_is_named_is_changed_and_all_else_keeps_its_default(tmp_path: Path) -> None:
    text = """
        controller: [127.0.0.1, 30205]
        layout: /cell/layout.yaml
        load_centre: [0, 0, 0.05]
        commands: {lateral_speed: 0.015}
        monitor: {control: JOINT_IMPEDANCE, frozen_cycles: 30}
        probe_control: {lateral: {speed: 0.012}}
    """
    config, default = load_config(written(tmp_path, text)), BridgeConfig()
    assert config.controller == ("127.0.0.1", 30205)
    assert config.layout == Path("/cell/layout.yaml")
    assert config.load_centre == (0.0, 0.0, 0.05)
    assert (config.commands.lateral_speed, config.commands.push) == (0.015, default.commands.push)
    assert (config.monitor.control, config.monitor.frozen_cycles) == (ControlMode.JOINT_IMPEDANCE, 30)
    assert config.probe_control.lateral.speed == 0.012
    assert config.probe_control.motion == default.probe_control.motion, "the arm's own, not the control room's"
    assert default.probe_control.motion.tilt_speed == math.radians(1.5)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "")) == BridgeConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contoller: [a, 1]", "no key contoller; expected some of controller"),
        ("commands: {speed: 1.0}", "commands: no key speed"),
        ("commands: 3", "commands is 3; expected some of the keys joint_margin"),
        ("max_step: far", "max_step is far; expected float"),
        ("max_step: true", "max_step is True; expected float"),
        ("controller: [robot]", "controller is .*; expected a list of 2"),
        ("monitor: {control: SOFT}", "expected one of POSITION, CARTESIAN_IMPEDANCE"),
        ("a: [", "cannot be read"),
        ("max_step: 0.0", "max_step is 0.0; expected above 0"),
        ("max_step: .nan", "max_step is nan; expected above 0"),
        ("load_mass: -1.0", "load_mass is -1.0 kg; expected at least 0"),
        ("border: 0.2", "border 0.2 m leaves nothing of the workspace"),
        ("travel_height: 0.3", "travel_height 0.3 m is above the workspace"),
        ("commands: {lateral_speed: 0.01}", "lateral.speed is 0.018 m/s; commands allow 0.01 m/s"),
        ("commands: {push: -1.0}", "push is -1.0; expected a number above 0"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(IiwaBridgeError, match=message) as refused:
        load_config(written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml cannot be read"):
        load_config(tmp_path / "none.yaml")
