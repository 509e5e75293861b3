"""The environments that are stepped together are each the environment of one: `SacrumNavEnv` is their specification."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.rules import Rewards
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.envs.vectorised import GridVectorEnv
from us_grid_sim.geometry import BINS, COLUMNS, ROWS, Action, Bin
from us_grid_sim.preprocess import Preprocess

GOALS = (Bin(5, 1), Bin(5, 2))
UP, DOWN, LEFT, RIGHT, STOP = Action
NUM_ENVS = 4


def made_up(name: str = "A", goals: tuple[Bin, ...] = GOALS) -> PreprocessedGrid:
    """A subject whose bins have five frames each of their own: those of a state are 5 * state to 5 * state + 4."""
    number = np.arange(5 * BINS, dtype=np.int32)
    frames = np.zeros((5 * BINS, 1, 2), np.uint8)
    return PreprocessedGrid(name, goals, number.reshape(ROWS, COLUMNS, 5), frames, number, Preprocess(1, 2))


@dataclass(frozen=True)
class World:
    """Tasks, and the arguments that both kinds of environment take."""

    tasks: tuple[tuple[int, tuple[Bin, ...]], ...]
    arguments: dict[str, Any]

    @property
    def tables(self) -> GridTables:
        return GridTables.of([made_up("A"), made_up("B")], self.tasks)

    def single(self) -> SacrumNavEnv:
        """An environment of one with a subject for each task."""
        grids = [made_up("A"), made_up("B")]
        subjects = [replace(grids[subject], goals=goals) for subject, goals in self.tasks]
        return SacrumNavEnv(subjects, observation="reference", **self.arguments)

    @property
    def actions(self) -> int:
        return 5 if self.arguments["stop"] else 4


bins = st.builds(Bin, st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))
goals_of_a_task = st.lists(bins, min_size=1, max_size=20).map(tuple)
worlds = st.builds(
    World,
    tasks=st.lists(st.tuples(st.integers(0, 1), goals_of_a_task), min_size=1, max_size=3).map(tuple),
    arguments=st.fixed_dictionaries(
        {
            "stop": st.booleans(),
            "frame_memory": st.integers(1, 4),
            "action_memory": st.integers(0, 6),
            "max_steps": st.integers(1, 12),
            "reward": st.builds(Rewards, closer=st.floats(-1, 1), border=st.floats(-1, 1)),
        }
    ),
)
seeds = st.integers(0, 2**32 - 1)


# ---------------------------------------------------------------- the environment of one is the specification


@settings(max_examples=40, deadline=None)
@given(worlds, seeds)
def test_one_environment_is_sacrum_nav_number_for_number(world: World, seed: int) -> None:
    """Of the same seed: tasks, starts and frames, through resets, infos and final observations in gymnasium's form."""
    one = DictInfoToList(GridVectorEnv(GridTables.of(world.single().subjects), num_envs=1, **world.arguments))
    reference = DictInfoToList(SyncVectorEnv([world.single], autoreset_mode=AutoresetMode.SAME_STEP))

    def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
        for own, other in zip(ours, theirs, strict=True):
            assert own.pop("task") == other["subject_index"]
            if "final_info" in other:
                same([own.pop("final_info")], [other["final_info"]])
                np.testing.assert_equal(own.pop("final_obs"), other["final_obs"])
            assert own == {name: other[name] for name in ("state", "goal_distance", "correct", "is_success")}

    (seen, infos), (expected, expected_infos) = one.reset(seed=seed), reference.reset(seed=seed)
    np.testing.assert_equal(seen, expected)
    same(infos, expected_infos)
    for actions in np.random.default_rng(seed).integers(world.actions, size=(40, 1)):
        *ours, infos = one.step(actions)
        *theirs, expected_infos = reference.step(actions)
        np.testing.assert_equal(ours, theirs)
        same(infos, expected_infos)


@settings(max_examples=40, deadline=None)
@given(worlds, seeds)
def test_each_of_many_walks_as_sacrum_nav_does(world: World, seed: int) -> None:
    tables = world.tables
    envs = GridVectorEnv(tables, NUM_ENVS, **world.arguments)
    singles = [world.single() for _ in range(NUM_ENVS)]
    observation, infos = envs.reset(seed=seed)
    for place, single in enumerate(singles):
        begin_alike(single, tables, observation, infos, place)
    for actions in np.random.default_rng(seed).integers(world.actions, size=(25, NUM_ENVS)):
        before = observation
        observation, rewards, terminated, truncated, infos = envs.step(actions)
        for place, single in enumerate(singles):
            expected, *outcome, info = single.step(actions[place])
            assert [rewards[place], terminated[place], truncated[place]] == outcome
            ended = terminated[place] or truncated[place]
            seen, known = (infos["final_obs"], infos["final_info"]) if ended else (observation, infos)
            for name in ("state", "goal_distance", "correct", "is_success"):
                assert known[name][place] == info[name]
                assert known[f"_{name}"][place]
            np.testing.assert_array_equal(seen["actions"][place], expected["actions"])
            newest, *older = seen["frames"][place]
            assert newest in frames_of(tables, known, place)
            assert older == before["frames"][place][:-1].tolist()
            assert ended == ("final_obs" in infos and infos["_final_obs"][place])
            if ended:
                begin_alike(single, tables, observation, infos, place)


