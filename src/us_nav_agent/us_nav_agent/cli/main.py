"""The command line `usnav`: errors in one line with the cure, a traceback with --debug, Ctrl-C without loss."""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from us_nav_agent.cli import (
    bag,
    calibrate,
    console,
    dataset,
    demo,
    doctor,
    evaluate,
    launch,
    models,
    navigate,
    robot,
    robustness,
    train,
)

_STOPPED = 130
"""Exit status after Ctrl-C."""

app = typer.Typer(
    name="usnav",
    help="Steer an ultrasound probe to a wanted view, looking at nothing but ultrasound frames.\n\n"
    "Begin with `usnav doctor`, then `usnav demo`. Each command's --help has examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dataset.app, name="dataset")
app.add_typer(robot.app, name="robot")
app.add_typer(bag.app, name="bag")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(evaluate.app, name="evaluate")
app.command("doctor")(doctor.doctor)
app.command("train")(train.train)
app.command("robustness")(robustness.robustness)
app.command("models")(models.models)
app.command("launch", context_settings={"allow_interspersed_args": True})(launch.launch)
app.command("navigate")(navigate.navigate)
app.command("demo")(demo.demo)
app.command("console")(console.console)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"usnav {version('us_nav_agent')}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Take the options that come before the command."""


def main() -> None:
    """Run the command line; exit status 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    # Two threads that wait for one another on a busy machine are slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv
    try:
        # Without standalone mode a command's exit status comes back as a value; typer makes Ctrl-C the status 130.
        status = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error))
    if status == _STOPPED:
        Console(stderr=True).print("stopped; what was finished is kept, the same command goes on from there")
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> int:
    """Print an error in one line; its exit status."""
    from iiwa_bridge.errors import IiwaBridgeError
    from us_grid_sim.errors import UsGridSimError

    from us_nav_agent.errors import UsNavAgentError

    if hasattr(error, "show") and hasattr(error, "exit_code"):  # typer's own: wrong usage
        error.show()
        return int(error.exit_code)
    expected = isinstance(error, UsNavAgentError | UsGridSimError | IiwaBridgeError | OSError)
    words = " ".join(str(error).split()) or type(error).__name__
    hint = "" if expected else f" ({type(error).__name__}; run with `usnav --debug ...` and report it)"
    print(f"error: {words}{hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
