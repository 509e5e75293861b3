"""The belief agent whole: its networks, its training, its decisions one by one and in batches, its model file."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import BINS, COLUMNS, FRAME_HEIGHT, FRAME_WIDTH, FRAMES_PER_BIN, ROWS, Action, Bin
from us_grid_sim.phantom.target import Target
from us_nav_agent.deciders.belief import BeliefDecider, Knowledge
from us_nav_agent.deciders.whereabouts import look
from us_nav_agent.errors import ModelError
from us_nav_agent.evaluation import evaluate_seeds
from us_nav_agent.familiarity import Familiarity
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.networks.locator import (
    ASIDE_PITCH,
    ASIDES,
    COLUMN_OFFSETS,
    FARTHEST_ASIDE,
    LEVEL_PARTS,
    LEVELS,
    LOWEST_LEVEL,
    ROW_OFFSETS,
    Location,
    Locator,
    LocatorConfig,
    mirrored_targets,
)
from us_nav_agent.networks.tracker import TrackerConfig
from us_nav_agent.policy import load_policy, save_policy
from us_nav_agent.rollout import MAX_ACTIONS, run_all
from us_nav_agent.training import localisation
from us_nav_agent.training.augment import Augmentation, sample_augmentation
from us_nav_agent.training.experiment import BeliefExperiment, LocatorSettings, TrackerSettings
from us_nav_agent.training.knowledge import count_grids, learn_stops
from us_nav_agent.training.localisation import (
    augment_labels,
    augment_places,
    location_loss,
    phase_loss,
    train_locators,
)
from us_nav_agent.training.offsets import labels_of, offsets_to
from us_nav_agent.training.run_folder import TrainProgress, quiet
from us_nav_agent.training.tracking import Ground, make_ground, train_tracker

from tests.us_nav_agent.support_spine import toy_levels

MakeGrid = Callable[..., PreprocessedGrid]
TARGETS = ("sacrum", "sacroiliac_left", "sacroiliac_right")
SHAPE, TRACKING = TrackerConfig(24, 0.0), TrackerSettings(200, 32, 5e-3)
PLACES = np.stack([toy_levels(Bin(5, 4)), toy_levels(Bin(6, 5))])
CONFIG = LocatorConfig(32, 32, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), (8, 8, 16, 16), 32, 0.0, 2, TARGETS)


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BeliefExperiment, "network", CONFIG)


def settings(epochs: int, members: int = 2) -> BeliefExperiment:
    return BeliefExperiment("toy", 0, LocatorSettings(32, members, epochs, 64, 5e-3), TRACKING)


@pytest.fixture(scope="session")
def backs(toy_grid: MakeGrid) -> list[PreprocessedGrid]:
    """Toy subjects with joints beside the sacrum, each shifted on its grid."""

    def shifted(row: int, column: int) -> PreprocessedGrid:
        goals = {
            Target.SACRUM: (Bin(5 + row, 2 + column), Bin(5 + row, 3 + column)),
            Target.SACROILIAC_LEFT: (Bin(3 + row, 4 + column),),
            Target.SACROILIAC_RIGHT: (Bin(7 + row, 4 + column),),
        }
        frames = toy_grid().frames.reshape(ROWS, COLUMNS, 32, 32)
        frames = np.roll(frames, (row, column), axis=(0, 1)).reshape(BINS, 32, 32)
        return replace(toy_grid(), frames=frames, goals=goals[Target.SACRUM], targets=goals)

    return [shifted(0, 0), shifted(1, 1)]


# --- labels -------------------------------------------------------------------------------------------------------


def test_labels_say_offset_and_view_of_every_target(backs: list[PreprocessedGrid]) -> None:
    frames, labels = labels_of(backs, TARGETS)
    assert frames.shape == (2 * BINS, 32, 32)
    assert labels.shape == (2 * BINS, 3, 3)
    for place in (Bin(0, 0), Bin(6, 3), Bin(8, 5), Bin(10, 14)):
        here = BINS + place.state
        for number, target in enumerate(TARGETS):
            goals = backs[1].targets[Target(target)]
            row, column = offsets_to(goals)[place.state]
            assert labels[here, number].tolist() == [row + 10, column + 14, place in goals]
        assert (frames[here] == backs[1].frames[place.state]).all()


def test_on_a_mirrored_back_the_joints_change_places(backs: list[PreprocessedGrid]) -> None:
    """The label of a mirrored bin is that of the bin in the mirrored row: the toy backs are their own mirror image."""
    _, labels = labels_of(backs[:1], TARGETS)
    by_bin = torch.from_numpy(labels)
    record = Augmentation.none(BINS)
    record.mirror[:] = True
    mirrored = augment_labels(by_bin, record, TARGETS).reshape(ROWS, COLUMNS, 3, 3)
    assert torch.equal(mirrored, by_bin.reshape(ROWS, COLUMNS, 3, 3).flip(0))
    assert torch.equal(augment_labels(by_bin, Augmentation.none(BINS), TARGETS), by_bin)
    assert mirrored_targets(TARGETS) == [0, 2, 1]


def test_the_mirrored_back_is_as_far_on_the_other_side_of_the_midline() -> None:
    places, record = torch.tensor([[1.3, 0.02], [-0.5, -0.04]]), Augmentation.none(2)
    assert torch.equal(augment_places(places, record), places)
    record.mirror[1] = True
    assert augment_places(places, record).tolist() == [pytest.approx([1.3, 0.02]), pytest.approx([-0.5, 0.04])]


def test_the_loss_is_least_for_the_true_answer() -> None:
    labels, places = torch.tensor([[[10, 14, 1], [3, 20, 0], [12, 0, 0]]]), torch.tensor([[1.3, 0.004]])
    rows, columns = torch.zeros(1, 3, ROW_OFFSETS), torch.zeros(1, 3, COLUMN_OFFSETS)
    for target, (row, column, _) in enumerate(labels[0].tolist()):
        rows[0, target, row], columns[0, target, column] = 4.0, 4.0
    levels, asides = torch.zeros(1, LEVELS), torch.zeros(1, ASIDES)
    levels[0, int((1.3 - LOWEST_LEVEL) * LEVEL_PARTS)] = 4.0
    asides[0, int((0.004 + FARTHEST_ASIDE) / ASIDE_PITCH)] = 4.0
    right = Location(rows, columns, torch.tensor([[4.0, -4.0, -4.0]]), levels, asides)
    least = location_loss(right, labels, places)
    wrong = {
        "rows": rows.flip(2),
        "columns": columns.flip(2),
        "shown": -right.shown,
        "levels": levels.roll(LEVEL_PARTS),
        "asides": asides.flip(1),
    }
    for name, part in wrong.items():
        assert location_loss(right._replace(**{name: part}), labels, places) > least + 0.4, name


def test_frames_whose_level_is_not_known_teach_none() -> None:
    said = Location(
        torch.randn(2, 3, ROW_OFFSETS),
        torch.randn(2, 3, COLUMN_OFFSETS),
        torch.randn(2, 3),
        torch.randn(2, LEVELS, requires_grad=True),
        torch.randn(2, ASIDES, requires_grad=True),
    )
    labels, unknown = torch.zeros(2, 3, 3, dtype=torch.int64), [torch.nan, torch.nan]
    location_loss(said, labels, torch.tensor([[1.3, 0.004], unknown])).backward()  # type: ignore[no-untyped-call]
    for part in (said.levels, said.asides):
        assert part.grad is not None
        assert part.grad[0].abs().sum() > 0
        assert part.grad[1].abs().sum() == 0
    assert location_loss(said, labels, torch.tensor([unknown, unknown])).isfinite()


def test_over_the_spine_the_place_between_two_processes_counts_beside_the_level() -> None:
    def lost(said: float, level: float, aside: float) -> float:
        logits = torch.zeros(1, LEVELS)
        logits[0, int((said - LOWEST_LEVEL) * LEVEL_PARTS)] = 8.0
        return float(phase_loss(logits, torch.tensor([[level, aside]])))

    assert lost(3.3, 1.3, 0.0) == pytest.approx(lost(1.3, 1.3, 0.0))
    assert lost(1.8, 1.3, 0.0) > lost(1.3, 1.3, 0.0) + 0.5
    assert lost(1.8, 1.3, 0.03) == lost(-2.0, -2.5, 0.0) == 0.0, "beside the spine and on the sacrum there are none"


def make_toy_ground(locators: list[Locator], backs: list[PreprocessedGrid]) -> Ground:
    knowledge = count_grids(backs, PLACES, TARGETS)
    sights = look([one.eval() for one in locators], np.concatenate([grid.frames for grid in backs]))
    return make_ground(backs, sights, TARGETS, [knowledge.known(number) for number in range(len(TARGETS))])


# --- training -----------------------------------------------------------------------------------------------------


def weights(locators: list[Locator]) -> list[bytes]:
    return [value.numpy().tobytes() for one in locators for value in one.state_dict().values()]


def test_a_training_that_was_broken_off_ends_in_the_same_weights(
    backs: list[PreprocessedGrid], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("us_nav_agent.training.localisation._SAVE_EVERY", 7)
    whole = train_locators(settings(5), backs, PLACES, 0, tmp_path / "whole", quiet)

    deaths = [("locator 0", 10), ("locator 1", 20)]

    def kill(progress: TrainProgress) -> None:
        if (progress.stage, progress.done) == deaths[0]:
            del deaths[0]
            raise SystemExit

    for _ in range(2):
        with pytest.raises(SystemExit):
            train_locators(settings(5), backs, PLACES, 0, tmp_path / "broken", kill)
    assert weights(train_locators(settings(5), backs, PLACES, 0, tmp_path / "broken", quiet)) == weights(whole)


def test_members_and_seeds_differ(backs: list[PreprocessedGrid], tmp_path: Path) -> None:
    first = train_locators(settings(5), backs, PLACES, 0, tmp_path / "0", quiet)
    other = train_locators(settings(5), backs, PLACES, 1, tmp_path / "1", quiet)
    assert len({weights([one])[0] for one in (*first, *other)}) == 4


def test_the_matrices_of_a_finished_member_are_those_that_the_model_file_can_hold(
    backs: list[PreprocessedGrid], tmp_path: Path
) -> None:
    matrices = [
        part
        for part in train_locators(settings(2), backs, PLACES, 0, tmp_path, quiet)[0].parameters()
        if part.dim() > 1
    ]
    assert matrices
    assert all(torch.equal(part, part.half().float()) for part in matrices)


def test_a_whole_run_goes_on_where_it_was_broken_off_and_never_asks_for_test_subjects(
    backs: list[PreprocessedGrid], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off in a locator and in the tracker; the same model to the byte as in one go."""
    run = importlib.import_module("us_nav_agent.training.train")
    by_split = {"train": [tmp_path / "A.txt"], "validation": [tmp_path / "B.txt", tmp_path / "C.txt"]}
    monkeypatch.setattr(run, "subjects_of", lambda data, split: by_split[split])
    monkeypatch.setattr(run, "load_grid", lambda file, preprocess: backs[file.stem == "B"])
    monkeypatch.setattr(run, "bodies_levels", lambda files, variants, progress: PLACES[: len(files)])
    monkeypatch.setattr("us_nav_agent.training.tracking._SAVE_EVERY", 7)
    monkeypatch.setattr(BeliefExperiment, "tracker_network", SHAPE)
    experiment = replace(settings(3), tracker=TrackerSettings(20, 16, 5e-3))
    whole = run.train(experiment, tmp_path, 0, tmp_path / "whole").read_bytes()

    deaths = [("locator 1", 3), ("tracker", 17)]

    def kill(progress: TrainProgress) -> None:
        if deaths and (progress.stage, progress.done) == deaths[0]:
            del deaths[0]
            raise SystemExit

    for _ in range(2):
        with pytest.raises(SystemExit):
            run.train(experiment, tmp_path, 0, tmp_path / "broken", kill)
    assert run.train(experiment, tmp_path, 0, tmp_path / "broken", kill).read_bytes() == whole
    assert load_policy(tmp_path / "broken" / "model.safetensors").targets == TARGETS


