"""What runs of the belief agent hold for true: the filter's opinion and the tracker's, followed step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from us_nav_agent.belief import Belief, Doubles, Grids, Offsets, agreed
from us_nav_agent.deciders.base import BATCH, Floats, Frames, Ints
from us_nav_agent.networks.locator import Locator
from us_nav_agent.networks.tracker import MOVES, Tracker, answers_of

EVIDENCE = 5
"""Kinds of evidence of the target being shown, the constant 1 included."""


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

    @cached_property
    def answers(self) -> Tensor:
        """All of it as a tracker takes it in, (n, T * 51)."""
        return answers_of(*map(torch.from_numpy, (self.rows, self.columns, self.shown)))


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


def look(locators: Sequence[Locator], frames: Frames) -> Sights:
    """What the ensemble says of frames uint8 (n, h, w)."""
    pictures, ensemble = torch.from_numpy(frames).unsqueeze(1), Ensemble(locators)
    with torch.inference_mode():
        parts = [ensemble(pictures[first : first + BATCH]) for first in range(0, len(frames), BATCH)]
    rows, columns, shown = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Sights(rows, columns, shown)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What n runs hold for true after a frame.

    Attributes:
        offsets: where they stand.
        evidence: (n, 5) of the target being shown: the locators' logit on this frame, the filter's log odds of standing
            there, the tracker's logit, its log odds of standing there, and 1.
    """

    offsets: Offsets
    evidence: Doubles


class Whereabouts:
    """Runs towards one target.

    Args:
        grids: what is known of the grids for that target.
        tracker: of all targets.
        target: its number.
        runs: how many.
    """

    def __init__(self, grids: Grids, tracker: Tracker, target: int, runs: int) -> None:
        self._belief, self._tracker, self._target = Belief(grids, runs), tracker, target
        self._memory = torch.zeros(1, runs, tracker.config.hidden)
        self._moves = torch.zeros(runs, MOVES)

    def see(self, live: Ints, sights: Sights, frames: Ints, fresh: Doubles) -> Outlook:
        """The runs ``live`` (n,) see the frames of these numbers (n,); where ``fresh`` (n,) is 0 nothing new."""
        rows, columns, logits = sights.of(frames, self._target)
        new = fresh > 0
        self._belief.see(live[new], rows[new], columns[new])
        filtered, (tracked, tracked_logits) = self._belief.of(live), self._track(live, sights.answers[frames], fresh)
        columns_of_evidence = [logits, _log_odds(filtered), tracked_logits, _log_odds(tracked), np.ones(len(live))]
        return Outlook(agreed(filtered, tracked), np.stack(columns_of_evidence, axis=1))

    def move(self, live: Ints, actions: Ints) -> None:
        """The runs ``live`` (n,) chose the actions ``actions`` (n,); a stop moves nothing."""
        self._belief.move(live, actions)
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
