"""Training of the stop classifier: the minority class over-sampled, frames augmented, the threshold from validation."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from us_grid_sim.dataset.grid import PreprocessedGrid

from us_nav_agent.networks.ms_dqn import NetworkConfig, StopClassifier
from us_nav_agent.rollout import stop_probabilities
from us_nav_agent.training.augment import augment_frames, sample_augmentation
from us_nav_agent.training.experiment import StopSettings

Frames = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.bool_]


def labelled_frames(grids: Sequence[PreprocessedGrid]) -> tuple[Frames, Labels]:
    """Frames (n, h, w) of all bins, five each, and whether they lie in a goal bin (n,)."""
    frames, labels = [], []
    for grid in grids:
        is_goal = np.zeros(grid.bins.shape, dtype=bool)
        for goal in grid.goals:
            is_goal[goal.row, goal.column] = True
        frames.append(grid.frames[grid.bins.ravel()])
        labels.append(is_goal.ravel())
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
    """The threshold of the highest F1 score, in the middle of the widest gap that reaches it."""
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(labels[order])
    score = 2 * hits / (np.arange(1, len(hits) + 1) + labels.sum())
    best = int(score.argmax())
    upper = float(probabilities[order[best]])
    lower = float(probabilities[order[best + 1]]) if best + 1 < len(order) else 0.0
    return max((upper + lower) / 2, 1e-6)


def train_stop(
    config: NetworkConfig,
    settings: StopSettings,
    train: Sequence[PreprocessedGrid],
    validation: Sequence[PreprocessedGrid],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[StopClassifier, float, float]:
    """Train the classifier.

    Returns:
        The classifier, its threshold and its accuracy on the validation subjects, both chosen on those alone.
    """
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = StopClassifier(config)
    frames, labels = labelled_frames(train)
    check_frames, check_labels = labelled_frames(validation)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-2)
    total = settings.epochs * len(balanced_batches(labels, settings.batch_size, np.random.default_rng(0)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=total)
    done = 0
    for _ in range(settings.epochs):
        network.train()
        for indices in balanced_batches(labels, settings.batch_size, rng):
            pictures = torch.from_numpy(frames[indices]).unsqueeze(1)
            record = sample_augmentation(len(indices), generator)
            logits = network(augment_frames(pictures, record))
            loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[indices]).float())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            done += 1
            if progress:
                progress(done, total)
    network.eval()
    probabilities = stop_probabilities(network, check_frames)
    threshold = choose_threshold(probabilities, check_labels)
    return network, threshold, float(((probabilities >= threshold) == check_labels).mean())
