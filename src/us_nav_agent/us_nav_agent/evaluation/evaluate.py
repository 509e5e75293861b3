"""Evaluation: a run of at most 20 actions from each of the 165 bins of every subject, all in one batch."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import Bin

from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation.bootstrap import summarise
from us_nav_agent.evaluation.metrics import measure
from us_nav_agent.evaluation.result import EvaluationResult, Model
from us_nav_agent.evaluation.scripted import BASELINES, run_baseline
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.policy import Policy
from us_nav_agent.rollout import Runs, run_all


class Subject(Protocol):
    """What a baseline is told of a subject."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def goals(self) -> tuple[Bin, ...]:
        """Its goal bins."""


def evaluate(policy: Policy, subjects: Sequence[PreprocessedGrid], seed: int) -> EvaluationResult:
    """Evaluate one policy; see ``evaluate_seeds``."""
    return evaluate_seeds([policy], subjects, seed)


def evaluate_seeds(
    policies: Sequence[Policy], subjects: Sequence[PreprocessedGrid], seed: int, target: str = "sacrum"
) -> EvaluationResult:
    """Walk every subject from every bin with each of the training seeds of one architecture, and measure.

    All runs of a step share one batch. A batched Q-value may differ from that of ``Policy.act`` in the last bits
    (measured: below 1e-6), so a near tie may be decided otherwise; torch runs on one thread, so that the same seed
    gives the same result to the byte on one machine.

    Args:
        policies: of one architecture; their own memories are left alone.
        subjects: preprocessed as the policies ask for.
        seed: of the frames that are drawn in the bins, the same for each policy, and of the bootstrap.
        target: to walk to; the subjects' goals show it.

    Raises:
        UsNavAgentError: two policies are the same model or differ in architecture, or do not find the target.
        ValueError: there is no policy or no subject, or a subject was preprocessed otherwise than a policy asks for.
    """
    if not policies or not subjects:
        raise ValueError(
            f"{len(policies)} policies, {len(subjects)} subjects; an evaluation needs at least one of each"
        )
    check_seeds(policies)
    for grid in subjects:
        if grid.preprocess != policies[0].preprocess:
            raise ValueError(
                f"subject {grid.name} is preprocessed by {grid.preprocess}; expected {policies[0].preprocess}"
            )
    with one_thread():
        runs = [run_all(policy.decider.towards(target), subjects, seed) for policy in policies]
    return _result([Model(policy.name, policy.sha256) for policy in policies], subjects, runs, seed, target)


def evaluate_baseline(name: str, subjects: Sequence[Subject], seed: int, target: str = "sacrum") -> EvaluationResult:
    """Walk every subject from every bin with a baseline of ``scripted.BASELINES``, and measure.

    Args:
        name: of the baseline.
        subjects: whose goals it is measured by.
        seed: of the baseline's chance and of the bootstrap.
        target: that the goals show.

    Raises:
        ValueError: there is no subject.
    """
    if not subjects:
        raise ValueError("no subjects; an evaluation needs at least one")
    runs = run_baseline(name, [subject.goals for subject in subjects], seed)
    return _result([Model(name, None)], subjects, [runs], seed, target)


def check_seeds(policies: Sequence[Policy]) -> None:
    """Raise UsNavAgentError unless the policies are different ones of the same architecture."""
    first = policies[0]
    for number, policy in enumerate(policies):
        if policy.sha256 in {one.sha256 for one in policies[:number]}:
            raise UsNavAgentError(f"model {policy.name} ({policy.sha256[:12]}) stands twice; name each seed once")
        if (policy.decider.kind, policy.preprocess) != (first.decider.kind, first.preprocess):
            raise UsNavAgentError(
                f"{policy.name} is {policy.decider.kind} on {policy.preprocess}, {first.name} {first.decider.kind} on "
                f"{first.preprocess}; evaluate together only seeds of one architecture"
            )


def _result(
    models: Sequence[Model], subjects: Sequence[Subject], runs: Sequence[Runs], seed: int, target: str
) -> EvaluationResult:
    """Measure the runs of each model, and those of the baselines on the same subjects."""
    goals = [subject.goals for subject in subjects]
    measured = [measure(one, goals) for one in runs]
    values = {name: np.stack([one[name] for one in measured]) for name in measured[0]}
    baselines = {name: measure(run_baseline(name, goals, seed), goals) for name in BASELINES if name != models[0].name}
    return EvaluationResult(
        models=tuple(models),
        target=target,
        seed=seed,
        subjects=tuple(subject.name for subject in subjects),
        values=values,
        summaries={name: summarise(one, seed) for name, one in values.items()},
        baselines={
            baseline: {name: summarise(one[None], seed) for name, one in of.items()}
            for baseline, of in baselines.items()
        },
        runs=tuple(runs),
    )
