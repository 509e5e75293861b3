"""A whole run: same seed same model, killed and gone on with, no test subject seen; experiments and the classifier."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.save_util import load_from_pkl, load_from_zip_file
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, Action, Bin, goal_distance
from us_nav_agent.belief import falling
from us_nav_agent.deciders import DqnDecider, MsDqnDecider
from us_nav_agent.errors import TrainingError
from us_nav_agent.networks.batches import frame_outputs
from us_nav_agent.networks.dueling import PRESETS, NetworkConfig, StopClassifier, Values
from us_nav_agent.policy import load_policy
from us_nav_agent.rollout import Runs, run_all
from us_nav_agent.training import TrainProgress, load_experiment, q_learning, train
from us_nav_agent.training.calibration import (
    cautious_threshold,
    falling_threshold,
    platt_scaling,
    stop_threshold,
    worth_of_stops,
)
from us_nav_agent.training.experiment import FOLDER, DqnExperiment, DqnSettings, MemorySettings, StopSettings
from us_nav_agent.training.machine import layout
from us_nav_agent.training.stop import balanced_batches, choose_threshold, labelled_frames, train_stop

MakeGrid = Callable[..., PreprocessedGrid]
DATA = Path("data")
MOVES = (Action.UP, Action.DOWN, Action.LEFT, Action.RIGHT)
RUN = importlib.import_module("us_nav_agent.training.train")
"""The module, which the package's function of the same name hides."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_the_stop_threshold_is_the_one_that_most_validation_runs_end_well_with(
    toy_grid: MakeGrid, tiny: NetworkConfig
) -> None:
    """Logits 6 in the goal, 2 beside it and 0 elsewhere: a threshold between the last two stops too early."""
    grid = toy_grid()
    grid.frames[:, 0, 0] = np.arange(BINS)  # for the stand-ins of the networks to read
    places = [Bin.from_state(state) for state in range(BINS)]
    logits = torch.tensor([6.0 if one in grid.goals else 2.0 * (one.column == 4) for one in places])
    moves = torch.tensor(
        [int(min(MOVES, key=lambda a, one=one: goal_distance(one.moved(a), grid.goals))) for one in places]
    )

    def state(frames: torch.Tensor) -> torch.Tensor:
        return frames[:, 0, 0, 0].long()

    class Walker(torch.nn.Module):
        config = tiny

        def forward(self, frames: torch.Tensor, actions: torch.Tensor) -> Values:
            return Values(torch.nn.functional.one_hot(moves[state(frames)], 4).float(), torch.zeros(len(frames)))

        both_sides = forward

    class Stopper(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return logits[state(frames)]

        both_sides = forward

    threshold = stop_threshold(Walker(), Stopper(), [grid])
    assert torch.tensor([2.0]).sigmoid() < threshold <= torch.tensor([6.0]).sigmoid()


# --- experiments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_experiment_is_valid(file: Path) -> None:
    experiment = load_experiment(file.stem)
    assert experiment == load_experiment(file)
    assert experiment.name == file.stem


def write(folder: Path, **changes: object) -> Path:
    """The shipped experiment with changes, as ``section__key`` or ``key``; None takes a key out."""
    content = yaml.safe_load((FOLDER / "msdqn_lite.yaml").read_text())
    for name, value in changes.items():
        *section, key = name.split("__")
        place = content[section[0]] if section else content
        if value is None:
            del place[key]
        else:
            place[key] = value
    file = folder / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dqn__stepz": 5}, r"dqn has .*'stepz'.*; expected exactly"),
        ({"dqn__steps": None}, "dqn has .*; expected exactly .*'steps'"),
        ({"variants": -1}, "variants is -1; expected a whole number from 0 up"),
        ({"variants": True}, "variants is True; expected a whole number"),
        ({"variants": None}, "an experiment has exactly the keys variants"),
        ({"extra": 1}, "an experiment has exactly the keys"),
        ({"memory": None}, "an experiment has exactly the keys"),
        ({"memory__frames": 0}, r"memory\.frames is 0; expected a whole number above 0"),
        ({"memory__actions": -1}, r"memory\.actions is -1; expected a whole number from 0 up"),
        ({"stop": 5}, "stop has 5; expected exactly"),
        ({"preset": "huge"}, "preset 'huge'; there are lite, paper"),
        ({"dqn__steps": 1.5}, r"dqn\.steps is 1\.5; expected a whole number above 0"),
        ({"dqn__steps": True}, r"dqn\.steps is True; expected a whole number"),
        ({"dqn__batch_size": 0}, r"dqn\.batch_size is 0; expected a whole number above 0"),
        ({"dqn__learning_rate": -1e-3}, r"dqn\.learning_rate is -0\.001; expected a number above 0"),
        ({"dqn__learning_rate": "fast"}, r"dqn\.learning_rate is 'fast'; expected a number"),
        ({"dqn__learning_rate": float("inf")}, r"dqn\.learning_rate is inf; expected a number above 0"),
        ({"dqn__gamma": 1.5}, r"dqn\.gamma is 1\.5; expected a number from 0 to 1"),
        ({"dqn__gamma": float("nan")}, r"dqn\.gamma is nan; expected a number from 0 to 1"),
    ],
)
def test_a_wrong_experiment_is_named_with_what_would_be_right(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(TrainingError, match=message) as caught:
        load_experiment(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("dqn: [")
    with pytest.raises(TrainingError, match="not YAML"):
        load_experiment(file)


def test_an_unknown_experiment_is_told_from_those_that_there_are() -> None:
    with pytest.raises(TrainingError, match=r"no experiment 'msdqn'; there is .*msdqn_lite"):
        load_experiment("msdqn")


def test_whole_numbers_do_for_numbers(tmp_path: Path) -> None:
    assert asdict(load_experiment(write(tmp_path, dqn__alpha=1)))["dqn"]["alpha"] == 1.0


# --- the stop classifier ------------------------------------------------------------------------------------------


def test_frames_are_labelled_by_their_bin(toy_grid: MakeGrid) -> None:
    frames, labels = labelled_frames([toy_grid(), toy_grid(goals=(Bin(0, 0),))])
    assert frames.shape == (2 * BINS, 32, 32)
    assert labels.sum() == 3
    assert labels[BINS]


@given(negative=st.integers(20, 200), positive=st.integers(1, 15), seed=st.integers(0, 9))
def test_each_batch_is_half_of_either_class_and_no_negative_comes_twice(
    negative: int, positive: int, seed: int
) -> None:
    labels = np.arange(negative + positive) < positive
    batches = balanced_batches(labels, 16, np.random.default_rng(seed))
    assert len(batches) == negative // 8
    assert all(labels[batch].sum() == 8 and len(batch) == 16 for batch in batches)
    drawn = np.concatenate(batches)
    drawn = drawn[~labels[drawn]]
    assert len(set(drawn.tolist())) == len(drawn)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    probabilities = np.array([0.9, 0.8, 0.3, 0.1], dtype=np.float32)
    assert choose_threshold(probabilities, np.array([True, True, False, False])) == pytest.approx(0.55)
    assert choose_threshold(probabilities, np.array([True, True, True, True])) == pytest.approx(0.05)


@given(percents=st.lists(st.integers(1, 40), min_size=2, max_size=30), seed=st.integers(0, 99))
def test_no_threshold_has_a_better_f1_score(percents: list[int], seed: int) -> None:
    values = np.array(percents, dtype=np.float32) / 40
    labels = np.random.default_rng(seed).random(len(values)) < 0.4
    labels[0] = True  # at least one, and there are equal values of both classes

    def score(threshold: float) -> float:
        said = values >= threshold
        return float(2 * (said & labels).sum() / max(said.sum() + labels.sum(), 1))

    assert score(choose_threshold(values, labels)) == pytest.approx(max(score(value) for value in values))


def test_the_classifier_learns_the_toy_and_a_broken_off_training_ends_in_the_same_weights(
    toy_grid: MakeGrid, tiny: NetworkConfig, tmp_path: Path
) -> None:
    settings, grids = StopSettings(2, 64, 1e-2), [toy_grid()]
    whole, threshold, accuracy = train_stop(tiny, settings, grids, grids, 0)
    assert accuracy > 0.95
    assert 0 < threshold < 1

    def kill(done: int, total: int) -> None:
        if done == total // 2 + 3:
            raise SystemExit

    state = tmp_path / "stop_state.pt"
    with pytest.raises(SystemExit):
        train_stop(tiny, settings, grids, grids, 0, kill, state)
    resumed, same_threshold, _ = train_stop(tiny, settings, grids, grids, 0, None, state)
    assert same_threshold == threshold
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_what_decides_is_calibrated(toy_grid: MakeGrid, tiny: NetworkConfig) -> None:
    grid = toy_grid()
    noise = np.random.default_rng(0).integers(0, 120, grid.frames.shape)
    hard = replace(grid, frames=np.clip(grid.frames + noise, 0, 255).astype(np.uint8))
    network, _, _ = train_stop(tiny, StopSettings(1, 64, 1e-3), [grid], [hard], 0)
    frames, labels = labelled_frames([hard])
    scale, offset = platt_scaling(frame_outputs(network.both_sides, frames), labels)
    assert scale == pytest.approx(1.0, abs=0.01)
    assert offset == pytest.approx(0.0, abs=0.01)


# --- calibration --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(scale=st.floats(0.2, 3.0), offset=st.floats(-3.0, 1.0), seed=st.integers(0, 9))
def test_platt_scaling_finds_the_law_that_labels_were_drawn_by(scale: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, 20_000).astype(np.float32)
    labels = rng.random(20_000) < 1.0 / (1.0 + np.exp(-(scale * logits + offset)))
    found = platt_scaling(logits, labels)
    p = 1.0 / (1.0 + np.exp(-(scale * logits.astype(float) + offset)))
    design = np.stack([logits.astype(float), np.ones(len(logits))])
    fisher = design * (p * (1.0 - p)) @ design.T
    standard = np.sqrt(np.diag(np.linalg.inv(fisher)))
    # By chance 4.5 standard errors are passed once in 70 000 laws.
    assert (np.abs(np.array(found) - (scale, offset)) <= 4.5 * standard).all()


def test_a_classifier_without_an_error_does_not_become_infinitely_sure() -> None:
    logits = np.array([-9.0, -8.0, -7.0, 7.0, 8.0] * 10, dtype=np.float32)
    scale, offset = platt_scaling(logits, logits > 0)
    probabilities = 1 / (1 + np.exp(-(scale * logits + offset)))
    assert 0.005 < probabilities.min() < 0.05
    assert 0.95 < probabilities.max() < 0.995


def test_calibration_needs_frames_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="0 samples show the target and 3 do not"):
        platt_scaling(np.zeros(3, np.float32), np.zeros(3, dtype=bool))


def test_a_stop_is_worth_the_fewest_actions_over_those_taken(toy_grid: MakeGrid) -> None:
    """From 3 bins below the goal up and on: nothing on the way, 4/4 in the goal, nothing past it."""
    tables = GridTables.of([toy_grid(goals=(Bin(5, 2),))])
    path = np.tile(np.arange(BINS)[:, None], (1, 1, 21)).reshape(1, BINS, 21)
    path[0, Bin(8, 2).state] = [Bin(max(8 - step, 0), 2).state for step in range(21)]
    path[0, Bin(6, 2).state] = [Bin(6, 2).state, Bin(7, 2).state, Bin(6, 2).state] + [Bin(5, 2).state] * 18
    worth = worth_of_stops(tables, path)
    assert worth[Bin(8, 2).state].tolist() == [0, 0, 0, 1.0] + [0] * 16
    assert worth[Bin(6, 2).state, :5].tolist() == [0, 0, 0, 2 / 4, 2 / 5]
    assert worth[Bin(5, 2).state, 0] == 1.0
    assert worth[Bin(0, 0).state].max() == 0.0


def test_the_cautious_threshold_is_the_highest_that_the_subjects_cannot_tell_from_the_best() -> None:
    """The first look is wrong in half of the runs, where it is less sure; the second is right, at some cost."""
    rng = np.random.default_rng(0)
    subjects, runs = 40, 50
    wrong = rng.random((subjects, runs, 1)) < 0.5
    looks = np.where(wrong, [0.7, 0.9], [0.9, 0.9]).reshape(-1, 2)

    def worth(late: float) -> np.ndarray:
        return np.concatenate([~wrong, np.full_like(wrong, late, dtype=float)], axis=2).reshape(-1, 2)

    assert 0.7 < cautious_threshold(looks, worth(0.9), subjects) <= 0.9
    sure = np.tile([0.7, 0.9], (subjects * runs, 1))
    costs = {"no": 1.0, "clear": 0.8}
    found = {
        name: cautious_threshold(sure, np.tile([1.0, late], (subjects * runs, 1)), subjects)
        for name, late in costs.items()
    }
    assert found["no"] > 0.7 >= found["clear"]
    noisy = np.stack([np.ones(subjects * runs), rng.normal(0.999, 0.3, subjects * runs)], axis=1)
    assert cautious_threshold(sure, noisy, subjects) > 0.7


def test_of_one_subject_alone_the_threshold_is_the_best_one_and_the_highest_of_equals() -> None:
    """Stops at 0.2 are wrong, at 0.6 right, at 0.9 right and late."""
    probabilities = np.tile([0.2, 0.6, 0.9], (4, 1))
    worth = np.tile([0.0, 1.0, 0.5], (4, 1))
    assert 0.5 < cautious_threshold(probabilities, worth, 1) <= 0.6


def test_the_falling_threshold_waits_for_a_better_look_and_takes_what_there_is_at_the_end() -> None:
    """Half of the runs see something like the goal at once (0.6) and the goal at the sixth look (0.9); the other half
    sees the goal at the nineteenth look, and plainly never (0.35), where nothing else is left to be mistaken for it.
    """
    probabilities, worth = np.zeros((40, 20)), np.zeros((40, 20))
    probabilities[:20, 0], probabilities[:20, 5], worth[:20, 5] = 0.6, 0.9, 1.0
    probabilities[20:, 18], worth[20:, 18] = 0.35, 0.5
    first, last = falling_threshold(probabilities, worth)
    assert 0.6 < first <= 0.9
    assert falling(first, last, np.array([18]))[0] <= 0.35


def test_the_falling_threshold_prefers_the_goal_to_a_short_way() -> None:
    """Stopping at once is right in 7 of 10 runs; at the sixth look in all of them, at half the worth."""
    probabilities, worth = np.zeros((10, 20)), np.zeros((10, 20))
    probabilities[:, 0], worth[:7, 0] = 0.6, 1.0
    probabilities[:, 5], worth[:, 5] = 0.9, 0.5
    assert falling_threshold(probabilities, worth)[0] > 0.6
    assert 0.5 < cautious_threshold(probabilities, worth, 1) < 0.6


# --- the agents whose stop is an action ---------------------------------------------------------------------------


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


@pytest.mark.parametrize("channels", [4, 8])
def test_gradients_in_the_training_layout_are_those_of_the_plain_one(channels: int) -> None:
    """Without AVX-512 oneDNN wrote past a buffer's end where fewer than 8 channels lay last, and the process ended."""
    torch.manual_seed(0)
    widths = (channels, channels, 16, 16)
    pictures = torch.randint(0, 256, (64, 1, 32, 32), dtype=torch.uint8)

    def gradient(memory_format: torch.memory_format) -> torch.Tensor:
        torch.manual_seed(1)
        network = StopClassifier(NetworkConfig(32, 32, (0, 0, 32, 32), widths, 16)).to(memory_format=memory_format)  # type: ignore[call-overload]
        network(pictures.contiguous(memory_format=memory_format)).square().sum().backward()
        return torch.cat([one.grad.flatten() for one in network.parameters()])

    expected = gradient(torch.contiguous_format)
    torch.testing.assert_close(gradient(layout(widths)), expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
