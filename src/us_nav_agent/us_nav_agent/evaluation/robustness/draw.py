"""The curves of a robustness evaluation as a picture, a panel each."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from us_nav_agent.evaluation.bootstrap import CONFIDENCE
from us_nav_agent.evaluation.figures import save
from us_nav_agent.evaluation.robustness.result import MeasuredCurve, RobustnessResult

_SHOWN = {"reachability": ("reachability", "#2f7fd0"), "policy_correctness": ("policy correctness", "#e8a33d")}
_MARK = "#666666"
_ACROSS = 5


def draw_curves(result: RobustnessResult, file: Path) -> Path:
    """Reachability and policy correctness against the level of each curve, the bootstrap interval as a band.

    A dashed line marks the unchanged level. Levels that are draws and have no order stand as points with bars.

    Args:
        result: with one curve at least.
        file: PNG to write.

    Returns:
        ``file``.
    """
    across = min(_ACROSS, len(result.curves))
    down = -(-len(result.curves) // across)
    figure = Figure(figsize=(3.7 * across, 3.4 * down + 1.0), layout="constrained")
    places = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in places.ravel()[len(result.curves) :]:
        axes.remove()
    for number, curve in enumerate(result.curves):
        _draw_curve(places.ravel()[number], curve)
    for axes in places[:, 0]:
        axes.set_ylabel("mean over subjects [%]")
    handles, labels = places[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    subjects = f"{len(result.subjects)} subject{'s' if len(result.subjects) > 1 else ''}"
    figure.suptitle(f"{result.model.name}: one condition changed at a time, {subjects}, {CONFIDENCE:.0%} interval")
    return save(figure, file)


def _draw_curve(axes: Axes, measured: MeasuredCurve) -> None:
    """One panel; what the levels are in order from left to right is kept."""
    curve = measured.curve
    for number, (metric, (label, colour)) in enumerate(_SHOWN.items()):
        summaries = measured.summaries[metric]
        mean, low, high = ([100.0 * getattr(one, name) for one in summaries] for name in ("mean", "low", "high"))
        if curve.trend:
            axes.fill_between(curve.levels, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(curve.levels, mean, "o-", color=colour, markersize=4, label=label)
        else:
            beside = [level + 0.24 * (number - 0.5) for level in curve.levels]
            axes.vlines(beside, low, high, color=colour, alpha=0.4, linewidth=4)
            axes.plot(beside, mean, "o", color=colour, markersize=5, label=label)
    axes.axvline(curve.unchanged, color=_MARK, linestyle="--", linewidth=1.0, zorder=0, label="unchanged")
    if curve.levels[0] > curve.levels[-1]:
        axes.invert_xaxis()
    axes.set_xticks(curve.levels, [f"{level:g}" for level in curve.levels])
    axes.set_xlabel(curve.title)
    axes.set_ylim(-3.0, 103.0)
    axes.grid(axis="y", alpha=0.3)
