"""A policy evaluated on a bag."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.run import RunStep
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import ModelError
from us_nav_agent.evaluation.bags.measures import (
    confusion,
    force_measures,
    frame_measures,
    latency_measures,
    policy_measures,
)
from us_nav_agent.evaluation.bags.recording import Recording, read_recording
from us_nav_agent.evaluation.bags.rerun import rerun
from us_nav_agent.evaluation.bags.result import BagResult, models_of
from us_nav_agent.evaluation.result import Model
from us_nav_agent.policy import Policy, load_policy


def evaluate_bag(
    path: Path,
    name: str,
    model: str | None = None,
    target: str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[BagResult, Recording, list[list[RunStep]]]:
    """Decide again on the frames of a bag and measure.

    Args:
        path: of the bag.
        name: what the report calls it.
        model: name or path; None: the one that decided while it was recorded, or the default model.
        target: that the runs were to find; None: the one that the bag names, or the first of the model.
        seed: of the intervals where many bags are evaluated.
        progress: called with the frames done and their number.

    Returns:
        The result, what was read of the bag, and the runs that can be drawn.

    Raises:
        BagError: nothing of the bag can be read.
        ModelError: there is no such model, or it cannot find the target.
    """
    recording = read_recording(Bag(path))
    policy = _policy(model, recording)
    target = target or recording.target or policy.targets[0]
    runs, pictured = rerun(policy, recording, target, progress)
    goals = recording.goals.get(target, ())
    if not goals:
        recording.notes.append(f"the bag holds no goal bins of {target}: correctness and reachability are not measured")
    measures = {
        "runs": float(len(recording.runs)),
        "decisions": float(len(recording.decisions)),
        **policy_measures(runs, goals),
        **latency_measures(recording.decisions, recording.frame_stamps, recording.frame_times),
        **frame_measures(recording.frame_stamps, recording.frame_times),
        **force_measures(recording.measured, recording.truth),
        "safety_events": float(len(recording.events)),
    }
    result = BagResult(
        name=name,
        model=Model(policy.name, policy.sha256),
        recorded_models=models_of(recording),
        target=target,
        seed=seed,
        goals=goals,
        subject=recording.subject,
        duration=recording.bag.survey.duration,
        measures=measures,
        confusion=confusion(runs),
        runs=runs,
        events=recording.events,
        damage=recording.bag.damage,
        notes=recording.notes,
    )
    return result, recording, pictured


def _policy(model: str | None, recording: Recording) -> Policy:
    """The policy that is asked for, else the one that decided then, else the default model."""
    if model is not None:
        return _loaded(model)
    then = models_of(recording)
    if not then or not then[0].name:
        return _loaded(DEFAULT_MODEL)
    try:
        policy = _loaded(then[0].name)
    except ModelError as error:
        raise ModelError(
            f"the bag was recorded with a model that is not here ({error}); name one with --model"
        ) from None
    if policy.sha256 != then[0].sha256:
        recording.notes.append(f"the model {policy.name} here is not the one that decided then: another SHA-256")
    return policy


@cache
def _loaded(name: str) -> Policy:
    """A policy; many bags are often evaluated with the same one."""
    return load_policy(name)
