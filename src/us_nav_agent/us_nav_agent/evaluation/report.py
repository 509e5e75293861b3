"""An evaluation as files: tables, and pictures of what lies behind them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.preprocess import Frame8

from us_nav_agent.deciders.base import Decider
from us_nav_agent.evaluation.evaluate import Subject
from us_nav_agent.evaluation.figures import draw_run
from us_nav_agent.evaluation.look import far_corner, replay
from us_nav_agent.evaluation.maps import draw_reachability, draw_values
from us_nav_agent.evaluation.metrics import Floats
from us_nav_agent.evaluation.result import EvaluationResult


def write_tables(result: EvaluationResult, folder: Path) -> list[Path]:
    """Write evaluation.json and evaluation.md into ``folder``; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "evaluation.json", folder / "evaluation.md"]
    for file, content in zip(files, (result.to_json(), result.to_markdown()), strict=True):
        file.write_text(content)
    return files


def write_reachability(result: EvaluationResult, subjects: Sequence[Subject], folder: Path) -> Path:
    """Write reachability.png into ``folder``, the map of which starts fail on each subject; returns it."""
    title = f"{result.label}: from which bins the goal is reached"
    goals = [subject.goals for subject in subjects]
    return draw_reachability(result.runs, result.subjects, goals, title, folder / "reachability.png")


def write_run(
    result: EvaluationResult,
    decider: Decider,
    grids: Sequence[PreprocessedGrid],
    frame: Callable[[int], Frame8],
    folder: Path,
) -> Path:
    """Write run.png into ``folder``: the first model's run on the first subject from its farthest corner; returns it.

    Args:
        result: of the evaluation.
        decider: of the first model.
        grids: the subjects of the evaluation.
        frame: the frame of this index of the first subject, as it is on disk.
        folder: where to write it.
    """
    grid, runs, start = grids[0], result.runs[0], far_corner(grids[0].goals)
    steps = replay(decider, grid, runs, (0, start), result.seed, frame)
    reached = runs.reached[0, start.state]
    end = f"goal reached after {runs.moves[0, start.state]} moves" if reached else "goal not reached"
    title = f"{result.models[0].name} on {grid.name} from bin {start.row},{start.column}: {end}"
    return draw_run(steps, grid.goals, title, folder / "run.png")


def write_values(result: EvaluationResult, values: Sequence[Floats], subjects: Sequence[Subject], folder: Path) -> Path:
    """Write values.png into ``folder``, the first model's state values (11, 15) of each subject; returns it."""
    title = f"{result.models[0].name}: what it thinks each bin is worth"
    goals = [subject.goals for subject in subjects]
    return draw_values(values, result.subjects, goals, title, folder / "values.png")
