"""A policy on a subject that is scanned as a condition says: a run from each of the 165 bins."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.deciders.base import Decider, Ints, Walkers
from us_nav_agent.evaluation.metrics import false_stops, policy_correctness, reachability
from us_nav_agent.evaluation.robustness.conditions import Chance, Grabber, Scan
from us_nav_agent.evaluation.robustness.scan import Patient, scan_patient, shown_bins
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.rollout import Runs, walk

METRICS: dict[str, Callable[[Runs], npt.NDArray[np.float64]]] = {
    "reachability": reachability,
    "policy_correctness": policy_correctness,
    "false_stops": false_stops,
}
"""What is measured, by name."""
Measurement = dict[str, float]
"""Each metric of one subject at one level, and as ``bins_shown`` how many bins show the target: of 0 the goal is where
the data set has it."""


class Bench:
    """Measures one policy; levels that follow one another and differ in the grabber alone share their frames.

    Args:
        decider: of the policy.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._grid = lru_cache(maxsize=1)(self._scan)

    def _scan(self, patient: Patient, scan: Scan) -> PreprocessedGrid:
        return scan_patient(patient, scan, self._decider.preprocess)

    def measure(self, patient: Patient, scan: Scan, chance: Chance) -> Measurement:
        """Scan the subject and walk from every bin; the same arguments give the same numbers.

        Raises:
            UsGridSimError: the probe would stand beyond the subject's back or deep inside it.
        """
        with one_thread():
            grid = self._grid(patient, replace(scan, grabber=Grabber()))
            runs = run_stuck(self._decider, grid, scan.grabber.repeats(chance.grabber))
            shown = len(shown_bins(patient, scan.record, scan.hold))
        return {name: float(metric(runs)[0]) for name, metric in METRICS.items()} | {"bins_shown": shown}


def run_stuck(decider: Decider, grid: PreprocessedGrid, repeats: npt.NDArray[np.bool_]) -> Runs:
    """Walk one subject from every bin, each run seeing an old frame where ``repeats`` (20, 165) says so."""
    tables = GridTables.of([grid])
    walkers = decider.walkers(tables.frames, repeats.shape[1])
    return walk(stuck(walkers, repeats), tables, seed=0)  # the draws among the frames of a bin: here all are one


def stuck(walkers: Walkers, repeats: npt.NDArray[np.bool_]) -> Walkers:
    """Walkers behind a frame grabber that hands on the frame before instead of the newest.

    Args:
        walkers: many new runs.
        repeats: (steps, runs) whether a run sees an old frame at a step; of no effect at the first, which has none.
    """
    shown: Ints = np.full(repeats.shape[1], -1)
    steps = iter(repeats)

    def act(live: Ints, frames: Ints) -> Ints:
        old = next(steps)[live] & (shown[live] >= 0)
        shown[live] = np.where(old, shown[live], frames)
        return walkers(live, shown[live])

    return act
