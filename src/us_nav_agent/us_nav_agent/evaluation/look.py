"""What lies behind a result: a run of it decision by decision, and what a network thinks each bin is worth."""

from collections.abc import Callable

import numpy as np
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Bin
from us_grid_sim.preprocess import Frame8

from us_nav_agent.bags.run import RunStep
from us_nav_agent.deciders.base import Decider
from us_nav_agent.evaluation.metrics import Floats, shortest_moves
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.rollout import Runs

_CORNERS = (Bin(0, 0), Bin(0, 14), Bin(10, 0), Bin(10, 14))


def far_corner(goals: tuple[Bin, ...]) -> Bin:
    """The corner of the grid with the longest way to the goal, the first of equal ones."""
    away = shortest_moves(goals)
    return max(_CORNERS, key=lambda corner: int(away[corner.state]))


def replay(
    decider: Decider,
    grid: PreprocessedGrid,
    runs: Runs,
    run: tuple[int, Bin],
    seed: int,
    frame: Callable[[int], Frame8],
) -> list[RunStep]:
    """A run of ``rollout.walk`` decision by decision: the same frames, each decided on by itself.

    Args:
        decider: that made the runs.
        grid: the subject of the run.
        runs: of all subjects.
        run: the number of the subject among them, and the start.
        seed: that the runs were made with.
        frame: the frame (h, w) to show of the one with this index on disk.
    """
    subject, start = run
    decide, draws = decider.begin(), np.random.default_rng(seed)
    steps = []
    for state in runs.path[subject, start.state, : runs.actions[subject, start.state]].tolist():
        place = Bin.from_state(state)
        drawn = draws.integers(FRAMES_PER_BIN, size=runs.actions.size)[subject * BINS + start.state]
        number = int(grid.bins[place.row, place.column, drawn])
        with one_thread():
            decision = decide(grid.frames[number])
        steps.append(
            RunStep(
                frame(int(grid.indices[number])),
                place,
                decision.action,
                decision.q_values,
                decision.state_value,
                decision.stop_probability,
            )
        )
    return steps


def state_values(decider: Decider, grid: PreprocessedGrid) -> Floats | None:
    """V(s) of each bin (11, 15): standing there, nothing remembered but its frame, mean over its five frames.

    None of an architecture that has no state value.
    """
    with one_thread():
        values = decider.state_values(grid.frames)
    return None if values is None else np.asarray(values[grid.bins].mean(axis=2), dtype=np.float64)
