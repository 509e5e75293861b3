"""What a step is worth and when an episode ends: small pure objects that the environment is given."""

from dataclasses import dataclass
from typing import Protocol

from us_grid_sim.geometry import Action, Bin, goal_distance


@dataclass(frozen=True)
class Step:
    """One step on the grid.

    Attributes:
        before: the bin that it started from.
        action: the action chosen.
        goals: the subject's goal bins.
    """

    before: Bin
    action: Action
    goals: tuple[Bin, ...]

    @property
    def after(self) -> Bin:
        """The bin that it ended in; at the border and at a stop the same one."""
        return self.before.moved(self.action)

    @property
    def correct(self) -> bool:
        """Whether it moved closer to the goal, or stopped in a goal bin (Hase et al. 2020, sec. IV-D)."""
        if self.action is Action.STOP:
            return self.before in self.goals
        return goal_distance(self.after, self.goals) < goal_distance(self.before, self.goals)


class Reward(Protocol):
    """What a step is worth."""

    def __call__(self, step: Step) -> float:
        """The reward of ``step``."""
        ...


class Termination(Protocol):
    """When the task is over."""

    def __call__(self, step: Step) -> bool:
        """Whether ``step`` ended the episode."""
        ...


@dataclass(frozen=True)
class Rewards:
    """The rewards of Hase et al. 2020, table I; ``border`` is from the authors' code.

    A move that is neither closer nor held back by the border counts as further, as in the authors' code.
    """

    closer: float = 0.05
    further: float = -0.1
    correct_stop: float = 1.0
    incorrect_stop: float = -0.25
    border: float = -0.1

    def __call__(self, step: Step) -> float:
        """The reward of ``step``."""
        if step.action is Action.STOP:
            return self.correct_stop if step.correct else self.incorrect_stop
        if step.after == step.before:
            return self.border
        return self.closer if step.correct else self.further


def ends_at_stop(step: Step) -> bool:
    """The episode ends with the stop action, right or wrong.

    So says the paper (sec. IV-D); in the authors' code a wrong stop only costs its penalty.
    """
    return step.action is Action.STOP


def ends_in_goal(step: Step) -> bool:
    """The episode ends on entering a goal bin: the stop classifier would stop there (Hase et al. 2020, MS-DQN)."""
    return step.after != step.before and step.after in step.goals
