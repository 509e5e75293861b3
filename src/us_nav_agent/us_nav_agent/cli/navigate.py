"""`usnav navigate`: send the probe to a target in a graph that runs."""

from typing import Annotated

import typer

from us_nav_agent.cli.screen import console


def navigate(
    target: Annotated[str, typer.Argument(help="View to find.")] = "sacrum",
    max_steps: Annotated[int, typer.Option(min=0, help="Probe steps allowed; 0: the node's own number.")] = 0,
    timeout: Annotated[float, typer.Option(min=1.0, help="Longest time of the run [s].")] = 300.0,
) -> None:
    """Ask the policy node of a running graph to find a target; shows every step. Exit status 0 where it was found.

    Example: `usnav launch sim target:=` in one terminal, `usnav navigate sacrum` in another.
    """
    from us_nav_agent.ros.navigate_client import HEAD
    from us_nav_agent.ros.navigate_client import navigate as run

    console.print(HEAD, highlight=False)
    outcome = run(target, max_steps, lambda step: console.print(str(step), highlight=False), timeout=timeout)
    console.print(str(outcome), highlight=False)
    if not outcome.reached:
        raise typer.Exit(1)
