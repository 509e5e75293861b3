"""Many walks to the sacrum at once, stepped together by array look-ups."""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from us_grid_sim.envs.observation import ReferenceView
from us_grid_sim.envs.rules import Reward, Rewards, Termination, ends_at_stop, ends_in_goal
from us_grid_sim.envs.sacrum_nav import Observation
from us_grid_sim.envs.tables import Bools, GridTables, Ints
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action
from us_grid_sim.memory import ACTION_MEMORY, FRAME_MEMORY


class GridVectorEnv(VectorEnv[Observation, Ints, npt.NDArray[Any]]):
    """``num_envs`` environments of the rules of ``SacrumNavEnv``, which says them, stepped together.

    ## Action space
    `MultiDiscrete` of `num_envs` actions, each 0 to 4, with `stop=False` 0 to 3.

    ## Observation space
    A `Dict` of

    - `frames`: int64 (num_envs, frame_memory), numbers into `tables.frames`, the current frame first.
    - `actions`: float32 (num_envs, action_memory * actions), the last actions one-hot, newest first.

    They are the caller's: new arrays at every step.

    ## Starting state
    Each environment has a random task in a random bin, or what `reset(options={"task": numbers, "start": states})`
    asks for; each is an array (num_envs,), either may be missing.

    ## Episode end
    As in `SacrumNavEnv`. An environment that ended begins its next episode in the same step, with a random task and
    start: the observation is the first of the new episode, reward and ends are those of the old one.

    ## Information
    Arrays (num_envs,) `task`, `state`, `goal_distance`, `correct` and `is_success`, as in `SacrumNavEnv`; beside each
    `key` gymnasium's mask `_key`. In a step in which environments ended, also the batch `final_obs` of the old
    episodes' last observations, and in `final_info` their last information; `_final_obs` and `_final_info` say which
    rows hold.

    ## Arguments
    - `tables`: subjects and tasks
    - `num_envs`: environments
    - the others are those of `SacrumNavEnv`

    One environment shows to the number what `SacrumNavEnv` shows of the same seed.

    Raises:
        ValueError: there are no environments, or an argument is one that `SacrumNavEnv` refuses.

    ```python
    >>> from us_grid_sim.envs.tables import GridTables
    >>> envs = GridVectorEnv(GridTables.of(grids), num_envs=25, stop=False)
    >>> observation, infos = envs.reset(seed=0)
    ```
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(
        self,
        tables: GridTables,
        num_envs: int,
        frame_memory: int = FRAME_MEMORY,
        action_memory: int = ACTION_MEMORY,
        max_steps: int = 50,
        reward: Reward | None = None,
        termination: Termination | None = None,
        stop: bool = True,
    ) -> None:
        _check(num_envs, frame_memory, action_memory, max_steps)
        self.tables = tables
        self.num_envs = num_envs
        self._max_steps = max_steps
        self._memories = frame_memory, action_memory
        actions = len(Action) if stop else len(Action) - 1
        self.single_action_space = spaces.Discrete(actions)
        self.single_observation_space = spaces.Dict(
            {
                "frames": ReferenceView(tables.frames).space(frame_memory),
                "actions": spaces.Box(0.0, 1.0, (action_memory * actions,), np.float32),
            }
        )
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

        # A cell is a bin of a task, task * 165 + state, and a move a cell and an action, cell * 5 + action.
        first_cell = BINS * np.arange(len(tables.tasks))
        ends = tables.ends(termination if termination is not None else (ends_at_stop if stop else ends_in_goal))
        self._frames_of_cell = tables.bins[tables.subject].reshape(-1)
        self._distance_of_cell = tables.distances.reshape(-1)
        self._goal_of_cell = tables.is_goal.reshape(-1)
        self._cell_after = (first_cell[:, None, None] + tables.next_state).reshape(-1)
        self._reward_of_move = tables.rewards(reward if reward is not None else Rewards()).reshape(-1)
        self._end_of_move = ends.reshape(-1)
        self._correct_of_move = tables.correct.reshape(-1)
        self._one_hot = np.eye(actions + 1, actions, dtype=np.float32)  # the last row is that of no action

        self._cell = np.empty(0, dtype=np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every environment.

        Args:
            seed: for the random numbers of this and all later episodes, of all environments.
            options: ``task`` (their numbers) and ``start`` (states 0 to 164), int (num_envs,); either may be missing.

        Raises:
            ValueError: an option is unknown, of another shape or out of range.
        """
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"task", "start"}:
            raise ValueError(f"unknown reset options {sorted(unknown)}; there are task and start")
        cell = self._sample_cells(self.num_envs, options)
        frame_memory, action_memory = self._memories
        self._cell = np.empty(self.num_envs, dtype=np.int64)
        self._taken = np.empty(self.num_envs, dtype=np.int64)
        self._frames = np.empty((self.num_envs, frame_memory), dtype=np.int64)
        self._actions = np.empty((self.num_envs, action_memory), dtype=np.int64)
        self._begin(np.arange(self.num_envs), cell)
        nothing, every = np.zeros(self.num_envs, dtype=bool), np.ones(self.num_envs, dtype=bool)
        return self._observation(), self._infos(correct=nothing, success=nothing.copy(), which=every)

    def step(self, actions: Ints) -> tuple[Observation, npt.NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Carry out an action (num_envs,) in each environment; those that end begin anew.

        Returns:
            observation, rewards float64 (num_envs,), terminations and truncations bool (num_envs,), infos.

        Raises:
            ValueError: the actions are not num_envs, there is no such action, or ``reset`` was not called first.
        """
        action = self._checked(actions)
        move = self._cell * len(Action) + action
        self._cell = self._cell_after.take(move)
        self._taken += 1
        self._actions = _pushed(self._actions, action)
        self._frames = _pushed(self._frames, self._draw(self._cell))
        terminated, correct = self._end_of_move.take(move), self._correct_of_move.take(move)
        truncated = ~terminated & (self._taken >= self._max_steps)
        success = terminated & self._goal_of_cell.take(self._cell)
        ended = terminated | truncated
        final = self._end(ended, correct, success) if ended.any() else {}
        infos = self._infos(correct & ~ended, success & ~ended, np.ones(self.num_envs, dtype=bool))
        return self._observation(), self._reward_of_move.take(move), terminated, truncated, infos | final

    def _end(self, ended: Bools, correct: Bools, success: Bools) -> dict[str, Any]:
        """Begin anew where an episode ``ended``; returns what is left of the old ones, for the infos."""
        final = {
            "final_obs": self._observation(),
            "_final_obs": ended,
            "final_info": self._infos(correct, success, ended),
            "_final_info": ended,
        }
        places = np.flatnonzero(ended)
        self._begin(places, self._sample_cells(len(places), {}))
        return final

    def _begin(self, places: Ints, cell: Ints) -> None:
        """Begin an episode in the environments ``places``, in the cells ``cell``."""
        self._cell[places] = cell
        self._taken[places] = 0
        self._actions[places] = len(self._one_hot) - 1
        self._frames[places] = self._draw(cell)[:, None]

    def _sample_cells(self, count: int, options: dict[str, Any]) -> Ints:
        """The cells (count,) that episodes begin in: task and start as asked for, or random."""
        task = self._chosen("task", len(self.tables.tasks), count, options)
        return task * BINS + self._chosen("start", BINS, count, options)

    def _chosen(self, option: str, limit: int, count: int, options: dict[str, Any]) -> Ints:
        """The option asked for, or random numbers, of 0 to limit - 1; (count,)."""
        if option not in options:
            return self.np_random.integers(limit, size=count)
        values = np.asarray(options[option], dtype=np.int64)
        if values.shape != (count,):
            raise ValueError(
                f"reset option {option} has the shape {values.shape}; expected ({count},), one an environment"
            )
        if (wrong := np.flatnonzero((values < 0) | (values >= limit))).size:
            place = int(wrong[0])
            raise ValueError(f"reset option {option}[{place}] is {values[place]}; it goes from 0 to {limit - 1}")
        return values

    def _checked(self, actions: npt.ArrayLike) -> Ints:
        """The actions (num_envs,)."""
        if not self._cell.size:
            raise ValueError("there is no episode; call reset first")
        action = np.asarray(actions, dtype=np.int64)
        if action.shape != (self.num_envs,):
            raise ValueError(f"actions have the shape {action.shape}; expected ({self.num_envs},), one an environment")
        limit = len(self._one_hot) - 1
        if action.min() < 0 or action.max() >= limit:
            place = int(np.flatnonzero((action < 0) | (action >= limit))[0])
            raise ValueError(f"action {action[place]} of environment {place} is none of 0 to {limit - 1}")
        return action

    def _draw(self, cell: Ints) -> Ints:
        """One of the five frames of each cell, drawn at random."""
        drawn = self.np_random.integers(FRAMES_PER_BIN, size=len(cell))
        return self._frames_of_cell.take(cell * FRAMES_PER_BIN + drawn)

    def _observation(self) -> Observation:
        chosen = self._one_hot.take(self._actions, axis=0)
        return {"frames": self._frames.copy(), "actions": chosen.reshape(self.num_envs, -1)}

    def _infos(self, correct: Bools, success: Bools, which: Bools) -> dict[str, Any]:
        """The information on all environments, and gymnasium's masks that say ``which`` rows hold."""
        task, state = np.divmod(self._cell, BINS)
        values = {
            "task": task,
            "state": state,
            "goal_distance": self._distance_of_cell.take(self._cell),
            "correct": correct,
            "is_success": success,
        }
        return values | {f"_{name}": which for name in values}


def _pushed(memory: Ints, newest: Ints) -> Ints:
    """A new memory (n, length) with ``newest`` (n,) in front and the oldest left out."""
    pushed = np.empty_like(memory)
    pushed[:, 1:] = memory[:, :-1]
    pushed[:, :1] = newest[:, None]
    return pushed


def _check(num_envs: int, frame_memory: int, action_memory: int, max_steps: int) -> None:
    """Raise ValueError for a number that no environment has."""
    if num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}; there is at least 1")
    if frame_memory < 1:
        raise ValueError(f"a frame memory of {frame_memory} frames; it must hold at least 1")
    if action_memory < 0:
        raise ValueError(f"an action memory of {action_memory} places; expected 0 at least")
    if max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}; an episode has at least 1")
