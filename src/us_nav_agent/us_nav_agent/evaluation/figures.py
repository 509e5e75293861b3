"""Pictures: a run over the grid (figure 5 of Hase et al. 2020), a subject and its bins."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, PIXEL_SIZE, ROW_PITCH, ROWS, Bin

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


def draw_run(
    steps: Sequence[RunStep],
    goals: Sequence[Bin],
    title: str,
    file: Path,
    force: npt.NDArray[np.float64] | None = None,
) -> Path:
    """Figure 5: the path over the grid, numbered, goal bins boxed, and visited frames below with their numbers.

    Args:
        steps: the run, at least one step.
        goals: the subject's goal bins.
        title: of the picture.
        file: PNG to write.
        force: time [s] and contact force [N] (n, 2), drawn as a strip at the bottom; None: none was measured.

    Returns:
        ``file``.
    """
    strip = 0.0 if force is None else 0.45
    figure = Figure(figsize=(11.5, 9.2 + 3.0 * strip), layout="constrained")
    heights = [2.1, 1.0] if force is None else [2.1, 1.0, strip]
    parts = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    axes, lower = figure.add_subfigure(parts[0]).subplots(), figure.add_subfigure(parts[1])
    if force is not None:
        _draw_force(figure.add_subfigure(parts[2]).subplots(), force)
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
        words = "\n".join(map(str, numbers[:2])) + ("..." if len(numbers) > 2 else "")
        size = 9 if len(numbers) == 1 else 7
        place = (position.column, position.row)
        axes.annotate(words, place, ha="center", va="center", color="w", zorder=5, fontsize=size, linespacing=0.9)
    axes.set_title(title, color=_TEXT)
    shown = _shown(len(steps))
    for axis, number in zip(np.atleast_1d(lower.subplots(1, len(shown))), shown, strict=True):
        step = steps[number]
        axis.imshow(_crop(step.frame), cmap="gray", vmin=0, vmax=255, aspect="auto")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(f"{number + 1}: {step.action.name.lower()}", fontsize=10, color=_TEXT)
        if not np.isnan(step.stop_probability):
            axis.set_xlabel(f"p(stop) {step.stop_probability:.2f}", fontsize=9)
    return save(figure, file)


def _draw_force(axes: Axes, force: npt.NDArray[np.float64]) -> None:
    """Contact force over time."""
    axes.plot(force[:, 0], force[:, 1], color=_PATH, linewidth=1.2)
    axes.set_xlim(force[0, 0], force[-1, 0])
    axes.set_ylim(0.0, max(2.5, 1.1 * float(force[:, 1].max())))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_xlabel("time since the first contact [s]")
    axes.set_ylabel("force [N]")


def draw_subject(frames: npt.NDArray[np.uint8], goals: Sequence[Bin], title: str, file: Path, pixel_mm: float) -> Path:
    """A contact sheet of a subject: a frame a bin, goal bins boxed, the bins' places and a scale in millimetres.

    Args:
        frames: uint8 (11, 15, h, w).
        goals: bins to box.
        title: of the picture.
        file: PNG to write.
        pixel_mm: edge of a pixel of ``frames`` [mm].

    Returns:
        ``file``.
    """
    height, width = frames.shape[2:]
    sheet = frames.transpose(0, 2, 1, 3).reshape(ROWS * height, COLUMNS * width)
    figure = Figure(figsize=(14.0, 13.0 * ROWS * height / (COLUMNS * width) + 1.1), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    _separate(axes, height, width)
    for goal in goals:
        corner = (goal.column * width - 0.5, goal.row * height - 0.5)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=_GOAL, linewidth=2.5, zorder=3))
    columns = [f"{column}\n{1e3 * Bin(0, column).center[0]:+.0f}" for column in range(COLUMNS)]
    rows = [f"{row}\n{1e3 * Bin(row, 0).center[1]:+.0f}" for row in range(ROWS)]
    axes.set_xticks(np.arange(COLUMNS) * width + width / 2, columns)
    axes.set_yticks(np.arange(ROWS) * height + height / 2, rows)
    axes.set_xlabel("column (caudal to cranial), and the bin's x [mm]")
    axes.set_ylabel("row (patient's left to right), and the bin's y [mm]")
    axes.set_title(f"{title}   (each frame {width * pixel_mm:.0f} mm wide, {height * pixel_mm:.0f} mm deep)")
    _draw_scale(axes, pixel_mm, height * ROWS)
    return save(figure, file)


def _separate(axes: Axes, height: int, width: int) -> None:
    """Lines between the frames of a contact sheet."""
    for row in range(1, ROWS):
        axes.axhline(row * height - 0.5, color="#777777", linewidth=0.8, zorder=2)
    for column in range(1, COLUMNS):
        axes.axvline(column * width - 0.5, color="#777777", linewidth=0.8, zorder=2)


def _draw_scale(axes: Axes, pixel_mm: float, bottom: float, length_mm: float = 20.0) -> None:
    """A bar of ``length_mm`` in the frames' scale in the bottom left frame."""
    left, y, length = 0.06 * bottom / ROWS, 0.992 * bottom, length_mm / pixel_mm
    axes.plot([left, left + length], [y, y], color="white", linewidth=2.5, zorder=4, solid_capstyle="butt")
    axes.text(left + length / 2, y - 0.004 * bottom, f"{length_mm:.0f} mm", color="white", ha="center", fontsize=8)


