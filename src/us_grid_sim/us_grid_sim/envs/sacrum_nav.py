"""Walk over a grid of ultrasound frames to the sacrum."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, SupportsInt

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from us_grid_sim.dataset.grid import PreprocessedGrid, draw_frame, load_grid
from us_grid_sim.dataset.layout import Split, subjects_of
from us_grid_sim.envs.observation import VIEWS
from us_grid_sim.envs.options import choose_episode
from us_grid_sim.envs.render import draw_view
from us_grid_sim.envs.rules import Reward, Rewards, Step, Termination, ends_at_stop, ends_in_goal
from us_grid_sim.geometry import Action, Bin, goal_distance
from us_grid_sim.memory import ACTION_MEMORY, FRAME_MEMORY, ActionMemory, FrameMemory
from us_grid_sim.preprocess import Preprocess

Observation = dict[str, Any]
"""`frames` and `actions`, numpy arrays."""

NETWORK_SIZE = Preprocess(height=84, width=84)
"""What ``data`` is preprocessed to when nothing else is asked for."""


class SacrumNavEnv(gymnasium.Env[Observation, SupportsInt]):
    """Walk over a grid of ultrasound frames to the sacrum.

    ## Description
    A subject's lower back is covered by a grid of 11 rows (parallel to the spine) by 15 columns (column 0 is
    caudal). Each bin holds five B-mode frames. The agent sees frames only, never its position, and is to find
    the bins that show the sacrum. It is a partially observable task: neighbouring bins look alike.

    ## Action space
    `Discrete(5)` for `SacrumNav-v0`, `Discrete(4)` for `SacrumNavNoStop-v0`:

    - 0: up (row - 1)
    - 1: down (row + 1)
    - 2: left (column - 1, caudal)
    - 3: right (column + 1, cranial)
    - 4: stop, only in `SacrumNav-v0`

    At the border of the grid a move has no effect.

    ## Observation space
    A `Dict` of

    - `frames`: the current frame and the ones before it, current first; at the start all are the first frame.
      With `observation="pixels"` uint8 (3, height, width); with `"reference"` int64 (3,), indices into
      `env.unwrapped.frame_bank`, uint8 (N, height, width), the frames of all subjects.
    - `actions`: float32 (5 * number of actions,), the last five actions one-hot, newest first; zeros at the start.

    After every step, also one that the border held back, the frame is drawn anew from the five of the bin.

    ## Starting state
    A random subject in a random bin, or what `reset(options={"subject": index, "start": state})` asks for;
    state is row * 15 + column.

    ## Reward
    - closer to the goal: +0.05
    - further from it, or as far as before: -0.1
    - held back by the border: -0.1
    - stop in a goal bin: +1.0
    - stop elsewhere: -0.25

    The distance to the goal is that of `us_grid_sim.geometry.goal_distance`.

    ## Episode end
    - Termination: `SacrumNav-v0`, the stop action; `SacrumNavNoStop-v0`, entering a goal bin.
    - Truncation: after 50 steps.

    ## Information
    `step()` and `reset()` return a dict with

    - `subject`: its name, and `subject_index`: its place among the subjects
    - `state`, and `bin`: (row, column)
    - `goal_distance`: steps to the goal
    - `correct`: whether the last action moved closer to the goal or stopped in a goal bin
    - `frame_index`: the index on disk of the current frame
    - `is_success`: whether the episode has ended in a goal bin as it should

    ## Arguments
    - `subjects`: the grids to walk on; or
    - `data` and `split`: the folder of a data set, and which of its subjects; preprocessed by `preprocess`.
      Without any of these there is one small synthetic subject.
    - `frame_memory=3`, `action_memory=5`, `max_steps=50`, `observation="pixels"`
    - `reward`: rewards by situation, see `us_grid_sim.envs.rules.Rewards`
    - `termination`: when the task is over; by default as above
    - `stop`: whether there is a stop action

    ```python
    >>> import gymnasium, us_grid_sim.envs
    >>> env = gymnasium.make("us_grid_sim/SacrumNav-v0", data="data/synthetic", split="train")
    ```

    ## References
    H. Hase et al., "Ultrasound-Guided Robotic Navigation with Deep Reinforcement Learning", IROS 2020,
    https://arxiv.org/abs/2003.13321. Where this differs from the authors' code:

    1. A remembered frame stays the one that was shown; their code draws it anew from its bin.
    2. The action memory fills from the first step; in their code it stays at zero.
    3. A wrong stop ends the episode, as in the paper; in their code it does not.
    4. Frames are resized by area and stay uint8; their code resizes by interpolation and scales each to 0..1.

    ## Version history
    * v0: first version
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(
        self,
        subjects: Sequence[PreprocessedGrid] | None = None,
        data: str | Path | None = None,
        split: Split = "train",
        preprocess: Preprocess = NETWORK_SIZE,
        frame_memory: int = FRAME_MEMORY,
        action_memory: int = ACTION_MEMORY,
        max_steps: int = 50,
        observation: Literal["pixels", "reference"] = "pixels",
        reward: Reward | None = None,
        termination: Termination | None = None,
        stop: bool = True,
        render_mode: str | None = None,
    ) -> None:
        if observation not in VIEWS:
            raise ValueError(f"observation {observation!r}; there are {', '.join(VIEWS)}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode {render_mode!r}; there is rgb_array")
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}; an episode has at least 1")
        self.subjects = _subjects(subjects, data, split, preprocess)
        self.frame_bank: npt.NDArray[np.uint8] = np.concatenate([grid.frames for grid in self.subjects])
        self._disk_indices = np.concatenate([grid.indices for grid in self.subjects])
        self._offsets = np.cumsum([0, *(len(grid.frames) for grid in self.subjects)])
        self._view = VIEWS[observation](self.frame_bank)
        self._reward = reward if reward is not None else Rewards()
        self._termination = termination if termination is not None else (ends_at_stop if stop else ends_in_goal)
        self._max_steps = max_steps
        self.render_mode = render_mode

        actions = len(Action) if stop else len(Action) - 1
        self._frames = FrameMemory(frame_memory)
        self._actions = ActionMemory(action_memory, actions)
        self.action_space = spaces.Discrete(actions)
        self.observation_space = spaces.Dict(
            {
                "frames": self._view.space(frame_memory),
                "actions": spaces.Box(0.0, 1.0, (action_memory * actions,), np.float32),
            }
        )
        self._subject = 0
        self._visited: list[Bin] = []
        self._shown = 0

    @property
    def _position(self) -> Bin:
        return self._visited[-1]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: for the random numbers of this and all later episodes.
            options: ``subject`` (its index) and ``start`` (state 0 to 164), either may be missing.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        super().reset(seed=seed)
        self._subject, start = choose_episode(options, len(self.subjects), self.np_random)
        self._visited = [Bin.from_state(start)]
        self._frames.reset()
        self._actions.reset()
        self._arrive()
        return self._observation(), self._info(correct=False, success=False)

    def step(self, action: SupportsInt) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out ``action``.

        Raises:
            ValueError: there is no such action, or ``reset`` was not called first.
        """
        if not self._visited:
            raise ValueError("there is no episode; call reset first")
        self._actions.push(int(action))
        step = Step(self._position, Action(int(action)), self.subjects[self._subject].goals)
        self._visited.append(step.after)
        self._arrive()
        terminated = self._termination(step)
        truncated = not terminated and len(self._visited) > self._max_steps
        success = terminated and step.after in step.goals
        return self._observation(), self._reward(step), terminated, truncated, self._info(step.correct, success)

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The current frame beside the grid, uint8 (288, 768, 3); None without a render mode."""
        if self.render_mode is None or not self._visited:
            return None
        return draw_view(self.frame_bank[self._shown], self.subjects[self._subject].goals, self._visited)

    def _arrive(self) -> None:
        """Show a frame of the bin that the probe is in."""
        frame = draw_frame(self.subjects[self._subject].bins, self._position, self.np_random)
        self._shown = int(self._offsets[self._subject]) + frame
        self._frames.push(self._shown)

    def _observation(self) -> Observation:
        return {"frames": self._view.show(self._frames.stacked()), "actions": self._actions.vector()}

    def _info(self, correct: bool, success: bool) -> dict[str, Any]:
        grid = self.subjects[self._subject]
        return {
            "subject": grid.name,
            "subject_index": self._subject,
            "state": self._position.state,
            "bin": (self._position.row, self._position.column),
            "goal_distance": goal_distance(self._position, grid.goals),
            "correct": correct,
            "frame_index": int(self._disk_indices[self._shown]),
            "is_success": success,
        }


def _subjects(
    subjects: Sequence[PreprocessedGrid] | None, data: str | Path | None, split: Split, preprocess: Preprocess
) -> tuple[PreprocessedGrid, ...]:
    """The grids that the arguments of an environment name."""
    if subjects is not None and data is not None:
        raise ValueError("both subjects and data were given; give one of them")
    if data is not None:
        subjects = [load_grid(file, preprocess) for file in subjects_of(Path(data), split)]
    elif subjects is None:
        from us_grid_sim.envs.example import example_grid  # renders with torch, which nothing else here needs

        subjects = [example_grid(preprocess)]
    if not subjects:
        raise ValueError("subjects is empty; an environment needs at least one")
    if len({grid.frames.shape[1:] for grid in subjects}) > 1:
        raise ValueError("the subjects' frames differ in size; preprocess them alike")
    return tuple(subjects)