def frames_of(tables: GridTables, infos: dict[str, Any], place: int) -> list[int]:
    """The five frames of the bin that an environment is in."""
    return tables.bins[tables.subject[infos["task"][place]], infos["state"][place]].tolist()


def begin_alike(
    single: SacrumNavEnv, tables: GridTables, observation: dict[str, Any], infos: dict[str, Any], place: int
) -> None:
    """Let an environment of one begin where an environment of many has begun, and compare."""
    options = {"subject": infos["task"][place], "start": infos["state"][place]}
    expected, info = single.reset(options=options)
    for name in ("goal_distance", "correct", "is_success"):
        assert infos[name][place] == info[name]
    np.testing.assert_array_equal(observation["actions"][place], expected["actions"])
    first = observation["frames"][place]
    assert (first == first[0]).all()
    assert first[0] in frames_of(tables, infos, place)


@pytest.mark.parametrize("stop", [True, False])
def test_the_spaces_are_those_of_sacrum_nav(stop: bool) -> None:
    envs = GridVectorEnv(GridTables.of([made_up()]), 3, stop=stop)
    single = SacrumNavEnv([made_up()], stop=stop, observation="reference")
    assert envs.single_action_space == single.action_space
    assert envs.single_observation_space == single.observation_space
    observation, _ = envs.reset(seed=0)
    assert observation in envs.observation_space
    observation, *_ = envs.step(envs.action_space.sample())
    assert observation in envs.observation_space


# ---------------------------------------------------------------- a known step


def test_one_ends_and_begins_anew_while_the_other_goes_on() -> None:
    envs = GridVectorEnv(GridTables.of([made_up("A"), made_up("B")]), 2)
    before, infos = envs.reset(seed=3, options={"task": [1, 0], "start": [Bin(5, 2).state, Bin(3, 0).state]})
    assert infos["task"].tolist() == [1, 0]
    assert infos["goal_distance"].tolist() == [0, 3]
    observation, rewards, terminated, truncated, infos = envs.step([STOP, LEFT])
    assert rewards.tolist() == [1.0, -0.1]
    assert terminated.tolist() == [True, False]
    assert not truncated.any()
    assert infos["_final_info"].tolist() == infos["_final_obs"].tolist() == [True, False]
    final = infos["final_info"]
    assert (final["task"][0], final["state"][0]) == (1, Bin(5, 2).state)
    assert final["correct"][0]
    assert final["is_success"][0]
    assert not final["_state"][1]
    assert infos["state"][1] == Bin(3, 0).state
    assert not infos["correct"].any()
    assert not infos["is_success"].any()
    assert infos["final_obs"]["frames"][0, 1:].tolist() == before["frames"][0, :2].tolist()
    assert infos["final_obs"]["actions"][0, :5].tolist() == [0, 0, 0, 0, 1]
    assert not observation["actions"][0].any()
    assert observation["actions"][1, :5].tolist() == [0, 0, 1, 0, 0]


def test_an_episode_is_cut_off_after_the_last_step_but_not_where_it_ends_there() -> None:
    envs = GridVectorEnv(GridTables.of([made_up()]), 2, max_steps=3)
    envs.reset(seed=0, options={"start": [0, Bin(5, 1).state]})
    cuts = [envs.step([UP, STOP if last else RIGHT])[2:4] for last in (False, False, True)]
    assert [truncated.tolist() for _, truncated in cuts] == [[False] * 2, [False] * 2, [True, False]]
    assert [terminated.tolist() for terminated, _ in cuts] == [[False] * 2, [False] * 2, [False, True]]


def test_gymnasium_counts_returns_and_lengths() -> None:
    envs = RecordEpisodeStatistics(GridVectorEnv(GridTables.of([made_up()]), 2, max_steps=4))
    envs.reset(seed=0, options={"start": [0, Bin(5, 1).state]})
    for _ in range(3):
        envs.step([UP, LEFT])
    *_, infos = envs.step([UP, STOP])
    assert infos["episode"]["l"].tolist() == [4, 4]
    assert infos["episode"]["r"] == pytest.approx([-0.4, -0.1 * 3 - 0.25])


