"""Evaluate the trained supervised baseline on the test subjects: how hard the cohort is.

    usnav dataset synth --out data/cohort
    usnav train densenet --data data/cohort --seed 0
    python tests/benchmarks/baseline.py

The last line is a JSON object for tools/figures.py: policy correctness and reachability in percent.
"""

import argparse
import json
import sys
from pathlib import Path

from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.layout import subjects_of
from us_nav_agent.evaluation import evaluate
from us_nav_agent.policy import load_policy


def main() -> None:
    """Evaluate and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/densenet-seed0/model.safetensors"))
    parser.add_argument("--data", type=Path, default=Path("data/cohort"))
    arguments = parser.parse_args()
    policy = load_policy(arguments.model)
    grids = [load_grid(file, policy.preprocess) for file in subjects_of(arguments.data, "test")]
    result = evaluate(policy, grids, seed=0)
    print(result.to_markdown(), file=sys.stderr)
    metrics = {"correctness": result.policy_correctness, "reachability": result.reachability}
    print(json.dumps({f"densenet_{name}": round(100 * metric.mean, 2) for name, metric in metrics.items()}))


if __name__ == "__main__":
    main()
