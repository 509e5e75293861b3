"""Runs the nodes of a launch description as child processes: none outlives us, whatever happens."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

import yaml

from us_nav_agent.cli.launch_file import LaunchDescription, NodeDescription
from us_nav_agent.errors import LaunchError

_PR_SET_PDEATHSIG = 1
_PATIENCE = (3.0, 1.0, 1.0)
"""How long nodes have to end after SIGINT, SIGTERM and SIGKILL [s]."""


def share_of(package: str) -> Path:
    """Share folder of a package: installed, or for our launch files that of the checkout.

    Raises:
        LaunchError: there is none.
    """
    for prefix in _prefixes():
        folder = prefix / "share" / package
        if folder.is_dir():
            return folder
    raise LaunchError(f"package {package} is not installed: run `make setup`, or source install/setup.bash")


def _prefixes() -> list[Path]:
    """Where ROS 2 packages are installed."""
    return [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", sys.prefix).split(os.pathsep) if prefix]


def find_launch_file(name_or_path: str) -> Path:
    """A launch file by path, or by name in us_nav_bringup.

    Raises:
        LaunchError: there is none.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise LaunchError(f"{path}: no such launch file")
    folder = share_of("us_nav_bringup")
    named = folder / f"{name_or_path}.launch.yaml"
    if not named.is_file():
        known = ", ".join(sorted(file.name.removesuffix(".launch.yaml") for file in folder.glob("*.launch.yaml")))
        raise LaunchError(f"no launch file {name_or_path!r}; there is {known}, or name a .yaml file")
    return named


def command_of(package: str, executable: str) -> list[str]:
    """The command that starts a node's executable.

    Raises:
        LaunchError: it is not installed.
    """
    for prefix in _prefixes():
        file = prefix / "lib" / package / executable
        if file.is_file() and os.access(file, os.X_OK):
            return [str(file)]
    for entry in entry_points(group="console_scripts", name=executable):
        if entry.dist is not None and entry.dist.name.replace("-", "_") == package:
            return [sys.executable, "-m", entry.module]
    raise LaunchError(f"no executable {executable} in package {package}; build the workspace, or run `make setup`")


def node_arguments(node: NodeDescription, folder: Path) -> list[str]:
    """The --ros-args of a node; its parameters go through a file in ``folder``, which keeps their types."""
    words = ["--ros-args", "-r", f"__node:={node.name}"]
    for old, new in node.remappings:
        words += ["-r", f"{old}:={new}"]
    for given in node.parameter_files:
        words += ["--params-file", given]
    if node.parameters:
        file = folder / f"{node.name}.yaml"
        file.write_text(yaml.safe_dump({f"/**/{node.name}": {"ros__parameters": dict(node.parameters)}}))
        words += ["--params-file", str(file)]
    return words


def ending(status: int) -> str:
    """How a node that failed has ended, by its exit status."""
    return f"failed with exit status {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"


def _die_with_parent() -> None:
    """In a new child: be killed when the launcher is, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Launcher:
    """Starts nodes and ends them; use as a context manager.

    Args:
        description: what to start.
        say: takes each line of output, prefixed by the node's name.
        environment: of the nodes.
    """

    def __init__(
        self,
        description: LaunchDescription,
        say: Callable[[str], None],
        environment: dict[str, str] | None = None,
    ) -> None:
        self._description, self._say = description, say
        self._environment = {**(environment or os.environ), "PYTHONUNBUFFERED": "1"}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._folder = tempfile.TemporaryDirectory(prefix="usnav-launch-")
        self._ended: set[str] = set()
        self.failed: dict[str, int] = {}
        """Exit status of the nodes that failed, by name."""

    def __enter__(self) -> "Launcher":
        """Start the nodes.

        Raises:
            LaunchError: an executable is missing; none is started then.
        """
        commands = [
            (node, [*command_of(node.package, node.executable), *node_arguments(node, Path(self._folder.name))])
            for node in self._description.nodes
        ]
        for node, command in commands:
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                # A session of its own: Ctrl-C reaches the launcher, which then ends the nodes in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
            self._processes[node.name] = process
            reader = threading.Thread(target=self._read, args=(node.name, process.stdout), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, *details: Any) -> None:
        """End the nodes that still run."""
        self.stop()

    def _read(self, name: str, output: IO[str]) -> None:
        for line in output:
            self._say(f"[{name}] {line.rstrip()}")

    def check(self) -> str | None:
        """Why the launch is over, or None while it goes on: a node failed, on_exit, or all have ended."""
        for node in self._description.nodes:
            status = self._processes[node.name].poll()
            if status is None or node.name in self._ended:
                continue
            self._ended.add(node.name)
            if status != 0:
                self.failed[node.name] = status
                return f"{node.name} {ending(status)}"
            if node.shutdown_on_exit:
                return f"{node.name} has ended"
        return "all nodes have ended" if len(self._ended) == len(self._processes) else None

    def wait(self) -> str:
        """Wait until the launch is over; why it is."""
        while True:
            reason = self.check()
            if reason is not None:
                return reason
            time.sleep(0.05)

    def stop(self) -> None:
        """End all nodes: SIGINT, then SIGTERM, then SIGKILL, each with its time."""
        alive = {name: process for name, process in self._processes.items() if process.poll() is None}
        for number, patience in zip((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), _PATIENCE, strict=True):
            for process in alive.values():
                if process.poll() is None:
                    os.killpg(process.pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and any(process.poll() is None for process in alive.values()):
                time.sleep(0.02)
        for name, process in alive.items():
            if process.returncode not in (0, -signal.SIGINT, None):
                self.failed[name] = process.returncode
        for reader in self._readers:
            reader.join(timeout=1.0)
        self._folder.cleanup()
