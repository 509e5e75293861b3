"""The environment with the robot in the loop: what gymnasium asks, rewards by true places, and why an episode ends."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from us_grid_sim.envs import closed_loop, loop_run, robots
from us_grid_sim.envs.closed_loop import SacrumNavClosedLoopEnv
from us_grid_sim.envs.loop_run import CONTACT_FORCE, Disturbances, LoopRun, VirtualPatient, above
from us_grid_sim.envs.robots import RobotSetup, make_robot, plant_maker
from us_grid_sim.errors import SourceError, UsGridSimError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, Action, Bin, probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.target import Target
from us_grid_sim.phantom.volume import SHAPE
from us_grid_sim.sources.phantom import PhantomSource
from us_grid_sim.world.skin import Skin

NAME = "us_grid_sim/SacrumNavClosedLoop-v0"
GOALS = (Bin(5, 1), Bin(5, 2))
UP, DOWN, LEFT, RIGHT, STOP = Action


@dataclass
class End:
    reached: bool = True
    failed: bool = False
    reason: str = ""


@dataclass
class FakeRobot:
    """Steps at once and exactly; goes wrong where it is told to."""

    setup: RobotSetup
    ends: list[End] = field(default_factory=list)
    fault: str = ""
    force: float = CONTACT_FORCE
    closed: bool = False
    steps: int = 0

    def reset(self, pose: np.ndarray) -> End:
        self.pose = pose
        self.statistics = SimpleNamespace(time=5.0)
        return self.ends.pop(0) if self.ends else End()

    def step(self, dx: float, dy: float) -> End:
        end = self.ends.pop(0) if self.ends else End()
        self.steps += 1
        if end.reached:
            self.pose = self.pose.copy()
            self.pose[:2, 3] += dx, dy
        return end

    def close(self) -> None:
        self.closed = True


class FakeSource:
    """A frame whose grey says in which bin the probe is, and how hard it is pressed."""

    phantom = SimpleNamespace(skin=np.zeros(SHAPE[:2]))

    def look_from(self, pose: np.ndarray, force: float) -> None:
        self.pose, self.force = pose, force

    def read(self) -> SimpleNamespace:
        if self.force > 100.0:
            raise SourceError("the probe's face lies too deep")
        state = Bin.nearest(*self.pose[:2, 3]).state
        grey = state if self.force >= 0.5 * CONTACT_FORCE else 0
        return SimpleNamespace(pixels=np.full((FRAME_HEIGHT, FRAME_WIDTH), grey, np.uint8))


Made = list[FakeRobot]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The robots that were made, on a patient who is quick to make."""
    robots_made: Made = []

    def make(setup: RobotSetup) -> FakeRobot:
        robots_made.append(FakeRobot(setup))
        return robots_made[-1]

    patient = VirtualPatient("Fake", FakeSource(), None, dict.fromkeys(Target, GOALS))  # type: ignore[arg-type]
    monkeypatch.setattr(loop_run, "make_robot", make)
    monkeypatch.setattr(closed_loop, "virtual_patient", lambda record: patient)
    return robots_made


def begun(start: Bin, **arguments: Any) -> tuple[SacrumNavClosedLoopEnv, dict[str, Any]]:
    env = SacrumNavClosedLoopEnv(**arguments)
    _, info = env.reset(seed=0, options={"start": start.state})
    return env, info


def test_check_env_finds_nothing(made: Made) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(NAME, render_mode="rgb_array")
        check_env(env.unwrapped)
    env.close()
    assert all(robot.closed for robot in made)


def test_the_frame_is_that_of_the_place_and_the_memory_fills(made: Made) -> None:
    env, _ = begun(Bin(5, 4))
    observation, _, _, _, info = env.step(LEFT)
    assert observation["frames"][:, 0, 0].tolist() == [Bin(5, 3).state, Bin(5, 4).state, Bin(5, 4).state]
    assert observation["actions"][:5].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert (info["bin"], info["goal_distance"], info["correct"]) == ((5, 3), 1, True)


def test_a_probe_that_is_pressed_too_little_sees_nothing(made: Made) -> None:
    env, _ = begun(Bin(5, 4))
    made[-1].force = 0.0
    assert not env.step(LEFT)[0]["frames"][0].any()


@pytest.mark.parametrize(
    ("end", "action", "reward", "correct"),
    [
        (End(), LEFT, 0.05, True),
        (End(), RIGHT, -0.1, False),
        (End(reached=False, reason="held back by the border"), LEFT, -0.1, False),
    ],
)
def test_a_step_is_worth_what_it_truly_did(made: Made, end: End, action: Action, reward: float, correct: bool) -> None:
    env, _ = begun(Bin(5, 4))
    made[-1].ends = [end]
    _, got, terminated, truncated, info = env.step(action)
    assert (got, terminated, truncated, info["correct"], info["reason"]) == (reward, False, False, correct, "")


@pytest.mark.parametrize(("start", "reward"), [(Bin(5, 1), 1.0), (Bin(4, 1), -0.25)])
def test_a_stop_ends_the_episode_and_moves_nothing(made: Made, start: Bin, reward: float) -> None:
    env, _ = begun(start)
    _, got, terminated, truncated, info = env.step(STOP)
    assert (got, terminated, truncated, info["is_success"], made[-1].steps) == (reward, True, False, reward > 0, 0)


