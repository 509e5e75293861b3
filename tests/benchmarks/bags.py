"""Measure what recording costs the loop, and how much faster than real time a bag is evaluated.

    python tests/benchmarks/bags.py --data data/cohort            both rows of docs/figures.yaml
    python tests/benchmarks/bags.py --data data/cohort --pairs 1  quicker, and less sure

The loop is the grid with 30 frames a second and a policy that never stops: a step, the frame that shows the new place,
a decision, the next step. Its rate in steps a second is taken with the recorder and without, in turns, so that both see
the same machine; the figure is what the median of the pairs loses. Each recorded bag is then evaluated with
the model that decided, in this process, model and reading of the bag included; the figure is the median of the bags.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.read import IMAGE_TOPIC, STATE_TOPIC
from us_nav_agent.cli.launch_file import read_launch_file
from us_nav_agent.cli.launcher import Launcher, find_launch_file, share_of
from us_nav_agent.deciders import MsDqnDecider
from us_nav_agent.evaluation.bags import evaluate_bag
from us_nav_agent.policy import load_policy, save_policy
from us_nav_agent.ros.navigate_client import StepReport, navigate

STEPS = 300
"""Steps of a run."""
SKIPPED = 20
"""Of them at its beginning, while nodes still find one another."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def wanderer(path: Path) -> Path:
    """A model that never stops."""
    decider = load_policy("msdqn-lite").decider
    assert isinstance(decider, MsDqnDecider)
    with torch.no_grad():
        decider.stop_classifier.head[-1].bias -= 1e4
    return save_policy(path, decider)


def loop_rate(patient_file: Path, model: Path, bag: Path | None) -> float:
    """Steps a second of a run over the grid, recorded into ``bag`` or not."""
    arguments = {"patient_file": str(patient_file), "model": str(model), "bag": str(bag or "unused")}
    description = read_launch_file(find_launch_file("grid"), arguments, share_of)
    if bag is None:
        others = tuple(node for node in description.nodes if node.executable != "recorder_node")
        description = replace(description, nodes=others)
    times: list[float] = []

    def note(step: StepReport) -> None:
        times.append(time.monotonic())

    recorded = (IMAGE_TOPIC, STATE_TOPIC) if bag else ()
    with Launcher(description, lambda line: None, dict(os.environ)) as launcher:
        navigate("sacrum", STEPS, note, recorded=recorded, timeout=300.0, check=launcher.check)
    return (len(times) - 1 - SKIPPED) / (times[-1] - times[SKIPPED])


def recording_cost(patient_file: Path, model: Path, folder: Path, pairs: int) -> float:
    """What the loop loses of its rate when it is recorded [%], median of the pairs."""
    costs = []
    for pair in range(pairs):
        without = loop_rate(patient_file, model, None)
        recorded = loop_rate(patient_file, model, folder / f"bag{pair}")
        costs.append(100.0 * (1.0 - recorded / without))
        report(f"pair {pair}: {without:.2f} steps/s, recorded {recorded:.2f}, cost {costs[-1]:.1f} %")
    return statistics.median(costs)


def realtime_factor(bag: Path, model: Path) -> float:
    """Seconds of a bag that are evaluated in a second."""
    duration = Bag(bag).survey.duration
    began = time.perf_counter()
    evaluate_bag(bag, bag.name, str(model))
    spent = time.perf_counter() - began
    report(f"{duration:.1f} s of bag evaluated in {spent:.2f} s")
    return duration / spent


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/cohort"))
    parser.add_argument("--subject", default="Virtual030")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    from domain_coordinator import domain_id

    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    patient_file = (arguments.data / "Patient_files" / f"{arguments.subject}.txt").resolve()
    with tempfile.TemporaryDirectory() as name, domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        folder = Path(name)
        model = wanderer(folder / "wanderer.safetensors")
        cost = recording_cost(patient_file, model, folder, arguments.pairs)
        factor = statistics.median(realtime_factor(folder / f"bag{pair}", model) for pair in range(arguments.pairs))
    print(json.dumps({"recording_cost_percent": round(cost, 2), "bag_evaluation_realtime_factor": round(factor, 1)}))


if __name__ == "__main__":
    main()
