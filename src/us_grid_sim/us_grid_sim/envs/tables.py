"""All that is known of a set of subjects, as arrays: many environments step on them by look-ups alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.rules import Reward, Step, Termination
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin, goal_distance

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Task = tuple[int, tuple[Bin, ...]]
"""What is to be reached: the number of a subject, and the goal bins on it."""


def goal_distances(goals: tuple[Bin, ...]) -> Ints:
    """Distance (165,) of every bin to the goal [steps], as ``us_grid_sim.geometry.goal_distance`` has it."""
    return np.array([goal_distance(Bin.from_state(state), goals) for state in range(BINS)])


def _next_state() -> Ints:
    return np.array([[Bin.from_state(state).moved(action).state for action in Action] for state in range(BINS)])


@dataclass(frozen=True, eq=False)
class GridTables:
    """Grids to walk on, their frames in one bank, and tasks on them.

    A state is row * 15 + column of a bin, an action its number in ``Action``.

    Attributes:
        next_state: int (165, 5), the state that each action leads to from each bin; the same on every grid.
        frames: uint8 (n, height, width), the bank of all subjects' frames.
        bins: int (subjects, 165, 5), each bin's five frames as numbers into ``frames``, nearest first.
        tasks: subject and goal bins of each task.
        subject: int (tasks,), the subject that each task is on.
        distances: int (tasks, 165), to the task's goal [steps].
        is_goal: bool (tasks, 165).
    """

    next_state: ClassVar[Ints] = _next_state()

    frames: npt.NDArray[np.uint8]
    bins: Ints
    tasks: tuple[Task, ...]
    subject: Ints
    distances: Ints
    is_goal: Bools

    @classmethod
    def of(cls, grids: Sequence[PreprocessedGrid], tasks: Sequence[Task] | None = None) -> "GridTables":
        """The tables of ``grids``.

        Args:
            grids: the subjects.
            tasks: what is to be reached; by default one task a subject, its own goals.

        Raises:
            ValueError: there is no subject or no task, a task is on no subject or has no goal, or the subjects' frames
                differ in size.
        """
        _check(grids, tasks)
        chosen = tuple((subject, grid.goals) for subject, grid in enumerate(grids)) if tasks is None else tuple(tasks)
        offsets = np.cumsum([0, *(len(grid.frames) for grid in grids)])[:-1]
        is_goal = np.zeros((len(chosen), BINS), dtype=bool)
        for task, (_, goals) in enumerate(chosen):
            is_goal[task, [goal.state for goal in goals]] = True
        return cls(
            frames=np.concatenate([grid.frames for grid in grids]),
            bins=np.stack(
                [grid.bins.reshape(BINS, FRAMES_PER_BIN) + offset for grid, offset in zip(grids, offsets, strict=True)]
            ),
            tasks=chosen,
            subject=np.array([subject for subject, _ in chosen]),
            distances=np.stack([goal_distances(goals) for _, goals in chosen]),
            is_goal=is_goal,
        )

    @property
    def correct(self) -> Bools:
        """Whether each action in each bin moves closer to the goal, or stops in it, (tasks, 165, 5)."""
        correct = self.distances[:, self.next_state] < self.distances[:, :, None]
        correct[:, :, Action.STOP] = self.is_goal
        return correct

    def rewards(self, reward: Reward) -> npt.NDArray[np.float64]:
        """What ``reward`` says of each action in each bin, (tasks, 165, 5)."""
        return np.array(self._of_every_step(reward), dtype=np.float64).reshape(-1, BINS, len(Action))

    def ends(self, termination: Termination) -> Bools:
        """Whether each action in each bin ends the episode, (tasks, 165, 5)."""
        return np.array(self._of_every_step(termination), dtype=bool).reshape(-1, BINS, len(Action))

    def _of_every_step(self, rule: Callable[[Step], float]) -> list[float]:
        """What ``rule`` says of every step: by task, then by state, then by action."""
        return [
            rule(Step(Bin.from_state(state), action, goals))
            for _, goals in self.tasks
            for state in range(BINS)
            for action in Action
        ]


def _check(grids: Sequence[PreprocessedGrid], tasks: Sequence[Task] | None) -> None:
    """Raise ValueError for what no table can be made of."""
    if not grids:
        raise ValueError("subjects is empty; an environment needs at least one")
    if len({grid.frames.shape[1:] for grid in grids}) > 1:
        raise ValueError("the subjects' frames differ in size; preprocess them alike")
    if tasks is None:
        return
    if not tasks:
        raise ValueError("tasks is empty; an environment needs at least one")
    for task, (subject, _) in enumerate(tasks):
        if not 0 <= subject < len(grids):
            raise ValueError(f"task {task} is on subject {subject}; subjects are 0 to {len(grids) - 1}")
