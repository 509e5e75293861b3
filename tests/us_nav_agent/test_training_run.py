"""A whole run: same seed same model, killed and gone on with, no test subject seen."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from stable_baselines3.common.save_util import load_from_pkl, load_from_zip_file
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, Action
from us_nav_agent.deciders import DqnDecider, MsDqnDecider
from us_nav_agent.errors import TrainingError
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.networks.dueling import PRESETS, NetworkConfig
from us_nav_agent.policy import load_policy
from us_nav_agent.rollout import Runs, run_all
from us_nav_agent.training import TrainProgress, q_learning, train
from us_nav_agent.training.experiment import FOLDER, DqnExperiment, DqnSettings, MemorySettings, StopSettings

MakeGrid = Callable[..., PreprocessedGrid]
DATA = Path("data")
RUN = importlib.import_module("us_nav_agent.training.train")
"""The module, which the package's function of the same name hides."""


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch, tiny: NetworkConfig) -> DqnExperiment:
    """A run of a second or two."""
    monkeypatch.setitem(PRESETS, "tiny", tiny)
    values = yaml.safe_load((FOLDER / "msdqn_lite.yaml").read_text())["dqn"]
    values |= {"steps": 240, "environments": 4, "gradient_steps": 1, "batch_size": 8, "learning_starts": 40}
    values |= {"buffer_size": 500, "target_update": 40, "evaluate_every": 80}
    return DqnExperiment("toy", 0, "tiny", MemorySettings(3, 5), StopSettings(1, 64, 1e-2), DqnSettings(**values))


@pytest.fixture
def subjects(monkeypatch: pytest.MonkeyPatch, toy_grid: MakeGrid) -> list[str]:
    """Two training subjects and one for validation in place of a data set; the list of those that were loaded.

    The threshold is not searched for, which takes longer than all the rest of so short a run.
    """
    loaded: list[str] = []

    def subjects_of(data: Path, split: str) -> list[Path]:
        return {"train": [data / "A.txt", data / "B.txt"], "validation": [data / "C.txt"]}[split]

    def load_grid(file: Path, preprocess: object) -> PreprocessedGrid:
        loaded.append(file.stem)
        return toy_grid(file.stem)

    monkeypatch.setattr(RUN, "subjects_of", subjects_of)
    monkeypatch.setattr(RUN, "load_grid", load_grid)
    monkeypatch.setattr(RUN, "stop_threshold", lambda *_: 0.5)
    return loaded


class Stopping:
    """A progress report that breaks a run off, once, at a step of a stage."""

    def __init__(self, stage: str, step: int, error: type[BaseException]) -> None:
        self.stage, self.step, self.error = stage, step, error
        self.steps: list[int] = []

    def __call__(self, progress: TrainProgress) -> None:
        if progress.stage == self.stage:
            self.steps.append(progress.done)
            if progress.done >= self.step:
                raise self.error


def evaluations(out: Path) -> list[int]:
    return [entry["steps"] for entry in json.loads((out / "evaluations.json").read_text())]


def test_a_run_leaves_a_model_its_record_and_its_evaluations(
    experiment: DqnExperiment, subjects: list[str], tmp_path: Path
) -> None:
    seen: list[TrainProgress] = []
    model = train(experiment, DATA, 0, tmp_path, seen.append)
    assert load_policy(model).decider.config == experiment.network
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["seed"] == 0
    assert record["experiment"]["dqn"]["steps"] == 240
    assert evaluations(tmp_path) == [80, 160, 240]
    assert [one.stage for one in seen if one.done == one.total] == ["data", "stop", "dqn"]
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))


def test_no_test_subject_is_loaded_or_recorded(experiment: DqnExperiment, subjects: list[str], tmp_path: Path) -> None:
    train(experiment, DATA, 0, tmp_path)
    assert subjects == ["A", "B", "C"]
    assert json.loads((tmp_path / "run.json").read_text())["subjects"] == {"train": ["A", "B"], "validation": ["C"]}


def test_the_threshold_of_the_finished_policy_is_chosen_on_validation_subjects_and_their_variants(
    experiment: DqnExperiment,
    subjects: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toy_grid: MakeGrid,
) -> None:
    judged: list[list[str]] = []

    def variants(files: list[Path], count: int, *_: object) -> list[PreprocessedGrid]:
        return [toy_grid(f"{file.stem}{number}") for file in files for number in range(count)]

    def threshold(q: object, stop: object, grids: list[PreprocessedGrid]) -> float:
        judged.append([grid.name for grid in grids])
        return 0.25

    monkeypatch.setattr(RUN, "make_variants", variants)
    monkeypatch.setattr(RUN, "stop_threshold", threshold)
    policy = load_policy(train(replace(experiment, variants=2), DATA, 0, tmp_path))
    assert judged == [["C", "C0", "C1"]]
    assert isinstance(policy.decider, MsDqnDecider) and policy.decider.threshold == 0.25


def test_the_same_seed_gives_the_same_model_to_the_byte(
    experiment: DqnExperiment, subjects: list[str], tmp_path: Path
) -> None:
    models = [train(experiment, DATA, seed, tmp_path / str(run)) for run, seed in enumerate((0, 0, 1))]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert models[0].read_bytes() != models[2].read_bytes()


