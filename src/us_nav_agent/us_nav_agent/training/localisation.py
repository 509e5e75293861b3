"""Training of an ensemble of locators: from a frame to the offsets of its bin from each target.

Every frame is learnt from as one on the way to every target: what hindsight relabelling (Andrychowicz et al. 2017) does
with the transitions of a walk, done with the frames of all bins at once, whose offsets to all goals are known.

1. Loss: cross entropy to the offset's class with a little of its neighbours' (a normal law of 0.6 bins), and binary
   cross entropy of the target being shown, the rarer frames that show it weighing three times. Beside
   these cross entropy to the vertebral level (a normal law of 0.15 levels), to the distance from the midline (2.5 mm)
   and, over the spine, to where between two spinous processes a frame lies, whichever they are: that is seen in the
   picture, and with it a run counts the vertebrae.
2. All five frames of a bin and those of the subject's variants (``variants``), augmented widely; a mirrored back has
   its rows and its two sacroiliac joints exchanged.
3. AdamW, weight decay 0.02, one cycle of the learning rate; forward passes in bfloat16 where the machine multiplies in
   it. The members differ in weights, draws and augmentation.
4. A finished member keeps its matrices to half precision, as the model file does (``policy``): all that is learnt from
   its answers is learnt from the network that ships.

Every random number follows from the seed, the member and the number of the update, so a run that was killed ends, on
one torch thread, in the same weights as one that was not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from us_grid_sim.dataset.grid import PreprocessedGrid

from us_nav_agent.networks.locator import (
    ASIDE_PITCH,
    FARTHEST_ASIDE,
    LEVEL_PARTS,
    LOWEST_LEVEL,
    ROW_OFFSETS,
    Location,
    Locator,
    LocatorConfig,
    mirrored_targets,
)
from us_nav_agent.training.augment import Augmentation, augment_frames, sample_augmentation
from us_nav_agent.training.experiment import BeliefExperiment
from us_nav_agent.training.levels import OVER_THE_SPINE, Levels
from us_nav_agent.training.machine import computes_in_bfloat16, device, layout
from us_nav_agent.training.offsets import labels_of
from us_nav_agent.training.run_folder import Report, TrainProgress, save_torch

_PARTS = ("network", "optimizer", "schedule")
_SAVE_EVERY = 100
_LOG_EVERY = 20
_NEIGHBOURS = 0.6
"""Standard deviation of the label about the true offset [bins]."""
_SHOWN_WEIGHT = 3.0
_LEVEL_SPREAD = 0.15
_ASIDE_SPREAD = 0.0025
_PLACE_WEIGHT = 0.5
_PHASE_SHARPNESS = 4.0
"""Concentration of the label about the true place between two processes (von Mises' law)."""
_COUNTED = -0.8, 5.0
"""Levels between which there are processes to be seen."""
_LEAST_COUNTED = 4.0
"""Frames over the spine that a batch is taken to have at least, so that a single one does not weigh as all."""


def augment_labels(labels: Tensor, record: Augmentation, targets: Sequence[str]) -> Tensor:
    """Labels (n, T, 3) of ``offsets.labels_of`` on the mirrored backs."""
    other = labels[:, mirrored_targets(targets)].clone()
    other[..., 0] = ROW_OFFSETS - 1 - other[..., 0]
    return torch.where(record.mirror[:, None, None], other, labels)


def augment_places(places: Tensor, record: Augmentation) -> Tensor:
    """Places (n, 2) of ``levels.Levels`` on the mirrored backs."""
    level, aside = places.unbind(dim=1)
    return torch.stack([level, torch.where(record.mirror, -aside, aside)], dim=1)


def location_loss(said: Location, labels: Tensor, places: Tensor) -> Tensor:
    """Mean over frames and targets of all parts' loss; labels (n, T, 3), places (n, 2) of ``levels.Levels``, NaN where
    they are not known.
    """
    rows = offset_loss(said.rows, labels[..., 0], _NEIGHBOURS)
    columns = offset_loss(said.columns, labels[..., 1], _NEIGHBOURS)
    weight = torch.tensor(_SHOWN_WEIGHT, device=labels.device)
    shown = functional.binary_cross_entropy_with_logits(said.shown, labels[..., 2].float(), pos_weight=weight)
    known = places.isfinite().all(dim=1)
    if not known.any():
        return rows + columns + shown
    said_levels, said_asides, places = said.levels[known], said.asides[known], places[known]
    levels = place_loss(said_levels, places[:, 0], (LOWEST_LEVEL, 1 / LEVEL_PARTS), _LEVEL_SPREAD)
    asides = place_loss(said_asides, places[:, 1], (-FARTHEST_ASIDE, ASIDE_PITCH), _ASIDE_SPREAD)
    return rows + columns + shown + _PLACE_WEIGHT * (levels + asides) + phase_loss(said_levels, places)


def place_loss(logits: Tensor, values: Tensor, scale: tuple[float, float], spread: float) -> Tensor:
    """Mean cross entropy of logits (n, classes) to values (n,) by a normal law.

    Args:
        logits: of classes of equal width.
        values: those beyond the classes count as their ends.
        scale: where the first class begins, and the width of each.
        spread: standard deviation of the label about the value.
    """
    (first, width), classes = scale, logits.shape[1]
    centres = first + (torch.arange(classes, device=values.device) + 0.5) * width
    away = centres - values.clamp(first, first + classes * width)[:, None]
    return functional.cross_entropy(logits, torch.softmax(-(away**2) / (2 * spread**2), dim=1))


def phase_loss(logits: Tensor, places: Tensor) -> Tensor:
    """Mean cross entropy of logits (n, LEVELS), all levels laid upon one another, to the place between two processes,
    over the frames that show some.
    """
    level, aside = places.unbind(dim=1)
    counted = (level > _COUNTED[0]) & (level < _COUNTED[1]) & (aside.abs() < OVER_THE_SPINE)
    whole = logits.shape[1] // LEVEL_PARTS
    folded = torch.log_softmax(logits, dim=1).reshape(-1, whole, LEVEL_PARTS).logsumexp(dim=1)
    turns = (torch.arange(LEVEL_PARTS, device=places.device) + 0.5) / LEVEL_PARTS - places[:, :1]
    shares = torch.softmax(_PHASE_SHARPNESS * torch.cos(2 * torch.pi * turns), dim=1)
    lost: Tensor = -(shares * folded).sum(dim=1) * counted
    return lost.sum() / counted.sum().clamp(min=_LEAST_COUNTED)


def offset_loss(logits: Tensor, classes: Tensor, spread: float) -> Tensor:
    """Mean cross entropy of logits (..., offsets) to the classes (...) with a little of their neighbours, by a
    normal law of standard deviation ``spread`` [bins].
    """
    away = torch.arange(logits.shape[-1], device=classes.device) - classes.unsqueeze(-1)
    shares = torch.softmax(-(away.float() ** 2) / (2 * spread**2), dim=-1)
    return functional.cross_entropy(logits.flatten(0, -2), shares.flatten(0, -2))


class _Learner:
    """One member in training.

    Attributes:
        updates: done.
    """

    def __init__(self, experiment: BeliefExperiment, seed: int, member: int, total: int) -> None:
        settings = experiment.locator
        torch.manual_seed(int(np.random.SeedSequence([seed, member]).generate_state(1)[0]))
        self.network = Locator(experiment.network).to(device())
        self.layout = layout(experiment.network.widths)
        self.network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, weight_decay=2e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=total, pct_start=0.15
        )
        self.seed, self.member, self.updates = seed, member, 0

    def update(self, frames: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], places: Levels) -> float:
        """One step on a batch, augmented; the loss."""
        words = np.random.SeedSequence([self.seed, self.member, self.updates]).generate_state(1)
        record = sample_augmentation(len(labels), torch.Generator().manual_seed(int(words[0])), wide=True)
        pictures = augment_frames(torch.from_numpy(frames).unsqueeze(1), record).to(device())
        wanted = augment_labels(torch.from_numpy(labels), record, self.network.config.targets).to(device())
        seen = augment_places(torch.from_numpy(places), record).to(device())
        self.network.train()
        with torch.autocast(device(), dtype=torch.bfloat16, enabled=computes_in_bfloat16(device())):
            said = self.network(pictures.contiguous(memory_format=self.layout))
        loss = location_loss(Location(*(part.float() for part in said)), wanted, seen)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.updates += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """All that a later process needs to go on."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        return parts | {"member": self.member, "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.updates = state["updates"]


def train_locators(
    experiment: BeliefExperiment,
    train: Sequence[PreprocessedGrid],
    levels: Levels,
    seed: int,
    out: Path,
    progress: Report,
) -> list[Locator]:
    """Train the members one after the other, or go on with the training in ``out``.

    Args:
        experiment: shape of the networks and how they are trained.
        train: subjects to learn from.
        levels: (subjects, 165, 2) of their bins.
        seed: of the weights, the draws and the augmentation.
        out: the run folder; the state is saved every 100 updates, and each finished member.
        progress: called after each update.
    """
    members = range(experiment.network.members)
    return [_member(experiment, train, levels, seed, number, out, progress) for number in members]


def _member(
    experiment: BeliefExperiment,
    train: Sequence[PreprocessedGrid],
    levels: Levels,
    seed: int,
    member: int,
    out: Path,
    progress: Report,
) -> Locator:
    """One trained member, from the run folder where it is finished."""
    finished, state = out / f"locator{member}.pt", out / "locator_state.pt"
    if finished.exists():
        return _read_member(experiment.network, finished)
    settings = experiment.locator
    frames, labels = labels_of(train, experiment.network.targets)
    places = np.concatenate([one[grid.views()[1]] for grid, one in zip(train, levels, strict=True)])
    batches = len(frames) // settings.batch_size
    learner = _Learner(experiment, seed, member, settings.epochs * batches)
    if state.exists():
        saved = torch.load(state, weights_only=True)
        if saved["member"] == member:
            learner.restore(saved)
    log = SummaryWriter(str(out / "tensorboard" / f"locator{member}"), purge_step=learner.updates)
    while learner.updates < settings.epochs * batches:
        epoch, first = divmod(learner.updates, batches)
        order = np.random.default_rng([seed, member, epoch]).permutation(len(frames))
        for batch in np.array_split(order, batches)[first:]:
            loss = learner.update(frames[batch], labels[batch], places[batch])
            if learner.updates % _LOG_EVERY == 0:
                log.add_scalar("train/loss", loss, learner.updates)
            if learner.updates % _SAVE_EVERY == 0:
                save_torch(state, learner.state())
            progress(TrainProgress(f"locator {member}", learner.updates, settings.epochs * batches))
    log.close()
    save_torch(finished, {"network": learner.network.state_dict()})
    return _read_member(experiment.network, finished)


def _read_member(config: LocatorConfig, file: Path) -> Locator:
    network = Locator(config)
    network.load_state_dict(torch.load(file, weights_only=True, map_location="cpu")["network"])
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.copy_(weights.half())
    return network.eval()
