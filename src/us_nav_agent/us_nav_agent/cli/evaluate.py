"""`usnav evaluate`: models or a baseline on all starts of the test subjects, beside the paper's table."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markdown import Markdown
from typer.core import TyperGroup

from us_nav_agent.cli.evaluate_closed_loop import closed_loop
from us_nav_agent.cli.screen import console, progress_bar
from us_nav_agent.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from us_grid_sim.dataset.grid import PreprocessedGrid
    from us_grid_sim.dataset.layout import GridSubject
    from us_grid_sim.geometry import Bin

    from us_nav_agent.deciders import Decider
    from us_nav_agent.evaluation import EvaluationResult
    from us_nav_agent.policy import Policy


DEFAULT = "grid"
"""The command that is meant where none is named."""


class DefaultGroup(TyperGroup):
    """A group one of whose commands is meant where the first word names none: a model, an option, or nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front where no command stands there.

        The context is that of the click which typer brings along, and hands out under no public name.
        """
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultGroup,
    rich_markup_mode="markdown",
    help="How well a model finds its view: on a grid of frames, or with the robot in the loop.\n\n"
    "`usnav evaluate MODEL ...` is `usnav evaluate grid MODEL ...`: every bin of the test subjects, no robot, seconds. "
    "`usnav evaluate closed-loop` walks with bridge, controller, arm and a breathing patient, minutes.\n\n"
    "Examples: `usnav evaluate belief --out runs/evaluation`, `usnav evaluate oracle`, "
    "`usnav evaluate closed-loop --subjects 1 --starts 2 --plant mock`; `usnav evaluate grid --help` and "
    "`usnav evaluate closed-loop --help` have the options.",
)
app.command("closed-loop")(closed_loop)


@app.command(DEFAULT)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Names or paths of models, training seeds of one architecture; or a baseline: oracle, sweep, random.",
            default_factory=lambda: [DEFAULT_MODEL],
            show_default=DEFAULT_MODEL,
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/cohort"),
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Which subjects.")] = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of the frames drawn in the bins.")] = 0,
    target: Annotated[str, typer.Option(help="View to walk to; a model names those that it finds.")] = "sacrum",
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json, evaluation.md and pictures.")] = None,
) -> None:
    """Walk from all 165 bins of each subject; the same seed gives the same JSON byte for byte.

    Examples: `usnav evaluate belief --out runs/evaluation`, `usnav evaluate oracle`,
    `usnav evaluate runs/msdqn_lite-seed*/model.safetensors`, `usnav evaluate belief --target l4`
    """
    from us_grid_sim.dataset.layout import read_subject, subjects_of

    from us_nav_agent.errors import UsNavAgentError
    from us_nav_agent.evaluation import BASELINES, evaluate_baseline, evaluate_seeds
    from us_nav_agent.evaluation.report import write_reachability, write_tables

    named = [name for name in models if name in BASELINES]
    if named and len(models) > 1:
        raise UsNavAgentError(f"{named[0]} is a baseline; evaluate it alone")
    policies = [] if named else _load_seeds(models)
    files = subjects_of(data, split)
    subjects = [replace(read_subject(file), goals=_goals(file, target)) for file in files]
    grids = [grid.towards(target) for grid in _load_grids(files, policies[0])] if policies else []
    if policies:
        result = evaluate_seeds(policies, grids, seed, target)
    else:
        result = evaluate_baseline(named[0], subjects, seed, target)
    console.print(Markdown(result.to_markdown()))
    if out is not None:
        written = [*write_tables(result, out), write_reachability(result, subjects, out)]
        if policies:
            written += _write_looks(result, policies[0].decider.towards(target), subjects, grids, out)
        console.print(f"wrote {', '.join(file.name for file in written)} in {out}", soft_wrap=True)


def _goals(patient_file: Path, target: str) -> "tuple[Bin, ...]":
    """The goal bins of the target on a subject."""
    from us_grid_sim.dataset.layout import read_subject
    from us_grid_sim.dataset.targets import read_targets
    from us_grid_sim.phantom.target import Target

    from us_nav_agent.errors import UsNavAgentError

    if target == Target.SACRUM.value:
        return read_subject(patient_file).goals
    try:
        return read_targets(patient_file)[Target(target)]
    except ValueError:
        known = ", ".join(one.value for one in Target)
        raise UsNavAgentError(f"no target {target!r}; there is {known}") from None


def _load_seeds(names: list[str]) -> "list[Policy]":
    """Load policies that can be evaluated together."""
    from us_nav_agent.evaluation import check_seeds
    from us_nav_agent.policy import load_policy

    policies = [load_policy(name) for name in names]
    check_seeds(policies)
    return policies


def _load_grids(files: list[Path], policy: "Policy") -> "list[PreprocessedGrid]":
    """Load the subjects as the policy sees them, behind a progress bar."""
    from us_grid_sim.dataset.grid import load_grid

    with progress_bar() as bar:
        return [load_grid(file, policy.preprocess) for file in bar.track(files, description="subjects")]


def _write_looks(
    result: "EvaluationResult",
    decider: "Decider",
    subjects: "list[GridSubject]",
    grids: "list[PreprocessedGrid]",
    out: Path,
) -> list[Path]:
    """Write the pictures of a run, of the state values and of the stated probabilities, of the first model."""
    from us_nav_agent.evaluation.calibration import draw_reliability, stop_reliability
    from us_nav_agent.evaluation.look import state_values
    from us_nav_agent.evaluation.report import write_run, write_values

    written = [write_run(result, decider, grids, subjects[0].frame, out)]
    with progress_bar() as bar:
        found = [state_values(decider, grid) for grid in bar.track(grids, description="state values")]
    values = [one for one in found if one is not None]
    stated = stop_reliability(decider, grids)
    if stated is not None:
        title = f"{result.models[0].name}: the probability that a frame shows the goal"
        written.append(draw_reliability(stated, title, out / "reliability.png"))
    if values:
        return [*written, write_values(result, values, subjects, out)]
    console.print(f"{result.label} estimates no state value: no picture of them", soft_wrap=True)
    return written
