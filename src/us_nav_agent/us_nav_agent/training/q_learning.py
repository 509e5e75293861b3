"""Training of a Q network: the learner on its environments, evaluated on validation subjects, resumable."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.envs.vectorised import GridVectorEnv
from us_grid_sim.geometry import Action

from us_nav_agent.deciders import Decider
from us_nav_agent.networks.dueling import DuelingNetwork, NetworkConfig
from us_nav_agent.replay.prioritized import PrioritizedReplayBuffer
from us_nav_agent.rollout import run_all
from us_nav_agent.training.dqn import FrameBank, PrioritizedDoubleDQN, ReferencePolicy
from us_nav_agent.training.experiment import DqnExperiment
from us_nav_agent.training.machine import device
from us_nav_agent.training.run_folder import (
    Report,
    TrainProgress,
    note_on,
    save_torch,
    summary_of,
    write_evaluations,
    write_text,
)
from us_nav_agent.training.vec_env import GridVecEnv

DeciderOf = Callable[[DuelingNetwork], Decider]
"""What a network decides as: alone, or with a stop classifier."""


def train_q_network(
    experiment: DqnExperiment,
    train: Sequence[PreprocessedGrid],
    validation: Sequence[PreprocessedGrid],
    seed: int,
    out: Path,
    decider_of: DeciderOf,
    progress: Report,
) -> DuelingNetwork:
    """Train the Q network, from the latest state in ``out`` where there is one; returns the best by validation.

    Args:
        experiment: shape of the network and how it is trained.
        train: subjects to walk on.
        validation: subjects to choose the network on.
        seed: of the weights, the walks and the draws.
        out: the run folder.
        decider_of: how a network is evaluated.
        progress: called after each step of all environments.
    """
    settings = experiment.dqn
    environments, bank = make_environments(train, experiment.network, settings.environments)
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
        replay_buffer_kwargs={
            "n_steps": settings.n_steps,
            "gamma": settings.gamma,
            "alpha": settings.alpha,
            "seed": seed,
        },
        target_update_interval=settings.target_update,
        exploration_fraction=settings.exploration_fraction,
        exploration_final_eps=settings.final_epsilon,
        policy_kwargs={"config": experiment.network, "bank": bank},
        tensorboard_log=str(out / "tensorboard"),
        seed=seed,
        device=device(),
    )
    resumed = (out / "dqn.zip").exists()
    if resumed:
        _restore(learner, out)
    keeper = _Keeper(out, validation, decider_of, settings.evaluate_every, settings.steps, progress)
    try:
        left = settings.steps - learner.num_timesteps
        if left > 0:
            learner.learn(left, callback=keeper, reset_num_timesteps=not resumed, tb_log_name="dqn")
    except KeyboardInterrupt:
        if keeper.n_calls:
            keeper.checkpoint()
        raise
    best = DuelingNetwork(experiment.network)
    best.load_state_dict(torch.load(out / "best.pt", weights_only=True)["network"])
    return best.eval()


def make_environments(
    grids: Sequence[PreprocessedGrid], network: NetworkConfig, count: int
) -> tuple[VecMonitor, FrameBank]:
    """Environments that walk on all ``grids`` with the memories and actions of ``network``, and their frames."""
    tables = GridTables.of(grids)
    environments = GridVectorEnv(tables, count, network.frames, network.actions, stop=network.outputs == len(Action))
    return VecMonitor(GridVecEnv(environments)), FrameBank(tables.frames, device())


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
        decider_of: DeciderOf,
        every: int,
        total: int,
        progress: Report,
    ) -> None:
        super().__init__()
        self._out, self._grids, self._decider_of = out, grids, decider_of
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
        weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        on_cpu = DuelingNetwork(network.config)
        on_cpu.load_state_dict(weights)
        runs = run_all(self._decider_of(on_cpu), self._grids, seed=0)
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
