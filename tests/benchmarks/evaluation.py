"""Time the evaluation of the shipped model: 825 runs, 165 starts on each of the five test subjects, and their metrics.

    python tests/benchmarks/evaluation.py

The frames lie in memory before the clock starts; what loading took is printed. The last line is a JSON object for
tools/figures.py.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from us_grid_sim.dataset.grid import load_grid
from us_grid_sim.dataset.layout import subjects_of
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.evaluation import evaluate
from us_nav_agent.policy import load_policy

_RUNS = 825


def main() -> None:
    """Evaluate once and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("data/cohort"))
    arguments = parser.parse_args()
    policy = load_policy(arguments.model)
    started = time.monotonic()
    grids = [load_grid(file, policy.preprocess) for file in subjects_of(arguments.data, "test")]
    loaded = time.monotonic()
    result = evaluate(policy, grids, seed=0)
    seconds = time.monotonic() - loaded
    runs = sum(one.actions.size for one in result.runs)
    if runs != _RUNS:
        raise SystemExit(f"{arguments.data} gives {runs} runs; expected the {_RUNS} of five test subjects")
    print(f"loading took {loaded - started:.1f} s; {result.runs[0].actions.sum()} decisions", file=sys.stderr)
    print(json.dumps({"evaluation_seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
