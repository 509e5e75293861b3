"""`usnav doctor`: what is installed, what is missing and how to get it."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import typer

from us_nav_agent.cli.screen import console
from us_nav_agent.errors import UsNavAgentError


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, whether it is there, what was found, and how to get it."""

    what: str
    found: bool
    detail: str
    cure: str = ""
    needed: bool = True


_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "gymnasium", "stable-baselines3", "rosbags", "SimpleITK")


def python() -> Finding:
    """Whether this Python is one that ROS 2 wheels exist for."""
    good = (3, 10) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", good, platform.python_version(), "3.10 to 3.13: make PYTHON=python3.12 setup")


def libraries() -> Iterator[Finding]:
    """The libraries that the packages need."""
    for name in _LIBRARIES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed", "make setup, or pip install -r requirements/runtime.in")


def gpu() -> Finding:
    """Whether torch sees a GPU."""
    import torch

    found = torch.cuda.is_available()
    detail = torch.cuda.get_device_name() if found else "none; everything runs on the processor"
    return Finding("GPU", found, detail, "a CUDA build: make setup TORCH_INDEX=... (README)", needed=False)


def module(what: str, name: str, cure: str) -> Finding:
    """Whether a module can be imported."""
    try:
        place = import_module(name).__file__ or ""
    except ImportError as error:
        return Finding(what, False, str(error), cure)
    return Finding(what, True, os.path.dirname(place))  # noqa: PTH120 (a text)


def tool(what: str, names: tuple[str, ...], cure: str) -> Finding:
    """Whether a program is on the path."""
    place = next(filter(None, map(shutil.which, names)), None)
    return Finding(what, place is not None, place or "not found", cure, needed=False)


def weights() -> Iterator[Finding]:
    """The models in the models folder, their SHA-256 checked."""
    from us_nav_agent.policy import check_digest, list_models, models_folder

    files = list_models()
    if not files:
        yield Finding("models", False, f"none in {models_folder()}", "usnav train msdqn_lite --data ...")
    for file in files:
        try:
            yield Finding(f"model {file.stem}", True, f"SHA-256 {check_digest(file)[:12]}")
        except UsNavAgentError as error:
            yield Finding(f"model {file.stem}", False, str(error), "git checkout models/")


def findings() -> Iterator[Finding]:
    """All that is looked for."""
    yield python()
    yield from libraries()
    yield gpu()
    yield module("ROS 2 (rclpy)", "rclpy", "make setup, or source /opt/ros/kilted/setup.bash")
    yield module("us_nav_interfaces", "us_nav_interfaces.msg", "make setup, or colcon build in ros2_ws/ and source it")
    yield tool("C++ compiler", ("c++", "g++", "clang++"), "sudo apt install g++")
    yield tool("cmake", ("cmake",), "sudo apt install cmake")
    yield from weights()
    free = shutil.disk_usage(".").free / 1e9
    yield Finding("disk", free > 12, f"{free:.0f} GB free here", "free some: a cohort takes about 10 GB", needed=False)


def doctor() -> None:
    """Say what is installed, what is missing and how to get it. Exit status 1 where something needed is missing."""
    good = True
    guarded: Callable[[], Iterator[Finding]] = findings
    for finding in guarded():
        mark = "[green]found  [/]" if finding.found else "[red]missing[/]" if finding.needed else "[yellow]missing[/]"
        console.print(f"{mark} {finding.what}: {finding.detail}", highlight=False, soft_wrap=True)
        if not finding.found:
            console.print(f"        -> {finding.cure}", highlight=False, soft_wrap=True)
        good = good and (finding.found or not finding.needed)
    if not good:
        raise typer.Exit(1)
