"""What an architecture is to everyone else: from frames to decisions, for one run or for many at a time.

A decider holds networks and the rule by which they decide, no file and no run: ``policy`` stores and loads it,
``rollout`` walks whole grids with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from torch import nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Frame8, Preprocess

from us_nav_agent.errors import ModelError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decision:
    """What a policy made of one frame.

    Attributes:
        action: the action to take.
        q_values: in the order of Action. A DQN: float32 (4,), or (5,) where the stop is one of its actions [expected
            discounted return]; a classifier has none and gives the probabilities of its actions, float32 (5,).
        state_value: V(s) of the dueling network [expected discounted return]; NaN of a classifier.
        stop_probability: probability that the frame shows the target; NaN where nothing estimates one.
        confidence: trust in this decision, 0 to 1; each architecture says how it is made.
    """

    action: Action
    q_values: Floats
    state_value: float
    stop_probability: float
    confidence: float


class Run(Protocol):
    """One run: decides on its frames, one after the other, and remembers."""

    def __call__(self, frame: Frame8, said: Any = None) -> Decision:
        """The decision on ``frame``, uint8 (h, w) as the networks see it.

        Args:
            frame: that is seen now.
            said: what ``Decider.look`` says of it, where that was asked before.
        """
        ...


class Walkers(Protocol):
    """Many runs at a time, which decide as so many single ones would; each with a memory of its own."""

    def __call__(self, live: Ints, frames: Ints) -> Ints:
        """The actions (n,) of the runs ``live`` (n,), which see the frames of these numbers (n,)."""
        ...


class Decider(ABC):
    """An architecture with its weights.

    Attributes:
        kind: names the architecture in a model file.
        targets: the views that it can find, the one that it walks to unless told otherwise first.
    """

    kind: ClassVar[str]
    targets: tuple[str, ...] = ("sacrum",)

    def towards(self, target: str) -> "Decider":
        """The decider that walks to ``target``, with the same networks.

        Raises:
            ModelError: it cannot find that.
        """
        self._check(target)
        return self

    def _check(self, target: str) -> None:
        if target not in self.targets:
            raise ModelError(f"the model finds {', '.join(self.targets)}, not {target!r}; name one of them")

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """From an 800 x 600 frame to what the networks see."""

    @abstractmethod
    def begin(self) -> Run:
        """A new run."""

    @abstractmethod
    def look(self, frame: Frame8) -> Any:
        """What ``frame``, uint8 (h, w), says by itself, whatever is remembered; of any thread, once a run has begun."""

    @abstractmethod
    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """So many new runs, whose frames are numbers into ``bank``, uint8 (n, h, w)."""

    def state_values(self, bank: Frames) -> Floats | None:
        """V(s) (n,) of standing on each frame of ``bank``, uint8 (n, h, w), with nothing else remembered.

        None of an architecture that has no state value.
        """
        return None

    def stop_probabilities(self, bank: Frames) -> Floats | None:
        """Probability (n,) that each frame of ``bank``, uint8 (n, h, w), shows the target, as the first one of a run.

        None of an architecture that states none.
        """
        return None

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The networks by the name that their weights have in a model file."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What a model file holds beside the weights, as ``builder`` reads it."""

    @classmethod
    @abstractmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], Decider]":
        """What makes a decider of this description, with weights still to be loaded.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: ``content`` is no such description. Whether networks of
                that shape exist shows when the result is called.
        """


Config = TypeVar("Config")


def read_config(kind: type[Config], content: Mapping[str, Any]) -> Config:
    """A configuration as JSON gives it, lists for tuples."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content["network"].items()
    }
    return kind(**fields)
