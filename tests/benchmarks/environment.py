"""Measure how fast the grid environment steps.

    python tests/benchmarks/environment.py speed     times faster than the published environment's logic, one at a time
    python tests/benchmarks/environment.py parts     where the time of a step goes
    python tests/benchmarks/environment.py learner   as the learner sees it, against DummyVecEnv of SacrumNavEnv

The last line is a JSON object for tools/figures.py. Subjects are those of data/cohort; without it the example subject.
"""

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from us_grid_sim.dataset.grid import PreprocessedGrid, load_grid
from us_grid_sim.dataset.layout import subjects_of
from us_grid_sim.envs.example import example_grid
from us_grid_sim.envs.rules import Rewards, Step
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.envs.vectorised import GridVectorEnv
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin
from us_grid_sim.memory import ACTION_MEMORY, FRAME_MEMORY
from us_grid_sim.preprocess import Preprocess
from us_nav_agent.training.vec_env import GridVecEnv

DATA = Path("data/cohort")
PUBLISHED_SIZE = Preprocess(height=272, width=258)
LITE_SIZE = Preprocess(height=64, width=64, roi=(186, 0, 428, 600))
LEARNERS = 25
"""Environments that the learner steps together."""
MOVES = len(Action) - 1
MAX_STEPS = 50
ROUNDS = 9
SECONDS = 0.4
"""Of one measurement; a round has one of each kind."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr)


def training_grids(preprocess: Preprocess, count: int | None = None) -> list[PreprocessedGrid]:
    """The first ``count`` training subjects."""
    if not DATA.exists():
        return [example_grid(preprocess)]
    return [load_grid(file, preprocess, cache=preprocess == LITE_SIZE) for file in subjects_of(DATA, "train")[:count]]


class PlainEnv:
    """The published environment's logic on one subject, one environment at a time, as plainly as it can be written.

    Frames are floats of 0 to 1 in memory (float64, as the published code has them: 0.45 GB a subject, so one subject
    only). Each step draws a frame for each remembered bin, stacks them into one array and joins the one-hot actions.
    Four moves, ending in a goal bin (Hase et al. 2020, MS-DQN).
    """

    def __init__(self, grid: PreprocessedGrid) -> None:
        self._rng = np.random.RandomState(0)
        self._frames = [[scaled(grid.frames[frame]) for frame in five] for five in grid.bins.reshape(BINS, -1)]
        self._transitions = {state: [transition(grid, state, move) for move in range(MOVES)] for state in range(BINS)}

    def reset(self) -> tuple[npt.NDArray[np.float64], ...]:
        self._state, self._taken = self._rng.randint(BINS), 0
        self._bins = np.full(FRAME_MEMORY, self._state)
        self._actions = np.zeros(ACTION_MEMORY * MOVES)
        return self._observation()

    def step(self, action: int) -> tuple[tuple[npt.NDArray[np.float64], ...], float, bool, dict[str, bool]]:
        self._state, reward, correct, done = self._transitions[self._state][action]
        self._taken += 1
        self._bins = np.roll(self._bins, 1)
        self._bins[0] = self._state
        one_hot = np.zeros(MOVES)
        one_hot[action] = 1.0
        self._actions = np.concatenate([one_hot, self._actions[:-MOVES]])
        return self._observation(), reward, done or self._taken == MAX_STEPS, {"correct": correct, "is_success": done}

    def _observation(self) -> tuple[npt.NDArray[np.float64], ...]:
        return np.stack(self._drawn()), self._actions

    def _drawn(self) -> list[npt.NDArray[np.float64]]:
        return [self._frames[state][self._rng.randint(FRAMES_PER_BIN)] for state in self._bins]


class PublishedLayoutEnv(PlainEnv):
    """The same, its observation laid out as in the published code, which is slow: one array (272, 258, 4), the frames
    along the last axis, the actions in the first row of a fourth image.
    """

    def _observation(self) -> tuple[npt.NDArray[np.float64], ...]:
        frames = np.stack(self._drawn(), axis=-1)
        actions = np.zeros((*frames.shape[:2], 1))
        actions[0, : len(self._actions), 0] = self._actions
        return (np.concatenate([frames, actions], axis=-1),)


def scaled(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The frame scaled to 0..1 by its own minimum and maximum."""
    pixels = frame.astype(np.float64)
    return (pixels - pixels.min()) / max(np.ptp(pixels), 1.0)


def transition(grid: PreprocessedGrid, state: int, move: int) -> tuple[int, float, bool, bool]:
    """Next state, reward, whether it is correct, whether it ends in a goal bin."""
    step = Step(Bin.from_state(state), Action(move), grid.goals)
    return step.after.state, Rewards()(step), step.correct, step.after in grid.goals


def rate(step: Callable[[int], None], environments: int) -> float:
    """Environment steps a second of ``step``, which is given the number of its call."""
    calls, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < SECONDS:
        step(calls)
        calls += 1
    return calls * environments / seconds


