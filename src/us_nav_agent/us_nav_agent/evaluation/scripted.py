"""Walkers that look at no frame, to compare policies with: the oracle, an exhaustive sweep and a random walk.

They know where each run starts and follow it by their own moves. Run ``subject * 165 + start`` of ``rollout.walk`` is
the one on that subject from that bin.
"""

from collections.abc import Callable

import numpy as np
from us_grid_sim.envs.tables import GridTables, goal_distances
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Action, Bin

from us_nav_agent.deciders.base import Ints, Walkers
from us_nav_agent.evaluation.metrics import Goals, shortest_moves
from us_nav_agent.rollout import Runs, walk


def run_baseline(name: str, goals: Goals, seed: int) -> Runs:
    """The runs of a baseline from all bins of subjects with these goal bins.

    Args:
        name: of the baseline, in ``BASELINES``.
        goals: of each subject.
        seed: of the baseline's chance.
    """
    tables = GridTables(
        frames=np.empty((0, 0, 0), dtype=np.uint8),  # nobody looks
        bins=np.zeros((len(goals), BINS, FRAMES_PER_BIN), dtype=np.int64),
        tasks=tuple(enumerate(goals)),
        subject=np.arange(len(goals)),
        distances=np.stack([goal_distances(one) for one in goals]),
        is_goal=np.stack([shortest_moves(one) == 0 for one in goals]),
    )
    return walk(BASELINES[name](goals, seed), tables, seed)


def random_walk(goals: Goals, seed: int) -> Walkers:
    """Each of the five actions, the stop among them, with the same probability: what chance reaches.

    Plain, not tuned: a rarer stop would walk farther and end in the goal more often.
    """
    rng = np.random.default_rng(seed)

    def act(live: Ints, frames: Ints) -> Ints:
        return rng.integers(len(Action), size=len(goals) * BINS)[live]

    return act


def sweep(goals: Goals) -> Walkers:
    """A boustrophedon: row 0 towards cranial, row 1 back, and so on, from where the run starts; at the end all back.

    It stops in the first goal bin that it comes to: as a policy would that only recognises the goal and has no idea of
    the way. So it shows how far 20 actions get without one.
    """
    tour = _boustrophedon()
    steps = np.array([_move(start, end) for start, end in zip(tour, np.roll(tour, -1), strict=True)])
    first = np.zeros(BINS, dtype=np.int64)
    first[tour[:BINS]] = np.arange(BINS)
    place = np.tile(first, len(goals))
    is_goal = np.stack([shortest_moves(one) == 0 for one in goals])

    def act(live: Ints, frames: Ints) -> Ints:
        here = place[live]
        place[live] = (here + 1) % len(tour)
        return np.where(is_goal[live // BINS, tour[here]], int(Action.STOP), steps[here])

    return act


def oracle(goals: Goals) -> Walkers:
    """Knows the goal bins: the shortest way to the nearest one, and stops there.

    No policy beats its reachability, path efficiency or SPL. It misses the goal where that is more than 19 moves away,
    since the stop is the last of 20 actions. Its policy correctness is below 1 where the distance that the paper counts
    by is shorter than the way (see ``metrics.shortest_moves``).
    """
    best = np.stack([_ways_to(one) for one in goals])
    state = np.tile(np.arange(BINS), len(goals))

    def act(live: Ints, frames: Ints) -> Ints:
        action, state[live] = best[live // BINS, state[live]].T
        return np.asarray(action)

    return act


BASELINES: dict[str, Callable[[Goals, int], Walkers]] = {
    "oracle": lambda goals, seed: oracle(goals),
    "sweep": lambda goals, seed: sweep(goals),
    "random": random_walk,
}
"""The baselines by name, made from the goal bins of each subject and a seed."""


def _boustrophedon() -> Ints:
    """The bins of the sweep there and back (328,), each a neighbour of the one before, the last of the first."""
    grid = np.arange(BINS).reshape(ROWS, COLUMNS)
    grid[1::2] = grid[1::2, ::-1]
    there = grid.ravel()
    return np.concatenate([there, there[-2:0:-1]])


def _move(start: int, end: int) -> Action:
    """The move from the bin of one state to its neighbour, the bin of another."""
    return next(action for action in Action if Bin.from_state(start).moved(action).state == end)


def _ways_to(goals: tuple[Bin, ...]) -> Ints:
    """The action of the shortest way from every bin and the state that it leads to (165, 2)."""
    away = shortest_moves(goals)
    ways = np.tile((int(Action.STOP), 0), (BINS, 1))
    for state in np.flatnonzero(away).tolist():
        after = {action: Bin.from_state(state).moved(action).state for action in Action}
        ways[state] = min(after.items(), key=lambda way: int(away[way[1]]))
    return ways
