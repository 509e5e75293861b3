"""`usnav robustness`: how a model bears what was not so in training, a curve a condition."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from us_nav_agent.cli.screen import console, progress_bar

if TYPE_CHECKING:
    from us_nav_agent.evaluation.robustness.conditions import Curve


def robustness(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or path of the model.")],
    data: Annotated[Path, typer.Option(help="Folder of a data set of virtual subjects.")] = Path("data/cohort"),
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Which subjects.")] = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn: turns, speckle, stuck frames.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for robustness.json, .md and .png, and for what is finished.")
    ] = Path("runs/robustness"),
    curve: Annotated[list[str] | None, typer.Option(help="Only this curve; repeatable.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Render the subjects anew, one condition changed at a time, and walk from all 165 bins of each.

    Stopped or killed, the same command goes on; the same seed gives the same JSON byte for byte.

    Examples: `usnav robustness belief` (a quarter of an hour on two cores),
    `usnav robustness belief --curve gain --curve tilt`
    """
    from us_grid_sim.dataset.layout import subjects_of, write_atomically

    from us_nav_agent.evaluation.robustness.draw import draw_curves
    from us_nav_agent.evaluation.robustness.run import Settings, evaluate_robustness
    from us_nav_agent.policy import find_model

    curves = _named(curve)
    settings = Settings(find_model(model), tuple(subjects_of(data, split)), seed)
    with progress_bar() as bar:
        task = bar.add_task("levels", total=None)
        result = evaluate_robustness(
            settings, curves, out, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    write_atomically(out / "robustness.json", result.to_json())
    write_atomically(out / "robustness.md", result.to_markdown())
    draw_curves(result, out / "robustness.png")
    console.print(f"wrote robustness.json, robustness.md, robustness.png in {out}", soft_wrap=True)


def _named(names: list[str] | None) -> "list[Curve]":
    """The curves of these names, all where none is named."""
    from us_nav_agent.errors import UsNavAgentError
    from us_nav_agent.evaluation.robustness.conditions import CURVES

    for name in names or ():
        if name not in CURVES:
            raise UsNavAgentError(f"no curve {name!r}; there is {', '.join(CURVES)}")
    return [curve for name, curve in CURVES.items() if not names or name in names]
