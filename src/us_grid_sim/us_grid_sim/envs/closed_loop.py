"""Walk over a virtual patient with a robot that holds the probe, in lock-step and without ROS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsInt

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from us_grid_sim.envs.loop_run import Disturbances, LoopRun, virtual_patient
from us_grid_sim.envs.options import choose_episode
from us_grid_sim.envs.render import draw_view
from us_grid_sim.envs.rules import Reward, Rewards, Step, ends_at_stop
from us_grid_sim.envs.sacrum_nav import NETWORK_SIZE, Observation
from us_grid_sim.geometry import Action, Bin, goal_distance
from us_grid_sim.memory import ACTION_MEMORY, FRAME_MEMORY, ActionMemory, FrameMemory
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

_SEEDS = 2**31


@dataclass(frozen=True)
class ProbeStep(Step):
    """A step of a probe, which may end elsewhere than its action says.

    Attributes:
        ended: the bin that the probe is truly nearest to afterwards.
    """

    ended: Bin

    @property
    def after(self) -> Bin:
        """The bin that it ended in."""
        return self.ended


class SacrumNavClosedLoopEnv(gymnasium.Env[Observation, SupportsInt]):
    """Walk over a virtual patient to the sacrum, a robot holding the probe.

    ## Description
    The task of `SacrumNav-v0` with its physical loop: each action is a step of 20 mm that the robot's bridge carries
    out at a contact force of 1 N, over a simulated arm and a patient who breathes. The bridge is the one that drives a
    real robot, safety included; it runs in lock-step with the controller and the arm, in the controller's time, so an
    episode is as fast as the machine lets it be, and the same seed gives the same episode. Each frame is rendered from
    the true pose of the probe relative to the patient's body and from the true contact force: a probe that leans or
    lifts off sees what such a probe sees.

    ## Action space
    `Discrete(5)`, as in `SacrumNav-v0`: 0 up, 1 down, 2 left, 3 right, 4 stop. At the border of the workspace a step
    is held back.

    ## Observation space
    A `Dict`, as in `SacrumNav-v0`:

    - `frames`: uint8 (3, height, width), the current frame and the ones before it, current first.
    - `actions`: float32 (25,), the last five actions one-hot, newest first.

    ## Starting state
    A random subject, the probe on the skin of a random bin, or what
    `reset(options={"subject": index, "start": state})` asks for; state is row * 15 + column.

    ## Reward
    That of `SacrumNav-v0`, by the bins that the true pose is nearest to: closer to the goal +0.05; further or as far
    -0.1; still in the same bin -0.1; stop in a goal bin +1.0; stop elsewhere -0.25.

    ## Episode end
    - Termination: the stop action.
    - Truncation: after 50 steps, and where the run cannot go on: the bridge is in fault, or a step failed.

    ## Information
    `step()` and `reset()` return a dict with `subject`, `subject_index`, `state`, `bin`, `goal_distance`, `correct` and
    `is_success` as in `SacrumNav-v0`, and

    - `reason`: why the run cannot go on; empty while it can
    - `pose`: true pose (4, 4) of the probe relative to the patient's body [m]
    - `contact_force`: true, along the beam [N]
    - `time`: simulated, since the robot was started [s]

    ## Arguments
    - `subjects`: records of the patients; without them one sampled subject
    - `target="sacrum"`: the view whose bins are the goal
    - `plant="pybullet"`, or `"mock"`, which is faster and needs no PyBullet
    - `breathing=True`; `movement=False`, once towards the probe; `packet_loss=0.0`, share of the datagrams between
      controller and bridge, each way; `contact_loss=0.0`, by how many metres the patient sinks away once
    - `preprocess`, `frame_memory=3`, `action_memory=5`, `max_steps=50`, `reward` as in `SacrumNav-v0`

    ```python
    >>> import gymnasium, us_grid_sim.envs
    >>> env = gymnasium.make("us_grid_sim/SacrumNavClosedLoop-v0", plant="mock", packet_loss=0.01)
    ```

    ## References
    H. Hase et al., "Ultrasound-Guided Robotic Navigation with Deep Reinforcement Learning", IROS 2020,
    https://arxiv.org/abs/2003.13321.

    ## Version history
    * v0: first version
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(
        self,
        subjects: Sequence[SubjectRecord] | None = None,
        target: str = Target.SACRUM.value,
        plant: str = "pybullet",
        breathing: bool = True,
        movement: bool = False,
        packet_loss: float = 0.0,
        contact_loss: float = 0.0,
        preprocess: Preprocess = NETWORK_SIZE,
        frame_memory: int = FRAME_MEMORY,
        action_memory: int = ACTION_MEMORY,
        max_steps: int = 50,
        reward: Reward | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode {render_mode!r}; there is rgb_array")
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}; an episode has at least 1")
        self.subjects = tuple(subjects) if subjects is not None else (sample_subject(seed=0),)
        if not self.subjects:
            raise ValueError("subjects is empty; an environment needs at least one")
        self._target, self._plant, self._preprocess = Target(target), plant, preprocess
        self._disturbances = Disturbances(breathing, movement, packet_loss, contact_loss)
        self._reward = reward if reward is not None else Rewards()
        self._max_steps, self.render_mode = max_steps, render_mode
        self._frames = FrameMemory(frame_memory)
        self._actions = ActionMemory(action_memory, len(Action))
        self.action_space = spaces.Discrete(len(Action))
        size = (frame_memory, preprocess.height, preprocess.width)
        self.observation_space = spaces.Dict(
            {
                "frames": spaces.Box(0, 255, size, np.uint8),
                "actions": spaces.Box(0.0, 1.0, (action_memory * len(Action),), np.float32),
            }
        )
        self._run: LoopRun | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: the robot starts above the skin, tares and touches it.

        Args:
            seed: for the random numbers of this and all later episodes.
            options: ``subject`` (its index) and ``start`` (state 0 to 164), either may be missing.

        Raises:
            ValueError: an option is unknown or out of range.
            UsGridSimError: no robot is installed, or no such plant.
        """
        super().reset(seed=seed)
        self._subject, start = choose_episode(options, len(self.subjects), self.np_random)
        self.close()
        patient = virtual_patient(self.subjects[self._subject])
        self._name, self._goals = patient.name, patient.targets[self._target]
        self._run = LoopRun(
            patient, self._plant, self._disturbances, Bin.from_state(start), int(self.np_random.integers(_SEEDS))
        )
        self._visited = [self._run.position]
        self._frames.reset()
        self._actions.reset()
        return self._observation(self._run), self._info(self._run, correct=False, success=False)

    def step(self, action: SupportsInt) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out ``action``; returns when the motion has ended.

        Raises:
            ValueError: there is no such action, or ``reset`` was not called first.
        """
        if self._run is None:
            raise ValueError("there is no episode; call reset first")
        self._actions.push(int(action))
        self._run.step(Action(int(action)))
        step = ProbeStep(self._visited[-1], Action(int(action)), self._goals, self._run.position)
        self._visited.append(step.after)
        terminated = ends_at_stop(step)
        truncated = not terminated and (bool(self._run.reason) or len(self._visited) > self._max_steps)
        info = self._info(self._run, step.correct, terminated and step.correct)
        return self._observation(self._run), self._reward(step), terminated, truncated, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The current frame beside the grid, uint8 (288, 768, 3); None without a render mode."""
        if self.render_mode is None or self._run is None:
            return None
        return draw_view(self._preprocess(self._run.frame), self._goals, self._visited)

    def close(self) -> None:
        """Give the robot back; closed again, nothing happens."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def _observation(self, run: LoopRun) -> Observation:
        self._frames.push(self._preprocess(run.frame))
        return {"frames": self._frames.stacked(), "actions": self._actions.vector()}

    def _info(self, run: LoopRun, correct: bool, success: bool) -> dict[str, Any]:
        position = self._visited[-1]
        return {
            "subject": self._name,
            "subject_index": self._subject,
            "state": position.state,
            "bin": (position.row, position.column),
            "goal_distance": goal_distance(position, self._goals),
            "correct": correct,
            "is_success": success,
            "reason": run.reason,
            "pose": run.robot.pose,
            "contact_force": run.robot.force,
            "time": run.robot.statistics.time,
        }