def test_parts_are_injected() -> None:
    envs = GridVectorEnv(
        GridTables.of([made_up()]),
        2,
        reward=lambda step: 7.0 * step.action,
        termination=lambda step: step.action is RIGHT,
    )
    envs.reset(seed=0, options={"start": [80, 80]})
    _, rewards, terminated, *_ = envs.step([LEFT, RIGHT])
    assert rewards.tolist() == [14.0, 21.0]
    assert terminated.tolist() == [False, True]


# ---------------------------------------------------------------- randomness


def test_every_task_start_and_frame_comes_up_alike() -> None:
    tasks = [(0, GOALS), (0, (Bin(0, 0),)), (1, GOALS)]
    envs = GridVectorEnv(GridTables.of([made_up("A"), made_up("B")], tasks), 40_000, max_steps=1)

    def check(observation: dict[str, Any], infos: dict[str, Any]) -> None:
        cells = np.bincount(infos["task"] * BINS + infos["state"], minlength=3 * BINS)
        drawn = np.bincount(observation["frames"][:, 0] % 5, minlength=5)
        assert cells.min() > 80 - 5 * np.sqrt(80)
        assert cells.max() < 82 + 5 * np.sqrt(82)
        assert drawn == pytest.approx(8000, abs=400)

    check(*envs.reset(seed=0))
    observation, *_, infos = envs.step(np.zeros(40_000, int))
    assert infos["_final_obs"].all()
    check(observation, infos)


def test_a_frame_is_drawn_anew_at_every_step_also_against_the_border() -> None:
    envs = GridVectorEnv(GridTables.of([made_up()]), 1, frame_memory=50)
    envs.reset(seed=0, options={"start": [0]})
    for _ in range(49):
        observation, *_ = envs.step([UP])
    assert set(observation["frames"][0].tolist()) == {0, 1, 2, 3, 4}


def test_a_seed_fixes_every_number() -> None:
    envs = GridVectorEnv(GridTables.of([made_up("A"), made_up("B")]), 8, max_steps=3)

    def walk(seed: int) -> list[Any]:
        steps = [envs.reset(seed=seed)]
        return steps + [envs.step(np.full(8, action)) for action in (UP, LEFT, RIGHT, DOWN)]

    np.testing.assert_equal(walk(1), walk(1))
    assert (walk(1)[0][0]["frames"] != walk(2)[0][0]["frames"]).any()


# ---------------------------------------------------------------- what the caller may and may not do


def test_observations_are_the_callers_own() -> None:
    """Later steps do not change them, and writing into them changes no later step."""
    envs, untouched = (GridVectorEnv(GridTables.of([made_up()]), 4, max_steps=3) for _ in range(2))
    first, _ = envs.reset(seed=0)
    untouched.reset(seed=0)
    kept = {name: values.copy() for name, values in first.items()}
    for action in (RIGHT, DOWN, LEFT, UP):
        seen, *_, infos = envs.step(np.full(4, action))
        expected, *_, expected_infos = untouched.step(np.full(4, action))
        np.testing.assert_equal((seen, infos), (expected, expected_infos))
        for values in (*seen.values(), *(infos[name] for name in ("state", "task"))):
            values[:] = 0
    np.testing.assert_equal(first, kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"max_steps": 0}, "at least 1"),
        ({"frame_memory": 0}, "at least 1"),
        ({"action_memory": -1}, "action memory of -1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GridVectorEnv(**{"tables": GridTables.of([made_up()]), "num_envs": 1} | arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": [0, 1]}, r"task\[1\] is 1; it goes from 0 to 0"),
        ({"start": [165, 0]}, r"start\[0\] is 165; it goes from 0 to 164"),
        ({"start": [0, -1]}, r"start\[1\] is -1"),
        ({"start": 3}, r"shape \(\); expected \(2,\)"),
        ({"start": [1, 2, 3]}, r"shape \(3,\); expected \(2,\)"),
        ({"subject": [0, 0]}, "unknown reset options"),
    ],
)
def test_wrong_reset_options_are_named(options: dict[str, Any], message: str) -> None:
    envs = GridVectorEnv(GridTables.of([made_up()]), 2)
    with pytest.raises(ValueError, match=message):
        envs.reset(options=options)
    with pytest.raises(ValueError, match="call reset first"):
        envs.step([UP, UP])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([UP, STOP], "action 4 of environment 1 is none of 0 to 3"),
        ([-1, UP], "action -1 of environment 0"),
        ([UP], r"shape \(1,\); expected \(2,\)"),
    ],
)
def test_wrong_actions_are_named_and_change_nothing(actions: list[int], message: str) -> None:
    envs, untouched = (GridVectorEnv(GridTables.of([made_up()]), 2, stop=False) for _ in range(2))
    envs.reset(seed=0)
    untouched.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.step(actions)
    np.testing.assert_equal(envs.step([DOWN, LEFT]), untouched.step([DOWN, LEFT]))
