"""Evaluate the training seeds of an architecture on the test subjects, or measure its stop or its speed.

    usnav dataset synth --out data/cohort
    usnav train msdqn_lite --seed 0        # and seeds 1 and 2, and so for every architecture
    python tests/benchmarks/agents.py table msdqn
    python tests/benchmarks/agents.py targets
    python tests/benchmarks/agents.py stop
    python tests/benchmarks/agents.py decision
    python tests/benchmarks/agents.py training      # three quarters of an hour

The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.layout import read_subject, subjects_of
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.evaluation import evaluate_seeds
from us_nav_agent.evaluation.calibration import stop_reliability
from us_nav_agent.policy import Policy, load_policy

RUNS = {
    "densenet": "densenet",
    "vdqn": "vdqn_lite",
    "mdqn": "mdqn_lite",
    "msdqn": "msdqn_lite",
    "best": "belief",
}
"""Experiment of each architecture."""
SEEDS = (0, 1, 2)
_DECISIONS, _WARM = 1000, 20


def trained(name: str) -> list[Policy]:
    """The policies of all seeds."""
    files = [Path(f"runs/{RUNS[name]}-seed{seed}/model.safetensors") for seed in SEEDS]
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise SystemExit(f"error: no {', '.join(missing)}; train it: usnav train {RUNS[name]} --seed N")
    return [load_policy(file) for file in files]


def table(name: str, data: Path) -> dict[str, float]:
    """Policy correctness and reachability [%], and of the best also path efficiency, over seeds and subjects."""
    policies = trained(name)
    grids = [load_grid(file, policies[0].preprocess) for file in subjects_of(data, "test")]
    result = evaluate_seeds(policies, grids, seed=0)
    print(result.to_markdown(), file=sys.stderr)
    figures = {
        f"{name}_correctness": round(100 * result.policy_correctness.mean, 2),
        f"{name}_reachability": round(100 * result.reachability.mean, 2),
    }
    if name == "best":
        figures["best_path_efficiency"] = round(result.summaries["path_efficiency"].mean, 3)
    return figures


def targets(data: Path) -> dict[str, float]:
    """Reachability [%] of the target that the best agent reaches least, over seeds and subjects."""
    policies = trained("best")
    grids = [load_grid(file, policies[0].preprocess) for file in subjects_of(data, "test")]
    found = {}
    for target in policies[0].targets:
        reached = evaluate_seeds(policies, [grid.towards(target) for grid in grids], seed=0, target=target).reachability
        found[target] = 100 * reached.mean
        print(f"{target}: {found[target]:.1f} ({100 * reached.low:.1f} to {100 * reached.high:.1f})", file=sys.stderr)
    return {"worst_target_reachability": round(min(found.values()), 1)}


def stop(data: Path) -> dict[str, float]:
    """Accuracy and expected calibration error [%] of MS-DQN's stop classifier on the test subjects, over the seeds."""
    policies = trained("msdqn")
    grids = [load_grid(file, policies[0].preprocess) for file in subjects_of(data, "test")]
    found = [one for one in (stop_reliability(policy.decider, grids) for policy in policies) if one is not None]
    return {
        "stop_accuracy": round(100 * float(np.mean([one.accuracy for one in found])), 2),
        "stop_ece": round(100 * float(np.mean([one.error for one in found])), 2),
    }


def decision(model: str, data: Path) -> dict[str, float]:
    """99th percentile [ms] of one decision from an 800 x 600 frame on one core."""
    torch.set_num_threads(1)
    policy, subject = load_policy(model), read_subject(subjects_of(data, "test")[0])
    frames = [subject.frame(index) for index in range(0, 2000, 50)]
    taken = []
    for number in range(_DECISIONS + _WARM):
        if number % 20 == 0:
            policy.reset()
        started = time.perf_counter()
        policy.act(frames[number % len(frames)])
        taken.append(time.perf_counter() - started)
    milliseconds = 1e3 * np.array(taken[_WARM:])
    print(f"median {np.median(milliseconds):.1f} ms, mean {milliseconds.mean():.1f} ms", file=sys.stderr)
    return {"decision_p99_ms": round(float(np.quantile(milliseconds, 0.99)), 1)}


def training(data: Path) -> dict[str, float]:
    """Minutes in which MS-DQN is trained in the lite preset, from nothing but the data set and its variants' frames."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(["usnav", "train", "msdqn_lite", "--data", data, "--out", f"{folder}/run"], check=True)
        minutes = (time.perf_counter() - started) / 60.0
        history = json.loads(Path(folder, "run", "evaluations.json").read_text())
    for entry in history:
        print(f"{entry['steps']} steps: mean reachability {entry['mean_reachability']:.3f}", file=sys.stderr)
    return {"lite_training_minutes": round(minutes, 1)}


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/cohort"))
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("table").add_argument("name", choices=RUNS)
    kinds.add_parser("targets")
    kinds.add_parser("stop")
    kinds.add_parser("decision").add_argument("--model", default=DEFAULT_MODEL)
    kinds.add_parser("training")
    arguments = parser.parse_args()
    if arguments.kind == "table":
        figures = table(arguments.name, arguments.data)
    elif arguments.kind == "targets":
        figures = targets(arguments.data)
    elif arguments.kind == "stop":
        figures = stop(arguments.data)
    elif arguments.kind == "decision":
        figures = decision(arguments.model, arguments.data)
    else:
        figures = training(arguments.data)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
