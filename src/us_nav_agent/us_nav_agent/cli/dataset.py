"""`usnav dataset`: make virtual subjects, convert tracked sweeps, check a data set, say what it holds, show it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from us_grid_sim.phantom.target import Target

from us_nav_agent.cli.screen import console, progress_bar
from us_nav_agent.errors import UsNavAgentError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from us_grid_sim.dataset.layout import GridSubject
    from us_grid_sim.geometry import Bin

app = typer.Typer(help="Make, convert, check and show grid data sets.", no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="Folder of the data set.")]


@app.command()
def synth(
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/cohort"),
    subjects: Annotated[int, typer.Option(min=1, help="How many.")] = 34,
    first: Annotated[int, typer.Option(min=0, help="Index of the first.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the cohort.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Write virtual subjects in the published layout. Stopped or killed, the same command goes on.

    Subjects of before there were goal bins of further targets get these; their frames are not made again.

    Example: `usnav dataset synth --out data/cohort` (34 subjects, 10 GB, a quarter of an hour on two cores).
    """
    from us_grid_sim.dataset.synth import SynthProgress, synthesize

    with progress_bar() as bar:
        task = bar.add_task("frames", total=None)

        def show(progress: SynthProgress) -> None:
            words = f"subjects {progress.finished_subjects}/{progress.total_subjects}, frames"
            bar.update(task, completed=progress.done_frames, total=progress.total_frames, description=words)

        files = synthesize(out, subjects=range(first, first + subjects), seed=seed, workers=workers, progress=show)
    console.print(f"{len(files)} subjects in {out}")


def _bin(text: str, option: str) -> "Bin":
    """The bin that ``row,column`` names."""
    from us_grid_sim.geometry import COLUMNS, ROWS, Bin

    try:
        row, column = (int(number) for number in text.split(","))
        return Bin(row, column)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no bin; expected row,column with rows 0 to {ROWS - 1} and columns 0 to {COLUMNS - 1}",
            param_hint=option,
        ) from None


