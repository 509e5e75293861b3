"""The environments: what gymnasium asks of them, and what the reference says of their rewards and ends."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import us_grid_sim.envs
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid, load_grid
from us_grid_sim.dataset.layout import list_subjects
from us_grid_sim.envs.render import CELL, cell_corner, draw_view
from us_grid_sim.envs.rules import Rewards, Step, ends_at_stop, ends_in_goal
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.errors import DatasetError
from us_grid_sim.geometry import BINS, COLUMNS, ROWS, Action, Bin, goal_distance
from us_grid_sim.preprocess import Preprocess

SMALL = Preprocess(height=6, width=8)
GOALS = (Bin(5, 1), Bin(5, 2))
UP, DOWN, LEFT, RIGHT, STOP = Action

bins = st.builds(Bin, st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))


def made_up(name: str, first: int = 0, goals: tuple[Bin, ...] = GOALS) -> PreprocessedGrid:
    """A subject whose frame k (of 825, five a bin, counted from ``first`` on disk) holds k in its first two pixels."""
    number = np.arange(5 * BINS)
    frames = np.zeros((5 * BINS, 6, 8), np.uint8)
    frames[:, 0, 0], frames[:, 0, 1] = np.divmod(number, 256)
    order = number.reshape(ROWS, COLUMNS, 5).astype(np.int32)
    return PreprocessedGrid(name, goals, order, frames, (number + first).astype(np.int32), SMALL)


def number_of(pixels: np.ndarray) -> int:
    return int(pixels[0, 0]) * 256 + int(pixels[0, 1])


@pytest.fixture
def env() -> SacrumNavEnv:
    return SacrumNavEnv([made_up("A"), made_up("B", first=1000)])


# ---------------------------------------------------------------- what gymnasium asks for


@pytest.mark.parametrize("name", ["us_grid_sim/SacrumNav-v0", "us_grid_sim/SacrumNavNoStop-v0"])
@pytest.mark.parametrize("arguments", [{}, {"observation": "reference"}, {"render_mode": "rgb_array"}])
def test_check_env_finds_nothing(name: str, arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, **arguments)
        check_env(env.unwrapped)
    env.close()


def test_gymnasium_finds_the_environments_by_module_and_name(small_data: Path) -> None:
    program = (
        "import sys, gymnasium; "
        "env = gymnasium.make('us_grid_sim.envs:us_grid_sim/SacrumNavNoStop-v0', data=sys.argv[1]); "
        "print(env.action_space.n, env.observation_space['frames'].shape)"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(small_data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "4 (3, 84, 84)", done.stderr


def test_registering_twice_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        us_grid_sim.envs.register_envs()


def test_an_environment_of_a_data_set(small_data: Path) -> None:
    env = gymnasium.make("us_grid_sim/SacrumNav-v0", data=small_data, split="train", preprocess=SMALL)
    assert [grid.name for grid in env.unwrapped.subjects] == ["Subject00", "Subject01"]
    with pytest.raises(DatasetError, match="have no test split"):
        gymnasium.make("us_grid_sim/SacrumNav-v0", data=small_data, split="test", preprocess=SMALL)


def test_spaces(env: SacrumNavEnv) -> None:
    assert env.action_space == gymnasium.spaces.Discrete(5)
    assert env.observation_space["frames"] == gymnasium.spaces.Box(0, 255, (3, 6, 8), np.uint8)
    assert env.observation_space["actions"] == gymnasium.spaces.Box(0, 1, (25,), np.float32)
    four = SacrumNavEnv([made_up("A")], stop=False, observation="reference")
    assert four.action_space == gymnasium.spaces.Discrete(4)
    assert four.observation_space["frames"] == gymnasium.spaces.Box(0, 824, (3,), np.int64)
    assert four.observation_space["actions"].shape == (20,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": []}, "subjects is empty"),
        ({"subjects": [made_up("A")], "data": "somewhere"}, "both subjects and data"),
        ({"subjects": [made_up("A")], "observation": "state"}, "there are pixels, reference"),
        ({"subjects": [made_up("A")], "render_mode": "human"}, "there is rgb_array"),
        ({"subjects": [made_up("A")], "max_steps": 0}, "at least 1"),
        ({"subjects": [made_up("A")], "frame_memory": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SacrumNavEnv(**arguments)


def test_frames_of_different_sizes_do_not_mix(small_data: Path) -> None:
    other = load_grid(list_subjects(small_data)[0], Preprocess(4, 4), cache=False)
    with pytest.raises(ValueError, match="differ in size"):
        SacrumNavEnv([made_up("A"), other])


# ---------------------------------------------------------------- a known path


def test_a_walk_to_the_sacrum_step_by_step(env: SacrumNavEnv) -> None:
    """From bin (3, 0): against the border, away from the goal and back, into a goal bin, stop."""
    observation, info = env.reset(seed=3, options={"subject": 1, "start": Bin(3, 0).state})
    assert (info["subject"], info["subject_index"], info["bin"]) == ("B", 1, (3, 0))
    assert (info["goal_distance"], info["correct"], info["is_success"]) == (3, False, False)
    assert not observation["actions"].any()

    walk = [
        # action, bin, reward, distance, correct
        (LEFT, (3, 0), -0.1, 3, False),  # the border
        (UP, (2, 0), -0.1, 4, False),
        (DOWN, (3, 0), 0.05, 3, True),
        (RIGHT, (3, 1), 0.05, 2, True),
        (RIGHT, (3, 2), -0.1, 2, False),  # as far as before counts as further
        (DOWN, (4, 2), 0.05, 1, True),
        (DOWN, (5, 2), 0.05, 0, True),
    ]
    for action, place, reward, distance, correct in walk:
        observation, gained, terminated, truncated, info = env.step(action)
        assert (info["bin"], gained, info["goal_distance"], info["correct"]) == (place, reward, distance, correct)
        assert not (terminated or truncated or info["is_success"])
        assert info["state"] == 15 * place[0] + place[1]
        assert info["frame_index"] == 1000 + number_of(observation["frames"][0])
        assert info["frame_index"] - 1000 in range(5 * info["state"], 5 * info["state"] + 5)
    newest_first = observation["actions"].reshape(5, 5).argmax(axis=1)
    assert newest_first.tolist() == [DOWN, DOWN, RIGHT, RIGHT, DOWN]

    _, gained, terminated, truncated, info = env.step(STOP)
    assert (gained, terminated, truncated) == (1.0, True, False)
    assert info["bin"] == (5, 2)
    assert info["correct"]
    assert info["is_success"]


def test_a_wrong_stop_costs_and_ends(env: SacrumNavEnv) -> None:
    env.reset(seed=0, options={"start": Bin(0, 14).state})
    _, gained, terminated, _, info = env.step(STOP)
    assert (gained, terminated, info["correct"], info["is_success"]) == (-0.25, True, False, False)


def test_without_a_stop_action_the_episode_ends_on_entering_a_goal() -> None:
    env = SacrumNavEnv([made_up("A")], stop=False)
    env.reset(seed=0, options={"start": Bin(5, 4).state})
    _, gained, terminated, _, info = env.step(LEFT)
    assert (gained, terminated, info["is_success"]) == (0.05, False, False)
    _, gained, terminated, _, info = env.step(LEFT)
    assert (gained, terminated, info["is_success"]) == (0.05, True, True)
    with pytest.raises(ValueError, match="action 4 is none of 0 to 3"):
        env.step(STOP)


def test_an_episode_is_cut_off_after_the_last_step_but_not_where_it_ends_there(env: SacrumNavEnv) -> None:
    env.reset(seed=0, options={"start": 0})
    cuts = [env.step(UP)[3] for _ in range(50)]
    assert cuts == [False] * 49 + [True]
    env.reset(options={"start": Bin(5, 1).state})
    for _ in range(49):
        env.step(RIGHT)
    _, _, terminated, truncated, _ = env.step(STOP)
    assert (terminated, truncated) == (True, False)


def test_the_frame_memory_holds_the_frames_that_were_shown(env: SacrumNavEnv) -> None:
    observation, info = env.reset(seed=5, options={"subject": 0})
    shown = [info["frame_index"]] * 3
    for action in (RIGHT, DOWN, LEFT, UP, UP):
        assert [number_of(frame) for frame in observation["frames"]] == shown
        observation, *_, info = env.step(action)
        shown = [info["frame_index"], *shown[:2]]


def test_references_into_the_bank_are_the_pixels() -> None:
    subjects = [made_up("A"), made_up("B")]
    pixels, reference = (SacrumNavEnv(subjects, observation=view) for view in ("pixels", "reference"))
    assert reference.frame_bank.shape == (1650, 6, 8)
    observations = [[env.reset(seed=8)[0]] for env in (pixels, reference)]
    for action in (RIGHT, DOWN, LEFT, UP, STOP):
        for env, seen in zip((pixels, reference), observations, strict=True):
            seen.append(env.step(action)[0])
    for shown, indices in zip(*observations, strict=True):
        assert indices["frames"].dtype == np.int64
        np.testing.assert_array_equal(reference.frame_bank[indices["frames"]], shown["frames"])
        np.testing.assert_array_equal(indices["actions"], shown["actions"])


def test_observations_are_not_changed_by_later_steps(env: SacrumNavEnv) -> None:
    first, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in first.items()}
    for action in (RIGHT, DOWN, LEFT):
        env.step(action)
    for key, value in first.items():
        np.testing.assert_array_equal(value, kept[key])


def test_a_seed_fixes_subject_start_and_every_frame(env: SacrumNavEnv) -> None:
    def walk(seed: int) -> list[int]:
        seen = [env.reset(seed=seed)[1]["frame_index"]]
        return seen + [env.step(action)[4]["frame_index"] for action in (UP, LEFT, RIGHT, DOWN)]

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_every_subject_and_bin_is_a_start(env: SacrumNavEnv) -> None:
    env.reset(seed=0)
    starts = {(info["subject"], info["state"]) for info in (env.reset()[1] for _ in range(4000))}
    assert len(starts) == 2 * BINS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": 2}, "subject is 2; it goes from 0 to 1"),
        ({"start": 165}, "start is 165; it goes from 0 to 164"),
        ({"state": 0}, "unknown reset options"),
    ],
)
def test_wrong_reset_options_are_named(env: SacrumNavEnv, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)


def test_a_step_before_the_first_reset_is_an_error(env: SacrumNavEnv) -> None:
    with pytest.raises(ValueError, match="call reset first"):
        env.step(UP)


def test_parts_are_injected() -> None:
    env = SacrumNavEnv([made_up("A")], reward=Rewards(closer=7.0), termination=lambda step: step.action is RIGHT)
    env.reset(seed=0, options={"start": Bin(5, 5).state})
    _, gained, terminated, _, _ = env.step(LEFT)
    assert (gained, terminated) == (7.0, False)
    assert env.step(RIGHT)[2]


# ---------------------------------------------------------------- rules, as properties


def test_the_rewards_are_those_of_the_reference() -> None:
    assert Rewards() == Rewards(closer=0.05, further=-0.1, correct_stop=1.0, incorrect_stop=-0.25, border=-0.1)


@given(bins, st.sampled_from([UP, DOWN, LEFT, RIGHT]), st.lists(bins, min_size=1, max_size=4))
def test_a_move_is_rewarded_by_its_change_of_distance(before: Bin, action: Action, goals: list[Bin]) -> None:
    step = Step(before, action, tuple(goals))
    change = goal_distance(step.after, step.goals) - goal_distance(before, step.goals)
    rewards = Rewards(closer=1.0, further=2.0, border=3.0)
    assert rewards(step) == (3.0 if step.after == before else 1.0 if change < 0 else 2.0)
    assert step.correct == (change < 0)
    assert not ends_at_stop(step)


@given(bins, st.lists(bins, min_size=1, max_size=4))
def test_a_stop_is_right_in_a_goal_bin_alone(before: Bin, goals: list[Bin]) -> None:
    step = Step(before, STOP, tuple(goals))
    assert Rewards()(step) == (1.0 if before in goals else -0.25)
    assert step.correct == (before in goals)
    assert ends_at_stop(step)
    assert not ends_in_goal(step)


@given(bins, st.sampled_from([UP, DOWN, LEFT, RIGHT]))
def test_bumping_into_the_border_enters_no_goal(before: Bin, action: Action) -> None:
    step = Step(before, action, (before,))
    assert ends_in_goal(step) is False


@given(bins, st.sampled_from([(UP, DOWN), (LEFT, RIGHT)]), st.lists(bins, min_size=1, max_size=3))
def test_going_back_and_forth_never_pays(start: Bin, pair: tuple[Action, Action], goals: list[Bin]) -> None:
    """The rewards are chosen so that oscillating loses (Hase et al. 2020, table I)."""
    there = Step(start, pair[0], tuple(goals))
    back = Step(there.after, pair[1], tuple(goals))
    assert Rewards()(there) + Rewards()(back) < 0


# ---------------------------------------------------------------- the picture


def test_the_picture_shows_frame_goals_and_probe() -> None:
    frame = np.full((6, 8), 77, np.uint8)
    picture = draw_view(frame, goals=[Bin(5, 1)], visited=[Bin(0, 0), Bin(0, 1)])
    assert picture.shape == (288, 768, 3)
    assert (picture[:, :384] == 77).all()

    def middle(position: Bin) -> list[int]:
        left, top = cell_corner(position)
        return picture[top + CELL // 2, left + CELL // 2].tolist()

    probe, goal, other = middle(Bin(0, 1)), middle(Bin(5, 1)), middle(Bin(9, 9))
    assert goal[1] > max(goal[0], goal[2]), "goals are green"
    assert probe[0] > 200
    assert other == [60, 60, 60]


def test_rendering_follows_the_episode() -> None:
    env = SacrumNavEnv([made_up("A")], render_mode="rgb_array")
    assert env.render() is None
    env.reset(seed=0, options={"start": 0})
    before = env.render()
    env.step(RIGHT)
    after = env.render()
    assert before is not None
    assert after is not None
    assert (before != after).any()
    assert SacrumNavEnv([made_up("A")]).render() is None
