"""`usnav demo`: the main job, over real ROS 2 topics and actions in separate processes."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from us_nav_agent.cli.navigate import HEAD, step_line
from us_nav_agent.cli.screen import console, progress_bar
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import UsNavAgentError

if TYPE_CHECKING:
    from us_grid_sim.dataset.layout import GridSubject

    from us_nav_agent.bags.run import RunStep
    from us_nav_agent.ros.navigate_client import Outcome

_SETTLE = 1.5
"""Time for the nodes to find one another, before and after the run [s]."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for bag, picture and video.")] = Path("demo"),
    data: Annotated[Path, typer.Option(help="Where the virtual subject is kept.")] = Path("data/demo"),
    subject: Annotated[int, typer.Option(min=29, help="Index; 29 and above were never trained on.")] = 29,
    start: Annotated[str, typer.Option(help="First bin as row,column.")] = "0,14",
    seed: Annotated[int, typer.Option(min=0, help="Of the frames drawn in the bins.")] = 0,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = DEFAULT_MODEL,
) -> None:
    """Walk from a far corner of an unseen virtual subject to the sacrum and stop there.

    Leaves the bag, run.png, run.webm and result.json. Exit status 0 only where the sacrum was reached.
    """
    from us_grid_sim.dataset.layout import read_subject

    from us_nav_agent.bags.run import read_run
    from us_nav_agent.evaluation.figures import draw_run
    from us_nav_agent.evaluation.video import write_video
    from us_nav_agent.policy import find_model

    weights = find_model(model).resolve()
    grid = read_subject(_subject_file(data, subject))
    folder = _fresh_folder(out)
    outcome = _walk(folder, data, grid, start, seed, weights)
    steps = read_run(folder / "bag")
    reached = outcome.reached and steps[-1].position in grid.goals
    end = "sacrum reached" if reached else f"sacrum not reached: {_why(outcome, steps)}"
    title = f"{grid.name} from bin {start}: {end}" + (f" after {outcome.steps} steps" if outcome.reached else "")
    draw_run(steps, grid.goals, title, folder / "run.png")
    write_video(steps, grid.goals, folder / "run.webm")
    content = {
        "subject": grid.name,
        "start": start,
        "seed": seed,
        "model": weights.stem,
        "reached": reached,
        "steps": outcome.steps,
        "reason": outcome.reason,
        "bins": [[step.position.row, step.position.column] for step in steps],
        "goal_bins": [[goal.row, goal.column] for goal in grid.goals],
    }
    (folder / "result.json").write_text(json.dumps(content, indent=1) + "\n")
    console.print(f"{title}\nleft in {folder}/: bag/, run.png, run.webm, result.json", soft_wrap=True)
    if not reached:
        raise typer.Exit(1)


def _why(outcome: "Outcome", steps: "list[RunStep]") -> str:
    """Why a run that may say it reached its target did not."""
    if not outcome.reached:
        return outcome.reason
    last = steps[-1].position
    return f"stopped in bin {last.row},{last.column}, which is no goal bin"


def _subject_file(data: Path, index: int) -> Path:
    """The patient file of the virtual subject, made first where it is not there."""
    from us_grid_sim.dataset.synth import SynthProgress, synthesize

    with progress_bar() as bar:
        task = bar.add_task("rendering the virtual subject", total=None, visible=False)

        def show(progress: SynthProgress) -> None:
            bar.update(task, completed=progress.done_frames, total=progress.total_frames, visible=True)

        return synthesize(data, subjects=[index], progress=show)[0].resolve()


def _fresh_folder(out: Path) -> Path:
    """``out``, emptied of an earlier demo; a folder that holds anything else is not touched."""
    if out.exists() and any(out.iterdir()):
        if not {file.name for file in out.iterdir()} <= {"bag", "run.png", "run.webm", "result.json"}:
            raise UsNavAgentError(f"{out} holds other things than an earlier demo; name another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _walk(folder: Path, data: Path, grid: "GridSubject", start: str, seed: int, weights: Path) -> "Outcome":
    """Bring the graph up, navigate, and take it down again."""
    from domain_coordinator import domain_id

    from us_nav_agent.bags.read import DECISION_TOPIC
    from us_nav_agent.cli.launch_file import read_launch_file
    from us_nav_agent.cli.launcher import Launcher, find_launch_file, share_of
    from us_nav_agent.ros.navigate_client import navigate

    arguments = {
        "patient_file": str((data / "Patient_files" / f"{grid.name}.txt").resolve()),
        "start": start,
        "seed": str(seed),
        "model": str(weights),
        "bag": str((folder / "bag").resolve()),
    }
    with domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        description = read_launch_file(find_launch_file("grid"), arguments, share_of)
        with Launcher(
            description, lambda line: console.print(line, style="dim", highlight=False, markup=False)
        ) as launcher:
            console.print(HEAD, highlight=False)
            # Seen from here the topics are connected before the nodes have all found one another.
            outcome = navigate(
                "sacrum",
                0,
                lambda step: console.print(step_line(step), highlight=False),
                topics=(DECISION_TOPIC, "/us/image_raw"),
                settle=_SETTLE,
                check=launcher.check,
            )
            time.sleep(_SETTLE)  # decisions are kept for a recorder that was found late; let it have them
        if launcher.failed:
            raise UsNavAgentError(f"nodes failed at the end: {launcher.failed}")
    return outcome
