"""All levels of all curves on all subjects, in processes; what is finished is kept, so that a killed run goes on."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from us_grid_sim.dataset.layout import write_atomically

from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation.bootstrap import summarise
from us_nav_agent.evaluation.result import Model
from us_nav_agent.evaluation.robustness.conditions import CURVES, Curve, sample_chance
from us_nav_agent.evaluation.robustness.measure import METRICS, Bench, Measurement
from us_nav_agent.evaluation.robustness.result import MeasuredCurve, RobustnessResult
from us_nav_agent.evaluation.robustness.scan import load_patient
from us_nav_agent.policy import load_policy
from us_nav_agent.workers import work_through

FINISHED = "finished.json"
"""Name of the file with what is finished, in the output folder."""
_UNCHANGED = "unchanged"
_MEMORY = 0.7
"""Of a process [GB]."""
Progress = Callable[[int, int], None]
"""Called with the levels done, one a subject, and the levels in all."""


@dataclass(frozen=True)
class Job:
    """One level on one subject.

    Attributes:
        subject: its number.
        curve: its name.
        level: of the curve.
    """

    subject: int
    curve: str
    level: float

    @property
    def point(self) -> str:
        """Names the level; the unchanged ones of all curves are one."""
        return _UNCHANGED if self.level == CURVES[self.curve].unchanged else f"{self.curve} {self.level:g}"


Measure = Callable[[Job], Measurement]


def plan(curves: Sequence[Curve], subjects: int) -> list[Job]:
    """Every level of the curves once, by subject, so that a process builds a body for many levels."""
    jobs = [Job(subject, one.name, level) for subject in range(subjects) for one in curves for level in one.levels]
    first: dict[tuple[int, str], Job] = {}
    for job in sorted(jobs, key=lambda job: (job.subject, job.point != _UNCHANGED)):
        first.setdefault((job.subject, job.point), job)
    return list(first.values())


class Finished:
    """What is finished, in a file that is always whole.

    Args:
        folder: of the output.
        of: what makes another run another: the model, the seed, the subjects.

    Raises:
        UsNavAgentError: the folder holds another run, or the file is malformed.
    """

    def __init__(self, folder: Path, of: dict[str, object]) -> None:
        self._file, self._of = folder / FINISHED, of
        self.values: dict[str, dict[str, Measurement]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._read()

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text())
            before, self.values = content["of"], content["values"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsNavAgentError(f"{self._file}: it cannot be read ({error}); remove it to begin anew") from None
        if before != self._of:
            raise UsNavAgentError(
                f"{self._file}: another model, seed or data set is here; name another folder with --out, or remove it"
            )

    def holds(self, subject: str, point: str) -> bool:
        """Whether a level of a subject is finished."""
        return point in self.values.get(subject, {})

    def keep(self, subject: str, point: str, measurement: Measurement) -> None:
        """Keep a level of a subject."""
        self.values.setdefault(subject, {})[point] = measurement
        write_atomically(self._file, json.dumps({"of": self._of, "values": self.values}, indent=1) + "\n")


@dataclass(frozen=True)
class Settings:
    """What a process needs to measure.

    Attributes:
        model: file of the policy.
        patient_files: of the subjects, all virtual.
        seed: of turns, other speckle, the grabber and the bootstrap.
    """

    model: Path
    patient_files: tuple[Path, ...]
    seed: int

    def measurer(self) -> Measure:
        """What measures a job here; policy and subjects are loaded once."""
        bench = Bench(load_policy(self.model).decider)
        patients = [load_patient(file) for file in self.patient_files]
        chances = [sample_chance(self.seed, patient.record) for patient in patients]

        def measure(job: Job) -> Measurement:
            patient, chance = patients[job.subject], chances[job.subject]
            return bench.measure(patient, CURVES[job.curve].scan(patient.record, chance, job.level), chance)

        return measure


def evaluate_robustness(
    settings: Settings,
    curves: Sequence[Curve],
    folder: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RobustnessResult:
    """Measure every level on every subject, those that ``folder`` does not hold yet.

    The same settings give the same result to the byte, stopped and gone on or not, in one process or many.

    Args:
        settings: model, subjects and seed.
        curves: what to vary.
        folder: of the output, that also keeps what is finished.
        workers: processes; None: as many as there are cores.
        progress: called at the start and after each level of a subject.

    Raises:
        UsNavAgentError: there is no such model, or the folder holds another run.
        UsGridSimError: a subject is malformed or no virtual one.
    """
    policy = load_policy(settings.model)
    model = Model(policy.name, policy.sha256)
    patients = [load_patient(file) for file in settings.patient_files]
    digests = {patient.name: patient.digest for patient in patients}
    finished = Finished(folder, {"model": model.sha256, "seed": settings.seed, "subjects": digests})
    names = [patient.name for patient in patients]

    def work(due: Sequence[Job]) -> Iterator[tuple[Job, Measurement]]:
        return work_through(settings.measurer, due, workers, _MEMORY)

    finish(plan(curves, len(names)), names, finished, work, progress)
    return collect(model, settings.seed, names, curves, finished)


Work = Callable[[Sequence[Job]], Iterator[tuple[Job, Measurement]]]


def finish(
    jobs: Sequence[Job], names: Sequence[str], finished: Finished, work: Work, progress: Progress | None = None
) -> None:
    """Have the jobs done that are not finished, and keep each as it comes."""
    due = [job for job in jobs if not finished.holds(names[job.subject], job.point)]
    report = progress or (lambda done, total: None)
    report(len(jobs) - len(due), len(jobs))
    if not due:
        return
    for done, (job, measurement) in enumerate(work(due), start=len(jobs) - len(due) + 1):
        finished.keep(names[job.subject], job.point, measurement)
        report(done, len(jobs))


def collect(
    model: Model, seed: int, names: Sequence[str], curves: Sequence[Curve], finished: Finished
) -> RobustnessResult:
    """The curves, once all their levels are finished."""
    measured = []
    for curve in curves:
        points = [Job(0, curve.name, level).point for level in curve.levels]
        table = [[finished.values[name][point] for name in names] for point in points]
        values = {
            metric: np.array([[one[metric] for one in row] for row in table], dtype=np.float64)
            for metric in (*METRICS, "bins_shown")
        }
        summaries = {metric: [summarise(row[None], seed) for row in values[metric]] for metric in METRICS}
        measured.append(MeasuredCurve(curve, values, summaries))
    return RobustnessResult(model, seed, tuple(names), tuple(measured))
