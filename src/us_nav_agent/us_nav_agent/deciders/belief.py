"""The belief agent: locators say where a frame may have been taken, a Bayes filter keeps count, each action is weighed.

Not from the paper. It walks to any of its targets; a move is the one of the highest expected return (``belief``), a
stop comes when the target is shown with enough probability, by this frame and by where the probe must be.

A frame that is the last one again, to the pixel, is no new sight: the frame grabber is stuck, since the noise of two
frames is never the same. The belief moves on without it, and it is no reason to stop.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Frame8, Preprocess

from us_nav_agent.belief import Belief, Doubles, Grids
from us_nav_agent.deciders.base import BATCH, Decider, Decision, Floats, Frames, Ints, Run, Walkers, read_config
from us_nav_agent.familiarity import Familiarity
from us_nav_agent.networks.glance import Glance
from us_nav_agent.networks.locator import COLUMN_OFFSETS, ROW_OFFSETS, Locator, LocatorConfig


class Knowledge(nn.Module):
    """What the belief agent has learnt beside its locators, for each of T targets; kept with the weights.

    Attributes:
        row_prior, column_prior: (T, 21), (T, 29), of the offsets.
        row_held, column_held: (T, 2, 21), (T, 2, 29), probability that the border holds a move.
        shown: (T, 3), weights of the locators' logit and of the belief's log odds, and the offset; the sum is the
            logit of the target being shown.
        threshold: (T,), probability of the target being shown from which it stops.
    """

    row_prior: Tensor
    column_prior: Tensor
    row_held: Tensor
    column_held: Tensor
    shown: Tensor
    threshold: Tensor

    def __init__(self, targets: int) -> None:
        super().__init__()
        for name, shape in (
            ("row_prior", (targets, ROW_OFFSETS)),
            ("column_prior", (targets, COLUMN_OFFSETS)),
            ("row_held", (targets, 2, ROW_OFFSETS)),
            ("column_held", (targets, 2, COLUMN_OFFSETS)),
            ("shown", (targets, 3)),
            ("threshold", (targets,)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def of(self, name: str, target: int) -> Doubles:
        """A part of it for one target."""
        part: Tensor = getattr(self, name)
        return np.asarray(part[target].numpy(), dtype=np.float64)

    def grids(self, target: int) -> Grids:
        """What is known of the grids for a target."""
        return Grids(
            (self.of("row_prior", target), self.of("column_prior", target)),
            (self.of("row_held", target), self.of("column_held", target)),
        )


@dataclass(frozen=True, eq=False)
class Sights:
    """What the ensemble says of n frames, for each of T targets: the mean over its members.

    Attributes:
        rows, columns: log-probabilities (n, T, 21), (n, T, 29) of the offsets, up to a constant.
        shown: logits (n, T) of the target being shown.
    """

    rows: Floats
    columns: Floats
    shown: Floats

    def of(self, frames: Ints, target: int) -> tuple[Doubles, Doubles, Doubles]:
        """Rows (k, 21), columns (k, 29) and shown (k,) of the frames of these numbers (k,)."""
        return (
            self.rows[frames, target].astype(np.float64),
            self.columns[frames, target].astype(np.float64),
            self.shown[frames, target].astype(np.float64),
        )


def look(locators: Sequence[Locator], frames: Frames) -> Sights:
    """What the ensemble says of frames uint8 (n, h, w)."""
    pictures, ensemble = torch.from_numpy(frames).unsqueeze(1), Ensemble(locators)
    with torch.inference_mode():
        parts = [ensemble(pictures[first : first + BATCH]) for first in range(0, len(frames), BATCH)]
    rows, columns, shown = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Sights(rows, columns, shown)


class Ensemble(nn.Module):
    """Locators as one network: the mean over its members, as in ``Sights``."""

    def __init__(self, locators: Sequence[Locator]) -> None:
        super().__init__()
        self.members = nn.ModuleList(locators)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, columns and shown of pictures uint8 (n, 1, h, w)."""
        said = [one(pictures) for one in self.members]
        rows = torch.stack([torch.log_softmax(one.rows, dim=2) for one in said])
        columns = torch.stack([torch.log_softmax(one.columns, dim=2) for one in said])
        shown = torch.stack([one.shown for one in said])
        return rows.mean(dim=0), columns.mean(dim=0), shown.mean(dim=0)


