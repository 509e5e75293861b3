"""`usnav calibrate`: what has to be measured once of a set-up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from us_nav_agent.cli.screen import console, progress_bar

if TYPE_CHECKING:
    from us_grid_sim.calibration.temporal import Delay

app = typer.Typer(help="Measure what a set-up needs: the delay between frames and poses.", no_args_is_help=True)


@app.callback()
def calibrate() -> None:
    """Keep `temporal` a word of its own, though it is the only one."""


@app.command()
def temporal(
    file: Annotated[Path, typer.Argument(help="Tracked MetaImage sequence (.mha), or a bag with frames and poses.")],
    out: Annotated[
        Path | None, typer.Option(help="Picture to write (.png): both motions, and how alike they are.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap that gives the error.")] = 0,
) -> None:
    """Estimate how late frames are against the poses, from a motion that both see.

    Record 20 s or more while the probe is moved to and fro over the back, strokes of some centimetres, about one a
    second, in contact all the time. The answer goes to the image source as its parameter `delay`.

    Examples: `usnav calibrate temporal runs/strokes/bag --out delay.png`, `usnav calibrate temporal sweep.mha`
    """
    from us_grid_sim.calibration.recording import read_motion
    from us_grid_sim.calibration.temporal import estimate_delay

    with progress_bar() as bar:
        task = bar.add_task("frames", total=None)
        motion = read_motion(file, lambda done, total: bar.update(task, completed=done, total=total))
    found = estimate_delay(motion, seed)
    late = "late" if found.delay >= 0 else "early"
    said = f"delay {1e3 * found.delay:.1f} +- {1e3 * found.error:.1f} ms: frames are {late}"
    console.print(f"{said} against the poses (correlation {found.correlation:.2f})", highlight=False, soft_wrap=True)
    if out is not None:
        _draw(found, out)
        console.print(f"wrote {out}", highlight=False, soft_wrap=True)


def _draw(found: "Delay", file: Path) -> None:
    """Draw both motions as recorded and with the delay taken out, and the correlation over the delay."""
    import numpy as np
    from matplotlib.figure import Figure
    from us_grid_sim.calibration.temporal import ways_between

    from us_nav_agent.evaluation.figures import save

    motion = found.motion
    figure = Figure(figsize=(10, 7), layout="constrained")
    above, below = figure.subplots(2, 1)
    periods, times = np.diff(motion.frame_times), motion.frame_times[1:] - motion.frame_times[0]
    changes = (motion.changes - motion.changes.mean()) / motion.changes.std()
    above.plot(times, changes, color="#222222", linewidth=1.0, label="change of the frames")
    for delay, colour, words in ((0.0, "#b9c6d6", "as stamped"), (found.delay, "#2f7fd0", "delay taken out")):
        speeds = ways_between(motion, delay) / periods
        above.plot(times, (speeds - speeds.mean()) / speeds.std(), color=colour, label=f"speed of the probe, {words}")
    above.set(xlim=(0, min(times[-1], 10.0)), xlabel="time [s], the first ten", ylabel="standard deviations")
    above.legend(loc="upper right")
    below.plot(1e3 * found.delays, found.correlations, color="#222222")
    below.axvspan(1e3 * (found.delay - found.error), 1e3 * (found.delay + found.error), color="#e8a33d", alpha=0.6)
    below.axvline(1e3 * found.delay, color="#e8a33d")
    below.set_title(f"delay {1e3 * found.delay:.1f} +- {1e3 * found.error:.1f} ms")
    below.set(xlabel="delay tried [ms]", ylabel="correlation of change and way")
    save(figure, file)
