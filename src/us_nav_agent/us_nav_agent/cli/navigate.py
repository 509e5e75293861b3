"""`usnav navigate`: send the probe to a target in a graph that runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from us_nav_agent.cli.screen import console

if TYPE_CHECKING:
    from us_nav_agent.ros.navigate_client import StepReport

HEAD = "step  bin    action  Q up     down     left     right    p(stop)  confidence"


def step_line(step: "StepReport") -> str:
    """A decision as a line under HEAD."""
    q = "  ".join(f"{value:+.4f}" for value in step.q_values[:4])
    place = f"{step.position.row},{step.position.column}"
    return (
        f"{step.step:4d}  {place:5s}  {step.action.name.lower():6s}  {q}  {step.stop_probability:7.4f}  "
        f"{step.confidence:6.3f}"
    )


def navigate(
    target: Annotated[str, typer.Argument(help="View to find.")] = "sacrum",
    max_steps: Annotated[int, typer.Option(min=0, help="Probe steps allowed; 0: the node's own number.")] = 0,
    timeout: Annotated[float, typer.Option(min=1.0, help="Longest time of the run [s].")] = 300.0,
) -> None:
    """Ask the policy node of a running graph to find a target; shows every step. Exit status 0 where it was found.

    Example: `usnav launch mock` in one terminal, `usnav navigate sacrum` in another.
    """
    from us_nav_agent.ros.navigate_client import navigate as run

    console.print(HEAD, highlight=False)
    outcome = run(target, max_steps, lambda step: console.print(step_line(step), highlight=False), timeout=timeout)
    console.print(f"{'reached' if outcome.reached else 'not reached'} after {outcome.steps} steps: {outcome.reason}")
    if not outcome.reached:
        raise typer.Exit(1)
