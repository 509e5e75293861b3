"""`usnav evaluate closed-loop`: a model with the robot in the loop, beside the same starts on the grid alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markdown import Markdown

from us_nav_agent.cli.screen import console, progress_bar
from us_nav_agent.defaults import DEFAULT_MODEL


def closed_loop(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or path of the model.")] = DEFAULT_MODEL,
    subjects: Annotated[int, typer.Option(min=1, help="How many.")] = 5,
    first_subject: Annotated[
        int, typer.Option(min=0, help="Index in the cohort: 29 to 33 are for tests, from 34 on all are fresh.")
    ] = 29,
    starts: Annotated[int, typer.Option(min=1, max=165, help="Bins to start from on each subject.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of starts, motion, lost datagrams and noise.")] = 0,
    target: Annotated[str, typer.Option(help="View to walk to.")] = "sacrum",
    plant: Annotated[Literal["pybullet", "mock"], typer.Option(help="The simulated arm.")] = "pybullet",
    breathing: Annotated[bool, typer.Option(help="The patient breathes.")] = True,
    movement: Annotated[bool, typer.Option("--movement", help="The patient moves once towards the probe.")] = False,
    packet_loss: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the FRI datagrams lost, each way.")
    ] = 0.0,
    contact_loss: Annotated[float, typer.Option(min=0.0, help="The patient sinks away once, so far [mm].")] = 0.0,
    out: Annotated[Path, typer.Option(help="Folder of the result, and of what is finished.")] = Path(
        "runs/closed_loop"
    ),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Walk with the whole robot in simulation: bridge, FRI, controller, arm, and a patient who breathes.

    No ROS and no data set is needed, and nothing waits for the clock. The grid alone is walked beside it, on frames of
    the same renderer at the bins' centres. Stopped or killed, the same command goes on; more starts or subjects join
    those that are there; the same seed gives the same JSON byte for byte.

    Examples: `usnav evaluate closed-loop` (60 runs of the default model),
    `usnav evaluate closed-loop --subjects 1 --starts 2 --plant mock` (a first look, a minute),
    `usnav evaluate closed-loop --packet-loss 0.02 --movement --out runs/hard`,
    `usnav evaluate closed-loop belief --first-subject 100 --subjects 20`
    """
    from us_grid_sim.dataset.layout import write_atomically
    from us_grid_sim.envs.loop_run import Disturbances

    from us_nav_agent.evaluation.closed_loop.draw import draw_all
    from us_nav_agent.evaluation.closed_loop.plan import Settings
    from us_nav_agent.evaluation.closed_loop.run import evaluate_closed_loop
    from us_nav_agent.policy import find_model

    world = Disturbances(breathing, movement, packet_loss, 1e-3 * contact_loss)
    settings = Settings(first_subject, subjects, starts, seed, target, plant, world)
    with progress_bar() as bar:
        task = bar.add_task("runs", total=None)
        result = evaluate_closed_loop(
            find_model(model), settings, out, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    write_atomically(out / "closed_loop.json", result.to_json())
    write_atomically(out / "closed_loop.md", result.to_markdown())
    written = ["closed_loop.json", "closed_loop.md", *(file.name for file in draw_all(result, out))]
    console.print(Markdown(result.to_markdown()))
    console.print(f"wrote {', '.join(written)} in {out}", soft_wrap=True)
