"""`usnav robot`: what an engineer types first at the robot, and in which order: check, tare, jog."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from us_nav_agent.cli.screen import console
from us_nav_agent.errors import UsNavAgentError

if TYPE_CHECKING:
    from iiwa_bridge.config import BridgeConfig
    from iiwa_bridge.fri.client_process import ClientProcess

    from us_nav_agent.cli.robot_jog import Progress

app = typer.Typer(help="Look at the robot, tare it, move it a little: before anything else.", no_args_is_help=True)

_START = 60.0
"""Longest wait for a commanding session; the application on the controller has to be started by hand [s]."""
_MOVE = 30.0
_LOOK = 0.02

Config = Annotated[Path | None, typer.Option(help="The bridge's YAML file (controller, layout, probe, load, limits).")]
Controller = Annotated[str | None, typer.Option(help="HOST:PORT of the controller, instead of the file's.")]
Address = Annotated[str | None, typer.Option(help="HOST:PORT to listen on, instead of the file's.")]


def _config(file: Path | None, controller: str | None, address: str | None) -> "BridgeConfig":
    """The configuration with what the command line says instead."""
    from dataclasses import replace

    from iiwa_bridge.config import BridgeConfig, load_config

    config = BridgeConfig() if file is None else load_config(file)
    if controller is not None:
        config = replace(config, controller=_address(controller, "--controller"))
    return config if address is None else replace(config, address=_address(address, "--address"))


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter(f"{text!r} is no address; expected HOST:PORT", param_hint=option)
    return host, int(port)


@app.command()
def check(
    config: Config = None,
    controller: Controller = None,
    address: Address = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, help="How long to listen.")] = 3.0,
) -> None:
    """Listen to the controller and say what is right and what to do. Moves nothing; exit status 1 where something is wrong.

    It answers monitoring messages with the robot's own position, since the connection is judged by answers, and falls
    silent as soon as the controller's application asks for commands: that application then reports a lost connection.

    Against the simulated robot: `usnav robot check --controller 127.0.0.1:30200 --address 127.0.0.1:30201`
    """  # noqa: E501
    from rich.table import Table

    from us_nav_agent.cli.robot_look import findings, listen

    settings = _config(config, controller, address)
    found = list(findings(listen(settings, seconds, answer=True), settings))
    table = Table("", "", "found", "what to do", highlight=False)
    for each in found:
        mark = "[green]ok[/]" if each.found else "[red]wrong[/]" if each.needed else "[yellow]look[/]"
        table.add_row(each.what, mark, each.detail, "" if each.found else each.cure)
    console.print(table)
    if any(each.needed and not each.found for each in found):
        raise typer.Exit(1)


@app.command()
def tare(
    config: Config = None,
    controller: Controller = None,
    address: Address = None,
    poses: Annotated[int, typer.Option(min=1, max=20, help="1: what is felt here; more: identify the payload.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, help="How long to listen in a pose.")] = 2.0,
) -> None:
    """Say what the sensors tell while nothing touches: one pose, the bias; several, what hangs at the flange. Moves nothing.

    With `--poses 5` lead the arm by hand from pose to pose, tilting the flange differently each time: up, down, to each
    side. The mass and its centre that come out are those the controller does not know of; better than `load_mass` in
    the bridge's file is to correct the tool's load data on the controller. /probe/tare takes the bias for a run.

    Example: `usnav robot tare --poses 5 --config bridge.yaml`
    """  # noqa: E501
    from us_nav_agent.cli.robot_look import listen, payload_by_hand, rest_wrench

    settings = _config(config, controller, address)
    if poses == 1:
        states = listen(settings, seconds, answer=False).states
        if not states:
            raise UsNavAgentError("the controller is not heard; `usnav robot check` says why")
        bias, spread = rest_wrench(states, settings)
        for name, mean, noise, unit in zip(
            ("Fx", "Fy", "Fz", "Tx", "Ty", "Tz"), bias, spread, ("N",) * 3 + ("N m",) * 3, strict=True
        ):
            console.print(f"{name} {mean:7.3f} {unit}, noise {noise:.3f}", highlight=False)
        return

    def place(number: int) -> None:
        console.input(f"pose {number} of {poses}: lead the arm there, let it go, press Enter ")

    payload = payload_by_hand(settings, poses, seconds, place)
    centre = ", ".join(f"{each:.4f}" for each in payload.centre)
    console.print(f"load_mass: {payload.mass:.3f}\nload_centre: [{centre}]", highlight=False)
    console.print(f"# residual {payload.residual:.3f} N m; the bridge's file takes these two lines", highlight=False)


@app.command(context_settings={"ignore_unknown_options": True})
def jog(
    axis: Annotated[str, typer.Argument(help="A1 to A7, or x, y, z of the patient frame (z into the body).")],
    amount: Annotated[float, typer.Argument(help="Degrees (at most 5) or millimetres (at most 20), signed.")],
    config: Config = None,
    controller: Controller = None,
    address: Address = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Move once, a little, in free space: at most 3 degrees/s or 8 mm/s, ended at a change of force of 5 N. Asks first.

    Every command passes the bridge's guard (joint margins, speeds, workspace). The robot's application has to run; when
    the move is done the connection ends, and the application reports that.

    Example: `usnav robot jog z -10` lifts the probe by a centimetre.
    """
    from iiwa_bridge.fri.client import ClientConfig
    from iiwa_bridge.fri.client_process import ClientProcess

    from us_nav_agent.cli.robot_jog import MOST_FORCE, Aim, MakeJog

    settings, aim = _config(config, controller, address), Aim(axis, amount)
    console.print(f"{aim}; ends early where the force on the probe changes by {MOST_FORCE:g} N", highlight=False)
    if not yes:
        typer.confirm("The probe is in the air, nobody within reach, a hand on the enabling switch?", abort=True)
    client = ClientConfig(settings.controller, settings.address, settings.timeout)
    with ClientProcess(client, MakeJog(settings, aim)) as process:
        progress = _follow(process)
    cut = f"; slowed by the guard: {progress.cut}" if progress.cut else ""
    if progress.stopped:
        raise UsNavAgentError(f"stopped after {progress.moved:.2f}: {progress.stopped}{cut}")
    console.print(f"moved by {progress.moved:.2f}{cut}", highlight=False)


def _follow(process: "ClientProcess") -> "Progress":
    """Wait for the end of the move.

    Raises:
        UsNavAgentError: the session does not begin, or ends, before the move does.
    """
    import pickle

    from iiwa_bridge.robot import SessionState

    begun: float | None = None
    opened = time.monotonic()
    while True:
        report = process.read()
        assert report is not None and report.status is not None, "the process is ready when its parent has started it"
        status, now = report.status, time.monotonic()
        last = status.transitions[-1] if status.transitions else "no message of the controller"
        if report.failure or not process.running:
            raise UsNavAgentError(f"the client has ended: {report.failure or 'its last words are above'}")
        if status.session is SessionState.COMMANDING_ACTIVE:
            begun = now if begun is None else begun
            progress: Progress | None = pickle.loads(report.content) if report.content else None
            if progress is not None and progress.ended:
                return progress
        elif begun is not None:
            raise UsNavAgentError(f"the session ended during the move: {last}")
        if now - (opened if begun is None else begun) > (_START if begun is None else _MOVE):
            raise UsNavAgentError(f"no end of the move in time, session {status.session.name}: {last}")
        time.sleep(_LOOK)
