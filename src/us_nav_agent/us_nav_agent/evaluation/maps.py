"""Maps over the grid, a panel a subject: state values (figure 6 of Hase et al. 2020), and which starts fail."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from us_grid_sim.geometry import COLUMNS, ROWS

from us_nav_agent.evaluation.figures import draw_grid, save
from us_nav_agent.evaluation.metrics import Floats, Goals
from us_nav_agent.rollout import Runs

_ACROSS = 3
_WRONG = "#b3262e"


def draw_values(values: Sequence[Floats], names: Sequence[str], goals: Goals, title: str, file: Path) -> Path:
    """Figure 6: state values over the grid of each subject, their minimum subtracted, goal bins boxed.

    Args:
        values: (11, 15) of each subject [expected discounted return].
        names: of the subjects.
        goals: of the subjects.
        title: of the picture.
        file: PNG to write.

    Returns:
        ``file``.
    """
    shifted = [one - one.min() for one in values]
    figure, panels = _draw_panels(shifted, names, goals, title, matplotlib.colormaps["Blues_r"])
    for axes in panels:
        axes.images[0].set_clim(0.0, max(float(one.max()) for one in shifted))
    figure.colorbar(panels[0].images[0], ax=figure.axes, label="V(s) - min V", shrink=0.8)
    return save(figure, file)


def draw_reachability(runs: Sequence[Runs], names: Sequence[str], goals: Goals, title: str, file: Path) -> Path:
    """Which starts lead to a stop in the goal: how many models' runs from each bin do, goal bins boxed.

    A cross marks a start from which a run stopped elsewhere; the other runs that fail use up their actions.

    Args:
        runs: of each model, over the subjects.
        names: of the subjects.
        goals: of the subjects.
        title: of the picture.
        file: PNG to write.

    Returns:
        ``file``.
    """
    reached = np.sum([one.reached for one in runs], axis=0)
    stopped_elsewhere = np.any([one.stopped & ~one.reached for one in runs], axis=0)
    colours = matplotlib.colormaps["bone"].resampled(len(runs) + 4)  # its darkest and lightest hide crosses and boxes
    backgrounds = [one.reshape(ROWS, COLUMNS).astype(np.float64) for one in reached]
    figure, panels = _draw_panels(backgrounds, names, goals, title, colours)
    for axes, elsewhere in zip(panels, stopped_elsewhere, strict=True):
        axes.images[0].set_clim(-2.0, len(runs) + 1.0)
        rows, columns = np.divmod(np.flatnonzero(elsewhere), COLUMNS)
        axes.plot(columns, rows, "x", color=_WRONG)
    counts = range(len(runs) + 1)
    words = ["not reached", "reached"] if len(runs) == 1 else [f"{count} of {len(runs)} reached" for count in counts]
    handles = [Patch(facecolor=colours(count + 2), label=word) for count, word in zip(counts, words, strict=True)]
    cross = Line2D([], [], marker="x", linestyle="", color=_WRONG, label="stopped elsewhere")
    figure.legend(handles=[*reversed(handles), cross], loc="outside right upper", title="from this start")
    return save(figure, file)


def _draw_panels(
    backgrounds: Sequence[Floats], names: Sequence[str], goals: Goals, title: str, colours: Colormap
) -> tuple[Figure, list[Axes]]:
    """A figure with the grid of each subject, coloured by its background (11, 15), and its panels."""
    across = min(_ACROSS, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(4.2 * across + 1.6, 3.3 * down + 0.8), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places[len(names) :]:
        axes.remove()
    panels = list(places[: len(names)])
    for axes, background, name, bins in zip(panels, backgrounds, names, goals, strict=True):
        draw_grid(axes, bins, background)
        axes.images[0].set_cmap(colours)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("")
        axes.set_ylabel("")
    figure.suptitle(title)
    figure.supxlabel("column (caudal to cranial)")
    figure.supylabel("row (patient's left to right)")
    return figure, panels
