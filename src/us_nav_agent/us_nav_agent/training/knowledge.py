"""What a belief agent learns beside its locators: priors, borders, when the target is shown, and when to stop.

Priors and borders are counted on the training subjects. When a target counts as shown is learnt on walks without a stop
over training and validation subjects: those of training make the locators look a little better than they are, those of
validation alone are four backs. Test subjects are never walked on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables

from us_nav_agent.belief import Doubles
from us_nav_agent.deciders.base import Ints
from us_nav_agent.deciders.belief import BeliefDecider, Knowledge, evidence
from us_nav_agent.networks.locator import Locator
from us_nav_agent.rollout import walk
from us_nav_agent.training.calibration import Labels, best_threshold, fit_logistic
from us_nav_agent.training.offsets import known_grids, offsets_to, tasks_of


def learn_knowledge(
    locators: Sequence[Locator], train: Sequence[PreprocessedGrid], validation: Sequence[PreprocessedGrid]
) -> Knowledge:
    """What is known for each target of the locators."""
    targets = locators[0].config.targets
    knowledge = Knowledge(len(targets))
    for number, target in enumerate(targets):
        _count(knowledge, number, train, target)
        decider = BeliefDecider(locators, knowledge, number)
        seen, shown = _endless_walk(decider, [*train, *validation], target)
        weights = fit_logistic(seen.reshape(-1, seen.shape[-1]), shown.reshape(-1))
        knowledge.shown[number] = torch.from_numpy(weights)
        knowledge.threshold[number] = best_threshold(1.0 / (1.0 + np.exp(-seen @ weights)), shown)
    return knowledge


def _count(knowledge: Knowledge, number: int, train: Sequence[PreprocessedGrid], target: str) -> None:
    """Priors and borders of a target."""
    grids = known_grids(np.stack([offsets_to(goals) for _, goals in tasks_of(train, [target])]))
    knowledge.row_prior[number], knowledge.column_prior[number] = map(torch.from_numpy, grids.prior)
    knowledge.row_held[number], knowledge.column_held[number] = map(torch.from_numpy, grids.held)


def _endless_walk(decider: BeliefDecider, grids: Sequence[PreprocessedGrid], target: str) -> tuple[Doubles, Labels]:
    """Walks of 20 moves from every bin: the evidence of the target being shown (runs, 20, 3), and whether it is."""
    tables = GridTables.of(grids, tasks_of(grids, [target]))
    runs = tables.distances.size
    belief, sights = decider.belief(runs), decider.sights(tables.frames)
    evidences: list[Doubles] = []

    def walkers(live: Ints, frames: Ints) -> Ints:
        belief.see(live, sights.rows[frames], sights.columns[frames])
        evidences.append(evidence(belief, live, sights.shown[frames]))
        moves: Ints = belief.closer(live).argmax(axis=1)
        belief.move(live, moves)
        return moves

    path = walk(walkers, tables, seed=0).path[..., :-1]
    shown = np.stack([goal[bins] for goal, bins in zip(tables.is_goal, path, strict=True)])
    return np.stack(evidences, axis=1), shown.reshape(runs, -1)
