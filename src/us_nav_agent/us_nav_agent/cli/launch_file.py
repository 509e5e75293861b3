"""Reads the part of ROS 2's YAML launch format that our launch files use; what it does not know is an error.

Known: arg (name, default, description), let (name, value), node (pkg, exec, name, output, param, remap, on_exit), and
the substitutions $(var x), $(find-pkg-share pkg), $(env NAME default) and $(dirname).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from us_nav_agent.errors import LaunchError

_KEYS = {
    "arg": {"name", "default", "description"},
    "let": {"name", "value"},
    "node": {"pkg", "exec", "name", "output", "param", "remap", "on_exit"},
}
_REQUIRED = {"arg": {"name"}, "let": {"name", "value"}, "node": {"pkg", "exec"}}
_SUBSTITUTION = re.compile(r"\$\(([a-z-]+)(?: ([^()]*))?\)")


@dataclass(frozen=True)
class Argument:
    """An argument that a launch file declares; without a default it must be given."""

    name: str
    default: str | None
    description: str


@dataclass(frozen=True)
class NodeDescription:
    """A node to start: its package, executable and name, its parameters as YAML values, remappings, on_exit."""

    package: str
    executable: str
    name: str
    parameters: tuple[tuple[str, Any], ...] = ()
    parameter_files: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    shutdown_on_exit: bool = False


@dataclass(frozen=True)
class LaunchDescription:
    """What a launch file describes once its arguments are given."""

    file: Path
    nodes: tuple[NodeDescription, ...] = field(default=())


def _entries(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The entities of a launch file, each a kind and its attributes, checked for unknown and missing keys."""
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise LaunchError(f"{file}: no such launch file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise LaunchError(f"{place}: not YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(content, dict) or set(content) != {"launch"} or not isinstance(content["launch"], list):
        raise LaunchError(f"{file}: expected one key, launch, with a list of entities")
    entries = []
    for number, entity in enumerate(content["launch"], start=1):
        if not isinstance(entity, dict) or len(entity) != 1 or not isinstance(next(iter(entity.values())), dict):
            raise LaunchError(
                f"{file}: entity {number} is {entity!r}; expected one of {', '.join(_KEYS)} with its keys"
            )
        kind, attributes = next(iter(entity.items()))
        _check_keys(file, f"entity {number}", kind, attributes)
        entries.append((kind, attributes))
    return entries


def _check_keys(file: Path, place: str, kind: str, attributes: dict[str, Any]) -> None:
    if kind not in _KEYS:
        raise LaunchError(f"{file}: {place} is a {kind!r}; known are {', '.join(_KEYS)}")
    if unknown := set(attributes) - _KEYS[kind]:
        raise LaunchError(f"{file}: {place}, {kind}: unknown {sorted(unknown)}; known are {sorted(_KEYS[kind])}")
    if missing := _REQUIRED[kind] - set(attributes):
        raise LaunchError(f"{file}: {place}, {kind}: {sorted(missing)} is missing")


def read_arguments(file: Path) -> tuple[Argument, ...]:
    """The arguments that a launch file declares, defaults not yet substituted.

    Raises:
        LaunchError: the file is not one that we read.
    """
    return tuple(
        Argument(
            str(entry["name"]), None if "default" not in entry else str(entry["default"]), entry.get("description", "")
        )
        for kind, entry in _entries(file)
        if kind == "arg"
    )


def read_launch_file(file: Path, arguments: Mapping[str, str], share_of: Callable[[str], Path]) -> LaunchDescription:
    """Read a launch file with these arguments.

    Args:
        file: the launch file.
        arguments: values by name, those without a default at least.
        share_of: the share folder of a package, for $(find-pkg-share pkg).

    Raises:
        LaunchError: the file is not one that we read, or an argument is missing or unknown.
    """
    entries = _entries(file)
    known = {str(entry["name"]) for kind, entry in entries if kind == "arg"}
    if unknown := set(arguments) - known:
        raise LaunchError(
            f"{file.name}: no argument {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    values: dict[str, str] = {}
    nodes = []

    def fill(text: Any) -> str:
        return _substitute(file, str(text), values, share_of)

    for kind, entry in entries:
        name = str(entry.get("name", ""))
        if kind == "arg":
            if name not in arguments and "default" not in entry:
                words = f" ({entry['description']})" if "description" in entry else ""
                raise LaunchError(f"{file.name}: argument {name}{words} is needed; give {name}:=...")
            values[name] = arguments[name] if name in arguments else fill(entry["default"])
        elif kind == "let":
            values[name] = fill(entry["value"])
        else:
            nodes.append(_node(file, entry, fill))
    return LaunchDescription(file, tuple(nodes))


def _substitute(file: Path, text: str, values: Mapping[str, str], share_of: Callable[[str], Path]) -> str:
    """``text`` with its substitutions made."""

    def replaced(match: re.Match[str]) -> str:
        kind, rest = match[1], (match[2] or "").strip()
        if kind == "var":
            if rest not in values:
                raise LaunchError(f"{file}: $(var {rest}) is not declared above; declared are {sorted(values)}")
            return values[rest]
        if kind == "find-pkg-share":
            return str(share_of(rest))
        if kind == "dirname":
            return str(file.resolve().parent)
        if kind == "env":
            name, _, default = rest.partition(" ")
            if name not in os.environ and not default:
                raise LaunchError(f"{file}: environment variable {name} is not set; set it, or give a default")
            return os.environ.get(name, default)
        raise LaunchError(f"{file}: unknown substitution $({kind}); known are var, find-pkg-share, env, dirname")

    return _SUBSTITUTION.sub(replaced, text)


def _node(file: Path, entry: dict[str, Any], fill: Callable[[Any], str]) -> NodeDescription:
    parameters, files = [], []
    for parameter in entry.get("param", []):
        if set(parameter) == {"from"}:
            files.append(fill(parameter["from"]))
        elif set(parameter) == {"name", "value"}:
            parameters.append((fill(parameter["name"]), _value(parameter["value"], fill)))
        else:
            raise LaunchError(f"{file}: param {parameter!r}; expected name and value, or from")
    remappings = []
    for remap in entry.get("remap", []):
        if set(remap) != {"from", "to"}:
            raise LaunchError(f"{file}: remap {remap!r}; expected from and to")
        remappings.append((fill(remap["from"]), fill(remap["to"])))
    if entry.get("on_exit", "shutdown") != "shutdown":
        raise LaunchError(f"{file}: on_exit is {entry['on_exit']!r}; known is shutdown")
    executable = fill(entry["exec"])
    return NodeDescription(
        package=fill(entry["pkg"]),
        executable=executable,
        name=fill(entry.get("name", executable)),
        parameters=tuple(parameters),
        parameter_files=tuple(files),
        remappings=tuple(remappings),
        shutdown_on_exit="on_exit" in entry,
    )


def _value(written: Any, fill: Callable[[Any], str]) -> Any:
    """A parameter's value, as ros2 launch makes it of what the file says.

    A text with substitutions is YAML once they are made, or the text where it is none, so that "'$(var start)'" is a
    text; anything else is what the file's own YAML says: 1.0 is a number, "1.0" a text.
    """
    if not (isinstance(written, str) and _SUBSTITUTION.search(written)):
        return written
    text = fill(written)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
