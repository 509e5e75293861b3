"""Which runs an evaluation has: subjects by starts, sampled from a seed into a record."""

from dataclasses import asdict, dataclass

import numpy as np
from us_grid_sim.dataset.synth import cohort_record, subject_name
from us_grid_sim.envs.loop_run import Disturbances
from us_grid_sim.geometry import BINS, Bin
from us_grid_sim.phantom.record import SubjectRecord

from us_nav_agent.errors import UsNavAgentError

COHORT = 0
"""Seed of the cohort that the models were trained and are tested on."""


@dataclass(frozen=True)
class Settings:
    """Of an evaluation.

    Attributes:
        first_subject: index in the cohort; from 34 on they are fresh ones, of which nothing is on disk.
        subjects: how many.
        starts: of each.
        seed: of starts, patients' motion, lost datagrams, sensors' noise and the bootstrap.
        target: to walk to.
        plant: kind of the simulated arm.
        disturbances: what makes it hard.

    Raises:
        UsNavAgentError: there is no subject, or more or fewer starts than a grid has.
    """

    first_subject: int
    subjects: int
    starts: int
    seed: int
    target: str
    plant: str
    disturbances: Disturbances

    def __post_init__(self) -> None:
        if self.subjects < 1 or self.first_subject < 0:
            raise UsNavAgentError(f"{self.subjects} subjects from {self.first_subject} on; expected at least one")
        if not 1 <= self.starts <= BINS:
            raise UsNavAgentError(f"{self.starts} starts a subject; expected 1 to {BINS}")

    def content(self) -> dict[str, object]:
        """What JSON holds of it."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        subject: index in the cohort.
        start: bin.
        seed: of the run.
    """

    subject: int
    start: Bin
    seed: int

    @property
    def record(self) -> SubjectRecord:
        """Of the subject."""
        return cohort_record(COHORT, self.subject)

    @property
    def name(self) -> str:
        """Of the run: subject and start."""
        return f"{subject_name(self.subject)}-{self.start.row:02d}-{self.start.column:02d}"


def sample_jobs(settings: Settings) -> list[Job]:
    """Sample the runs, subject by subject; a subject's are the same whatever other subjects are asked for."""
    jobs = []
    for subject in range(settings.first_subject, settings.first_subject + settings.subjects):
        rng = np.random.default_rng([settings.seed, subject])
        starts = rng.permutation(BINS)[: settings.starts]
        seeds = np.random.default_rng([settings.seed, subject, 1]).integers(2**31, size=settings.starts)
        jobs += [Job(subject, Bin.from_state(int(start)), int(seed)) for start, seed in zip(starts, seeds, strict=True)]
    return jobs