def draw_bin(
    frames: npt.NDArray[np.uint8], captions: Sequence[str], offsets: npt.NDArray[np.float64], title: str, file: Path
) -> Path:
    """The five frames of a bin at full size, a pixel a pixel, with rulers in millimetres, and where they were taken.

    Args:
        frames: uint8 (5, 600, 800), nearest first.
        captions: a line for each.
        offsets: (5, 2), where each was taken, x and y from the bin's centre [m].
        title: of the picture.
        file: PNG to write.

    Returns:
        ``file``.
    """
    height, width = frames.shape[1:]
    left, gap, top, dpi = 60, 80, 100, 100
    size = np.array([left + 3 * (width + gap), top + 2 * (height + gap)])
    figure = Figure(figsize=tuple(size / dpi))
    figure.suptitle(title, color=_TEXT, y=1 - 20 / size[1], fontsize=16)

    def panel(number: int) -> Axes:
        row, column = divmod(number, 3)
        corner = (left + column * (width + gap), size[1] - top - (row + 1) * height - row * gap)
        return figure.add_axes((corner[0] / size[0], corner[1] / size[1], width / size[0], height / size[1]))

    mm = PIXEL_SIZE * 1e3
    extent = (-width / 2 * mm, width / 2 * mm, height * mm, 0.0)
    for number, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        axes = panel(number)
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto", interpolation="none")
        axes.set_title(caption, color=_TEXT, fontsize=12)
        axes.tick_params(labelsize=9)
    _draw_places(panel(len(frames)), 1e3 * offsets)
    FigureCanvasAgg(figure)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=dpi)
    return file


def _draw_places(axes: Axes, places: npt.NDArray[np.float64]) -> None:
    """Where frames were taken [mm] from the centre of a bin, whose border is drawn; as the grid is drawn, y down."""
    border = 1e3 * np.array((COLUMN_PITCH, ROW_PITCH))
    axes.add_patch(Rectangle(tuple(-border / 2), *border, fill=False, edgecolor=_TEXT, linewidth=1.2))
    for number, (x, y) in enumerate(places):
        if np.isfinite((x, y)).all():
            axes.plot(x, y, "o", color=_PATH, markersize=16)
            axes.annotate(str(number + 1), (x, y), color="white", ha="center", va="center", fontsize=10)
    reach = max(float(np.nanmax(np.abs(places), initial=0.0)), border.max() / 2) * 1.15
    axes.set_xlim(-reach * 4 / 3, reach * 4 / 3)
    axes.set_ylim(reach, -reach)
    axes.set_title("where they were taken: x (to the right) and y (down) from the bin's centre [mm]", fontsize=12)
