"""`usnav bag`: record a graph, play a bag, say what one holds, evaluate a policy on one or on many."""

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from us_nav_agent.cli.screen import console

if TYPE_CHECKING:
    from us_nav_agent.bags.bag import Bag

app = typer.Typer(
    help="Record, play, look into and evaluate bags (MCAP or sqlite3, as `ros2 bag` and Foxglove read them).",
    no_args_is_help=True,
)
BagPath = Annotated[Path, typer.Argument(metavar="BAG", help="Folder of the bag, or its .mcap or .db3 file.")]


@app.command()
def record(
    out: Annotated[Path, typer.Argument(metavar="BAG", help="Folder of the bag, not there yet.")],
    storage: Annotated[Literal["mcap", "sqlite3"], typer.Option(help="Format of the file.")] = "mcap",
    min_free_mb: Annotated[int, typer.Option(min=0, help="Stays free on the disk [MB].")] = 200,
) -> None:
    """Record the running graph until Ctrl-C: frames, decisions, probe, diagnostics, log, actions, parameters.

    The launch files start the same recorder by themselves; this is for a graph that runs already.

    Example: `usnav bag record runs/today/bag`
    """
    from us_nav_agent.ros.recorder_node import record as run

    code = run({"bag": str(out), "storage": storage, "min_free_mb": min_free_mb})
    if code:
        raise typer.Exit(code)


@app.command()
def play(
    bag: BagPath,
    rate: Annotated[float, typer.Option(min=0.01, max=100.0, help="1 is the recorded pace, 2 twice as fast.")] = 1.0,
    topic: Annotated[list[str] | None, typer.Option(help="Play only this; may be given several times.")] = None,
) -> None:
    """Publish a bag's messages into the graph, at the recorded pace or another one; Ctrl-C ends it.

    /rosout and /parameter_events are played only where --topic names them. To evaluate a policy do not play: read the
    bag with `usnav bag evaluate`, which misses no frame and always says the same.

    Examples: `usnav bag play demo/bag`, `usnav bag play demo/bag --rate 2 --topic /us/image_raw`
    """
    from us_nav_agent.bags.bag import Bag
    from us_nav_agent.ros.player import play as run

    opened = Bag(bag)
    seconds = opened.survey.duration
    _say_damage(opened)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.1f}/{task.total:.1f} s"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("playing", total=seconds)
        played = run(opened, rate, topic or (), bar.console.print, lambda done: bar.update(task, completed=done))
    console.print(f"{played} messages played")


@app.command()
def info(bag: BagPath) -> None:
    """Say what a bag holds: topics, rates, parameters, model, commit, and what of it cannot be read.

    Example: `usnav bag info demo/bag`
    """
    from us_nav_agent.bags.bag import Bag
    from us_nav_agent.bags.provenance import PARAMETERS, PARAMETERS_AT_END, parameters_of

    opened = Bag(bag)
    survey, about = opened.survey, opened.about
    _ = opened.store  # says where definitions differ
    size = sum(file.stat().st_size for file in opened.files)
    began = datetime.fromtimestamp(survey.start_ns * 1e-9, tz=timezone.utc)
    head = Table(show_header=False, box=None)
    head.add_row("bag", f"{bag}, {opened.storage}, {size / 1e6:.1f} MB in {len(opened.files)} file(s)")
    if survey.messages:
        head.add_row("recorded", f"{began:%Y-%m-%d %H:%M:%S} UTC, {survey.duration:.1f} s, {survey.messages} messages")
    for key in sorted(about.keys() - {PARAMETERS, PARAMETERS_AT_END}):
        head.add_row(key.removeprefix("usnav."), about[key])
    console.print(head)
    topics = Table("topic", "type", "messages", "rate [1/s]")
    for name, one in sorted(survey.topics.items()):
        rate = f"{one.rate:.1f}" if one.count > 1 and one.rate == one.rate else "-"
        topics.add_row(name, one.topic.type, str(one.count), rate)
    console.print(topics)
    parameters = Table("node", "parameter", "value")
    at_end = parameters_of(about, PARAMETERS_AT_END)
    for node, values in sorted(parameters_of(about).items()):
        for name, value in sorted(values.items()):
            last = at_end.get(node, {}).get(name, value)
            parameters.add_row(node, name, str(value) if last == value else f"{value}, at the end {last}")
    if parameters.row_count:
        console.print(parameters)
    _say_damage(opened)


def _say_damage(bag: "Bag") -> None:
    for line in bag.damage:
        console.print(f"damage: {line}", style="yellow", soft_wrap=True, highlight=False, markup=False)
