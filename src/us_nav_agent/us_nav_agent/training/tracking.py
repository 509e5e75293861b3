"""Training of a tracker: from all that the locators said on a walk to where the probe stands.

1. Walks of 20 steps over the training subjects and their variants, each batch towards one target (the sacrum in four
   of ten). One half is led by the truth, the other by what the agent itself would do with the tracker as it is (Ross
   et al. 2011, DAgger); either strays at random, some walks often and some hardly ever.
2. One of twenty frames says nothing new, as of a stuck grabber.
3. Loss: as of a locator, at every step and for all targets, the shown ones weighing three times.
4. AdamW, weight decay 0.02, one cycle of the learning rate; forward passes in bfloat16 where the machine multiplies in
   it.

Every random number follows from the seed and the number of the update, so a run that was killed ends, on one torch
thread, in the same weights as one that was not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN

from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.whereabouts import Known, Sights, Whereabouts
from us_nav_agent.networks.locator import COLUMN_OFFSETS, ROW_OFFSETS
from us_nav_agent.networks.tracker import MOVES, Tracked, Tracker, TrackerConfig
from us_nav_agent.rollout import MAX_ACTIONS
from us_nav_agent.training.experiment import TrackerSettings
from us_nav_agent.training.localisation import offset_loss
from us_nav_agent.training.machine import computes_in_bfloat16
from us_nav_agent.training.offsets import labels_by_bin
from us_nav_agent.training.run_folder import Report, TrainProgress, save_torch

_PARTS = ("tracker", "optimizer", "schedule")
_SAVE_EVERY = 100
_LOG_EVERY = 20
_SACRUM_SHARE = 0.3
_STUCK_SHARE = 0.05
_SPREAD = 0.45
"""Standard deviation of the label about the true offset [bins]."""
_SHOWN_WEIGHT = 3.0


@dataclass(frozen=True, eq=False)
class Ground:
    """Subjects to walk on, and what there is to be said of each bin.

    Attributes:
        tables: of the subjects; ``bins`` are numbers into ``sights``.
        sights: what the locators say of their frames.
        labels: (subjects, T, 165, 3): row class, column class, shown 0 or 1.
        known: of each target.
    """

    tables: GridTables
    sights: Sights
    labels: Ints
    known: Sequence[Known]


def make_ground(
    subjects: Sequence[PreprocessedGrid], sights: Sights, targets: Sequence[str], known: Sequence[Known]
) -> Ground:
    """The ground of ``subjects``, of whose frames, one subject after the other, ``sights`` tell."""
    labels = np.stack([np.stack([labels_by_bin(grid, target) for target in targets]) for grid in subjects])
    return Ground(GridTables.of(subjects), sights, labels, known)


@dataclass(frozen=True, eq=False)
class Chances:
    """All that is random in n walks.

    Attributes:
        subjects, starts: (n,).
        draws: (n, 20), which of the five frames of a bin.
        strays: (n, 20), the move where a walk strays, -1 where it does not.
        ties: (n, 20, 4), that decide among equally good moves.
        stuck: bool (n, 20), where a frame says nothing new.
    """

    subjects: Ints
    starts: Ints
    draws: Ints
    strays: Ints
    ties: npt.NDArray[np.float64]
    stuck: npt.NDArray[np.bool_]


def sample_chances(count: int, subjects: int, rng: np.random.Generator) -> Chances:
    """Sample ``count`` walks over so many subjects."""
    shape = count, MAX_ACTIONS
    strays_at = rng.random(shape) < rng.random(count)[:, None] ** 3
    return Chances(
        rng.integers(subjects, size=count),
        rng.integers(BINS, size=count),
        rng.integers(FRAMES_PER_BIN, size=shape),
        np.where(strays_at, rng.integers(MOVES, size=shape), -1),
        rng.random((*shape, MOVES)),
        rng.random(shape) < _STUCK_SHARE,
    )


@dataclass(frozen=True, eq=False)
class Walks:
    """Walks that were taken.

    Attributes:
        states, frames: (n, 20).
        moves: (n, 20), that led to each step; -1 at the start.
        fresh: bool (n, 20), whether the frame is a new sight: not a stuck one, nor the one before again.
    """

    states: Ints
    frames: Ints
    moves: Ints
    fresh: npt.NDArray[np.bool_]


Guide = Callable[[int, Ints, Ints, Ints, npt.NDArray[np.bool_]], Ints]
"""From step, last moves, states, frames and whether those are fresh (n,) to the moves (n,)."""


def follow(chances: Chances, ground: Ground, guide: Guide) -> Walks:
    """Walk as ``guide`` says, but where the walks stray."""
    state, move = chances.starts, np.full(len(chances.starts), -1)
    last, steps = move, []
    for step in range(MAX_ACTIONS):
        frame = ground.tables.bins[chances.subjects, state, chances.draws[:, step]]
        fresh = (frame != last) & ~chances.stuck[:, step]
        steps.append((state, frame, move, fresh))
        told, last = guide(step, move, state, frame, fresh), frame
        move = np.where(chances.strays[:, step] >= 0, chances.strays[:, step], told)
        state = ground.tables.next_state[state, move]
    return Walks(*(np.stack(part, axis=1) for part in zip(*steps, strict=True)))


def truth(chances: Chances, ground: Ground, target: int) -> Guide:
    """The guide that knows where the target is; about it, it turns to and fro."""
    offsets = ground.labels[chances.subjects, target, :, :2] - np.array([ROW_OFFSETS, COLUMN_OFFSETS]) // 2
    walks = np.arange(len(chances.subjects))

    def guide(step: int, moves: Ints, states: Ints, frames: Ints, fresh: npt.NDArray[np.bool_]) -> Ints:
        rows, columns = offsets[walks, states].T
        closer = np.stack([rows > 0, rows < 0, columns > 0, columns < 0], axis=1)
        return np.asarray((closer + 0.9 * chances.ties[:, step]).argmax(axis=1))

    return guide


def agent(chances: Chances, ground: Ground, tracker: Tracker, target: int) -> Guide:
    """The guide that does what the agent would with ``tracker``."""
    every = np.arange(len(chances.subjects))
    where = Whereabouts(ground.known[target], tracker, len(every))

    def guide(step: int, moves: Ints, states: Ints, frames: Ints, fresh: npt.NDArray[np.bool_]) -> Ints:
        if step:
            where.move(every, moves)
        outlook = where.see(every, ground.sights, frames, fresh.astype(np.float64))
        values = outlook.offsets.values(np.zeros(len(every)))
        return np.asarray(values[:, :MOVES].argmax(axis=1))

    return guide


class _Learner:
    """A tracker in training.

    Attributes:
        updates: done.
    """

    def __init__(self, config: TrackerConfig, settings: TrackerSettings, ground: Ground, seed: int) -> None:
        torch.manual_seed(int(np.random.SeedSequence([seed, 1 << 16]).generate_state(1)[0]))
        self.tracker = Tracker(config, len(ground.known))
        self.optimizer = torch.optim.AdamW(self.tracker.parameters(), settings.learning_rate, weight_decay=2e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=settings.updates, pct_start=0.1
        )
        self._settings, self._ground, self._seed, self.updates = settings, ground, seed, 0

    def update(self) -> float:
        """One step on a batch of walks; the loss."""
        rng = np.random.default_rng([self._seed, 1 << 16, self.updates])
        target = 0 if rng.random() < _SACRUM_SHARE else int(rng.integers(len(self._ground.known)))
        half = self._settings.batch_size // 2
        chances = [sample_chances(half, len(self._ground.labels), rng) for _ in range(2)]
        self.tracker.eval()
        walks = [
            follow(chances[0], self._ground, truth(chances[0], self._ground, target)),
            follow(chances[1], self._ground, agent(chances[1], self._ground, self.tracker, target)),
        ]
        self.tracker.train()
        torch.manual_seed(int(rng.integers(2**31)))  # of the dropout
        loss = torch.stack([self._loss(*pair) for pair in zip(chances, walks, strict=True)]).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.tracker.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.updates += 1
        return float(loss.detach())

    def _loss(self, chances: Chances, walks: Walks) -> Tensor:
        moves = (torch.from_numpy(walks.moves)[..., None] == torch.arange(MOVES)).float()
        seen = torch.from_numpy(walks.fresh).float()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=computes_in_bfloat16("cpu")):
            said = self.tracker(self._ground.sights.answers[walks.frames], seen, moves)
        labels = torch.from_numpy(self._ground.labels[chances.subjects[:, None], :, walks.states])
        return tracking_loss(Tracked(*(part.float() for part in said)), labels)

    def state(self) -> dict[str, Any]:
        """All that a later process needs to go on."""
        return {name: getattr(self, name).state_dict() for name in _PARTS} | {"updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.updates = state["updates"]


def tracking_loss(said: Tracked, labels: Tensor) -> Tensor:
    """Mean over walks, steps and targets of the three parts' loss; labels (n, steps, T, 3)."""
    rows = offset_loss(said.rows, labels[..., 0], _SPREAD)
    columns = offset_loss(said.columns, labels[..., 1], _SPREAD)
    shown = functional.binary_cross_entropy_with_logits(said.shown, labels[..., 2].float())
    return rows + columns + _SHOWN_WEIGHT * shown


def train_tracker(
    config: TrackerConfig, settings: TrackerSettings, ground: Ground, seed: int, out: Path, progress: Report
) -> Tracker:
    """Train a tracker, or go on with the training in ``out``.

    Args:
        config: its shape.
        settings: how it is trained.
        ground: to walk on.
        seed: of the weights, the walks and the dropout.
        out: the run folder; the state is saved every 100 updates.
        progress: called after each update.
    """
    learner, state = _Learner(config, settings, ground, seed), out / "tracker_state.pt"
    if state.exists():
        learner.restore(torch.load(state, weights_only=True))
    log = SummaryWriter(str(out / "tensorboard" / "tracker"), purge_step=learner.updates)
    while learner.updates < settings.updates:
        loss = learner.update()
        if learner.updates % _LOG_EVERY == 0:
            log.add_scalar("train/loss", loss, learner.updates)
        if learner.updates % _SAVE_EVERY == 0 or learner.updates == settings.updates:
            save_torch(state, learner.state())
        progress(TrainProgress("tracker", learner.updates, settings.updates))
    log.close()
    return learner.tracker.eval()
