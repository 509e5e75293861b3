"""The belief agent: locators say where a frame may be from, a filter and a tracker keep count, actions are weighed.

Not from the paper. It walks to any of its targets; a move is the one of the highest expected return (``belief``), a
stop comes when the target is shown with enough probability, by this frame and by where the probe must be.

A frame that is the last one again, to the pixel, is no new sight: the frame grabber is stuck, since the noise of two
frames is never the same. The belief moves on without it, and it is no reason to stop.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from us_grid_sim.geometry import Action
from us_grid_sim.preprocess import Frame8, Preprocess

from us_nav_agent.belief import Doubles, Grids, falling
from us_nav_agent.deciders.base import Decider, Decision, Floats, Frames, Ints, Run, Walkers, read_config
from us_nav_agent.deciders.whereabouts import EVIDENCE, Ensemble, Known, Outlook, Sights, Whereabouts, look
from us_nav_agent.familiarity import Familiarity
from us_nav_agent.networks.glance import Glance
from us_nav_agent.networks.locator import ASIDES, COLUMN_OFFSETS, LEVELS, ROW_OFFSETS, Locator, LocatorConfig
from us_nav_agent.networks.tracker import Tracker, TrackerConfig
from us_nav_agent.spine import TARGET_LEVELS, Spines


class Knowledge(nn.Module):
    """What the belief agent has learnt beside its locators, for each of T targets; kept with the weights.

    Attributes:
        row_prior, column_prior: (T, 21), (T, 29), of the offsets.
        row_held, column_held: (T, 2, 21), (T, 2, 29), probability that the border holds a move.
        climb, stretch, held_along, held_beside: of the spines (``Spines``); a stretch of 0 where none were known.
        shown: (T, 6), weights of the evidence (``Outlook``); the sum is the logit of the target being shown.
        threshold: (T, 2), probability of the target being shown from which it stops: the first and the last of a run
            (``belief.falling``).
    """

    row_prior: Tensor
    column_prior: Tensor
    row_held: Tensor
    column_held: Tensor
    climb: Tensor
    stretch: Tensor
    held_along: Tensor
    held_beside: Tensor
    shown: Tensor
    threshold: Tensor

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__()
        self._targets = tuple(targets)
        count = len(targets)
        for name, shape in (
            ("row_prior", (count, ROW_OFFSETS)),
            ("column_prior", (count, COLUMN_OFFSETS)),
            ("row_held", (count, 2, ROW_OFFSETS)),
            ("column_held", (count, 2, COLUMN_OFFSETS)),
            ("climb", (LEVELS,)),
            ("stretch", ()),
            ("held_along", (2, LEVELS)),
            ("held_beside", (2, ASIDES)),
            ("shown", (count, EVIDENCE)),
            ("threshold", (count, 2)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def of(self, name: str, target: int) -> Doubles:
        """A part of it for one target."""
        part: Tensor = getattr(self, name)
        return np.asarray(part[target].numpy(), dtype=np.float64)

    def known(self, target: int) -> Known:
        """What is known before a frame is seen, for a target."""
        grids = Grids(
            (self.of("row_prior", target), self.of("column_prior", target)),
            (self.of("row_held", target), self.of("column_held", target)),
        )
        return Known(target, grids, self._spines(), TARGET_LEVELS.get(self._targets[target]))

    def _spines(self) -> Spines | None:
        if not self.stretch:
            return None
        climb, held_along, held_beside = (part.numpy() for part in (self.climb, self.held_along, self.held_beside))
        return Spines(climb, float(self.stretch), held_along, held_beside)


class BeliefDecider(Decider):
    """Locators, a filter and a tracker, and the worth of each action.

    The confidence of a stop is the probability of the target being shown, that of a move the probability that it leads
    closer; either times how familiar the frame is.

    Attributes:
        locators: the ensemble.
        tracker: where the probe stands, from all that they said on a run.
        knowledge: what was learnt beside.
        familiarity: of frames.
        config: shape of the locators.
    """

    kind = "usnav-belief-5"

    def __init__(
        self, locators: Sequence[Locator], tracker: Tracker, knowledge: Knowledge, familiarity: Familiarity
    ) -> None:
        # Channels last in memory: batches take two thirds of the time on a processor.
        self.locators = [one.eval().to(memory_format=torch.channels_last) for one in locators]  # type: ignore[call-overload]
        self.tracker, self.knowledge, self.familiarity = tracker.eval(), knowledge, familiarity
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
        where, one, last = self.whereabouts(1), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
        decided = np.zeros(1, dtype=np.int64)

        def run(frame: Frame8, said: tuple[Sights, float] | None = None) -> Decision:
            nonlocal last
            sights, familiar = said or self.look(frame)
            fresh, last = np.array([float(not np.array_equal(frame, last))]), frame
            outlook = where.see(one, sights, one, fresh)
            shown = self.probability(outlook) * fresh
            values = outlook.offsets.values(shown)
            action = Action(int(self._choose(values, shown, decided)[0]))
            decided[:] += 1
            trust = shown if action is Action.STOP else outlook.offsets.closer()[:, action] * fresh
            where.move(one, np.array([action]))
            return Decision(
                action, values[0].astype(np.float32), float(values.max()), float(shown[0]), float(trust[0] * familiar)
            )

        return run

    def look(self, frame: Frame8) -> tuple[Sights, float]:
        """See Decider; what the ensemble says, and how familiar the frame is."""
        return Sights(*self._glance(frame)), float(self.familiarity(frame[None])[0])

    def walkers(self, bank: Frames, runs: int) -> Walkers:
        """See Decider."""
        where, sights, last = self.whereabouts(runs), look(self.locators, bank), np.full(runs, -1)
        decided = np.zeros(runs, dtype=np.int64)

        def walk(live: Ints, frames: Ints) -> Ints:
            fresh = (frames != last[live]).astype(np.float64)
            last[live] = frames
            outlook = where.see(live, sights, frames, fresh)
            shown = self.probability(outlook) * fresh
            actions = self._choose(outlook.offsets.values(shown), shown, decided[live])
            decided[live] += 1
            where.move(live, actions)
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
        every = np.arange(len(bank))
        outlook = self.whereabouts(len(bank)).see(every, look(self.locators, bank), every, np.ones(len(bank)))
        shown = self.probability(outlook)
        return shown, outlook.offsets.values(shown)

    def whereabouts(self, runs: int) -> Whereabouts:
        """So many new runs."""
        return Whereabouts(self.knowledge.known(self._target), self.tracker, runs)

    def probability(self, outlook: Outlook) -> Doubles:
        """Probability (n,) that the target is shown."""
        return np.asarray(1.0 / (1.0 + np.exp(-outlook.evidence @ self.knowledge.of("shown", self._target))))

    def _choose(self, values: Doubles, shown: Doubles, decided: Ints) -> Ints:
        """Stop where the target is shown, else the best move; of runs that have decided so often (n,)."""
        first, last = self.knowledge.of("threshold", self._target)
        stop = shown >= falling(first, last, decided)
        return np.where(stop, int(Action.STOP), values[:, : Action.STOP].argmax(axis=1))

    def networks(self) -> dict[str, nn.Module]:
        """See Decider."""
        members: dict[str, nn.Module] = {f"locator{number}": one for number, one in enumerate(self.locators)}
        return members | {"tracker": self.tracker, "knowledge": self.knowledge, "familiarity": self.familiarity}

    def content(self) -> dict[str, Any]:
        """See Decider."""
        return {"network": asdict(self.config), "tracker": asdict(self.tracker.config)}

    @classmethod
    def builder(cls, content: Mapping[str, Any]) -> "Callable[[], BeliefDecider]":
        """See Decider."""
        config, tracker = read_config(LocatorConfig, content), TrackerConfig(**content["tracker"])
        if config.members < 1 or not config.targets:
            raise ValueError(f"{config.members} locators, {len(config.targets)} targets; expected one of each at least")
        return lambda: cls(
            [Locator(config) for _ in range(config.members)],
            Tracker(tracker, len(config.targets)),
            Knowledge(config.targets),
            Familiarity(),
        )
