"""`usnav evaluate`: a model on all starts of the test subjects, beside the paper's table."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markdown import Markdown

from us_nav_agent.cli.screen import console, progress_bar


def evaluate(
    model: Annotated[str, typer.Argument(help="Name or path of a model.")] = "msdqn-lite",
    data: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/cohort"),
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Which subjects.")] = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of the frames drawn in the bins.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and .md.")] = None,
) -> None:
    """Walk from all 165 bins of each subject; the same seed gives the same JSON byte for byte.

    Example: `usnav evaluate msdqn-lite --data data/cohort --out runs/evaluation`
    """
    from us_grid_sim.dataset.grid import load_grid
    from us_grid_sim.dataset.layout import subjects_of

    from us_nav_agent.evaluation import evaluate as run
    from us_nav_agent.policy import load_policy

    policy = load_policy(model)
    with progress_bar() as bar:
        files = subjects_of(data, split)
        grids = [load_grid(file, policy.preprocess) for file in bar.track(files, description="subjects")]
    result = run(policy, grids, seed)
    console.print(Markdown(result.to_markdown()))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.json").write_text(result.to_json())
        (out / "evaluation.md").write_text(result.to_markdown())
        console.print(f"wrote {out}/evaluation.json and .md")