def test_ctrl_c_keeps_every_step(experiment: DqnExperiment, subjects: list[str], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(experiment, DATA, 0, tmp_path, Stopping("dqn", 120, KeyboardInterrupt))
    going_on = Stopping("dqn", 10_000, KeyboardInterrupt)
    model = train(experiment, DATA, 0, tmp_path, going_on)
    assert going_on.steps[0] == 124
    assert going_on.steps[-1] == 240
    assert evaluations(tmp_path) == [80, 160, 240]
    # 4 environments; the steps in progress at the break and at the last checkpoint are not yet stored.
    assert load_from_pkl(tmp_path / "replay.pkl").pos == 240 // 4 - 2
    load_policy(model)


def test_a_killed_run_goes_on_from_its_last_evaluation(
    experiment: DqnExperiment, subjects: list[str], tmp_path: Path
) -> None:
    """SystemExit stands for the kill: nothing is saved on the way out."""
    with pytest.raises(SystemExit):
        train(experiment, DATA, 0, tmp_path, Stopping("dqn", 120, SystemExit))
    going_on = Stopping("dqn", 10_000, SystemExit)
    train(experiment, DATA, 0, tmp_path, going_on)
    assert going_on.steps[0] == 84
    assert evaluations(tmp_path) == [80, 160, 240]


def test_a_resumed_run_counts_on(experiment: DqnExperiment, subjects: list[str], tmp_path: Path) -> None:
    """Epsilon, beta and the copies to the target network follow these counters."""
    for broken_off, updates in ((200, 39), (220, 43)):
        with pytest.raises(KeyboardInterrupt):
            train(experiment, DATA, 0, tmp_path, Stopping("dqn", broken_off, KeyboardInterrupt))
        counters = json.loads((tmp_path / "counters.json").read_text())
        assert counters == {"steps": broken_off, "updates": updates, "calls": updates + 10}


def test_a_resumed_run_takes_up_networks_and_optimizer(
    experiment: DqnExperiment, subjects: list[str], tmp_path: Path
) -> None:
    """Broken off again before its first update, it saves what it took up."""
    states = []
    for broken_off in (200, 204):
        with pytest.raises(KeyboardInterrupt):
            train(experiment, DATA, 0, tmp_path, Stopping("dqn", broken_off, KeyboardInterrupt))
        states.append(load_from_zip_file(tmp_path / "dqn.zip", device="cpu")[1])
    before, after = states
    assert set(before) == {"policy", "policy.optimizer"}
    for name, value in before["policy"].items():
        assert torch.equal(after["policy"][name], value), name
    for number, moments in before["policy.optimizer"]["state"].items():
        assert torch.equal(after["policy.optimizer"]["state"][number]["exp_avg_sq"], moments["exp_avg_sq"])


def test_a_finished_run_is_not_trained_again(experiment: DqnExperiment, subjects: list[str], tmp_path: Path) -> None:
    first = train(experiment, DATA, 0, tmp_path).read_bytes()
    again = Stopping("dqn", 0, AssertionError)
    assert train(experiment, DATA, 0, tmp_path, again).read_bytes() == first


def test_the_best_by_validation_is_the_model(
    experiment: DqnExperiment, subjects: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Median reachability first; between equals the mean, then the earlier one."""
    chosen: list[dict[str, torch.Tensor]] = []
    reached = iter([0.2, 0.6, 0.4])

    def scripted(decider: MsDqnDecider, grids: list[PreprocessedGrid], seed: int) -> Runs:
        chosen.append({name: value.clone() for name, value in decider.q_network.state_dict().items()})
        runs = run_all(decider, grids, seed)
        share = next(reached)
        return replace(runs, reached=np.arange(BINS)[None] < share * BINS)

    monkeypatch.setattr(q_learning, "run_all", scripted)
    decider = load_policy(train(experiment, DATA, 0, tmp_path)).decider
    for name, value in decider.networks()["q_network"].state_dict().items():
        assert torch.equal(value, chosen[1][name])


def test_a_folder_of_another_run_is_left_alone(experiment: DqnExperiment, subjects: list[str], tmp_path: Path) -> None:
    train(experiment, DATA, 0, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"run\.json: another run is here; name another folder with --out"):
        train(experiment, DATA, 1, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("memory", [MemorySettings(1, 0), MemorySettings(3, 5)], ids=["V-DQN", "M-DQN"])
def test_an_agent_without_a_stop_classifier_is_trained_and_walks(
    experiment: DqnExperiment, subjects: list[str], toy_grid: MakeGrid, tmp_path: Path, memory: MemorySettings
) -> None:
    policy = load_policy(train(replace(experiment, memory=memory, stop=None), DATA, 0, tmp_path))
    assert isinstance(policy.decider, DqnDecider)
    assert (policy.decider.config.frames, policy.decider.config.actions) == (memory.frames, memory.actions)
    assert policy.decider.config.outputs == len(Action)
    assert not (tmp_path / "stop.pt").exists()
    runs = run_all(policy.decider, [toy_grid()], seed=0)
    assert runs.actions.min() >= 1