def test_a_step_that_fails_ends_the_episode_with_its_reason(made: Made) -> None:
    env, _ = begun(Bin(5, 4))
    made[-1].ends = [End(reached=False, failed=True, reason="contact lost")]
    _, _, terminated, truncated, info = env.step(LEFT)
    assert (terminated, truncated, info["reason"]) == (False, True, "probe step failed: contact lost")
    assert env.step(LEFT)[3] and made[-1].steps == 1, "nothing moves in a run that cannot go on"


def test_a_fault_ends_the_episode_even_where_the_step_itself_was_reached(made: Made) -> None:
    env, _ = begun(Bin(5, 4))
    made[-1].fault = "force 6.1 N is above 5 N"
    _, _, _, truncated, info = env.step(LEFT)
    assert (truncated, info["reason"]) == (True, "force 6.1 N is above 5 N")


def test_a_pose_that_cannot_be_rendered_ends_the_episode(made: Made) -> None:
    env, _ = begun(Bin(5, 4))
    made[-1].force = 1e3
    observation, _, _, truncated, info = env.step(LEFT)
    assert (truncated, info["reason"]) == (True, "no frame: the probe's face lies too deep")
    assert not observation["frames"][0].any()


def test_a_plant_that_runs_away_ends_the_episode(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    env, _ = begun(Bin(5, 4))

    def run_away(dx: float, dy: float) -> End:
        raise UsGridSimError("arm: the tool moves at 200 m/s")

    monkeypatch.setattr(made[-1], "step", run_away)
    assert env.step(LEFT)[4]["reason"] == "the plant failed: arm: the tool moves at 200 m/s"


def test_an_episode_is_cut_after_its_steps(made: Made) -> None:
    env, _ = begun(Bin(5, 8), max_steps=2)
    assert [env.step(LEFT)[3] for _ in range(2)] == [False, True]


def test_each_option_reaches_the_robot(made: Made) -> None:
    begun(Bin(5, 4), packet_loss=0.03)
    begun(Bin(5, 4), packet_loss=0.03)
    assert [(robot.setup.packet_loss, robot.setup.contact_force) for robot in made] == [(0.03, 1.0)] * 2
    assert made[0].setup.seed == made[1].setup.seed, "the same seed, the same world"


def test_each_disturbance_reaches_the_patients_motion(made: Made) -> None:
    def motion(**switched: Any) -> Any:
        patient = VirtualPatient("Fake", FakeSource(), None, {})  # type: ignore[arg-type]
        LoopRun(patient, "mock", Disturbances(**switched), Bin(5, 4), seed=1)
        seen: list[Any] = []
        arm: Callable[..., None] = lambda model, lying: seen.append(lying.motion)  # noqa: E731
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(robots, "RigidArm", arm)
            made[-1].setup.make_plant(None, None, np.eye(4))  # type: ignore[arg-type]
        return seen[0]

    assert motion(breathing=True).breathing is not None
    still = motion(breathing=False, movement=True, contact_loss=0.006)
    assert (still.breathing, still.sinking.distance, still.from_touch) == (None, -0.006, True)
    assert still.movement.distance > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [({"begin": 3}, "unknown reset options"), ({"start": 165}, "it goes from 0 to 164"), ({"subject": 1}, "0 to 0")],
)
def test_an_option_that_is_none_is_refused(made: Made, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SacrumNavClosedLoopEnv().reset(options=options)


def test_the_probe_starts_upright_15_mm_above_the_highest_skin_under_it() -> None:
    skin = np.zeros(SHAPE[:2])
    middle = SHAPE[1] // 2
    skin[:, middle + 10 :] = -0.004
    pose = above(SimpleNamespace(skin=skin), Bin(5, 7))  # type: ignore[arg-type]
    assert pose == pytest.approx(probe_pose(0.0, 0.0, -0.019), abs=1e-9)


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsGridSimError, match="no plant 'wood'; there is pybullet and mock"):
        plant_maker("wood", lambda pose: None)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(robots, "entry_points", lambda group: ())
    with pytest.raises(UsGridSimError, match='no robot "iiwa_bridge" is installed; install the package iiwa_bridge'):
        make_robot(RobotSetup(lambda *parts: None, 1.0, 0.0, 0))  # type: ignore[arg-type, return-value]


def test_a_run_on_a_body_that_breathes_and_a_wire_that_loses() -> None:
    """All of it together, as it is used: the installed robot, the renderer, the mock of the arm."""
    source = PhantomSource(sample_subject(0))
    patient = VirtualPatient("Real", source, Skin.of(source.phantom), {})
    run = LoopRun(patient, "mock", Disturbances(packet_loss=0.02), Bin(5, 7), seed=5)
    first = run.frame
    run.step(RIGHT)
    told = run.robot.statistics
    assert (run.reason, run.position) == ("", Bin(5, 8))
    assert run.robot.pose[:2, 3] == pytest.approx(Bin(5, 8).center, abs=0.002)
    assert run.robot.force == pytest.approx(CONTACT_FORCE, abs=0.5)
    assert told.missed_messages > 0 and told.safety_events == 0 and 0.0 < told.force_peak < 2.5
    assert first.mean() > 10.0 and run.frame.mean() > 10.0 and (first != run.frame).any()
    run.close()
