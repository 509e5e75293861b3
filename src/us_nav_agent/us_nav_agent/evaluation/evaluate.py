"""Evaluation of a policy: a run of at most 20 actions from each of the 165 bins of every subject, in one batch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from us_grid_sim.dataset.grid import PreprocessedGrid

from us_nav_agent.evaluation.metrics import CONFIDENCE, Summary, policy_correctness, reachability, summarise
from us_nav_agent.policy import Policy, one_thread
from us_nav_agent.rollout import MAX_ACTIONS, Runs, run_all

PUBLISHED = {
    "Classification CNN (DenseNet-121)": (0.5842, 0.5964),
    "V-DQN": (0.5537, 0.1830),
    "M-DQN": (0.4949, 0.3697),
    "MS-DQN": (0.7953, 0.8291),
}
"""Policy correctness and reachability by architecture (Hase et al. 2020, table II; other subjects than ours)."""
_DECIMALS = 6


@dataclass(frozen=True)
class SubjectResult:
    """How a policy did on one subject.

    Attributes:
        name: of the subject.
        policy_correctness, reachability: 0 to 1.
        false_stops: share of its runs that stopped outside the goal bins.
        mean_actions: actions of a run that reached the goal, the stop included; None: none did.
    """

    name: str
    policy_correctness: float
    reachability: float
    false_stops: float
    mean_actions: float | None


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        model: name of the policy.
        sha256: of its weights file.
        seed: of the frames drawn in the bins, and of the bootstrap.
        max_actions: actions a run may take.
        subjects: one by one.
        policy_correctness, reachability: over the subjects.
    """

    model: str
    sha256: str
    seed: int
    max_actions: int
    subjects: tuple[SubjectResult, ...]
    policy_correctness: Summary
    reachability: Summary

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes."""
        rounded = json.loads(json.dumps(asdict(self)), parse_float=lambda text: round(float(text), _DECIMALS))
        return json.dumps(rounded, indent=2, sort_keys=True) + "\n"

    def to_markdown(self) -> str:
        """Two tables: ours beside the paper's, and ours by subject."""
        lines = [
            "| architecture | policy correctness | reachability |",
            "| --- | --- | --- |",
            *(f"| {name}, Hase et al. 2020 | {c:.2%} | {r:.2%} |" for name, (c, r) in PUBLISHED.items()),
            f"| {self.model} (mean, {CONFIDENCE:.0%} interval over {len(self.subjects)} subjects) "
            f"| {_interval(self.policy_correctness)} | {_interval(self.reachability)} |",
            "",
            "| subject | policy correctness | reachability | stopped elsewhere | actions to the goal |",
            "| --- | --- | --- | --- | --- |",
            *(_row(subject) for subject in self.subjects),
            f"| median | {self.policy_correctness.median:.2%} | {self.reachability.median:.2%} | | |",
        ]
        return "\n".join(lines) + "\n"


def _interval(summary: Summary) -> str:
    return f"{summary.mean:.2%} ({summary.low:.2%} to {summary.high:.2%})"


def _row(subject: SubjectResult) -> str:
    actions = "none reached it" if subject.mean_actions is None else f"{subject.mean_actions:.1f}"
    return (
        f"| {subject.name} | {subject.policy_correctness:.2%} | {subject.reachability:.2%} "
        f"| {subject.false_stops:.2%} | {actions} |"
    )


def evaluate(policy: Policy, subjects: Sequence[PreprocessedGrid], seed: int) -> EvaluationResult:
    """Walk every subject from every bin and measure.

    All runs of a step share one batch. A batched Q-value may differ from that of ``Policy.act`` in the last bits
    (measured: below 1e-6), so a near tie may be decided otherwise; torch runs on one thread, so that the same seed
    gives the same result to the byte on one machine.

    Args:
        policy: its own memory is left alone.
        subjects: preprocessed by ``policy.preprocess``.
        seed: of the frames that are drawn in the bins, and of the bootstrap.

    Raises:
        ValueError: there is no subject, or one was preprocessed otherwise than the policy asks for.
    """
    if not subjects:
        raise ValueError("no subjects; an evaluation needs at least one")
    for grid in subjects:
        if grid.preprocess != policy.preprocess:
            raise ValueError(f"subject {grid.name} is preprocessed by {grid.preprocess}; expected {policy.preprocess}")
    with one_thread():
        runs = run_all(policy.decider, subjects, seed)
    return _result(policy, [grid.name for grid in subjects], runs, seed)


def _result(policy: Policy, names: Sequence[str], runs: Runs, seed: int) -> EvaluationResult:
    correctness, reached = policy_correctness(runs), reachability(runs)
    results = tuple(
        SubjectResult(
            name,
            float(correctness[index]),
            float(reached[index]),
            float((runs.stopped[index] & ~runs.reached[index]).mean()),
            float(runs.actions[index][runs.reached[index]].mean()) if runs.reached[index].any() else None,
        )
        for index, name in enumerate(names)
    )
    return EvaluationResult(
        policy.name,
        policy.sha256,
        seed,
        MAX_ACTIONS,
        results,
        summarise(correctness, seed),
        summarise(reached, seed),
    )
