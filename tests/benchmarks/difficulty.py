"""Which variability makes the cohort hard: a small classifier, frame to action, with parts of the spread taken away.

    python tests/benchmarks/difficulty.py default      the cohort as it is
    python tests/benchmarks/difficulty.py even         layers as even as a few scales make them
    python tests/benchmarks/difficulty.py clear        little clutter, the same in all
    python tests/benchmarks/difficulty.py posture      no roll of the torso, the probe follows the skin alike in all
    python tests/benchmarks/difficulty.py junction     no variants of the lumbosacral junction
    python tests/benchmarks/difficulty.py tissue       fibres, fascicles, septa, echo and attenuation of the mean
    python tests/benchmarks/difficulty.py held         no error of the hand, no lift-off
    python tests/benchmarks/difficulty.py swaying      twice the errors of the hand
    python tests/benchmarks/difficulty.py plain        the cohort as it is, learnt without augmentation

Each takes some five minutes on two cores: one frame a bin of 39 subjects, of which 25 train and the last ten, with good
contact, test a ResNet of 0.7 million weights at 64 x 64 pixels. It is for comparing variants with one another; the
figure of the cohort is that of DenseNet-121 (agents.py). The last line is a JSON object.
"""

import argparse
import dataclasses
import json
import multiprocessing
import sys

import numpy as np
import torch
from rich.progress import track
from torch import nn
from torch.nn import functional
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.synth import SweepRecord, sample_sweep
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, COLUMNS, FRAMES_PER_BIN, ROWS, Bin
from us_grid_sim.phantom.goal import shows_sacrum
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_nav_agent.networks.blocks import Trunk, normalised
from us_nav_agent.networks.dueling import PRESETS
from us_nav_agent.rollout import walk
from us_nav_agent.training.augment import augment_frames, mirror_moves, sample_augmentation
from us_nav_agent.training.classification import labelled

TRAIN, TEST = range(25), range(29, 39)
EPOCHS, BATCH = 20, 64
PREPROCESS = PRESETS["lite"].preprocess
TURNS = ("tilt", "pitch", "yaw")

RECORDS: dict[str, dict[str, float | tuple[float, ...]]] = {
    "even": {"unevenness": 0.0, "flank": 1.0},
    "clear": {"haze": -7.0},
    "posture": {"roll": 0.0, "following": 0.75},
    "junction": {
        **dict.fromkeys(("sacralised_left", "sacralised_right", "open_arch"), 0.0),
        "hiatus": 0.8,
        "tubercles": (1.0,) * 4,
    },
    "tissue": {
        **dict.fromkeys(("pennation", "fascicle", "septa", "attenuation"), 1.0),
        **dict.fromkeys(("echo_fat", "echo_muscle"), 0.0),
    },
}
TURNED: dict[str, float] = {"held": 0.0, "swaying": 2.0}


def record_of(variant: str, index: int) -> SubjectRecord:
    """A subject of the variant."""
    record = dataclasses.replace(sample_subject(0, index), **RECORDS.get(variant, {}))  # type: ignore[arg-type]
    return dataclasses.replace(record, contact=max(record.contact, 0.9)) if index in TEST else record


def sweep_of(variant: str, record: SubjectRecord, row: int) -> SweepRecord:
    """A sweep of the variant."""
    sweep, factor = sample_sweep(record, row, 200), TURNED.get(variant, 1.0)
    turned = {name: factor * getattr(sweep, name) for name in TURNS}
    force = np.full(200, 1.3) if variant == "held" else sweep.contact_force
    return dataclasses.replace(sweep, contact_force=force, **turned)


def make_grid(job: tuple[str, int]) -> PreprocessedGrid:
    """One frame a bin of a subject."""
    torch.set_num_threads(1)
    renderer = Renderer(record_of(*job))
    frames, goals = [], []
    for row in range(ROWS):
        sweep = sweep_of(job[0], renderer.record, row)
        for column in range(COLUMNS):
            x, y = Bin(row, column).center
            near = int(np.argmin(np.hypot(sweep.x - x, sweep.y - y)))
            view = (sweep.x, sweep.y, sweep.contact_force, sweep.tilt, sweep.pitch, sweep.yaw)
            pose = contact_pose(renderer.phantom, *(float(values[near]) for values in view))
            frames.append(PREPROCESS(renderer.render(pose, sweep.contact_force[near], sweep.noise[near])[0]))
            if shows_sacrum(renderer.phantom, pose):
                goals.append(Bin(row, column))
    bins = np.arange(BINS, dtype=np.int32).reshape(ROWS, COLUMNS, 1).repeat(FRAMES_PER_BIN, axis=2)
    name = f"Virtual{job[1]:03d}"
    return PreprocessedGrid(name, tuple(goals), bins, np.stack(frames), np.arange(BINS, dtype=np.int32), PREPROCESS)


class Classifier(nn.Module):
    """The trunk of the small MS-DQN with a head for five actions."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(1, PREPROCESS.height, PREPROCESS.width, PRESETS["lite"].widths)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(self.trunk.size, 128), nn.ReLU(), nn.Linear(128, 5))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits (n, 5) of frames uint8 (n, 1, h, w)."""
        logits: torch.Tensor = self.head(self.trunk(normalised(frames)))
        return logits


def train(grids: list[PreprocessedGrid], augmented: bool) -> Classifier:
    """Learn on one frame a bin."""
    torch.manual_seed(0)
    network, tables = Classifier(), GridTables.of(grids)
    numbers, labels = (array[::FRAMES_PER_BIN] for array in labelled(tables))
    updates = EPOCHS * (len(labels) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=updates)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for _ in track(range(updates), "training"):
        batch = rng.choice(len(labels), BATCH, replace=False)
        pictures, wanted = torch.from_numpy(tables.frames[numbers[batch]]).unsqueeze(1), torch.from_numpy(labels[batch])
        if augmented:
            record = sample_augmentation(BATCH, generator)
            pictures, wanted = augment_frames(pictures, record), mirror_moves(wanted, record.mirror)
        optimizer.zero_grad()
        functional.cross_entropy(network(pictures), wanted).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def evaluate(network: Classifier, grids: list[PreprocessedGrid]) -> dict[str, float]:
    """Policy correctness and reachability [%] of runs from every bin."""
    tables = GridTables.of(grids)
    with torch.inference_mode():
        parts = torch.from_numpy(tables.frames).unsqueeze(1).split(256)
        actions = torch.cat([network(part) for part in parts]).argmax(dim=1).numpy()
    runs = walk(lambda live, frames: actions[frames], tables, seed=0)
    shares = {"correctness": runs.correct / runs.actions, "reachability": runs.reached}
    for name, share in shares.items():
        print(f"{name} of each subject: {np.round(100 * share.mean(axis=1)).astype(int).tolist()}", file=sys.stderr)
    return {name: round(100.0 * float(share.mean()), 1) for name, share in shares.items()}


def main() -> None:
    """Make the variant, train, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", choices=["default", *RECORDS, *TURNED, "plain"])
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    jobs = [(arguments.variant, index) for index in [*TRAIN, *TEST]]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        grids = list(track(pool.imap(make_grid, jobs), "rendering", total=len(jobs)))
    network = train(grids[: len(TRAIN)], augmented=arguments.variant != "plain")
    print(json.dumps(evaluate(network, grids[len(TRAIN) :])))


if __name__ == "__main__":
    main()
