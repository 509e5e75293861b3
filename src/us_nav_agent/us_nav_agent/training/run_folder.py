"""What every training run keeps in its folder, and how it reports how far it is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from us_nav_agent.errors import TrainingError
from us_nav_agent.rollout import Runs
from us_nav_agent.training.experiment import Experiment


@dataclass(frozen=True)
class TrainProgress:
    """How far a run is: the stage (such as data or dqn), steps done and in all, and a word on the latest result."""

    stage: str
    done: int
    total: int
    note: str = ""


Report = Callable[[TrainProgress], None]


def quiet(progress: TrainProgress) -> None:
    """Say nothing."""


def claim(out: Path, experiment: Experiment, seed: int, subjects: dict[str, list[str]]) -> None:
    """Write what the run is made from, or check that ``out`` holds the same run.

    Raises:
        TrainingError: ``out`` holds another run.
    """
    content = {"experiment": asdict(experiment), "seed": seed, "subjects": subjects}
    text = json.dumps(content, indent=1) + "\n"
    file = out / "run.json"
    if file.exists() and file.read_text() != text:
        raise TrainingError(f"{file}: another run is here; name another folder with --out, or remove this one")
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def save_torch(file: Path, content: dict[str, Any]) -> None:
    """Write a torch file whole or not at all."""
    partial = file.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(file)


def write_text(file: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(file)


def write_evaluations(out: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the evaluations on the validation subjects, one entry each."""
    write_text(out / "evaluations.json", json.dumps(history, indent=1) + "\n")


def summary_of(runs: Runs) -> dict[str, float]:
    """The metrics by which models are chosen: reachability over the subjects, and policy correctness."""
    reached = runs.reached.mean(axis=1)
    return {
        "median_reachability": float(np.median(reached)),
        "mean_reachability": float(reached.mean()),
        "policy_correctness": float((runs.correct / runs.actions).mean()),
    }


def note_on(entry: dict[str, float]) -> str:
    """A summary in words."""
    return (
        f"validation reachability {entry['median_reachability']:.1%} median, {entry['mean_reachability']:.1%} mean, "
        f"correctness {entry['policy_correctness']:.1%}"
    )