class BeliefDecider(Decider):
    """Locators, a Bayes filter and the worth of each action.

    The confidence of a stop is the probability of the target being shown, that of a move the probability that it leads
    closer; either times how familiar the frame is.

    Attributes:
        locators: the ensemble.
        knowledge: what was learnt beside.
        familiarity: of frames.
        config: shape of the locators.
    """

    kind = "usnav-belief-2"

    def __init__(self, locators: Sequence[Locator], knowledge: Knowledge, familiarity: Familiarity) -> None:
        # Channels last in memory: batches take two thirds of the time on a processor.
        self.locators = [one.eval().to(memory_format=torch.channels_last) for one in locators]  # type: ignore[call-overload]
        self.knowledge, self.familiarity = knowledge, familiarity
        self.config = locators[0].config
        self.targets = self.config.targets
        self._target = 0
        self._glance = Glance(Ensemble(self.locators), self.config.height, self.config.width)

    def towards(self, target: str) -> "BeliefDecider":
        """See Decider."""
        self._check(target)
        other = copy(self)
        other._target = self.targets.index(target)
        return other

    @property
    def preprocess(self) -> Preprocess:
        """See Decider."""
        return self.config.preprocess

    def begin(self) -> Run:
        """See Decider."""
        self._glance.prepare()
        belief, one, last = self.belief(1), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)

        def run(frame: Frame8, said: tuple[Sights, float] | None = None) -> Decision:
            nonlocal last
            sights, familiar = said or self.look(frame)
            fresh, last = not np.array_equal(frame, last), frame
            rows, columns, logit = sights.of(one, self._target)
            if fresh:
                belief.see(one, rows, columns)
            shown = self.probability(belief, one, logit) * fresh
            values = belief.values(one, shown)
            action = Action(int(self._choose(values, shown)[0]))
            trust = shown[0] if action is Action.STOP else belief.closer(one)[0, action] * fresh
            confidence = trust * familiar
            belief.move(one, np.array([action]))
            return Decision(
                action, values[0].astype(np.float32), float(values.max()), float(shown[0]), float(confidence)
            )

        return run

    def look(self, frame: Frame8) -> tuple[Sights, float]:
        """See Decider; what the ensemble says, and how familiar the frame is."""
        return Sights(*self._glance(frame)), float(self.familiarity(frame[None])[0])

    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """See Decider."""
        belief, seen, last = self.belief(runs), look(self.locators, bank), np.full(runs, -1)

        def walk(live: Ints, frames: Ints) -> Ints:
            fresh = frames != last[live]
            last[live] = frames
            rows, columns, logits = seen.of(frames, self._target)
            belief.see(live[fresh], rows[fresh], columns[fresh])
            shown = self.probability(belief, live, logits) * fresh
            actions = self._choose(belief.values(live, shown), shown)
            belief.move(live, actions)
            return actions

        return walk

    def stop_probabilities(self, bank: Frames) -> Floats:
        """See Decider."""
        return self._first_looks(bank)[0].astype(np.float32)

    def state_values(self, bank: Frames) -> Floats:
        """See Decider; the worth of the best action."""
        return np.asarray(self._first_looks(bank)[1].max(axis=1), dtype=np.float32)

    def _first_looks(self, bank: Frames) -> tuple[Doubles, Doubles]:
        """Of runs that begin on each frame: probability of the target being shown (n,), worth of each action (n, 5)."""
        belief, every = self.belief(len(bank)), np.arange(len(bank))
        rows, columns, logits = look(self.locators, bank).of(every, self._target)
        belief.see(every, rows, columns)
        shown = self.probability(belief, every, logits)
        return shown, belief.values(every, shown)

    def belief(self, runs: int) -> Belief:
        """The beliefs of so many new runs."""
        return Belief(self.knowledge.grids(self._target), runs)

    def probability(self, belief: Belief, live: Ints, shown: Doubles) -> Doubles:
        """Probability (n,) that the target is shown, of the locators' logit (n,) and the belief of the runs."""
        design = evidence(belief, live, shown)
        return np.asarray(1.0 / (1.0 + np.exp(-design @ self.knowledge.of("shown", self._target))))

    def _choose(self, values: Doubles, shown: Doubles) -> Ints:
        """Stop where the target is shown, else the best move."""
        stop = shown >= self.knowledge.of("threshold", self._target)
        return np.where(stop, int(Action.STOP), values[:, : Action.STOP].argmax(axis=1))

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        members: dict[str, nn.Module] = {f"locator{number}": one for number, one in enumerate(self.locators)}
        return members | {"knowledge": self.knowledge, "familiarity": self.familiarity}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config)}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], BeliefDecider]":
        """See Decider."""
        config = read_config(LocatorConfig, content)
        if config.members < 1 or not config.targets:
            raise ValueError(f"{config.members} locators, {len(config.targets)} targets; expected one of each at least")
        return lambda: cls(
            [Locator(config) for _ in range(config.members)], Knowledge(len(config.targets)), Familiarity()
        )


def evidence(belief: Belief, live: Ints, shown: Doubles) -> Doubles:
    """What tells whether the target is shown (n, 3): the locators' logit, the log odds of standing at it, and 1."""
    here = np.clip(belief.here(live), 1e-3, 1.0 - 1e-3)
    return np.stack([shown, np.log(here / (1.0 - here)), np.ones(len(live))], axis=1)
