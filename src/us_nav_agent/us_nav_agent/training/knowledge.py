"""What a belief agent learns beside its locators: priors, borders, when the target is shown, and when to stop.

Priors and borders are counted on the training subjects. When a target counts as shown is learnt on walks without a stop
over validation subjects and their variants, whose bones the locators have not seen: on training subjects they look
better than they are, and four bodies are too few. Test subjects are never walked on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.belief import Belief, Doubles
from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.belief import Knowledge, Sights, evidence, look
from us_nav_agent.networks.locator import Locator
from us_nav_agent.rollout import walk
from us_nav_agent.training.calibration import cautious_threshold, fit_logistic, shown_along, worth_of_stops
from us_nav_agent.training.offsets import known_grids, offsets_to, tasks_of


def learn_knowledge(
    locators: Sequence[Locator], train: Sequence[PreprocessedGrid], walked_on: Sequence[PreprocessedGrid]
) -> Knowledge:
    """What is known for each target of the locators.

    Args:
        locators: the ensemble.
        train: subjects whose priors and borders are counted.
        walked_on: others.
    """
    targets = locators[0].config.targets
    knowledge = Knowledge(len(targets))
    sights = look([one.eval() for one in locators], GridTables.of(walked_on).frames)
    for number, target in enumerate(targets):
        grids = known_grids(np.stack([offsets_to(goals) for _, goals in tasks_of(train, [target])]))
        knowledge.row_prior[number], knowledge.column_prior[number] = map(torch.from_numpy, grids.prior)
        knowledge.row_held[number], knowledge.column_held[number] = map(torch.from_numpy, grids.held)
        tables = GridTables.of(walked_on, tasks_of(walked_on, [target]))
        seen, path = _endless_walk(Belief(grids, tables.distances.size), sights, tables, number)
        weights = fit_logistic(seen.reshape(-1, seen.shape[-1]), shown_along(tables, path).reshape(-1))
        knowledge.shown[number] = torch.from_numpy(weights)
        knowledge.threshold[number] = cautious_threshold(
            1.0 / (1.0 + np.exp(-seen @ weights)), worth_of_stops(tables, path), len(walked_on)
        )
    return knowledge


def _endless_walk(belief: Belief, sights: Sights, tables: GridTables, target: int) -> tuple[Doubles, Ints]:
    """Walks of 20 moves from every bin: the evidence of the target being shown (runs, 20, 3), and the path."""
    evidences: list[Doubles] = []

    def walkers(live: Ints, frames: Ints) -> Ints:
        rows, columns, logits = sights.of(frames, target)
        belief.see(live, rows, columns)
        evidences.append(evidence(belief, live, logits))
        moves: Ints = belief.closer(live).argmax(axis=1)
        belief.move(live, moves)
        return moves

    path = walk(walkers, tables, seed=0).path
    return np.stack(evidences, axis=1), path
