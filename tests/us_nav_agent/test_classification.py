"""The supervised baseline: its labels by hand, that it learns a toy or fails, that a killed run ends in the same."""

import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.tables import GridTables
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, Action, Bin
from us_nav_agent.deciders.classifier import ClassifierDecider, classifier_logits
from us_nav_agent.errors import ModelError, TrainingError
from us_nav_agent.evaluation import evaluate
from us_nav_agent.networks.baselines import DenseNetClassifier, DenseNetConfig
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.policy import digest_file, install_model, load_policy, save_policy
from us_nav_agent.rollout import run_all
from us_nav_agent.training import TrainProgress, classification, load_experiment, train
from us_nav_agent.training.augment import Augmentation, mirror_moves, sample_augmentation
from us_nav_agent.training.classification import action_shares, labelled, train_classifier
from us_nav_agent.training.experiment import ClassificationExperiment, ClassificationSettings
from us_nav_agent.training.run_folder import quiet

MakeGrid = Callable[..., PreprocessedGrid]
GOALS = (Bin(5, 2), Bin(5, 3))
SMALL = DenseNetConfig(32, 32, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), stem=16, growth=8, blocks=(2, 2, 2, 2))
"""A DenseNet that runs in a few milliseconds."""
RUN = importlib.import_module("us_nav_agent.training.train")


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClassificationExperiment, "network", SMALL)


def settings(epochs: int, batch_size: int = 64) -> ClassificationExperiment:
    return ClassificationExperiment("toy", ClassificationSettings(32, epochs, batch_size, 1e-2))


# --- labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goals", "place", "shares"),
    [
        (GOALS, Bin(5, 3), [0, 0, 0, 0, 1]),
        (GOALS, Bin(9, 2), [1, 0, 0, 0, 0]),
        (GOALS, Bin(0, 3), [0, 1, 0, 0, 0]),
        (GOALS, Bin(5, 14), [0, 0, 1, 0, 0]),
        (GOALS, Bin(5, 0), [0, 0, 0, 1, 0]),
        (GOALS, Bin(0, 0), [0, 0.5, 0, 0.5, 0]),
        (GOALS, Bin(10, 14), [0.5, 0, 0.5, 0, 0]),
        ((Bin(2, 7), Bin(8, 7)), Bin(5, 7), [0.5, 0.5, 0, 0, 0]),
        # Row 4 has a goal bin, and so has column 0, not one and the same: the distance is 0, no move shortens it.
        ((Bin(5, 0), Bin(5, 1), Bin(4, 1)), Bin(4, 0), [0, 0, 0, 0, 0]),
    ],
)
def test_the_correct_actions_share_the_label(
    toy_grid: MakeGrid, goals: tuple[Bin, ...], place: Bin, shares: list[float]
) -> None:
    assert action_shares(GridTables.of([toy_grid(goals=goals)]))[0, place.state].tolist() == shares


def test_all_frames_of_all_bins_with_a_label_are_learnt_from(toy_grid: MakeGrid) -> None:
    ragged = toy_grid(goals=(Bin(5, 0), Bin(5, 1), Bin(4, 1)))
    grids = [toy_grid(), ragged]
    numbers, labels = labelled(GridTables.of(grids))
    assert len(numbers) == len(labels) == (2 * BINS - 1) * FRAMES_PER_BIN
    assert set(numbers.tolist()) == set(range(2 * BINS)) - {BINS + Bin(4, 0).state}
    stops = numbers[labels[:, Action.STOP] == 1]
    assert sorted(set(stops.tolist())) == [g.state for g in GOALS] + sorted(BINS + g.state for g in ragged.goals)


