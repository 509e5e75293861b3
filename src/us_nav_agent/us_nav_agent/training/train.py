"""A training run: networks from an experiment and a data set, the best model by validation, resumable at any moment.

A run folder holds run.json (what it was made from), evaluations.json, the TensorBoard log and at its end
model.safetensors. Between, a DQN keeps stop.pt (stop_state.pt while it is trained) where it has a stop classifier, then
dqn.zip, replay.pkl and counters.json (the latest state) and best.pt; the supervised baseline keeps classifier.pt
(``classification``). Only training subjects, and their bones in other bodies (``variants``), are walked on; the
validation subjects choose the model and, with their variants, the threshold; test subjects are never loaded.
"""

from pathlib import Path

import numpy as np
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid, load_grid
from us_grid_sim.dataset.layout import subjects_of

from us_nav_agent.deciders import BeliefDecider, ClassifierDecider, Decider, DqnDecider, MsDqnDecider
from us_nav_agent.deciders.whereabouts import look
from us_nav_agent.familiarity import Familiarity
from us_nav_agent.networks.dueling import StopClassifier
from us_nav_agent.policy import RUN_MODEL, save_policy
from us_nav_agent.training.calibration import stop_threshold
from us_nav_agent.training.classification import train_classifier
from us_nav_agent.training.experiment import (
    BeliefExperiment,
    ClassificationExperiment,
    DqnExperiment,
    Experiment,
    StopSettings,
)
from us_nav_agent.training.knowledge import count_grids, learn_stops
from us_nav_agent.training.levels import Levels, bodies_levels
from us_nav_agent.training.localisation import train_locators
from us_nav_agent.training.q_learning import train_q_network
from us_nav_agent.training.run_folder import Report, TrainProgress, claim, quiet, save_torch
from us_nav_agent.training.stop import train_stop
from us_nav_agent.training.tracking import make_ground, train_tracker
from us_nav_agent.training.variants import make_variants

Grids = dict[str, list[PreprocessedGrid]]
"""The subjects of the splits train and validation."""


def train(experiment: Experiment, data: Path, seed: int, out: Path, progress: Report = quiet) -> Path:
    """Run an experiment, or go on with the one in ``out``; returns the model file.

    Ctrl-C saves what is done; the same call goes on from there (the Q network with other random numbers than without
    the break).

    Raises:
        DatasetError: the data set is not there, or is malformed.
        TrainingError: ``out`` holds another run.
    """
    splits = {split: subjects_of(data, split) for split in ("train", "validation")}
    claim(out, experiment, seed, {split: [file.stem for file in files] for split, files in splits.items()})
    grids: Grids = {"train": [], "validation": []}
    total = sum(map(len, splits.values()))
    for split, files in splits.items():
        for file in files:
            grids[split].append(load_grid(file, experiment.network.preprocess))
            progress(TrainProgress("data", sum(map(len, grids.values())), total))
    decider: Decider
    if isinstance(experiment, ClassificationExperiment):
        network = train_classifier(experiment, grids["train"], grids["validation"], seed, out, progress)
        return save_policy(out / RUN_MODEL, ClassifierDecider(network))

    def bodies(split: str) -> list[PreprocessedGrid]:
        """The subjects of a split and their variants."""
        return grids[split] + make_variants(splits[split], experiment.variants, experiment.network.preprocess, progress)

    learnt_from = grids | {"train": bodies("train")}
    if isinstance(experiment, BeliefExperiment):
        levels = bodies_levels(splits["train"], experiment.variants, progress)
        decider = _belief(experiment, learnt_from | {"validation": bodies("validation")}, levels, seed, out, progress)
    elif experiment.stop is None:
        train, validation = learnt_from["train"], grids["validation"]
        decider = DqnDecider(train_q_network(experiment, train, validation, seed, out, DqnDecider, progress))
    else:
        trained = _ms_dqn(experiment, experiment.stop, learnt_from, seed, out, progress)
        trained.threshold = stop_threshold(trained.q_network, trained.stop_classifier, bodies("validation"))
        decider = trained
    return save_policy(out / RUN_MODEL, decider)


def _belief(
    experiment: BeliefExperiment, grids: Grids, levels: Levels, seed: int, out: Path, progress: Report
) -> BeliefDecider:
    """Locators, then the tracker of what they say, then what is known beside; ``levels`` of the training bodies."""
    train, validation = grids["train"], grids["validation"]
    locators = train_locators(experiment, train, levels, seed, out, progress)
    targets = experiment.network.targets
    knowledge = count_grids(train, levels, targets)
    known, unseen = (np.concatenate([grid.frames for grid in part]) for part in (train, validation))
    ground = make_ground(train, look(locators, known), targets, [knowledge.known(one) for one in range(len(targets))])
    tracker = train_tracker(experiment.tracker_network, experiment.tracker, ground, seed, out, progress)
    learn_stops(knowledge, tracker, look(locators, unseen), validation, targets)
    return BeliefDecider(locators, tracker, knowledge, Familiarity.learnt(known, unseen))


def _ms_dqn(
    experiment: DqnExperiment, settings: StopSettings, grids: Grids, seed: int, out: Path, progress: Report
) -> MsDqnDecider:
    """Stop classifier, then Q network; the threshold is that of single frames."""
    stop, threshold = _stop(experiment, settings, grids, seed, out, progress)
    best = train_q_network(
        experiment,
        grids["train"],
        grids["validation"],
        seed,
        out,
        lambda network: MsDqnDecider(network, stop, threshold),
        progress,
    )
    return MsDqnDecider(best, stop, threshold)


def _stop(
    experiment: DqnExperiment, settings: StopSettings, grids: Grids, seed: int, out: Path, progress: Report
) -> tuple[StopClassifier, float]:
    """The trained stop classifier and its threshold, from the run folder where it is finished."""
    file = out / "stop.pt"
    network = StopClassifier(experiment.network)
    if file.exists():
        saved = torch.load(file, weights_only=True)
        network.load_state_dict(saved["network"])
        return network.eval(), float(saved["threshold"])
    network, threshold, accuracy = train_stop(
        experiment.network,
        settings,
        grids["train"],
        grids["validation"],
        seed,
        lambda done, total: progress(TrainProgress("stop", done, total)),
        out / "stop_state.pt",
    )
    save_torch(file, {"network": network.state_dict(), "threshold": threshold, "accuracy": accuracy})
    return network, threshold