def plain_steps(env: PlainEnv) -> Callable[[int], None]:
    """Steps of the plain environment at random."""
    actions = np.random.default_rng(0).integers(MOVES, size=4096).tolist()
    env.reset()

    def step(call: int) -> None:
        *_, done, _ = env.step(actions[call % 4096])
        if done:
            env.reset()

    return step


def random_actions(environments: int) -> npt.NDArray[np.int64]:
    """Rows of actions, 64 different ones."""
    return np.random.default_rng(0).integers(MOVES, size=(64, environments))


def steps_of(tables: GridTables, environments: int, bank: npt.NDArray[np.uint8] | None = None) -> Callable[[int], None]:
    """Steps of environments together at random; where a bank is given, the observations' frames are looked up in it."""
    envs = GridVectorEnv(tables, environments, max_steps=MAX_STEPS, stop=False)
    actions = random_actions(environments)
    envs.reset(seed=0)

    def step(call: int) -> None:
        observation, *_ = envs.step(actions[call % 64])
        if bank is not None:
            bank[observation["frames"]]

    return step


def kinds_of(tables: GridTables, published: PreprocessedGrid) -> dict[str, tuple[Callable[[int], None], int]]:
    """What is compared with the plain environment: steps, and how many environments each steps; the fastest first."""
    sizes = (1, LEARNERS, 256, 1024, 4096, 16384)
    rates = {size: rate(steps_of(tables, size), size) for size in sizes}
    report("steps/s by number of environments: " + ", ".join(f"{size}: {rates[size]:.3g}" for size in sizes))
    fastest, large = max(rates, key=lambda size: rates[size]), GridTables.of([published])
    return {
        f"{fastest} environments": (steps_of(tables, fastest), fastest),
        f"{LEARNERS} environments": (steps_of(tables, LEARNERS), LEARNERS),
        f"{LEARNERS} and their frames of 64 x 64": (steps_of(tables, LEARNERS, tables.frames), LEARNERS),
        f"{LEARNERS} and their frames of 272 x 258": (steps_of(large, LEARNERS, large.frames), LEARNERS),
    }


def speed() -> dict[str, float]:
    """Environment steps a second against the plain environment, in turn."""
    published = training_grids(PUBLISHED_SIZE, 1)[0]
    kinds = kinds_of(GridTables.of(training_grids(LITE_SIZE)), published)
    rates: dict[str, list[float]] = {name: [] for name in ("plain", "published layout", *kinds)}
    plain, layout = plain_steps(PlainEnv(published)), plain_steps(PublishedLayoutEnv(published))
    for _ in range(ROUNDS):
        rates["plain"].append(rate(plain, 1))
        rates["published layout"].append(rate(layout, 1))
        for kind, (step, size) in kinds.items():
            rates[kind].append(rate(step, size))
    for name, values in rates.items():
        ratios = sorted(np.divide(values, rates["plain"]))
        layouts = np.divide(values, rates["published layout"])
        spread = f"{ratios[0]:.4g} to {ratios[-1]:.4g} in {ROUNDS} rounds"
        report(f"{name}: {statistics.median(values):.3g} steps/s, {np.median(ratios):.4g} times plain ({spread}),")
        report(f"    {np.median(layouts):.4g} times the published layout")
    return {"env_speedup": round(float(np.median(np.divide(rates[next(iter(kinds))], rates["plain"]))), 1)}


def parts() -> dict[str, float]:
    """Profile the steps of 25 and of 4096 environments."""
    tables = GridTables.of(training_grids(LITE_SIZE))
    for environments in (LEARNERS, 4096):
        step = steps_of(tables, environments)
        profile = cProfile.Profile()
        profile.enable()
        for call in range(2000):
            step(call)
        profile.disable()
        report(f"{environments} environments, 2000 steps")
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(14)
    return {}


def learner() -> dict[str, float]:
    """Steps a second of 25 environments as stable-baselines3 steps them, old way and new, in turn."""
    grids = training_grids(LITE_SIZE)
    together = GridVecEnv(GridVectorEnv(GridTables.of(grids), LEARNERS, stop=False))
    made = [SacrumNavEnv(grids, stop=False, observation="reference") for _ in range(LEARNERS)]
    one_by_one = DummyVecEnv([lambda one=one: one for one in made])
    actions = random_actions(LEARNERS)

    def measured(envs: VecEnv) -> float:
        envs.reset()
        return rate(lambda call: envs.step(actions[call % 64]), LEARNERS)

    pairs = [(measured(one_by_one), measured(together)) for _ in range(ROUNDS)]
    ratios = [new / old for old, new in pairs]
    old, new = (statistics.median(values) for values in zip(*pairs, strict=True))
    report(f"DummyVecEnv {old:.0f} steps/s, GridVecEnv {new:.0f} steps/s")
    report(f"{statistics.median(ratios):.3g} times, {min(ratios):.3g} to {max(ratios):.3g} of {ROUNDS} rounds")
    return {"learner_step_speedup": round(statistics.median(ratios), 1)}


def main() -> None:
    """Measure what the command line names and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = {function.__name__: function for function in (speed, parts, learner)}
    parser.add_argument("what", choices=list(what))
    print(json.dumps(what[parser.parse_args().what]()))


if __name__ == "__main__":
    main()