def test_an_epoch_takes_every_labelled_frame_once(
    toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []
    update = classification._Learner.update

    def noted(learner: classification._Learner, frames: np.ndarray, labels: np.ndarray) -> float:
        assert 64 <= len(frames) < 128
        seen.extend((learner.updates // 12, frame.tobytes()) for frame in frames)
        return update(learner, frames, labels)

    monkeypatch.setattr(classification._Learner, "update", noted)
    grids = [toy_grid()]
    train_classifier(settings(2), grids, grids, 0, tmp_path, quiet)
    expected = Counter(frame.tobytes() for frame in grids[0].frames for _ in range(FRAMES_PER_BIN))
    epochs = [[frame for epoch, frame in seen if epoch == wanted] for wanted in (0, 1)]
    assert Counter(epochs[0]) == Counter(epochs[1]) == expected
    assert epochs[0] != epochs[1]


def test_on_a_mirrored_back_the_label_says_down_for_up() -> None:
    record = replace(sample_augmentation(2, torch.Generator()), mirror=torch.tensor([True, False]))
    labels = torch.tensor([[0.5, 0.0, 0.25, 0.15, 0.1]] * 2)
    expected = torch.tensor([[0.0, 0.5, 0.25, 0.15, 0.1], [0.5, 0.0, 0.25, 0.15, 0.1]])
    assert torch.equal(mirror_moves(labels, record.mirror), expected)


# --- learning -----------------------------------------------------------------------------------------------------


def share_right(network: DenseNetClassifier, grid: PreprocessedGrid) -> float:
    """Share of the toy's bins in which the likeliest action is a correct one."""
    actions = classifier_logits(network, grid.frames).argmax(axis=1)
    return float((action_shares(GridTables.of([grid]))[0, np.arange(BINS), actions] > 0).mean())


def test_the_baseline_learns_the_toy(toy_grid: MakeGrid, tmp_path: Path) -> None:
    grids = [toy_grid()]
    assert share_right(train_classifier(settings(8), grids, grids, 0, tmp_path, quiet), grids[0]) >= 0.97


def test_a_baseline_with_the_labels_of_other_frames_does_not_learn_the_toy(
    toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(tables: GridTables) -> tuple[np.ndarray, np.ndarray]:
        numbers, labels = labelled(tables)
        return np.random.default_rng(0).permutation(numbers), labels

    monkeypatch.setattr(classification, "labelled", shuffled)
    grids = [toy_grid()]
    assert share_right(train_classifier(settings(3), grids, grids, 0, tmp_path, quiet), grids[0]) < 0.8


def test_every_update_is_augmented_anew(toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []

    def noted(count: int, generator: torch.Generator) -> Augmentation:
        record = sample_augmentation(count, generator)
        turns.extend(record.turn.tolist())
        return record

    monkeypatch.setattr(classification, "sample_augmentation", noted)
    grids = [toy_grid()]
    for seed in (0, 1):
        train_classifier(settings(1), grids, grids, seed, tmp_path / str(seed), quiet)
    assert len(set(turns)) == len(turns) == 2 * BINS * FRAMES_PER_BIN


def test_the_same_seed_gives_the_same_weights(toy_grid: MakeGrid, tmp_path: Path) -> None:
    grids = [toy_grid()]
    first, again, other = (
        train_classifier(settings(1), grids, grids, seed, tmp_path / str(run), quiet).state_dict()
        for run, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize("update", [1, 12, 13, 20])
def test_a_killed_run_ends_in_the_same_weights(
    toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: int
) -> None:
    """An epoch has 12 updates, the state is saved every 5: killed before a save, at the end of an epoch, and within."""
    monkeypatch.setattr(classification, "_SAVE_EVERY", 5)
    grids = [toy_grid()]
    whole = train_classifier(settings(2), grids, grids, 0, tmp_path / "whole", quiet)

    def kill(progress: TrainProgress) -> None:
        if progress.done == update:
            raise SystemExit

    with pytest.raises(SystemExit):
        train_classifier(settings(2), grids, grids, 0, tmp_path / "killed", kill)
    resumed = train_classifier(settings(2), grids, grids, 0, tmp_path / "killed", quiet)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    evaluations = [(tmp_path / run / "evaluations.json").read_text() for run in ("whole", "killed")]
    assert evaluations[0] == evaluations[1]
    assert [entry["updates"] for entry in json.loads(evaluations[0])] == [12, 24]


def test_the_best_epoch_is_that_of_the_highest_median_reachability_then_of_the_lowest_loss(
    toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, losses, kept = iter([0.2, 0.6, 0.6, 0.6, 0.4]), iter([0.1, 0.9, 0.5, 0.7, 0.1]), []

    def scripted(runs: object) -> dict[str, float]:
        value = next(reached)
        return {
            "median_reachability": value,
            "mean_reachability": value,
            "policy_correctness": 0.5,
            "loss": next(losses),
        }

    def keep(file: Path, content: dict[str, object]) -> None:
        network = content["network"]
        assert isinstance(network, dict)
        kept.append({name: value.clone() for name, value in network.items()})

    monkeypatch.setattr(classification, "summary_of", scripted)
    monkeypatch.setattr(classification, "save_torch", keep)
    grids = [toy_grid()]
    best = train_classifier(settings(5, 256), grids, grids, 0, tmp_path, quiet)
    for name, value in best.state_dict().items():
        assert torch.equal(value, kept[2][name])


# --- the network and the policy -----------------------------------------------------------------------------------


def test_the_default_shape_is_densenet_121() -> None:
    from monai.networks.nets.densenet import DenseNet121

    published = DenseNet121(spatial_dims=2, in_channels=1, out_channels=5)
    ours = DenseNetClassifier(DenseNetConfig(96, 96, SMALL.roi)).densenet
    shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in (published, ours)]
    assert shapes[0] == shapes[1]
    assert sum(parameter.numel() for parameter in ours.parameters()) == 6_952_709


def blocks(count: int, height: int, width: int) -> np.ndarray:
    """Frames of 8 x 8 blocks of this size in random greys, the same ones in every size."""
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8), dtype=np.uint8).repeat(height, 1).repeat(width, 2)


@pytest.fixture(scope="module")
def network() -> DenseNetClassifier:
    """An untrained network whose answers differ from frame to frame."""
    with one_thread():
        torch.manual_seed(2)
        network, frames = DenseNetClassifier(SMALL).train(), torch.from_numpy(blocks(64, 4, 4))[:, None]
        for _ in range(20):
            network(frames)
        out = network.eval().densenet.class_layers.out
        with torch.no_grad():
            out.weight *= 30
            out.bias -= network(frames).mean(dim=0)
    return network


@pytest.fixture
def model(network: DenseNetClassifier, tmp_path: Path) -> Path:
    return save_policy(tmp_path / "baseline.safetensors", ClassifierDecider(network))


@pytest.fixture
def noisy(toy_grid: MakeGrid) -> PreprocessedGrid:
    """A toy subject whose five frames of a bin differ."""
    grid, count = toy_grid(), BINS * FRAMES_PER_BIN
    frames = blocks(count, 4, 4)
    indices = np.arange(count, dtype=np.int32)
    return replace(grid, bins=indices.reshape(grid.bins.shape), frames=frames, indices=indices)


def test_the_model_file_says_its_architecture_and_gives_back_the_network(
    model: Path, network: DenseNetClassifier
) -> None:
    with safe_open(model, framework="pt") as file:
        assert file.metadata()["kind"] == "usnav-densenet-1"
    decider = load_policy(model).decider
    assert isinstance(decider, ClassifierDecider)
    assert decider.config == SMALL
    assert not decider.network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, decider.network.state_dict()[name])


def test_it_decides_on_the_current_frame_alone(model: Path, network: DenseNetClassifier) -> None:
    policy, frames = load_policy(model), blocks(6, 75, 100)
    forward, backward = ([policy.act(frame) for frame in walk] for walk in (frames, frames[::-1]))
    assert policy.decisions == 12
    for frame, decision, again in zip(frames, forward, backward[::-1], strict=True):
        with torch.inference_mode():
            logits = network(torch.from_numpy(policy.preprocess(frame))[None, None])[0]
        shares = torch.softmax(logits, 0).numpy()
        np.testing.assert_array_equal(decision.q_values, shares)
        np.testing.assert_array_equal(again.q_values, shares)
        assert decision.action == again.action == shares.argmax()
        assert (decision.stop_probability, decision.confidence) == (shares[Action.STOP], shares.max())
        assert np.isnan(decision.state_value)
    assert len({decision.action for decision in forward}) > 1


def test_the_evaluation_walks_as_the_policy_does(
    model: Path, noisy: PreprocessedGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_policy(model)
    runs = run_all(policy.decider, [noisy], seed=3)
    monkeypatch.setattr(policy, "preprocess", lambda frame: frame)
    rng = np.random.default_rng(3)
    draws = np.stack([rng.integers(FRAMES_PER_BIN, size=BINS) for _ in range(20)])
    for start in range(0, BINS, 20):
        policy.reset()
        place, action = Bin.from_state(start), Action.UP
        while action is not Action.STOP and policy.decisions < 20:
            index = noisy.bins[place.row, place.column, draws[policy.decisions, start]]
            action = policy.act(noisy.frames[index]).action
            place = place.moved(action)
        assert (policy.decisions, place.state) == (runs.actions[0, start], runs.state[0, start])
        assert runs.stopped[0, start] == (action is Action.STOP)
    assert runs.stopped.any() and (runs.actions > 2).any()


def test_the_evaluation_of_the_baseline_is_the_same_each_time(model: Path, noisy: PreprocessedGrid) -> None:
    first, again = (evaluate(load_policy(model), [noisy], seed=0).to_json() for _ in range(2))
    assert first == again


def test_weights_of_another_shape_are_told(network: DenseNetClassifier, tmp_path: Path) -> None:
    decider = ClassifierDecider(network)
    decider.config = replace(SMALL, growth=16)
    with pytest.raises(ModelError, match="weights do not fit the networks it names"):
        load_policy(save_policy(tmp_path / "odd.safetensors", decider))
    decider.config = replace(SMALL, blocks=())
    with pytest.raises(ModelError, match=r"odd\.safetensors: "):
        load_policy(save_policy(tmp_path / "odd.safetensors", decider))


def test_an_installed_model_is_the_same_to_the_byte(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USNAV_MODELS_DIR", str(tmp_path / "models"))
    copy = install_model(model, "densenet")
    assert copy == tmp_path / "models" / "densenet.safetensors"
    assert copy.read_bytes() == model.read_bytes()
    assert load_policy("densenet").sha256 == load_policy(model).sha256
    model.write_bytes(b"broken")
    with pytest.raises(ModelError, match="corrupt"):
        install_model(model, "densenet")
    assert digest_file(copy).read_text().split()[1] == "densenet.safetensors"


# --- a whole run --------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_policy_and_its_record_and_is_not_trained_again(
    toy_grid: MakeGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = {"train": [Path("A.txt"), Path("B.txt")], "validation": [Path("C.txt")]}
    loaded: list[str] = []

    def load_grid(file: Path, preprocess: object) -> PreprocessedGrid:
        assert preprocess == SMALL.preprocess
        loaded.append(file.stem)
        return toy_grid(file.stem)

    monkeypatch.setattr(RUN, "subjects_of", lambda data, split: subjects[split])
    monkeypatch.setattr(RUN, "load_grid", load_grid)
    seen: list[TrainProgress] = []
    model = train(settings(2), Path("data"), 0, tmp_path, seen.append)
    assert isinstance(load_policy(model).decider, ClassifierDecider)
    assert loaded == ["A", "B", "C"]
    assert [one.stage for one in seen if one.done == one.total] == ["data", "classifier"]
    assert seen[-1].note.startswith("validation reachability ")
    assert json.loads((tmp_path / "run.json").read_text())["experiment"]["classification"]["epochs"] == 2
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))
    before, updates = model.read_bytes(), len(seen)
    assert train(settings(2), Path("data"), 0, tmp_path, seen.append).read_bytes() == before
    assert all(one.stage == "data" for one in seen[updates:])
    with pytest.raises(TrainingError, match="another run is here"):
        train(settings(2), Path("data"), 1, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classification: {input_size: 96, epochs: 1, batch_size: 8}", "classification has .*; expected exactly"),
        (
            "classification: {input_size: 9.5, epochs: 1, batch_size: 8, learning_rate: 0.1}",
            r"classification\.input_size is 9\.5; expected a whole number",
        ),
        (
            "classification: {input_size: 16, epochs: 1, batch_size: 8, learning_rate: 0.1}",
            r"classification\.input_size is 16; expected 32 or more",
        ),
        ("preset: lite\nclassification: 5", "an experiment has exactly the keys"),
    ],
)
def test_a_wrong_experiment_is_named_with_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_experiment(file)
