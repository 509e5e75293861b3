"""Margins of the force loop and what it reaches on the toys, as tables; and a picture of the loop.

python tests/benchmarks/force_control.py --out docs/images/force_margins.png
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from iiwa_bridge.control.force_controller import ForceConfig
from iiwa_bridge.control.margins import FREQUENCIES, ContactPlant, loop_response, margins
from iiwa_bridge.control.probe_controller import ProbeConfig, ProbeController, Sample
from support.contact_toy import CYCLE, Arm, BeamToy, breathing, person, press

matplotlib.use("Agg")
from matplotlib import pyplot

TISSUES = (200.0, 500.0, 1000.0, 2000.0, 5000.0)
MASSES = (3.0, 5.0, 8.0, 12.4)
"""Of the arm along the beam, up to the most over the grid [kg]."""
CONFIG = ForceConfig()


def margin_table() -> None:
    """Print margins by tissue; of the arms, the worst of each column."""
    print("| tissue [N/m] | crossover [rad/s] | gain margin | phase margin [degrees] |\n| --- | --- | --- | --- |")
    for tissue in TISSUES:
        found = [
            margins(ContactPlant(tissue, mass, damping_ratio=ratio), CONFIG) for mass in MASSES for ratio in (0.7, 0.9)
        ]
        low, high = (pick(item.crossover for item in found) for pick in (min, max))
        gain, phase = min(item.gain for item in found), min(item.phase for item in found)
        print(f"| {tissue:.0f} | {low:.1f} to {high:.1f} | {gain:.1f} | {phase:.0f} |")


def toy_table() -> None:
    """Print errors and peaks of the true force on the toys; the worst over arms of 3 and 12.4 kg."""
    print("\n| set point [N] | tissue [N/m] | at rest: RMSE, peak [N] | breath 3 mm | breath 6 mm | person: peak [N] |")
    print("| --- | --- | --- | --- | --- | --- |")
    surfaces = (lambda _: 0.0, lambda now: breathing(now, 0.0015), breathing, person)
    for wanted in (0.5, 1.0, 1.5, 2.0):
        for tissue in (200.0, 1000.0, 5000.0):
            cells = []
            for surface in surfaces:
                runs = [press(BeamToy(Arm(tissue, mass), surface), wanted, 16.0) for mass in (MASSES[0], MASSES[-1])]
                error = max(run.error(wanted, 6.0) for run in runs)
                kept = all(run.forces[1200:].min() > 0.0 for run in runs)
                cells.append((error, max(run.peak for run in runs), "" if kept else " (lifts off)"))
            told = [f"{error:.2f}, {peak:.1f}{kept}" for error, peak, kept in cells[:3]]
            print(f"| {wanted} | {tissue:.0f} | {' | '.join(told)} | {cells[3][1]:.1f} |")


def cycle_time() -> None:
    """Print how long a cycle of the controller takes in contact."""
    controller, pose, times = ProbeController(ProbeConfig()), np.eye(4), []
    controller.approach(1.0)
    for _ in range(4000):
        begun = time.perf_counter()
        controller.update(Sample(pose, np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])), CYCLE)
        times.append(time.perf_counter() - begun)
    median, slow = np.percentile(times[1000:], [50, 99]) * 1e6
    print(f"\na cycle in contact takes {median:.0f} us (median), {slow:.0f} us (p99)")


def picture(out: Path) -> None:
    """Draw the loop's gain and phase for the tissues, on the heaviest and least damped arm."""
    figure, (gain, phase) = pyplot.subplots(2, 1, sharex=True, figsize=(7.0, 5.0))
    for tissue in TISSUES:
        response = loop_response(ContactPlant(tissue, mass=MASSES[-1]), CONFIG)
        gain.loglog(FREQUENCIES, np.abs(response), label=f"{tissue:.0f} N/m")
        phase.semilogx(FREQUENCIES, np.degrees(np.unwrap(np.angle(response))))
    gain.axhline(1.0, color="black", linewidth=0.8)
    gain.set(ylabel="|L|", xlim=(0.2, 100.0), ylim=(1e-3, 30.0))
    gain.legend(title="tissue", fontsize=8)
    phase.axhline(-180.0, color="black", linewidth=0.8)
    phase.set(xlabel="frequency [rad/s]", ylabel="phase of L [degrees]", ylim=(-400.0, -60.0))
    figure.tight_layout()
    figure.savefig(out, dpi=90)


def main() -> None:
    """Print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to draw the loop (PNG)")
    out = parser.parse_args().out
    margin_table()
    toy_table()
    cycle_time()
    if out is not None:
        picture(out)


if __name__ == "__main__":
    main()
