"""Training of the stop classifier: the minority class over-sampled, frames augmented, calibrated on validation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from us_grid_sim.dataset.grid import PreprocessedGrid

from us_nav_agent.deciders.dqn import stop_probabilities
from us_nav_agent.networks.batches import frame_outputs
from us_nav_agent.networks.dueling import NetworkConfig, StopClassifier
from us_nav_agent.training.augment import augment_frames, sample_augmentation
from us_nav_agent.training.calibration import platt_scaling
from us_nav_agent.training.experiment import StopSettings
from us_nav_agent.training.machine import computes_in_bfloat16, device, layout
from us_nav_agent.training.run_folder import save_torch

Frames = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.bool_]

_PARTS = ("network", "optimizer", "schedule")


def labelled_frames(grids: Sequence[PreprocessedGrid]) -> tuple[Frames, Labels]:
    """Each frame of each bin once (n, h, w), and whether it lies in a goal bin (n,)."""
    frames, labels = [], []
    for grid in grids:
        numbers, states = grid.views()
        frames.append(grid.frames[numbers])
        labels.append(np.isin(states, [goal.state for goal in grid.goals]))
    return np.concatenate(frames), np.concatenate(labels)


def balanced_batches(labels: Labels, batch_size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Indices of one epoch in batches, half of each from either class: the smaller class is over-sampled."""
    negative, positive = rng.permutation(np.flatnonzero(~labels)), np.flatnonzero(labels)
    half = batch_size // 2
    return [
        np.concatenate([negative[first : first + half], rng.choice(positive, half)])
        for first in range(0, len(negative) - half + 1, half)
    ]


def choose_threshold(probabilities: npt.NDArray[np.float32], labels: Labels) -> float:
    """The threshold of the highest F1 score, in the middle of the gap below the last frame that it takes in."""
    order = np.argsort(-probabilities, kind="stable")
    falling = np.append(probabilities[order].astype(np.float64), 0.0)
    score = 2 * np.cumsum(labels[order]) / (np.arange(1, len(order) + 1) + labels.sum())
    score[falling[:-1] == falling[1:]] = -1.0  # no threshold parts equal probabilities
    best = int(score.argmax())
    return max(float(falling[best] + falling[best + 1]) / 2, 1e-6)


class _Learner:
    """What one epoch hands to the next: network, optimizer, schedule and random numbers."""

    def __init__(self, config: NetworkConfig, settings: StopSettings, seed: int, batches: int) -> None:
        torch.manual_seed(seed)
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.network = StopClassifier(config).to(device())
        self.layout = layout(config.widths)
        self.network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=settings.epochs * batches
        )
        self.epochs = 0

    def update(self, frames: Frames, labels: Labels) -> None:
        """One step on a batch, augmented."""
        record = sample_augmentation(len(labels), self.generator, wide=True)
        pictures = augment_frames(torch.from_numpy(frames).unsqueeze(1), record).to(device())
        with torch.autocast(device(), dtype=torch.bfloat16, enabled=computes_in_bfloat16(device())):
            logits = self.network(pictures.contiguous(memory_format=self.layout))
        wanted = torch.from_numpy(labels).float().to(device())
        loss = functional.binary_cross_entropy_with_logits(logits.float(), wanted)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()

    def save(self, file: Path) -> None:
        """Write the state whole or not at all."""
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in _PARTS}
        state |= {"epochs": self.epochs, "rng": self.rng.bit_generator.state, "generator": self.generator.get_state()}
        save_torch(file, state)

    def restore(self, file: Path) -> None:
        """Take up the state in ``file``."""
        state = torch.load(file, weights_only=True)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.epochs = state["epochs"]
        self.rng.bit_generator.state = state["rng"]
        self.generator.set_state(state["generator"])


def train_stop(
    config: NetworkConfig,
    settings: StopSettings,
    train: Sequence[PreprocessedGrid],
    validation: Sequence[PreprocessedGrid],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    state: Path | None = None,
) -> tuple[StopClassifier, float, float]:
    """Train the classifier.

    Args:
        config: shape of the network.
        settings: how it is trained.
        train: subjects to learn from.
        validation: subjects to choose the threshold on.
        seed: of the weights, the batches and the augmentation.
        progress: called with the updates done and in all.
        state: file that is written after each epoch; where it is there, the training goes on from it, with the same
            result as without a break.

    Returns:
        The classifier, calibrated, its threshold by frames and its accuracy; all three by the validation subjects.
    """
    frames, labels = labelled_frames(train)
    batches = len(balanced_batches(labels, settings.batch_size, np.random.default_rng(0)))
    learner = _Learner(config, settings, seed, batches)
    if state and state.exists():
        learner.restore(state)
    while learner.epochs < settings.epochs:
        learner.network.train()
        for number, indices in enumerate(balanced_batches(labels, settings.batch_size, learner.rng), 1):
            learner.update(frames[indices], labels[indices])
            if progress:
                progress(learner.epochs * batches + number, settings.epochs * batches)
        learner.epochs += 1
        if state:
            learner.save(state)
    check_frames, check_labels = labelled_frames(validation)
    network = learner.network.cpu().eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as one read from a file
    scale, offset = platt_scaling(frame_outputs(network.both_sides, check_frames), check_labels)
    network.scale.fill_(scale)
    network.offset.fill_(offset)
    probabilities = stop_probabilities(network, check_frames)
    threshold = choose_threshold(probabilities, check_labels)
    return network, threshold, float(((probabilities >= threshold) == check_labels).mean())
