"""What a belief agent learns beside its networks: priors, borders, spines, when a target is shown, and when to stop.

Priors, borders and spines are counted on the training subjects. When a target counts as shown is learnt on walks
without a stop over validation subjects and their variants, whose bones the networks have not seen: on training subjects
they look better than they are, and four bodies are too few. Test subjects are never walked on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.belief import Doubles
from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.belief import Knowledge
from us_nav_agent.deciders.whereabouts import Sights, Whereabouts
from us_nav_agent.networks.tracker import MOVES, Tracker
from us_nav_agent.rollout import walk
from us_nav_agent.training.calibration import falling_threshold, fit_logistic, shown_along, worth_of_stops
from us_nav_agent.training.levels import Levels, known_spines
from us_nav_agent.training.offsets import known_grids, offsets_to, tasks_of


def count_grids(train: Sequence[PreprocessedGrid], levels: Levels, targets: Sequence[str]) -> Knowledge:
    """Priors and borders of each target, and the spines, as on the subjects ``train``; when to stop is still unknown.

    Args:
        train: the subjects.
        levels: (subjects, 165, 2) of their bins; NaN of subjects of whom they are not known.
        targets: by name.
    """
    knowledge = Knowledge(targets)
    for number, target in enumerate(targets):
        grids = known_grids(np.stack([offsets_to(goals) for _, goals in tasks_of(train, [target])]))
        knowledge.row_prior[number], knowledge.column_prior[number] = map(torch.from_numpy, grids.prior)
        knowledge.row_held[number], knowledge.column_held[number] = map(torch.from_numpy, grids.held)
    if (spines := known_spines(levels)) is not None:
        knowledge.stretch.fill_(spines.spread)
        for name in ("climb", "held_along", "held_beside"):
            getattr(knowledge, name).copy_(torch.from_numpy(getattr(spines, name)))
    return knowledge


def learn_stops(
    knowledge: Knowledge,
    tracker: Tracker,
    sights: Sights,
    subjects: Sequence[PreprocessedGrid],
    targets: Sequence[str],
) -> None:
    """Learn when each target is shown, and from which probability on to stop, into ``knowledge``.

    Args:
        knowledge: priors and borders are there already.
        tracker: trained.
        sights: what the locators say of the subjects' frames, one subject after the other.
        subjects: that are walked on; none that the networks were trained on.
        targets: by name, in the order of the networks' answers.
    """
    for number, target in enumerate(targets):
        tables = GridTables.of(subjects, tasks_of(subjects, [target]))
        where = Whereabouts(knowledge.known(number), tracker, tables.distances.size)
        seen, path = _endless_walk(where, sights, tables)
        weights = fit_logistic(seen.reshape(-1, seen.shape[-1]), shown_along(tables, path).reshape(-1))
        knowledge.shown[number] = torch.from_numpy(weights)
        probabilities = 1.0 / (1.0 + np.exp(-seen @ weights))
        knowledge.threshold[number] = torch.tensor(falling_threshold(probabilities, worth_of_stops(tables, path)))


def _endless_walk(where: Whereabouts, sights: Sights, tables: GridTables) -> tuple[Doubles, Ints]:
    """Walks of 20 moves from every bin: the evidence of the target being shown (runs, 20, 6), and the path."""
    evidences: list[Doubles] = []
    last = np.full(tables.distances.size, -1)

    def walkers(live: Ints, frames: Ints) -> Ints:
        outlook = where.see(live, sights, frames, (frames != last[live]).astype(np.float64))
        last[live] = frames
        evidences.append(outlook.evidence)
        moves: Ints = outlook.offsets.values(np.zeros(len(live)))[:, :MOVES].argmax(axis=1)
        where.move(live, moves)
        return moves

    path = walk(walkers, tables, seed=0).path
    return np.stack(evidences, axis=1), path
