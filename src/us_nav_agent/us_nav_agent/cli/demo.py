"""`usnav demo`: the main job, with a simulated robot, over real ROS 2 topics and actions in separate processes."""

import json
import os
import shutil
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import typer

from us_nav_agent.cli.screen import console
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import UsNavAgentError

if TYPE_CHECKING:
    from us_grid_sim.geometry import Bin

    from us_nav_agent.bags.run import RunStep
    from us_nav_agent.ros.navigate_client import Outcome

FloatArray = npt.NDArray[np.float64]

_TARGET = "sacrum"
_CONTACT = 240.0
"""Longest wait for the first contact [s]; on two cores of its own the graph needs some 30."""
_LAST_WORDS = 1.5
"""Time for the recorder to hear what was said last [s]; decisions are kept for one that was found late."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for bag, picture and video.")] = Path("demo"),
    subject: Annotated[int, typer.Option(min=29, help="Index; 29 and above were never trained on.")] = 29,
    start: Annotated[str, typer.Option(help="Bin of the first contact as row,column.")] = "0,14",
    seed: Annotated[int, typer.Option(min=0, help="Of the cohort, and of the sensors' noise.")] = 0,
    breathing: Annotated[bool, typer.Option("--breathing", help="The patient breathes.")] = False,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = DEFAULT_MODEL,
) -> None:
    """Let a simulated robot walk from a far corner of an unseen virtual subject to the sacrum and stop there.

    PyBullet's arm holds the probe on the skin by force control, behind a simulated KUKA controller; the policy sees the
    frames that are rendered from there. Leaves the bag, run.png, run.webm and result.json. Exit status 0 only where
    the sacrum was reached.

    Example: `usnav demo --subject 33 --start 10,14 --breathing`
    """
    from us_nav_agent.bags.run import read_run
    from us_nav_agent.evaluation.figures import draw_run
    from us_nav_agent.evaluation.video import write_video
    from us_nav_agent.policy import find_model

    weights = find_model(model).resolve()
    folder = _fresh_folder(out)
    words = {"subject": str(subject), "start": start, "seed": str(seed), "breathing": str(breathing).lower()}
    outcome = _walk({**words, "model": str(weights), "bag": str((folder / "bag").resolve())})
    name, goals = _goals(folder / "bag")
    steps, force = read_run(folder / "bag"), _forces(folder / "bag")
    reached = outcome.reached and steps[-1].position in goals
    end = f"{_TARGET} reached" if reached else f"{_TARGET} not reached: {_why(outcome, steps)}"
    title = f"{name} from bin {start}: {end}" + (f" after {outcome.steps} steps" if outcome.reached else "")
    draw_run(steps, goals, title, folder / "run.png", force)
    write_video(steps, goals, folder / "run.webm")
    content = {
        "subject": name,
        "start": start,
        "seed": seed,
        "model": weights.stem,
        "reached": reached,
        "steps": outcome.steps,
        "reason": outcome.reason,
        "force_peak_n": round(float(force[:, 1].max()), 3),
        "bins": [[step.position.row, step.position.column] for step in steps],
        "goal_bins": [[goal.row, goal.column] for goal in goals],
    }
    (folder / "result.json").write_text(json.dumps(content, indent=1) + "\n")
    console.print(f"{title}\nleft in {folder}/: bag/, run.png, run.webm, result.json", soft_wrap=True)
    if not reached:
        raise typer.Exit(1)


def _goals(bag: Path) -> "tuple[str, list[Bin]]":
    """The subject's name, and the bins that show the target, as the image source told them."""
    from us_grid_sim.geometry import Bin

    from us_nav_agent.bags.read import read_bag

    for entry in read_bag(bag, ["/simulation/target_bins"]):
        told = entry.message
        if told.target == _TARGET:
            return told.subject, [
                Bin(int(row), int(column)) for row, column in zip(told.rows, told.columns, strict=True)
            ]
    raise UsNavAgentError(f"{bag}: holds no bins of {_TARGET} on /simulation/target_bins")


def _forces(bag: Path) -> FloatArray:
    """Time since the first contact [s] and true contact force along the beam [N], (n, 2)."""
    from us_nav_agent.bags.read import read_bag, stamp_ns

    states = [entry.message for entry in read_bag(bag, ["/simulation/probe"])]
    felt = np.array([(1e-9 * stamp_ns(state.header.stamp), state.wrench.force.z) for state in states])
    touched = next(number for number, state in enumerate(states) if state.contact)
    return np.asarray(felt[touched:] - (felt[touched, 0], 0.0))


def _why(outcome: "Outcome", steps: "list[RunStep]") -> str:
    """Why a run that may say it reached its target did not."""
    if not outcome.reached:
        return outcome.reason
    last = steps[-1].position
    return f"stopped in bin {last.row},{last.column}, which is no goal bin"


def _fresh_folder(out: Path) -> Path:
    """``out``, emptied of an earlier demo; a folder that holds anything else is not touched."""
    if out.exists() and any(out.iterdir()):
        if not {file.name for file in out.iterdir()} <= {"bag", "run.png", "run.webm", "result.json"}:
            raise UsNavAgentError(f"{out} holds other things than an earlier demo; name another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _walk(arguments: dict[str, str]) -> "Outcome":
    """Bring the graph of sim.launch.yaml up, navigate, and take it down again."""
    from domain_coordinator import domain_id

    from us_nav_agent.bags.read import IMAGE_TOPIC, STATE_TOPIC
    from us_nav_agent.cli.launch_file import read_launch_file
    from us_nav_agent.cli.launcher import Launcher, ending, find_launch_file, share_of
    from us_nav_agent.ros.navigate_client import HEAD, navigate

    controller, bridge = _free_ports()
    given = {**arguments, "target": "", "controller_port": str(controller), "port": str(bridge)}
    with domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        description = read_launch_file(find_launch_file("sim"), given, share_of)

        def say(line: str) -> None:
            console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)

        with Launcher(description, say) as launcher:
            console.print("the robot gets ready and touches the skin\n" + HEAD, highlight=False)
            outcome = navigate(
                _TARGET,
                0,
                lambda step: console.print(str(step), highlight=False),
                recorded=(IMAGE_TOPIC, STATE_TOPIC),
                contact_within=_CONTACT,
                check=launcher.check,
            )
            time.sleep(_LAST_WORDS)
        # The run is over and the bag is closed, or cannot be read: a busy machine alone does not undo the rest.
        for name, status in launcher.failed.items():
            say(f"at the end {name} {ending(status)}")
    return outcome


def _free_ports() -> tuple[int, int]:
    """Two UDP ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        first, second = (int(each.getsockname()[1]) for each in sockets)
    return first, second
