"""Pictures of an evaluation with the robot: the force of a run, the paths, what is reached with it and without."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from us_grid_sim.dataset.synth import subject_name
from us_grid_sim.envs.loop_run import CONTACT_FORCE
from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, ROW_PITCH, ROWS, Bin

from us_nav_agent.evaluation.bootstrap import CONFIDENCE
from us_nav_agent.evaluation.closed_loop.measure import GridRecord, RunRecord
from us_nav_agent.evaluation.closed_loop.result import PEAK, ClosedLoopResult
from us_nav_agent.evaluation.figures import draw_grid, save

_ROBOT, _GRID, _BAD, _MARK = "#2f7fd0", "#e8a33d", "#b3262e", "#666666"
_ACROSS = 3


def draw_all(result: ClosedLoopResult, folder: Path) -> list[Path]:
    """Write force.png, paths.png and reachability.png into ``folder``; returns them."""
    longest = max(result.runs, key=lambda run: len(run.forces))
    return [
        draw_force(longest, folder / "force.png"),
        draw_paths(result, folder / "paths.png"),
        draw_beside(result, folder / "reachability.png"),
    ]


def draw_force(run: RunRecord, file: Path) -> Path:
    """The true force along the beam over the time of a run, with what was asked for and the limit."""
    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(run.force_times, run.forces, color=_ROBOT, linewidth=1.0, label="true force along the beam")
    axes.axhline(CONTACT_FORCE, color=_MARK, linestyle="--", linewidth=1.0, label="asked for")
    axes.axhline(PEAK, color=_BAD, linestyle=":", linewidth=1.2, label="limit")
    axes.set_ylim(0.0, max(1.1 * PEAK, 1.1 * max(run.forces, default=0.0)))
    axes.set_xlabel("simulated time since the robot was started [s]")
    axes.set_ylabel("force on the patient [N]")
    start = Bin.from_state(run.start)
    end = "goal reached" if run.reached else run.reason or "goal not reached"
    axes.set_title(f"{subject_name(run.subject)} from bin {start.row},{start.column}: {run.moves} steps, {end}")
    axes.legend(loc="upper right", ncols=3)
    axes.grid(alpha=0.3)
    return save(figure, file)


def draw_paths(result: ClosedLoopResult, file: Path) -> Path:
    """Where the probe truly went, a panel a subject; a cross marks the end of a run that did not reach the goal."""
    across = min(_ACROSS, len(result.grids))
    down = -(-len(result.grids) // across)
    figure = Figure(figsize=(4.4 * across, 3.4 * down + 0.6), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places[len(result.grids) :]:
        axes.remove()
    for axes, name, grid in zip(places, result.names, result.grids, strict=False):
        _draw_paths(axes, result.of(grid), grid)
        axes.set_title(name, fontsize=11)
    figure.suptitle(f"{result.model.name} with the robot in the loop: where the probe truly went (x: goal not reached)")
    return save(figure, file)


def _draw_paths(axes: Axes, runs: list[RunRecord], grid: GridRecord) -> None:
    draw_grid(axes, [Bin.from_state(goal) for goal in grid.goals])
    for run in runs:
        x, y = np.array(run.track).T
        column, row = x / COLUMN_PITCH + (COLUMNS - 1) / 2, y / ROW_PITCH + (ROWS - 1) / 2
        colour = _ROBOT if run.reached else _BAD
        axes.plot(column, row, "-", color=colour, alpha=0.6, linewidth=1.2, zorder=3)
        axes.plot(column[0], row[0], "o", color=colour, markersize=4, zorder=4)
        if not run.reached:
            axes.plot(column[-1], row[-1], "x", color=colour, markersize=8, zorder=4)


def draw_beside(result: ClosedLoopResult, file: Path) -> Path:
    """Reachability with the robot beside that of the same starts on the grid alone, by subject and over all."""
    figure = Figure(figsize=(1.3 * len(result.grids) + 4.0, 4.0), layout="constrained")
    axes = figure.subplots()
    shown = (("reachability", -0.2, _ROBOT, "with the robot"), ("grid_reachability", 0.2, _GRID, "on the grid alone"))
    last = len(result.grids)
    for metric, shift, colour, label in shown:
        summary = result.summaries[metric]
        heights = 100.0 * np.append(result.values[metric], summary.mean)
        axes.bar(np.arange(last + 1) + shift, heights, 0.38, color=colour, label=label)
        ends = [[100.0 * max(summary.mean - summary.low, 0.0)], [100.0 * max(summary.high - summary.mean, 0.0)]]
        axes.errorbar([last + shift], [heights[-1]], yerr=ends, color=_MARK, capsize=4)
    axes.set_xticks(range(last + 1), [*result.names, f"mean, {CONFIDENCE:.0%}"])
    axes.set_ylim(0.0, 108.0)
    axes.set_ylabel("runs that stop in the goal [%]")
    figure.legend(loc="outside upper center", ncols=2)
    axes.grid(axis="y", alpha=0.3)
    return save(figure, file)
