"""What a locator is to say of each bin: its offset to a target, and whether it shows it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import Task
from us_grid_sim.geometry import BINS, COLUMNS, ROWS, Bin
from us_grid_sim.phantom.target import Target

from us_nav_agent.belief import Grids
from us_nav_agent.networks.locator import COLUMN_OFFSETS, ROW_OFFSETS

Ints = npt.NDArray[np.int64]
Frames = npt.NDArray[np.uint8]

_STATES = np.arange(BINS)
_ROW, _COLUMN = np.divmod(_STATES, COLUMNS)
_BORDERS = ((_ROW == 0, _ROW == ROWS - 1), (_COLUMN == 0, _COLUMN == COLUMNS - 1))
"""Where the border holds up and down, left and right."""


def offsets_to(goals: tuple[Bin, ...]) -> Ints:
    """Rows and columns (165, 2) by which each bin lies below and cranial of the heart of a target.

    The heart is the row with most goal bins (the middle one of equals) and, of its columns, the nearest. At the ragged
    edge of the goal, where a frame shows barely enough of the target, a probe that seeks the heart goes on to where it
    is shown plainly.

    Raises:
        ValueError: there is no goal bin.
    """
    if not goals:
        raise ValueError("a target without goal bins has no offset; name at least one")
    counts = Counter(goal.row for goal in goals)
    fullest = sorted(row for row, count in counts.items() if count == max(counts.values()))
    row = fullest[len(fullest) // 2]
    columns = np.array(sorted(goal.column for goal in goals if goal.row == row))
    away = _COLUMN[:, None] - columns
    nearest = np.abs(away).argmin(axis=1)
    return np.stack([_ROW - row, away[_STATES, nearest]], axis=1)


def tasks_of(grids: Sequence[PreprocessedGrid], targets: Sequence[str]) -> list[Task]:
    """A task for each target on each subject, subject by subject."""
    return [(number, grid.targets[Target(target)]) for number, grid in enumerate(grids) for target in targets]


def known_grids(offsets: Ints) -> Grids:
    """Priors and borders as on subjects whose bins have these offsets (subjects, 165, 2).

    Offsets that were never seen keep a little probability, and no border is certain.
    """
    prior, held = [], []
    for axis, size in enumerate((ROW_OFFSETS, COLUMN_OFFSETS)):
        number = offsets[..., axis] + size // 2
        counts = np.bincount(number.ravel(), minlength=size)
        at_border = [np.bincount(number[:, border].ravel(), minlength=size) for border in _BORDERS[axis]]
        prior.append((counts + 1.0) / (counts + 1.0).sum())
        held.append(np.stack([(at + 0.05) / (counts + 1.0) for at in at_border]))
    return Grids((prior[0], prior[1]), (held[0], held[1]))


def labels_of(grids: Sequence[PreprocessedGrid], targets: Sequence[str]) -> tuple[Frames, Ints]:
    """Each frame of each bin once, and what a locator is to say of it.

    Returns:
        Frames uint8 (n, h, w), and labels (n, targets, 3): row class, column class, shown 0 or 1.
    """
    frames, labels = [], []
    for grid in grids:
        numbers, states = grid.views()
        frames.append(grid.frames[numbers])
        said = [labels_by_bin(grid, target) for target in targets]
        labels.append(np.stack(said, axis=1)[states])
    return np.concatenate(frames), np.concatenate(labels)


def labels_by_bin(grid: PreprocessedGrid, target: str) -> Ints:
    """Row class, column class and whether it shows the target, of each bin (165, 3)."""
    goals = grid.targets[Target(target)]
    is_goal = np.isin(_STATES, [goal.state for goal in goals])
    offsets = offsets_to(goals)
    return np.stack([offsets[:, 0] + ROW_OFFSETS // 2, offsets[:, 1] + COLUMN_OFFSETS // 2, is_goal], axis=1)
