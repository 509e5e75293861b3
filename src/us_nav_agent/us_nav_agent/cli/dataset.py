"""`usnav dataset`: make virtual subjects, say what a data set holds, show a subject."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from us_nav_agent.cli.screen import console, progress_bar

app = typer.Typer(help="Make, inspect and show grid data sets.", no_args_is_help=True)
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

    Example: `usnav dataset synth --out data/cohort` (34 subjects, about 4 GB, some minutes).
    """
    from us_grid_sim.dataset.synth import SynthProgress, synthesize

    with progress_bar() as bar:
        task = bar.add_task("frames", total=None)

        def show(progress: SynthProgress) -> None:
            words = f"subjects {progress.finished_subjects}/{progress.total_subjects}, frames"
            bar.update(task, completed=progress.done_frames, total=progress.total_frames, description=words)

        files = synthesize(out, subjects=range(first, first + subjects), seed=seed, workers=workers, progress=show)
    console.print(f"{len(files)} subjects in {out}")


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


@app.command()
def view(
    patient_file: Annotated[Path, typer.Argument(help="A subject's .txt in Patient_files/.")],
    out: Annotated[Path | None, typer.Option(help="PNG to write; by default named after the subject.")] = None,
) -> None:
    """Draw a subject: the nearest frame of every bin, goal bins boxed.

    Example: `usnav dataset view data/cohort/Patient_files/Virtual029.txt`
    """
    import numpy as np
    from us_grid_sim.dataset.layout import read_subject
    from us_grid_sim.geometry import COLUMNS, ROWS
    from us_grid_sim.preprocess import Preprocess

    from us_nav_agent.evaluation.figures import draw_subject

    subject = read_subject(patient_file)
    small = Preprocess(150, 107, (186, 0, 428, 600))
    frames = np.stack([small(subject.frame(int(index))) for index in subject.bins[:, :, 0].flat])
    file = out or Path(f"{subject.name}.png")
    draw_subject(frames.reshape(ROWS, COLUMNS, *frames.shape[1:]), subject.goals, subject.name, file)
    console.print(f"wrote {file}")
