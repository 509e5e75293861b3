"""`usnav train`: run an experiment, or go on with it."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from us_nav_agent.cli.screen import console, progress_bar


def train(
    experiment: Annotated[str, typer.Argument(help="Name in config/experiments, or a .yaml file.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/cohort"),
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/NAME-seedN.")] = None,
    install: Annotated[str | None, typer.Option(help="Copy the model into the models folder by this name.")] = None,
) -> None:
    """Train a policy: the stop classifier, then the Q network, the best by validation. Ctrl-C saves; again goes on.

    Example: `usnav train msdqn_lite --data data/cohort --seed 0`
    """
    from us_nav_agent.policy import digest_file, load_policy, models_folder, save_policy
    from us_nav_agent.training import TrainProgress, load_experiment
    from us_nav_agent.training import train as run

    plan = load_experiment(experiment)
    folder = out or Path("runs") / f"{plan.name}-seed{seed}"
    with progress_bar() as bar:
        tasks = {stage: bar.add_task(stage, total=None, visible=False) for stage in ("data", "stop", "dqn")}
        noted = ""

        def show(progress: TrainProgress) -> None:
            nonlocal noted
            bar.update(tasks[progress.stage], completed=progress.done, total=progress.total, visible=True)
            if progress.note != noted:
                noted = progress.note
                bar.console.print(f"{progress.done} steps: {progress.note}")

        model = run(plan, data, seed, folder, show)
    console.print(f"wrote {model}")
    if install:
        policy = load_policy(model)
        copy = models_folder() / f"{install}.safetensors"
        save_policy(copy, policy.config, policy.q_network, policy.stop_classifier, policy.threshold)
        shutil.copymode(model, digest_file(copy))
        console.print(f"installed {copy}")