def test_an_agent_is_trained_on_people_whose_levels_are_not_known(
    backs: list[PreprocessedGrid], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = importlib.import_module("us_nav_agent.training.train")
    files = {"train": [tmp_path / "Patient_files" / "A.txt"], "validation": [tmp_path / "Patient_files" / "B.txt"]}
    monkeypatch.setattr(run, "subjects_of", lambda data, split: files[split])
    monkeypatch.setattr(run, "load_grid", lambda file, preprocess: backs[file.stem == "B"])
    monkeypatch.setattr(BeliefExperiment, "tracker_network", SHAPE)
    experiment = replace(settings(3), variants=0, tracker=TrackerSettings(5, 16, 5e-3))
    decider = load_policy(run.train(experiment, tmp_path, 0, tmp_path / "out")).decider
    assert isinstance(decider, BeliefDecider)
    assert decider.knowledge.known(0).spines is None


@pytest.fixture(scope="module")
def trained(backs: list[PreprocessedGrid], tmp_path_factory: pytest.TempPathFactory) -> BeliefDecider:
    """An agent that has learnt the toy."""
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        # On the toy the height of a spot says the column, so thicker tissue would be another column.
        patch.setattr(
            localisation, "sample_augmentation", lambda count, generator, wide: sample_augmentation(count, generator)
        )
        patch.setattr(BeliefExperiment, "network", replace(CONFIG, members=1))
        folder = tmp_path_factory.mktemp("run")
        locators = train_locators(settings(60, members=1), backs, PLACES, 0, folder, quiet)
        known = np.concatenate([grid.frames for grid in backs])
        ground, knowledge = make_toy_ground(locators, backs), count_grids(backs, PLACES, TARGETS)
        tracker = train_tracker(SHAPE, TRACKING, ground, 0, folder, quiet)
        learn_stops(knowledge, tracker, ground.sights, backs, TARGETS)
        return BeliefDecider(locators, tracker, knowledge, Familiarity.learnt(known, known))


@pytest.mark.parametrize("target", TARGETS)
def test_the_agent_learns_the_toy_for_every_target(
    trained: BeliefDecider, backs: list[PreprocessedGrid], target: str
) -> None:
    towards = [replace(grid, goals=grid.targets[Target(target)]) for grid in backs]
    runs = run_all(trained.towards(target), towards, seed=0)
    assert runs.reached.mean() > 0.95
    assert (runs.correct / runs.actions).mean() > 0.9


def test_the_agent_does_not_reach_a_target_when_sent_to_another(
    trained: BeliefDecider, backs: list[PreprocessedGrid]
) -> None:
    assert run_all(trained.towards("sacroiliac_left"), backs, seed=0).reached.mean() < 0.1


# --- decisions ----------------------------------------------------------------------------------------------------


def test_a_frame_and_its_mirror_image_tell_of_the_same_back() -> None:
    """Of the mirror image the sides change: rows, joints, and the distance from the midline; all else is alike."""
    torch.manual_seed(0)
    locators = [Locator(CONFIG).eval() for _ in range(2)]
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    said, mirrored = look(locators, frames), look(locators, np.ascontiguousarray(frames[:, :, ::-1]))
    sides = [0, 2, 1]
    assert mirrored.rows[:, sides, ::-1] == pytest.approx(said.rows, abs=1e-5)
    assert mirrored.columns[:, sides] == pytest.approx(said.columns, abs=1e-5)
    assert mirrored.shown[:, sides] == pytest.approx(said.shown, abs=1e-5)
    assert mirrored.levels == pytest.approx(said.levels, abs=1e-5)
    assert mirrored.asides[:, ::-1] == pytest.approx(said.asides, abs=1e-5)
    assert said.rows[..., ::-1] != pytest.approx(said.rows, abs=1e-3), "the frames' own sides differ"
    assert said.shown[:, sides] != pytest.approx(said.shown, abs=1e-3)


def test_both_sides_count_alike() -> None:
    torch.manual_seed(0)
    locator, order = Locator(CONFIG).eval(), [0, 2, 1]
    frames = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        one, other, both = locator(frames), locator(frames.flip(3)), locator.both_sides(frames)
    rows = (one.rows.log_softmax(2) + other.rows.log_softmax(2)[:, order].flip(2)) / 2
    torch.testing.assert_close(both.rows, rows)
    torch.testing.assert_close(both.shown, (one.shown + other.shown[:, order]) / 2)


def test_the_batch_walks_as_single_runs_do(trained: BeliefDecider, backs: list[PreprocessedGrid]) -> None:
    grid = backs[1]
    batch = run_all(trained, [grid], seed=3)
    draws = np.random.default_rng(3)
    drawn = np.stack([draws.integers(FRAMES_PER_BIN, size=BINS) for _ in range(MAX_ACTIONS)])
    for start in range(0, BINS, 23):
        run, place, path = trained.begin(), Bin.from_state(start), [start]
        for step in range(MAX_ACTIONS):
            action = run(grid.frames[grid.bins[place.row, place.column, drawn[step, start]]]).action
            if action is Action.STOP:
                break
            place = place.moved(action)
            path.append(place.state)
        assert batch.path[0, start, : len(path)].tolist() == path


def test_a_decision_says_what_it_rests_on(trained: BeliefDecider, backs: list[PreprocessedGrid]) -> None:
    grid = backs[0]
    far, at = trained.begin()(grid.frames[Bin(9, 12).state]), trained.begin()(grid.frames[Bin(5, 2).state])
    assert far.action in (Action.UP, Action.LEFT)
    assert far.q_values.shape == (5,)
    assert far.q_values[:4].argmax() == far.action
    assert far.stop_probability < 0.05
    assert 0.5 < far.confidence <= 1.0
    assert at.action is Action.STOP
    known = trained.familiarity(grid.frames[Bin(5, 2).state][None])[0]
    assert at.confidence == at.stop_probability * known > 0.4


def test_a_frame_that_is_the_last_one_again_is_not_trusted(
    trained: BeliefDecider, backs: list[PreprocessedGrid]
) -> None:
    """No stop on it, no confidence in it; the belief goes on by the moves alone, and comes back with the next frame."""
    frames, run = backs[0].frames, trained.begin()
    away, goal = frames[Bin(5, 6).state], frames[Bin(5, 2).state]
    first, again = run(away), run(away)
    assert first.confidence > 0.5
    assert again.confidence == again.stop_probability == 0.0
    assert again.action is not Action.STOP
    assert run(goal).action is Action.STOP

    run = trained.begin()
    assert run(goal).action is Action.STOP
    assert run(goal).action is not Action.STOP


def test_a_decision_on_a_strange_frame_has_no_confidence(trained: BeliefDecider, backs: list[PreprocessedGrid]) -> None:
    """Noise shows no back, whatever the networks see in it."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    run = trained.begin()
    assert run(backs[0].frames[Bin(5, 6).state]).confidence > 0.5
    assert run(noise).confidence < 0.01
    assert run(backs[0].frames[Bin(5, 5).state]).confidence > 0.5


def test_many_runs_behind_a_stuck_grabber_decide_as_single_ones(
    trained: BeliefDecider, backs: list[PreprocessedGrid]
) -> None:
    bank, places = backs[0].frames, np.array([160, 160, 98, 98, 98, 47, 47, 32, 32])
    many = trained.walkers(bank, 3)
    run = trained.begin()
    for place in places:
        actions = many(np.arange(3), np.full(3, place))
        assert actions.tolist() == [int(run(bank[place]).action)] * 3


# --- the model file -----------------------------------------------------------------------------------------------


def test_a_model_file_gives_the_same_decisions(
    trained: BeliefDecider, backs: list[PreprocessedGrid], tmp_path: Path
) -> None:
    policy = load_policy(save_policy(tmp_path / "belief.safetensors", trained))
    assert policy.targets == TARGETS
    for target in TARGETS:
        path = run_all(policy.decider.towards(target), backs, seed=1).path
        np.testing.assert_array_equal(path, run_all(trained.towards(target), backs, seed=1).path)


def test_a_target_that_it_does_not_find_is_told_from_those_that_it_does(trained: BeliefDecider, tmp_path: Path) -> None:
    policy = load_policy(save_policy(tmp_path / "belief.safetensors", trained))
    with pytest.raises(ModelError, match="finds sacrum, sacroiliac_left, sacroiliac_right, not 'l4'"):
        policy.reset("l4")


def test_knowledge_of_other_targets_than_the_file_names_is_refused(trained: BeliefDecider, tmp_path: Path) -> None:
    odd = BeliefDecider(trained.locators, trained.tracker, Knowledge(TARGETS[:2]), Familiarity())
    with pytest.raises(ModelError, match="weights do not fit the networks it names"):
        load_policy(save_policy(tmp_path / "odd.safetensors", odd))


# --- evaluation ---------------------------------------------------------------------------------------------------


def test_an_evaluation_walks_to_the_target_that_is_asked_for(
    trained: BeliefDecider, backs: list[PreprocessedGrid], tmp_path: Path
) -> None:
    policy = load_policy(save_policy(tmp_path / "belief.safetensors", trained))
    left = [grid.towards("sacroiliac_left") for grid in backs]
    left = [replace(grid, name=f"Back{number}") for number, grid in enumerate(left)]
    result = evaluate_seeds([policy], left, 0, "sacroiliac_left")
    assert result.reachability.mean > 0.95
    assert json.loads(result.to_json())["target"] == "sacroiliac_left"
    assert "| architecture, to sacroiliac_left |" in result.to_markdown()
    assert "Hase et al. 2020" not in result.to_markdown()  # they walked to the sacrum alone


def test_a_subject_without_the_target_says_which_it_has(backs: list[PreprocessedGrid]) -> None:
    with pytest.raises(UsGridSimError, match="no goal bins of 'l4'; it has those of sacrum, sacroiliac_left"):
        backs[0].towards("l4")
