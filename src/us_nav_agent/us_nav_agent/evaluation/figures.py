"""Pictures: a run over the grid with its frames (figure 5 of Hase et al. 2020), state values (figure 6), a subject."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from us_grid_sim.geometry import COLUMNS, ROWS, Bin

from us_nav_agent.bags.run import RunStep

_GOAL, _PATH, _TEXT = "#e8a33d", "#2f7fd0", "#222222"
_FRAMES_SHOWN = 8


def draw_grid(axes: Axes, goals: Sequence[Bin], background: npt.NDArray[np.float64] | None = None) -> None:
    """The grid with its goal bins boxed; rows as in the paper, caudal to the left."""
    if background is None:
        axes.set_facecolor("#f4f1ea")
        for row in range(ROWS + 1):
            axes.axhline(row - 0.5, color="white", linewidth=1.0, zorder=0)
        for column in range(COLUMNS + 1):
            axes.axvline(column - 0.5, color="white", linewidth=1.0, zorder=0)
    else:
        axes.imshow(background, cmap="viridis", zorder=0)
    for goal in goals:
        box = Rectangle((goal.column - 0.5, goal.row - 0.5), 1, 1, fill=False, edgecolor=_GOAL, linewidth=2.2, zorder=2)
        axes.add_patch(box)
    axes.set_xlim(-0.5, COLUMNS - 0.5)
    axes.set_ylim(ROWS - 0.5, -0.5)
    axes.set_xticks(range(0, COLUMNS, 2))
    axes.set_yticks(range(0, ROWS, 2))
    axes.set_aspect("equal")
    axes.set_xlabel("column (caudal to cranial)")
    axes.set_ylabel("row (patient's left to right)")


def _shown(count: int) -> list[int]:
    """Numbers of the steps whose frames are shown: first and last, and others evenly between."""
    return sorted({round(value) for value in np.linspace(0, count - 1, min(count, _FRAMES_SHOWN))})


def _crop(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``frame`` without black columns at its sides."""
    lit = np.flatnonzero(frame.max(axis=0) > 0)
    return frame if lit.size == 0 else frame[:, lit[0] : lit[-1] + 1]


def save(figure: Figure, file: Path) -> Path:
    """Write a figure as PNG; returns ``file``."""
    FigureCanvasAgg(figure)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    return file


def draw_run(steps: Sequence[RunStep], goals: Sequence[Bin], title: str, file: Path) -> Path:
    """Figure 5: the path over the grid, numbered, goal bins boxed, and visited frames below with their numbers.

    Args:
        steps: the run, at least one step.
        goals: the subject's goal bins.
        title: of the picture.
        file: PNG to write.

    Returns:
        ``file``.
    """
    figure = Figure(figsize=(11.5, 9.2), layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=[2.1, 1.0])
    axes, lower = figure.add_subfigure(parts[0]).subplots(), figure.add_subfigure(parts[1])
    draw_grid(axes, goals)
    axes.plot([s.position.column for s in steps], [s.position.row for s in steps], color=_PATH, linewidth=2.0, zorder=3)
    labels: dict[Bin, list[int]] = {}
    for number, step in enumerate(steps):
        labels.setdefault(step.position, []).append(number + 1)
    for position, numbers in labels.items():
        last = len(steps) in numbers
        axes.plot(
            position.column,
            position.row,
            "o",
            markersize=19,
            color=_GOAL if last else _PATH,
            zorder=4,
            markeredgecolor="w",
        )
        words = ",".join(map(str, numbers[:2])) + ("..." if len(numbers) > 2 else "")
        axes.annotate(words, (position.column, position.row), ha="center", va="center", color="w", zorder=5, fontsize=9)
    axes.set_title(title, color=_TEXT)
    shown = _shown(len(steps))
    for axis, number in zip(np.atleast_1d(lower.subplots(1, len(shown))), shown, strict=True):
        step = steps[number]
        axis.imshow(_crop(step.frame), cmap="gray", vmin=0, vmax=255, aspect="auto")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(f"{number + 1}: {step.action.name.lower()}", fontsize=10, color=_TEXT)
        axis.set_xlabel(f"p(stop) {step.stop_probability:.2f}", fontsize=9)
    return save(figure, file)


def draw_values(values: npt.NDArray[np.float64], goals: Sequence[Bin], title: str, file: Path) -> Path:
    """Figure 6: state values (11, 15) over the grid, their minimum subtracted, goal bins boxed; returns ``file``."""
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.subplots()
    shifted = values - values.min()
    draw_grid(axes, goals, shifted)
    figure.colorbar(axes.images[0], ax=axes, label="V(s) - min V", shrink=0.8)
    axes.set_title(title)
    return save(figure, file)


def draw_subject(frames: npt.NDArray[np.uint8], goals: Sequence[Bin], title: str, file: Path) -> Path:
    """A contact sheet: frames (11, 15, h, w) of a subject, one a bin, goal bins boxed; returns ``file``."""
    height, width = frames.shape[2:]
    sheet = frames.transpose(0, 2, 1, 3).reshape(ROWS * height, COLUMNS * width)
    figure = Figure(figsize=(13.0, 13.0 * ROWS * height / (COLUMNS * width) + 0.7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    for goal in goals:
        corner = (goal.column * width, goal.row * height)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=_GOAL, linewidth=2.5))
    axes.set_xticks(np.arange(COLUMNS) * width + width / 2, list(map(str, range(COLUMNS))))
    axes.set_yticks(np.arange(ROWS) * height + height / 2, list(map(str, range(ROWS))))
    axes.set_xlabel("column (caudal to cranial)")
    axes.set_ylabel("row (patient's left to right)")
    axes.set_title(title)
    return save(figure, file)
