"""What runs of the belief agent hold for true: the opinions of filter, tracker and spine, followed step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from us_nav_agent.belief import Belief, Doubles, Grids, Offsets, agreed
from us_nav_agent.deciders.base import Floats, Frames, Ints
from us_nav_agent.networks.batches import in_batches
from us_nav_agent.networks.locator import Locator
from us_nav_agent.networks.tracker import MOVES, Tracker, answers_of
from us_nav_agent.spine import Spine, Spines

EVIDENCE = 6
"""Kinds of evidence of the target being shown, the constant 1 included."""
SURE = 0.9
"""Probability of the vertebral level from which on the vertebrae count as counted."""
LONGEST_SURVEY = 12
"""Steps after which a run goes to its vertebra by what it knows: so many lie between any bin and the sacrum."""


@dataclass(frozen=True, eq=False)
class Sights:
    """What the ensemble says of n frames, for each of T targets: the mean over its members and both sides.

    Attributes:
        rows, columns: log-probabilities (n, T, 21), (n, T, 29) of the offsets, up to a constant.
        shown: logits (n, T) of the target being shown.
        levels, asides: log-probabilities (n, LEVELS), (n, ASIDES) of the vertebral level and the distance from the
            midline, up to a constant.
    """

    rows: Floats
    columns: Floats
    shown: Floats
    levels: Floats
    asides: Floats

    def of(self, frames: Ints, target: int) -> tuple[Doubles, Doubles, Doubles]:
        """Rows (k, 21), columns (k, 29) and shown (k,) of the frames of these numbers (k,)."""
        return (
            self.rows[frames, target].astype(np.float64),
            self.columns[frames, target].astype(np.float64),
            self.shown[frames, target].astype(np.float64),
        )

    def of_spine(self, frames: Ints) -> tuple[Doubles, Doubles]:
        """Levels (k, LEVELS) and asides (k, ASIDES) of the frames of these numbers (k,)."""
        return self.levels[frames].astype(np.float64), self.asides[frames].astype(np.float64)

    @cached_property
    def answers(self) -> Tensor:
        """All of it as a tracker takes it in, (n, ``answers_size(T)``)."""
        parts = (self.rows, self.columns, self.shown, self.levels, self.asides)
        return answers_of(*map(torch.from_numpy, parts))


class Ensemble(nn.Module):
    """Locators as one network: the mean over its members, each asked of both sides, as in ``Sights``."""

    def __init__(self, locators: Sequence[Locator]) -> None:
        super().__init__()
        self._locators, self.members = tuple(locators), nn.ModuleList(locators)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The parts of ``Sights`` of pictures uint8 (n, 1, h, w)."""
        said = [one.both_sides(pictures) for one in self._locators]
        return tuple(torch.stack(part).mean(dim=0) for part in zip(*said, strict=True))


def look(locators: Sequence[Locator], frames: Frames) -> Sights:
    """What the ensemble says of frames uint8 (n, h, w)."""
    pictures, ensemble = torch.from_numpy(frames).unsqueeze(1), Ensemble(locators)
    parts = in_batches(lambda batch: ensemble(pictures[batch]), len(frames))
    return Sights(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before a frame is seen, for one target.

    Attributes:
        target: its number.
        grids: where the bins lie, seen from it.
        spines: that lie under the grids; None where no training subject's were known.
        level: vertebral level of a target that is a vertebra; None of another.
    """

    target: int
    grids: Grids
    spines: Spines | None
    level: float | None

    def spine(self, runs: int) -> Spine | None:
        """What follows so many runs along and beside the spine; None where the target is not reached by counting."""
        return None if self.spines is None or self.level is None else Spine(self.spines, self.level, runs)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What n runs hold for true after a frame.

    Attributes:
        offsets: where they stand, seen from where they go: the target, or the sacrum as long as a vertebra is not told
            from its neighbours.
        evidence: (n, 6) of the target being shown: the locators' logit on this frame, the filter's log odds of standing
            there, the tracker's logit, its log odds of standing there, those by the spine (0 where the target is no
            vertebra), and 1.
    """

    offsets: Offsets
    evidence: Doubles


class Whereabouts:
    """Runs towards one target.

    A vertebra looks like its neighbours, and the move of the highest worth never leads away from it to where one could
    count. So a run to a vertebra goes to the sacrum first, until it is ``SURE`` of the vertebral level.

    Args:
        known: of that target.
        tracker: of all targets.
        runs: how many.
    """

    def __init__(self, known: Known, tracker: Tracker, runs: int) -> None:
        self._belief, self._tracker, self._target = Belief(known.grids, runs), tracker, known.target
        self._memory = torch.zeros(1, runs, tracker.config.hidden)
        self._moves = torch.zeros(runs, MOVES)
        self._spine = known.spine(runs)
        self._survey = np.full(runs, LONGEST_SURVEY)

    def see(self, live: Ints, sights: Sights, frames: Ints, fresh: Doubles) -> Outlook:
        """The runs ``live`` (n,) see the frames of these numbers (n,); where ``fresh`` (n,) is 0 nothing new."""
        rows, columns, logits = sights.of(frames, self._target)
        new = fresh > 0
        self._belief.see(live[new], rows[new], columns[new])
        filtered, (tracked, tracked_logits) = self._belief.of(live), self._track(live, sights.answers[frames], fresh)
        opinions, by_spine = [filtered, tracked], np.zeros(len(live))
        if self._spine is not None:
            self._spine.see(live[new], *sights.of_spine(frames[new]))
            opinions.append(self._spine.from_target(live))
            by_spine = _log_odds(opinions[-1])
        evidence = [logits, _log_odds(filtered), tracked_logits, _log_odds(tracked), by_spine, np.ones(len(live))]
        return Outlook(self._surveyed(live, agreed(*opinions)), np.stack(evidence, axis=1))

    def _surveyed(self, live: Ints, offsets: Offsets) -> Offsets:
        """The offsets of the runs ``live`` (n,), seen from the landmark for those that still have to count."""
        if self._spine is None:
            return offsets
        self._survey[live] = np.where(self._spine.certainty(live) > SURE, 0, self._survey[live] - 1)
        counting, there = self._survey[live] > 0, self._spine.from_landmark(live)
        return Offsets(
            np.where(counting[:, None], there.rows, offsets.rows),
            np.where(counting[:, None], there.columns, offsets.columns),
        )

    def move(self, live: Ints, actions: Ints) -> None:
        """The runs ``live`` (n,) chose the actions ``actions`` (n,); a stop moves nothing."""
        self._belief.move(live, actions)
        if self._spine is not None:
            self._spine.move(live, actions)
        numbers = torch.from_numpy(actions)
        self._moves[live] = (numbers[:, None] == torch.arange(MOVES)).float()

    def _track(self, live: Ints, answers: Tensor, fresh: Doubles) -> tuple[Offsets, Doubles]:
        """The tracker's opinion of where the runs stand, and its logit (n,) of the target being shown."""
        seen = torch.from_numpy(fresh).float()[:, None]
        with torch.inference_mode():
            said = self._tracker(answers[:, None], seen, self._moves[live][:, None], self._memory[:, live])
            self._memory[:, live] = said.memory
            rows, columns = (torch.softmax(part[:, 0, self._target].double(), 1) for part in (said.rows, said.columns))
            return Offsets(rows.numpy(), columns.numpy()), said.shown[:, 0, self._target].double().numpy()


def _log_odds(offsets: Offsets) -> Doubles:
    """Of standing at the target (n,)."""
    here = np.clip(offsets.here(), 1e-3, 1.0 - 1e-3)
    return np.asarray(np.log(here / (1.0 - here)))
