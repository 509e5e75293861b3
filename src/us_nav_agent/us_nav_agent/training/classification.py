"""Training of the supervised baseline of Hase et al. 2020 (sec. IV-C): from a frame to the action that is right there.

The paper says "a standard DenseNet-121 architecture to train a classification network, where the predicted class
corresponds to the chosen action", chosen by median validation reachability as all its models, and no more. Deviations,
and what it leaves open:

1. Label: the actions that the metric calls correct (closer to the goal; stop in a goal bin). Where several are, they
   share the label equally and the loss is the cross entropy to that distribution.
2. A bin in which no action is correct (beside a ragged edge of the goal, where the distance of the authors' code is 0)
   has no label and is left out.
3. Balance: none, an epoch takes every labelled frame once. Classes drawn evenly make a stop five times as likely as it
   is, and one wrong stop ends a run: after one epoch on simulated subjects the median validation reachability was 74 %
   with balance, 92 % without.
4. Input: the columns of the array, by default at the 64 x 64 pixels of the small MS-DQN; weights start at random (no
   ImageNet).
5. Augmentation: that of the stop classifier, rotations and resized crops as in the paper's, and shifts, contrast and
   mirror images, on which up and down change places.
6. AdamW, weight decay 0.01, one cycle of the learning rate; forward passes of the training in bfloat16 where the
   machine computes in it.
7. Between epochs of equal median validation reachability the lower validation loss decides.

Every random number follows from the seed and the number of the update, so a run that was killed ends, on one torch
thread, in the same weights as one that was not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import FRAMES_PER_BIN, Action

from us_nav_agent.deciders.classifier import classifier_logits
from us_nav_agent.networks.baselines import DenseNetClassifier
from us_nav_agent.rollout import walk
from us_nav_agent.training.augment import augment_frames, mirror_moves, sample_augmentation
from us_nav_agent.training.experiment import ClassificationExperiment
from us_nav_agent.training.machine import computes_in_bfloat16, device
from us_nav_agent.training.run_folder import Report, TrainProgress, note_on, save_torch, summary_of, write_evaluations

Frames = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]

_PARTS = ("network", "optimizer", "schedule")
_SAVE_EVERY = 50
_LOG_EVERY = 10


def action_shares(tables: GridTables) -> Shares:
    """Label (tasks, 165, 5) of every bin: equal shares for the actions that are correct there; zeros where none is."""
    correct = tables.correct.astype(np.float32)
    return np.asarray(correct / np.maximum(correct.sum(axis=-1, keepdims=True), 1.0), dtype=np.float32)


def labelled(tables: GridTables) -> tuple[npt.NDArray[np.int64], Shares]:
    """Numbers (n,) of the frames of all bins that have a label, five a bin, and the labels (n, 5)."""
    labels = action_shares(tables).reshape(-1, len(Action)).repeat(FRAMES_PER_BIN, axis=0)
    has_one = labels.any(axis=1)
    return tables.bins.reshape(-1)[has_one], labels[has_one]


class _Learner:
    """What one update hands to the next, and the best network so far.

    Attributes:
        updates: done.
        history: the evaluations on the validation subjects.
        best: weights of the best of them.
    """

    def __init__(self, experiment: ClassificationExperiment, seed: int, total: int) -> None:
        settings = experiment.classification
        torch.manual_seed(seed)
        self.network = DenseNetClassifier(experiment.network).to(device())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, settings.learning_rate, total_steps=total)
        self.seed, self.updates = seed, 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}

    def update(self, frames: Frames, labels: Shares) -> float:
        """One step on a batch, augmented; the loss."""
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.seed, self.updates]).generate_state(1)[0])
        )
        record = sample_augmentation(len(labels), generator)
        pictures = augment_frames(torch.from_numpy(frames).unsqueeze(1), record).to(device())
        wanted = mirror_moves(torch.from_numpy(labels), record.mirror).to(device())
        self.network.train()
        with torch.autocast(device(), dtype=torch.bfloat16, enabled=computes_in_bfloat16(device())):
            logits = self.network(pictures)
        loss = functional.cross_entropy(logits.float(), wanted)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.updates += 1
        return float(loss.detach())

    def evaluate(self, validation: Sequence[PreprocessedGrid]) -> dict[str, float]:
        """Loss and runs on the validation subjects; the network is kept where it is the best so far."""
        tables = GridTables.of(validation)
        numbers, labels = labelled(tables)
        logits = classifier_logits(self.network.eval(), tables.frames, device())
        loss = functional.cross_entropy(torch.from_numpy(logits[numbers]), torch.from_numpy(labels))
        actions = logits.argmax(axis=1)
        runs = walk(lambda live, frames: actions[frames], tables, seed=0)
        entry = {"updates": self.updates, "loss": float(loss)} | summary_of(runs)
        if all(_score(entry) > _score(old) for old in self.history):
            self.best = {name: value.cpu().clone() for name, value in self.network.state_dict().items()}
        self.history.append(entry)
        return entry

    def save(self, file: Path) -> None:
        """Write the state whole or not at all."""
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in _PARTS}
        save_torch(file, state | {"updates": self.updates, "history": self.history, "best": self.best})

    def restore(self, file: Path) -> None:
        """Take up the state in ``file``."""
        state = torch.load(file, weights_only=True)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.updates, self.history, self.best = state["updates"], state["history"], state["best"]


def _score(entry: dict[str, float]) -> tuple[float, float]:
    """The higher the better: median validation reachability as in the paper, then the loss."""
    return entry["median_reachability"], -entry["loss"]


def _evaluate(learner: _Learner, validation: Sequence[PreprocessedGrid], out: Path, log: SummaryWriter) -> str:
    """Evaluate and write it down; the result in words."""
    entry = learner.evaluate(validation)
    write_evaluations(out, learner.history)
    for name, value in entry.items():
        log.add_scalar(f"eval/{name}", value, learner.updates)
    return f"{note_on(entry)}, loss {entry['loss']:.3f}"


def train_classifier(
    experiment: ClassificationExperiment,
    train: Sequence[PreprocessedGrid],
    validation: Sequence[PreprocessedGrid],
    seed: int,
    out: Path,
    progress: Report,
) -> DenseNetClassifier:
    """Train the baseline, or go on with the training in ``out``; returns the best network by validation.

    The state is saved every 50 updates and at the end of an epoch: that is what a kill or Ctrl-C can lose.

    Args:
        experiment: shape of the network and how it is trained.
        train: subjects to learn from.
        validation: subjects to choose the epoch on.
        seed: of the weights, the draws and the augmentation.
        out: the run folder.
        progress: called after each update.
    """
    settings, tables = experiment.classification, GridTables.of(train)
    numbers, labels = labelled(tables)
    batches = max(len(labels) // settings.batch_size, 1)
    learner = _Learner(experiment, seed, settings.epochs * batches)
    state = out / "classifier.pt"
    if state.exists():
        learner.restore(state)
    log, note = SummaryWriter(str(out / "tensorboard"), purge_step=learner.updates), ""
    while learner.updates < settings.epochs * batches:
        epoch, first = divmod(learner.updates, batches)
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        for batch in np.array_split(order, batches)[first:]:
            loss = learner.update(tables.frames[numbers[batch]], labels[batch])
            if learner.updates % _LOG_EVERY == 0:
                log.add_scalar("train/loss", loss, learner.updates)
                log.add_scalar("train/learning_rate", learner.schedule.get_last_lr()[0], learner.updates)
            if learner.updates % batches == 0:
                note = _evaluate(learner, validation, out, log)
            if learner.updates % batches == 0 or learner.updates % _SAVE_EVERY == 0:
                learner.save(state)
            progress(TrainProgress("classifier", learner.updates, settings.epochs * batches, note))
    log.close()
    best = DenseNetClassifier(experiment.network)
    best.load_state_dict(learner.best)
    return best.eval()
