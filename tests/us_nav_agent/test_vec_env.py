"""The vectorised environment behind stable-baselines3's interface: `DummyVecEnv` of `SacrumNavEnv` specifies it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecCheckNan, VecMonitor
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.envs.vectorised import GridVectorEnv
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.training.dqn import FrameBank, PrioritizedDoubleDQN, ReferencePolicy
from us_nav_agent.training.vec_env import GridVecEnv

MakeGrid = Callable[..., PreprocessedGrid]
UP, DOWN, LEFT, RIGHT, STOP = Action


@pytest.fixture
def tables(toy_grid: MakeGrid) -> GridTables:
    """One subject, whose frame of a bin has the number of its state; the goals are (5, 2) and (5, 3)."""
    return GridTables.of([toy_grid()])


@pytest.mark.parametrize("stop", [True, False])
def test_one_environment_is_dummy_vec_env_number_for_number(toy_grid: MakeGrid, stop: bool) -> None:
    middle = tuple(Bin(row, column) for row in (4, 5, 6) for column in range(15))
    grids = [toy_grid("A"), toy_grid("B", goals=middle)]
    one = GridVecEnv(GridVectorEnv(GridTables.of(grids), 1, max_steps=7, stop=stop))
    reference = DummyVecEnv([lambda: SacrumNavEnv(grids, max_steps=7, stop=stop, observation="reference")])
    assert one.observation_space == reference.observation_space
    assert one.action_space == reference.action_space
    for environment in (one, reference):
        environment.seed(5)
    np.testing.assert_equal(one.reset(), dict(reference.reset()))
    ends = set()
    for actions in np.random.default_rng(0).integers(one.action_space.n, size=(300, 1)):
        observation, rewards, dones, infos = one.step(actions)
        expected, *outcome, known = reference.step(actions)
        np.testing.assert_equal(observation, dict(expected))
        np.testing.assert_equal([rewards, dones], outcome)
        assert rewards.dtype == outcome[0].dtype
        if dones[0]:
            assert infos[0].pop("task") == known[0]["subject_index"]
            np.testing.assert_equal(infos[0], {name: known[0][name] for name in infos[0]})
            assert {"terminal_observation", "TimeLimit.truncated", "is_success"} < set(infos[0])
            ends.add((infos[0]["TimeLimit.truncated"], infos[0]["is_success"]))
        else:
            assert infos == [{}]
    assert ends == {(True, False), (False, True)} | ({(False, False)} if stop else set())


def test_the_end_of_one_is_told_of_it_alone(tables: GridTables) -> None:
    envs = GridVecEnv(GridVectorEnv(tables, 3, stop=False))
    envs.set_options([{"start": Bin(5, 0).state}, {"start": Bin(5, 1).state}, {"start": 0}])
    envs.reset()
    assert [info["state"] for info in envs.reset_infos] == [75, 76, 0]
    observation, rewards, dones, infos = envs.step(np.array([RIGHT, RIGHT, UP]))
    assert rewards == pytest.approx([0.05, 0.05, -0.1])
    assert dones.tolist() == [False, True, False]
    assert infos[0] == infos[2] == {}
    last = infos[1].pop("terminal_observation")
    assert last["frames"].tolist() == [77, 76, 76]
    assert last["actions"][:4].tolist() == [0, 0, 0, 1]
    assert infos[1] == {
        "task": 0,
        "state": 77,
        "goal_distance": 0,
        "correct": True,
        "is_success": True,
        "TimeLimit.truncated": False,
    }
    assert not observation["actions"][1].any()


def test_a_monitor_around_it_writes_into_no_other_info(tables: GridTables) -> None:
    inner = GridVecEnv(GridVectorEnv(tables, 3, max_steps=2))
    envs = VecMonitor(inner, info_keywords=("is_success",))
    envs.reset()
    *_, infos = envs.step(np.array([UP, STOP, UP]))
    assert [list(info) for info in (infos[0], infos[2])] == [[], []]
    assert infos[1]["episode"]["l"] == 1
    infos[0]["mine"] = 1
    assert infos[2] == {}, "each environment has an info of its own"
    *_, infos = envs.step(np.array([UP, UP, UP]))
    assert [info["episode"]["l"] for info in (infos[0], infos[2])] == [2, 2]
    assert infos[1] == {}


def test_seed_and_options_hold_for_one_reset(tables: GridTables) -> None:
    envs = GridVecEnv(GridVectorEnv(tables, 8))
    starts = []
    for _ in range(2):
        envs.seed(1)
        starts.append(envs.reset()["frames"].tolist())
    assert starts[0] == starts[1] != envs.reset()["frames"].tolist()
    envs.set_options({"start": 7, "task": 0})
    assert (envs.reset()["frames"] == 7).all()
    assert (envs.reset()["frames"] != 7).any()


def test_options_of_some_environments_only_are_refused(tables: GridTables) -> None:
    envs = GridVecEnv(GridVectorEnv(tables, 2))
    envs.set_options([{"start": 7}, {}])
    with pytest.raises(ValueError, match=r"only some environments have the reset options \['start'\]"):
        envs.reset()


def test_environments_have_no_parts_of_their_own(tables: GridTables) -> None:
    envs = GridVecEnv(GridVectorEnv(tables, 4))
    assert envs.get_attr("tables", [0, 2]) == [tables, tables]
    assert envs.env_is_wrapped(SacrumNavEnv) == [False] * 4
    with pytest.raises(NotImplementedError, match="cannot set max_steps"):
        envs.set_attr("max_steps", 3)
    with pytest.raises(NotImplementedError, match="cannot call render"):
        envs.env_method("render")


def test_the_learner_stores_transitions_of_the_rules_and_learns(tables: GridTables, tiny: Any) -> None:
    """The toy's frame numbers are states, so that every stored transition can be checked, the last ones too."""
    envs = VecMonitor(VecCheckNan(GridVecEnv(GridVectorEnv(tables, 8, max_steps=10, stop=False)), raise_exception=True))
    learner = PrioritizedDoubleDQN(
        ReferencePolicy,
        envs,
        learning_starts=200,
        buffer_size=2000,
        batch_size=16,
        train_freq=1,
        gradient_steps=1,
        replay_buffer_class=PrioritizedReplayBuffer,
        policy_kwargs={"config": tiny, "bank": FrameBank(tables.frames)},
        exploration_fraction=1.0,
        seed=0,
        device="cpu",
    )
    before = [parameter.detach().clone() for parameter in learner.q_net.parameters()]
    learner.learn(400)
    assert learner._n_updates == 25
    assert any((old != new).any() for old, new in zip(before, learner.q_net.parameters(), strict=True))
    assert learner.ep_info_buffer
    assert learner.ep_success_buffer

    stored = learner.replay_buffer
    frames, later = stored.observations["frames"][:50], stored.next_observations["frames"][:50]
    actions, dones = stored.actions[:50, :, 0], stored.dones[:50]
    assert dones.sum() > stored.timeouts[:50].sum() > 0
    np.testing.assert_array_equal(later[..., 1:], frames[..., :-1])
    np.testing.assert_array_equal(later[..., 0], tables.next_state[frames[..., 0], actions])
    np.testing.assert_array_equal(stored.next_observations["actions"][:50, :, :4].argmax(axis=-1), actions)
    entered = tables.is_goal[0, later[..., 0]] & (later[..., 0] != frames[..., 0])
    np.testing.assert_array_equal((dones - stored.timeouts[:50]) > 0, entered)
