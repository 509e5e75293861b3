"""`usnav bag`: record a graph, play a bag, say what one holds, evaluate a policy on one or on many."""

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from us_nav_agent.cli.screen import console, progress_bar

if TYPE_CHECKING:
    from us_nav_agent.evaluation.bags import BagResult, FolderResult

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
    _say(opened.damage)
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
    topics = Table(Column("topic", overflow="fold"), Column("type", overflow="fold"), "messages", "rate [1/s]")
    for name, one in sorted(survey.topics.items()):
        rate = f"{one.rate:.1f}" if one.count > 1 and one.rate == one.rate else "-"
        topics.add_row(name, one.topic.type, str(one.count), rate)
    console.print(topics)
    parameters = Table("node", "parameter", Column("value", overflow="fold"))
    at_end = parameters_of(about, PARAMETERS_AT_END)
    for node, values in sorted(parameters_of(about).items()):
        for name, value in sorted(values.items()):
            last = at_end.get(node, {}).get(name, value)
            parameters.add_row(node, name, str(value) if last == value else f"{value}, at the end {last}")
    if parameters.row_count:
        console.print(parameters)
    _say(opened.damage)


@app.command()
def evaluate(
    bags: Annotated[Path, typer.Argument(metavar="BAG|FOLDER", help="A bag, or a folder with bags below.")],
    model: Annotated[str | None, typer.Option(help="Name or path; by default the one that decided then.")] = None,
    target: Annotated[
        str | None, typer.Option(help="View that the runs were to find; by default the one that the bag names.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals over several bags.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the reports, HTML and JSON.")] = Path("runs/bags"),
) -> None:
    """Decide again on the recorded frames, offline, and measure: the same bag, model and seed give the same JSON.

    Writes NAME.html and NAME.json for each bag, and for several index.html and index.json. A damaged bag is read as far
    as it can be; the report says what was not.

    Examples: `usnav bag evaluate demo/bag`, `usnav bag evaluate runs --model msdqn-lite --out runs/compared`
    """
    from us_nav_agent.evaluation.bags import bag_name, evaluate_bag, evaluate_folder, find_bags
    from us_nav_agent.evaluation.bags.page import bag_page, folder_page

    found = {bag_name(path, bags): path for path in find_bags(bags)}
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as bar:
        task = bar.add_task("frames")

        def one(name: str, path: Path) -> "BagResult":
            bar.reset(task, description=name)
            result, recording, pictured = evaluate_bag(
                path, name, model, target, seed, lambda done, total: bar.update(task, completed=done, total=total)
            )
            (out / f"{name}.json").write_text(result.to_json())
            (out / f"{name}.html").write_text(bag_page(result, recording, pictured))
            return result

        if len(found) == 1:
            _show(one(*next(iter(found.items()))))
        else:
            together = evaluate_folder(found, one, seed)
            (out / "index.json").write_text(together.to_json())
            (out / "index.html").write_text(folder_page(together))
            _show_all(together)
    console.print(f"reports in {out}/", soft_wrap=True)


def _show(result: "BagResult") -> None:
    from us_nav_agent.evaluation.bags.page import MEASURES, shown

    table = Table("measure", result.name)
    for name, (words, _) in MEASURES.items():
        table.add_row(words, shown(name, result.measures[name]))
    console.print(table)
    _say(result.damage)
    _say(result.notes, "note")


def _show_all(together: "FolderResult") -> None:
    from us_nav_agent.evaluation.bags.page import MEASURES, shown

    table = Table("measure", f"mean of {len(together.bags)} bags", "95 % interval")
    for name, (words, _) in MEASURES.items():
        one = together.summaries[name]
        table.add_row(words, shown(name, one.mean), f"{shown(name, one.low)} to {shown(name, one.high)}")
    console.print(table)
    _say([f"{result.name}: {line}" for result in together.bags for line in result.damage])
    _say([f"{result.name}: {line}" for result in together.bags for line in result.notes], "note")
    _say([f"{name} is left out: {why}" for name, why in together.failed.items()])


def _say(lines: list[str], kind: str = "damage") -> None:
    for line in lines:
        console.print(f"{kind}: {line}", style="yellow", soft_wrap=True, highlight=False, markup=False)
