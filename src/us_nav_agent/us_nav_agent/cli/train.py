"""`usnav train`: run an experiment, or go on with it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskID

from us_nav_agent.cli.screen import console, progress_bar


def train(
    experiment: Annotated[str, typer.Argument(help="Name in config/experiments, or a .yaml file.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/cohort"),
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/NAME-seedN.")] = None,
    install: Annotated[str | None, typer.Option(help="Copy the model into the models folder by this name.")] = None,
) -> None:
    """Train a policy, the best by validation. Ctrl-C keeps what is done, the same command goes on.

    Examples: `usnav train msdqn_lite --data data/cohort --seed 0`, `usnav train densenet` (the paper's baseline)
    """
    from us_nav_agent.policy import install_model
    from us_nav_agent.training import TrainProgress, load_experiment
    from us_nav_agent.training import train as run

    plan = load_experiment(experiment)
    folder = out or Path("runs") / f"{plan.name}-seed{seed}"
    with progress_bar() as bar:
        tasks: dict[str, TaskID] = {}
        noted = ""

        def show(progress: TrainProgress) -> None:
            nonlocal noted
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage)
            bar.update(tasks[progress.stage], completed=progress.done, total=progress.total)
            if progress.note != noted:
                noted = progress.note
                bar.console.print(f"{progress.done} steps: {progress.note}")

        model = run(plan, data, seed, folder, show)
    console.print(f"wrote {model}")
    if install:
        console.print(f"installed {install_model(model, install)}")
