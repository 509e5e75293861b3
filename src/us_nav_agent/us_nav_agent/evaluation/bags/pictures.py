"""Pictures of a bag's report, as PNG in data URIs: the page needs no other file."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from us_grid_sim.geometry import Bin

from us_nav_agent.bags.run import RunStep
from us_nav_agent.evaluation.bags.recording import Recording
from us_nav_agent.evaluation.figures import draw_run, save

_MEASURED, _WANTED, _TRUE, _FAULT = "#9cc3ea", "#e8a33d", "#3c7a2a", "#c0392b"
_TIMING = "#2f7fd0"
_POINTS = 4000
"""Points of a curve that are drawn at most."""


def picture_of_run(steps: Sequence[RunStep], goals: tuple[Bin, ...], title: str) -> str:
    """The path of a run over the grid and its frames."""
    with tempfile.TemporaryDirectory() as folder:
        return _inlined(draw_run(steps, goals, title, Path(folder) / "run.png"))


def picture_of_force(recording: Recording) -> str | None:
    """Force along the beam over time, wanted, measured and true, and the faults; None where no force was measured."""
    measured, truth = recording.measured, recording.truth
    if not np.isfinite(measured.force).any() and not np.isfinite(truth.force).any():
        return None
    figure = Figure(figsize=(11.5, 3.2), layout="constrained")
    axes = figure.subplots()
    # The noisy one first, so that it hides none of the others.
    for track, values, colour, words in (
        (measured, measured.force, _MEASURED, "measured"),
        (measured, measured.set_point, _WANTED, "wanted"),
        (truth, truth.force, _TRUE, "true"),
    ):
        if np.isfinite(values).any():
            every = max(len(values) // _POINTS, 1)
            # As received: on the clock of the faults, whatever clock the stamps are of.
            seconds = (track.times[::every] - recording.bag.survey.start_ns) * 1e-9
            axes.plot(seconds, values[::every], color=colour, linewidth=1.1, label=words)
    for event in recording.events:
        axes.axvline(event.at, color=_FAULT, linewidth=1.2, linestyle="--")
    axes.set_xlabel("time [s]")
    axes.set_ylabel("force along the beam [N]")
    axes.grid(color="#e5e5e5")
    axes.legend(loc="upper right")
    return _drawn(figure)


def picture_of_timing(recording: Recording) -> str | None:
    """How long decisions took, and how far frames are apart; None where there are too few of both."""
    latency = 1e3 * np.array([decision.latency for decision in recording.decisions])
    latency = latency[np.isfinite(latency)]
    periods = 1e-6 * np.diff(recording.frame_stamps)
    if latency.size < 2 and periods.size < 2:
        return None
    figure = Figure(figsize=(11.5, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(latency, bins=40, color=_TIMING)
    left.set_xlabel("latency of a decision [ms]")
    left.set_ylabel("decisions")
    every = max(len(periods) // _POINTS, 1)
    seconds = (recording.frame_stamps[1::every] - recording.frame_stamps[:1]) * 1e-9
    right.plot(seconds, periods[::every], ".", markersize=2, color=_TIMING)
    right.set_xlabel("time [s]")
    right.set_ylabel("since the frame before [ms]")
    return _drawn(figure)


def _drawn(figure: Figure) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _inlined(save(figure, Path(folder) / "picture.png"))


def _inlined(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
