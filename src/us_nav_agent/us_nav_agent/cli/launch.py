"""`usnav launch`: run a launch file where only the wheels of ROS 2 are installed."""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table

from us_nav_agent.cli.screen import console
from us_nav_agent.errors import LaunchError


def parse_assignments(words: list[str]) -> dict[str, str]:
    """Arguments written as name:=value.

    Raises:
        LaunchError: one is not.
    """
    arguments = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise LaunchError(f"argument {word!r}; expected name:=value")
        arguments[name] = value
    return arguments


def launch(
    file: Annotated[str, typer.Argument(help="Name (sim, robot, grid, replay) or path of a launch file.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="name:=value ...")] = None,
    show_args: Annotated[bool, typer.Option("--show-args", help="Show the arguments and end.")] = False,
) -> None:
    """Start the nodes of a launch file; Ctrl-C ends them. The same files run under `ros2 launch us_nav_bringup`.

    Example: `usnav launch sim subject:=30 start:=10,14 breathing:=true` lets a simulated robot walk to the sacrum;
    `usnav launch sim --show-args` tells what else can be chosen.

    Example: `usnav launch grid patient_file:=data/cohort/Patient_files/Virtual029.txt start:=0,14`
    """
    from us_nav_agent.cli.launch_file import read_arguments, read_launch_file
    from us_nav_agent.cli.launcher import Launcher, ending, find_launch_file, share_of

    path = find_launch_file(file)
    if show_args:
        table = Table("argument", "default", "")
        for argument in read_arguments(path):
            table.add_row(
                argument.name, "(needed)" if argument.default is None else argument.default, argument.description
            )
        console.print(table)
        return
    description = read_launch_file(path, parse_assignments(arguments or []), share_of)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with Launcher(description, lambda line: print(line, flush=True)) as launcher:
        try:
            reason = launcher.wait()
        except KeyboardInterrupt:
            reason = "stopped"
        print(f"{reason}; ending the nodes", flush=True)
    if launcher.failed:
        failed = ", ".join(f"{name} {ending(status)}" for name, status in launcher.failed.items())
        print(f"error: {failed}", file=sys.stderr)
        raise typer.Exit(1)