@app.command("from-sweep")
def from_sweep(
    sweeps: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tracked MetaImage sequences (.mha).")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    name: Annotated[str, typer.Option(help="Of the subject.")],
    calibration: Annotated[Path, typer.Option(help="The probe's calibration, YAML or JSON (docs/dataset.md).")],
    goal: Annotated[list[str] | None, typer.Option(help="A bin that shows the sacrum, row,column; repeatable.")] = None,
    grid: Annotated[Path | None, typer.Option(help="Where the grid lies; by default fitted to the sweeps.")] = None,
) -> None:
    """Turn tracked sweeps into a subject of the published layout.

    The grid used is written to Sacrum_NAME/grid.yaml. Look at it, and at the subject (`usnav dataset view`); to
    change it, edit the file and run again under another name with `--grid`.

    Example: `usnav dataset from-sweep row0.mha row1.mha --out data/mine --name Volunteer01
    --calibration probe.yaml --goal 5,1 --goal 5,2`
    """
    from us_grid_sim.dataset.from_sweep import convert_sweeps
    from us_grid_sim.dataset.sweep_settings import read_calibration, read_grid
    from us_grid_sim.geometry import BINS

    goals = [_bin(text, "--goal") for text in goal or []]
    settings = read_calibration(calibration), goals, read_grid(grid) if grid else None
    with progress_bar() as bar:
        task = bar.add_task("frames", total=None)
        done = convert_sweeps(sweeps, out, name, *settings, lambda n, total: bar.update(task, completed=n, total=total))
    left_out = f", {done.skipped} marked as not valid left out" if done.skipped else ""
    _say(f"{done.frames} frames{left_out}: {done.patient_file}")
    _say(f"grid {'given' if grid else 'fitted'}: {done.grid_file}")
    if done.covered < BINS:
        _say(f"{done.covered} of {BINS} bins have frames of their own; the others show the nearest frames there are")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def check(
    folder: Folder,
    quick: Annotated[bool, typer.Option("--quick", help="Of the frames, look at the headers alone.")] = False,
) -> None:
    """Name every fault of a data set: what is wrong, where, and what would be right. Exit status 1 for an error.

    A warning is what may be meant, such as a stray file; warnings alone leave the exit status 0.

    Example: `usnav dataset check data/cohort`
    """
    from collections import Counter

    from us_grid_sim.dataset.check import check_dataset

    counts: Counter[str] = Counter()
    with progress_bar() as bar:
        task = bar.add_task("frames", total=None)
        shown = check_dataset(
            folder, quick=quick, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        for fault in shown:
            counts[fault.severity] += 1
            _say(str(fault))
    _say(f"{counts['error']} errors, {counts['warning']} warnings")
    if counts["error"]:
        raise typer.Exit(1)


@app.command()
def info(folder: Folder) -> None:
    """Say what a data set holds: its subjects, their frames and goal bins, and the split.

    Example: `usnav dataset info data/cohort`
    """
    from us_grid_sim.dataset.layout import SUBJECTS, list_subjects, read_subject, split_of

    table = Table("subject", "split", "frames", "goal bins (row,column)")
    files = list_subjects(folder)
    for index, file in enumerate(files):
        subject = read_subject(file)
        split = split_of(index) if len(files) <= SUBJECTS else "-"
        goals = " ".join(f"{goal.row},{goal.column}" for goal in subject.goals)
        table.add_row(subject.name, split, str(len(subject.positions)), goals)
    console.print(table)


def _patient_file(place: Path, subject: str | None) -> Path:
    """The patient file that PLACE, or a data set and the subject's name, lead to."""
    from us_grid_sim.dataset.layout import list_subjects

    if not place.is_dir():
        if subject is not None:
            raise typer.BadParameter("--subject goes with a data set's folder", param_hint="PLACE")
        return place
    names = {file.stem: file for file in list_subjects(place)}
    if subject in names:
        return names[subject]
    some = ", ".join(list(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    found = "no --subject is given" if subject is None else f"there is no subject {subject!r}"
    raise UsNavAgentError(f"{place}: {found}; expected one of {some}")


@app.command()
def view(
    place: Annotated[Path, typer.Argument(help="A subject's .txt in Patient_files/, or a data set's folder.")],
    subject: Annotated[str | None, typer.Option(help="Name of the subject, with a folder.")] = None,
    bin_: Annotated[str | None, typer.Option("--bin", help="Show the five frames of this bin: row,column.")] = None,
    sweep: Annotated[int | None, typer.Option(min=0, max=10, help="Write the frames along this row as video.")] = None,
    target: Annotated[Target, typer.Option(help="Whose goal bins to box.")] = Target.SACRUM,
    out: Annotated[Path | None, typer.Option(help="File to write; by default named after the subject.")] = None,
) -> None:
    """Draw a subject: the nearest frame of every bin, goal bins boxed; or one bin at full size; or a sweep as video.

    Example: `usnav dataset view data/cohort --subject Virtual029 --target l4`
    """
    from us_grid_sim.dataset.layout import read_subject
    from us_grid_sim.dataset.targets import read_targets

    if bin_ is not None and sweep is not None:
        raise typer.BadParameter("either --bin or --sweep", param_hint="--sweep")
    position = None if bin_ is None else _bin(bin_, "--bin")
    patient_file = _patient_file(place, subject)
    grid_subject = read_subject(patient_file)
    goals = grid_subject.goals if target is Target.SACRUM else read_targets(patient_file)[target]
    if position is not None:
        file = out or Path(f"{grid_subject.name}_bin{position.row}_{position.column}.png")
        _view_bin(grid_subject, position, target if position in goals else None, file)
    elif sweep is not None:
        file = out or Path(f"{grid_subject.name}_sweep{sweep}.webm")
        _view_sweep(grid_subject, sweep, file)
    else:
        file = out or Path(f"{grid_subject.name}.png")
        _view_grid(grid_subject, goals, target, file)
    _say(f"wrote {file}")


def _view_grid(subject: "GridSubject", goals: "tuple[Bin, ...]", target: Target, file: Path) -> None:
    import numpy as np
    from us_grid_sim.geometry import COLUMNS, DEPTH, ROWS, Bin
    from us_grid_sim.preprocess import Preprocess

    from us_nav_agent.evaluation.figures import draw_subject

    height, far = 150, 0.015  # half the diagonal of a bin is 14 mm
    small = Preprocess(height, 107, (186, 0, 428, 600))
    frames = np.stack([small(subject.frame(int(index))) for index in subject.bins[:, :, 0].flat])
    centers = np.array([Bin.from_state(state).center for state in range(len(frames))])
    borrowed = np.linalg.norm(_places(subject, subject.bins[:, :, 0].ravel()) - centers, axis=1) > far
    frames[borrowed] //= 3
    dimmed = f"; dimmed: the nearest frame was taken over {1e3 * far:.0f} mm away" if borrowed.any() else ""
    grid = frames.reshape(ROWS, COLUMNS, *frames.shape[1:])
    title = f"{subject.name}, goal bins: {target.value}{dimmed}"
    draw_subject(grid, goals, title, file, pixel_mm=1e3 * DEPTH / height)


def _places(subject: "GridSubject", indices: "npt.NDArray[np.int32]") -> "npt.NDArray[np.float64]":
    """Where frames were taken, (n, 2) in the patient frame [m]; NaN where that is not known."""
    import numpy as np

    places = np.full((len(indices), 2), np.nan)
    known = indices < len(subject.positions)
    places[known] = subject.positions[indices[known]]
    return places


def _view_bin(subject: "GridSubject", position: "Bin", shown: Target | None, file: Path) -> None:
    import numpy as np

    from us_nav_agent.evaluation.figures import draw_bin

    indices = subject.bins[position.row, position.column]
    offsets = _places(subject, indices) - position.center
    captions = [
        f"{number + 1}: frame {index}" + (f", {distance:.1f} mm from the centre" if np.isfinite(distance) else "")
        for number, (index, distance) in enumerate(zip(indices, 1e3 * np.linalg.norm(offsets, axis=1), strict=True))
    ]
    goal = "" if shown is None else f", a goal bin: {shown.value}"
    title = f"{subject.name}, bin {position.row},{position.column}{goal}: its five frames, nearest first; rulers in mm"
    draw_bin(np.stack([subject.frame(int(index)) for index in indices]), captions, offsets, title, file)


def _view_sweep(subject: "GridSubject", row: int, file: Path) -> None:
    import numpy as np
    from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, ROW_PITCH, Bin

    from us_nav_agent.evaluation.video import draw_frame, write_pictures

    across = subject.positions[:, 1] - Bin(row, 0).center[1]
    indices = np.flatnonzero(np.abs(across) <= ROW_PITCH / 2)
    if not len(indices):
        raise UsNavAgentError(f"{subject.name}: no frame is known to be taken along row {row}; expected another row")
    pictures = (
        draw_frame(subject.frame(index), f"row {row}   x {1e3 * subject.positions[index, 0]:+.0f} mm   frame {index}")
        for index in map(int, indices)
    )
    write_pictures(pictures, (FRAME_HEIGHT, FRAME_WIDTH), file, fps=25)
