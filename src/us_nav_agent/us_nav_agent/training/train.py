"""A training run: networks from an experiment and a data set, the best model by validation, resumable at any moment.

A run folder holds run.json (what it was made from), evaluations.json, the TensorBoard log and at its end
model.safetensors. Between, MS-DQN keeps stop.pt (stop_state.pt while it is trained), then dqn.zip, replay.pkl and
counters.json (the latest state) and best.pt; the supervised baseline keeps classifier.pt (``classification``). Only
training subjects are walked on; the validation subjects choose threshold and model; test subjects are never loaded.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from us_grid_sim.dataset.grid import PreprocessedGrid, load_grid
from us_grid_sim.dataset.layout import subjects_of
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv

from us_nav_agent.deciders import ClassifierDecider, Decider, MsDqnDecider
from us_nav_agent.networks.dueling import DuelingNetwork, StopClassifier
from us_nav_agent.policy import save_policy
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.rollout import run_all
from us_nav_agent.training.classification import train_classifier
from us_nav_agent.training.dqn import FrameBank, PrioritizedDoubleDQN, ReferencePolicy
from us_nav_agent.training.experiment import ClassificationExperiment, Experiment, MsDqnExperiment
from us_nav_agent.training.run_folder import (
    Report,
    TrainProgress,
    claim,
    device,
    note_on,
    quiet,
    save_torch,
    summary_of,
    write_evaluations,
    write_text,
)
from us_nav_agent.training.stop import train_stop

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
        decider = ClassifierDecider(network)
    else:
        decider = _ms_dqn(experiment, grids, seed, out, progress)
    return save_policy(out / "model.safetensors", decider)


def _ms_dqn(experiment: MsDqnExperiment, grids: Grids, seed: int, out: Path, progress: Report) -> MsDqnDecider:
    """Stop classifier, then Q network, then the threshold of the finished pair."""
    stop, threshold = _stop(experiment, grids, seed, out, progress)
    best = _q_network(experiment, grids, seed, out, stop, threshold, progress)
    return MsDqnDecider(best, stop, threshold_by_runs(best, stop, grids["validation"]))


def threshold_by_runs(q: DuelingNetwork, stop: StopClassifier, grids: Sequence[PreprocessedGrid]) -> float:
    """The stop threshold of the highest mean reachability on these subjects, the middle one of equals.

    Single frames weigh both errors alike, but a run recovers from a missed stop in the next goal bin and never from a
    stop elsewhere; so the threshold of the finished policy is chosen on runs.
    """
    candidates = 1.0 / (1.0 + np.exp(-np.arange(0.0, 9.25, 0.5)))
    reached = np.array([run_all(MsDqnDecider(q, stop, float(one)), grids, seed=0).reached.mean() for one in candidates])
    best = np.flatnonzero(reached == reached.max())
    return float(candidates[best[len(best) // 2]])


def _stop(
    experiment: MsDqnExperiment, grids: Grids, seed: int, out: Path, progress: Report
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
        experiment.stop,
        grids["train"],
        grids["validation"],
        seed,
        lambda done, total: progress(TrainProgress("stop", done, total)),
        out / "stop_state.pt",
    )
    save_torch(file, {"network": network.state_dict(), "threshold": threshold, "accuracy": accuracy})
    return network, threshold


def _environments(grids: Sequence[PreprocessedGrid], count: int) -> tuple[VecMonitor, FrameBank]:
    """Environments that walk on all training subjects and share one bank of frames."""
    made = [SacrumNavEnv(subjects=grids, stop=False, observation="reference") for _ in range(count)]
    for environment in made[1:]:
        environment.frame_bank = made[0].frame_bank
    return VecMonitor(DummyVecEnv([lambda one=one: one for one in made])), FrameBank(made[0].frame_bank, device())


def _q_network(
    experiment: MsDqnExperiment,
    grids: Grids,
    seed: int,
    out: Path,
    stop: StopClassifier,
    threshold: float,
    progress: Report,
) -> DuelingNetwork:
    """Train the Q network, from the latest state where there is one; returns the best by validation."""
    settings = experiment.dqn
    environments, bank = _environments(grids["train"], settings.environments)
    learner = PrioritizedDoubleDQN(
        ReferencePolicy,
        environments,
        learning_rate=settings.learning_rate,
        buffer_size=settings.buffer_size,
        learning_starts=settings.learning_starts,
        batch_size=settings.batch_size,
        gamma=settings.gamma,
        train_freq=1,
        gradient_steps=settings.gradient_steps,
        replay_buffer_class=PrioritizedReplayBuffer,
        replay_buffer_kwargs={"alpha": settings.alpha, "seed": seed},
        target_update_interval=settings.target_update,
        exploration_fraction=settings.exploration_fraction,
        exploration_final_eps=settings.final_epsilon,
        policy_kwargs={"config": experiment.network, "bank": bank},
        tensorboard_log=str(out / "tensorboard"),
        seed=seed,
        device=device(),
    )
    state = out / "dqn.zip"
    if state.exists():
        _restore(learner, out)
    keeper = _Keeper(out, grids["validation"], stop, threshold, settings.evaluate_every, settings.steps, progress)
    try:
        left = settings.steps - learner.num_timesteps
        if left > 0:
            learner.learn(left, callback=keeper, reset_num_timesteps=not state.exists(), tb_log_name="dqn")
    except KeyboardInterrupt:
        if keeper.n_calls:
            keeper.checkpoint()
        raise
    best = DuelingNetwork(experiment.network)
    best.load_state_dict(torch.load(out / "best.pt", weights_only=True)["network"])
    return best.eval()


def _restore(learner: PrioritizedDoubleDQN, out: Path) -> None:
    """Take up the latest state of a run that was broken off: networks, optimizer, replay and schedules."""
    learner.set_parameters(str(out / "dqn.zip"), device=learner.device)
    learner.load_replay_buffer(str(out / "replay.pkl"))
    counters = json.loads((out / "counters.json").read_text())
    learner.num_timesteps, learner._n_updates = counters["steps"], counters["updates"]
    learner._n_calls = counters["calls"]


class _Keeper(BaseCallback):  # type: ignore[misc]
    """Evaluates on the validation subjects now and then, keeps the best network and saves the latest state."""

    def __init__(
        self,
        out: Path,
        grids: Sequence[PreprocessedGrid],
        stop: StopClassifier,
        threshold: float,
        every: int,
        total: int,
        progress: Report,
    ) -> None:
        super().__init__()
        self._out, self._grids, self._stop, self._threshold = out, grids, stop, threshold
        self._every, self._total, self._report, self._note = every, total, progress, ""
        file = out / "evaluations.json"
        self._history: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def _on_step(self) -> bool:
        before = self.num_timesteps - self.training_env.num_envs
        if self.num_timesteps // self._every > before // self._every or self.num_timesteps >= self._total:
            self._evaluate()
            self.checkpoint()
        self._report(TrainProgress("dqn", self.num_timesteps, self._total, self._note))
        return True

    def _evaluate(self) -> None:
        """Median reachability over the validation subjects, as in the paper; the mean decides between equals."""
        network: DuelingNetwork = self.model.q_net.network
        network.eval()
        weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        on_cpu = DuelingNetwork(network.config)
        on_cpu.load_state_dict(weights)
        runs = run_all(MsDqnDecider(on_cpu, self._stop, self._threshold), self._grids, seed=0)
        entry = {"steps": self.num_timesteps} | summary_of(runs)
        score = (entry["median_reachability"], entry["mean_reachability"])
        if all(score > (old["median_reachability"], old["mean_reachability"]) for old in self._history):
            save_torch(self._out / "best.pt", {"network": weights})
        self._history.append(entry)
        write_evaluations(self._out, self._history)
        for name, value in entry.items():
            self.logger.record(f"eval/{name}", value)
        self._note = note_on(entry)

    def checkpoint(self) -> None:
        """Save the latest state; each file is replaced whole, and the one that says there is a state comes last."""
        self.model.save_replay_buffer(self._out / "replay.partial.pkl")
        (self._out / "replay.partial.pkl").replace(self._out / "replay.pkl")
        counters = {"steps": self.num_timesteps, "updates": self.model._n_updates, "calls": self.model._n_calls}
        write_text(self._out / "counters.json", json.dumps(counters) + "\n")
        self.model.save(self._out / "dqn.partial.zip", exclude=["policy_kwargs"])
        (self._out / "dqn.partial.zip").replace(self._out / "dqn.zip")
