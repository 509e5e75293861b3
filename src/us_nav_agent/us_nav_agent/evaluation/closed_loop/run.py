"""All runs of an evaluation, in processes; each that is finished is a file, so that a killed evaluation goes on."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from us_grid_sim.dataset.layout import write_atomically
from us_grid_sim.dataset.synth import subject_name

from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation.closed_loop.measure import GridRecord, RunRecord, measure_grid, measure_run
from us_nav_agent.evaluation.closed_loop.plan import Job, Settings, sample_jobs
from us_nav_agent.evaluation.closed_loop.result import ClosedLoopResult
from us_nav_agent.evaluation.result import Model
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.policy import load_policy
from us_nav_agent.workers import work_through

RUNS = "runs"
"""Folder of what is finished, in the output folder."""
_MEMORY = 1.0
"""Of a process [GB]."""
Progress = Callable[[int, int], None]
"""Called with the pieces of work done, and those in all: the runs, and the grid of each subject."""
Piece = tuple[str, Job]
"""What is to be measured, ``loop`` or ``grid``, and of which run or subject."""


def evaluate_closed_loop(
    model: Path, settings: Settings, folder: Path, workers: int | None = None, progress: Progress | None = None
) -> ClosedLoopResult:
    """Walk all runs that ``folder`` does not hold yet, with the robot and on the grid alone.

    The same settings give the same result to the byte, stopped and gone on or not, in one process or many.

    Args:
        model: file of the policy.
        settings: of the evaluation.
        folder: of the output, that also keeps what is finished.
        workers: processes; None: as many as there are cores.
        progress: called at the start and after each piece.

    Raises:
        UsNavAgentError: there is no such model or target, or the folder holds another evaluation.
        UsGridSimError: no robot is installed, or no such plant.
    """
    policy = load_policy(model)
    policy.reset(settings.target)
    jobs = sample_jobs(settings)
    firsts = {job.subject: job for job in reversed(jobs)}
    pieces = [(kind, job) for job in jobs for kind in ("grid", "loop") if kind == "loop" or firsts[job.subject] is job]
    runs = folder / RUNS
    _claim(folder, policy.sha256, settings)
    due = [piece for piece in pieces if not _file(runs, piece).exists()]
    report = progress or (lambda done, total: None)
    report(len(pieces) - len(due), len(pieces))
    measured = work_through(partial(_measurer, model, settings), due, workers, _MEMORY)
    for done, (piece, text) in enumerate(measured, start=len(pieces) - len(due) + 1):
        write_atomically(_file(runs, piece), text)
        report(done, len(pieces))
    return ClosedLoopResult(
        model=Model(policy.name, policy.sha256),
        settings=settings,
        runs=tuple(RunRecord(**_read(_file(runs, ("loop", job)))) for job in jobs),
        grids=tuple(GridRecord(**_read(_file(runs, ("grid", job)))) for _, job in sorted(firsts.items())),
    )


def _file(runs: Path, piece: Piece) -> Path:
    kind, job = piece
    return runs / (f"{job.name}.json" if kind == "loop" else f"{subject_name(job.subject)}-grid.json")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        raise UsNavAgentError(f"{file}: it cannot be read ({error}); remove it to have it measured again") from None
    return dict(content)


def _claim(folder: Path, sha256: str, settings: Settings) -> None:
    """Say whose runs the folder holds: more subjects or starts may join, all else has to be the same.

    Raises:
        UsNavAgentError: another evaluation's.
    """
    of = {"model": sha256} | settings.content()
    same = {name: value for name, value in of.items() if name not in ("first_subject", "subjects", "starts")}
    text = json.dumps(same, indent=1, sort_keys=True) + "\n"
    file = folder / RUNS / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_text() != text:
        raise UsNavAgentError(
            f"{file}: another model, seed or world is here; name another folder with --out, or remove {file.parent}"
        )
    write_atomically(file, text)


_Measure = Callable[[Piece], str]


def _measurer(model: Path, settings: Settings) -> _Measure:
    """What measures a piece here; the policy is loaded once."""
    policy = load_policy(model)

    def measure(piece: Piece) -> str:
        kind, job = piece
        with one_thread():
            one = measure_run(policy, settings, job) if kind == "loop" else measure_grid(policy, settings, job)
        return json.dumps(asdict(one), allow_nan=False) + "\n"

    return measure
