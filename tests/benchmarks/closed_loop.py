"""Measure the default model with the robot in the loop on the test subjects: the rows of docs/figures.yaml.

    python tests/benchmarks/closed_loop.py                    5 subjects by 24 starts, on PyBullet, breathing
    python tests/benchmarks/closed_loop.py --workers 1

It is `usnav evaluate closed-loop` from its first run on; with --out it goes on where a run before was stopped. All is
in the controller's time, so the figures do not depend on how busy the machine is.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from us_grid_sim.dataset.synth import subject_name
from us_grid_sim.envs.loop_run import Disturbances
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.evaluation.closed_loop.plan import Settings
from us_nav_agent.evaluation.closed_loop.run import evaluate_closed_loop
from us_nav_agent.policy import find_model

FIRST, SUBJECTS = 29, 5
"""The test subjects of the cohort."""


def report(done: int, total: int) -> None:
    """Print how far it is."""
    print(f"{done} of {total}", file=sys.stderr, flush=True)


def measure(starts: int, workers: int | None, folder: Path) -> dict[str, float]:
    """Every row."""
    settings = Settings(FIRST, SUBJECTS, starts, 0, "sacrum", "pybullet", Disturbances())
    result = evaluate_closed_loop(find_model(DEFAULT_MODEL), settings, folder, workers, report)
    print(result.to_markdown(), file=sys.stderr)
    return {
        "closed_loop_reachability": round(result.summaries["reachability"].mean, 4),
        "closed_loop_reachability_loss_points": round(result.summaries["lost_points"].mean, 2) + 0.0,  # no -0.0
        "closed_loop_safety_events": result.safety_events,
        "closed_loop_force_peak_n": round(result.force_peak, 3),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    last = subject_name(FIRST + SUBJECTS - 1)
    parser.add_argument("--starts", type=int, default=24, help=f"of each of {subject_name(FIRST)} to {last}")
    parser.add_argument("--workers", type=int, help="processes; by default one a core")
    parser.add_argument("--out", type=Path, help="folder that keeps what is finished; by default none is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments.starts, arguments.workers, arguments.out or Path(folder))))


if __name__ == "__main__":
    main()
