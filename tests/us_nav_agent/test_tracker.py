"""The tracker: what it takes in and remembers, the walks that it learns from, its training."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN, Action, Bin
from us_grid_sim.phantom.target import Target
from us_nav_agent.belief import Offsets
from us_nav_agent.deciders.whereabouts import LONGEST_SURVEY, Outlook, Sights, Whereabouts
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
)
from us_nav_agent.networks.tracker import MOVES, Tracked, Tracker, TrackerConfig, answers_of, answers_size
from us_nav_agent.rollout import MAX_ACTIONS
from us_nav_agent.training import knowledge as stops
from us_nav_agent.training import tracking
from us_nav_agent.training.experiment import TrackerSettings
from us_nav_agent.training.knowledge import count_grids
from us_nav_agent.training.run_folder import TrainProgress, quiet
from us_nav_agent.training.tracking import (
    Chances,
    Ground,
    agent,
    follow,
    make_ground,
    sample_chances,
    tracking_loss,
    train_tracker,
    truth,
)

from tests.us_nav_agent.support_spine import toy_levels

MakeGrid = Callable[..., PreprocessedGrid]
TARGETS = ("sacrum", "l5")
SHAPE = TrackerConfig(16, 0.1)
SETTINGS = TrackerSettings(30, 16, 5e-3)


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


def sure_of(places: np.ndarray[Any, Any], classes: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits (n, classes) of locators that are sure of the class at each of ``places`` (n,), in classes."""
    logits = np.full((len(places), classes), -12.0, np.float32)
    logits[np.arange(len(places)), np.clip(places, 0, classes - 1).astype(int)] = 0.0
    return logits


@pytest.fixture(scope="module")
def ground(toy_grid: MakeGrid) -> Ground:
    """Two toy subjects whose locators are right three times in four, and else a bin off, always the same way there."""
    goals = {Target.SACRUM: (Bin(5, 2), Bin(5, 3)), Target.L5: (Bin(5, 9),)}
    moved = {Target.SACRUM: (Bin(6, 3), Bin(6, 4)), Target.L5: (Bin(6, 10),)}
    subjects = [replace(toy_grid(), goals=one[Target.SACRUM], targets=one) for one in (goals, moved)]
    places = np.stack([toy_levels(Bin(5, 9)), toy_levels(Bin(6, 10))])
    knowledge = count_grids(subjects, places, TARGETS)
    bare = make_ground(subjects, Sights(*(np.zeros((1, 2, 1), np.float32) for _ in range(5))), TARGETS, [])
    rng = np.random.default_rng(0)
    labels = bare.labels.transpose(0, 2, 1, 3).reshape(2 * BINS, len(TARGETS), 3)
    off = rng.choice([0, 0, 0, 1], size=(2 * BINS, 1))
    shape = 2 * BINS, len(TARGETS)
    rows, columns = (np.full((*shape, size), -4.0, np.float32) for size in (ROW_OFFSETS, COLUMN_OFFSETS))
    np.put_along_axis(rows, np.clip(labels[..., :1] + off[..., None], 0, ROW_OFFSETS - 1), 0.0, axis=2)
    np.put_along_axis(columns, np.clip(labels[..., 1:2] - off[..., None], 0, COLUMN_OFFSETS - 1), 0.0, axis=2)
    shown = (4.0 * labels[..., 2] - 2.0 + rng.normal(0, 1, (2 * BINS, 1))).astype(np.float32)
    level, aside = places.reshape(-1, 2).T
    levels = sure_of((level - LOWEST_LEVEL) * LEVEL_PARTS, LEVELS)
    asides = sure_of((aside + FARTHEST_ASIDE) / ASIDE_PITCH, ASIDES)
    sights = Sights(rows, columns, shown, levels, asides)
    return make_ground(subjects, sights, TARGETS, [knowledge.known(0), knowledge.known(1)])


# --- the network --------------------------------------------------------------------------------------------------


def some_steps(ground: Ground, runs: int = 3, steps: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    answers = ground.sights.answers[rng.integers(2 * BINS, size=(runs, steps))]
    moves = torch.eye(MOVES)[torch.from_numpy(rng.integers(MOVES, size=(runs, steps)))]
    return answers, moves


def shaken(ground: Ground) -> Tracker:
    """A tracker with weights of which none is zero."""
    torch.manual_seed(0)
    tracker = Tracker(SHAPE, len(TARGETS)).eval()
    for weight in tracker.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return tracker


def test_an_untrained_tracker_says_what_the_locators_say(ground: Ground) -> None:
    tracker, (answers, moves) = Tracker(SHAPE, len(TARGETS)).eval(), some_steps(ground)
    said = tracker(answers, torch.ones(3, 4), moves)
    assert said.rows.shape == (3, 4, 2, ROW_OFFSETS)
    assert said.columns.shape == (3, 4, 2, COLUMN_OFFSETS)
    flat = answers[..., : 2 * (ROW_OFFSETS + COLUMN_OFFSETS + 1)].view(3, 4, 2, -1)
    assert torch.equal(said.rows.argmax(3), flat[..., :ROW_OFFSETS].argmax(3))
    assert torch.equal(said.columns.argmax(3), flat[..., ROW_OFFSETS:-1].argmax(3))


def test_step_by_step_it_says_what_it_says_of_the_whole_walk(ground: Ground) -> None:
    tracker, (answers, moves), seen = shaken(ground), some_steps(ground), torch.ones(3, 4)
    whole, memory = tracker(answers, seen, moves), None
    for step in range(4):
        one = slice(step, step + 1)
        said = tracker(answers[:, one], seen[:, one], moves[:, one], memory)
        memory = said.memory
        torch.testing.assert_close(said.rows[:, 0], whole.rows[:, step])
        torch.testing.assert_close(said.shown[:, 0], whole.shown[:, step])


def test_it_remembers(ground: Ground) -> None:
    tracker, (answers, moves) = shaken(ground), some_steps(ground)
    other = answers.clone()
    other[:, 0] = answers[:, 1]
    first, second = (tracker(one, torch.ones(3, 4), moves).rows[:, -1] for one in (answers, other))
    assert not torch.allclose(first, second, atol=1e-4)


def test_a_frame_that_says_nothing_new_does_not_count(ground: Ground) -> None:
    tracker, (answers, moves) = shaken(ground), some_steps(ground)
    seen, other = torch.ones(3, 4), answers.clone()
    seen[:, 2] = 0.0
    other[:, 2] = 7.0
    torch.testing.assert_close(tracker(answers, seen, moves).rows, tracker(other, seen, moves).rows)
    assert not torch.allclose(
        tracker(answers, torch.ones(3, 4), moves).rows[:, 2], tracker(other, seen, moves).rows[:, 2]
    )


def test_answers_are_cut_where_a_locator_is_sure_beyond_reason() -> None:
    rows, columns = torch.zeros(1, 1, ROW_OFFSETS), torch.zeros(1, 1, COLUMN_OFFSETS)
    rows[0, 0, 3] = 500.0
    levels, asides = torch.zeros(1, LEVELS), torch.zeros(1, ASIDES)
    levels[0, 5] = 500.0
    taken = answers_of(rows, columns, torch.tensor([[-300.0]]), levels, asides)
    assert taken.shape == (1, answers_size(1)) == (1, ROW_OFFSETS + COLUMN_OFFSETS + 1 + LEVELS + ASIDES)
    assert taken.abs().max() == 2.0
    assert taken[0, 3] == 0.0
    assert taken[0, ROW_OFFSETS + COLUMN_OFFSETS + 1 + 5] == 0.0
    shifted = answers_of(rows + 9.0, columns - 5.0, torch.tensor([[-300.0]]), levels - 3.0, asides + 1.0)
    assert torch.equal(taken, shifted)


# --- whereabouts --------------------------------------------------------------------------------------------------


def test_a_run_to_a_vertebra_goes_to_the_sacrum_until_it_has_counted(ground: Ground) -> None:
    one, frames = np.zeros(1, dtype=int), np.array([Bin(5, 7).state])
    unsure = replace(ground.sights, levels=np.zeros_like(ground.sights.levels))

    def after_three_looks(sights: Sights) -> tuple[Offsets, Offsets]:
        """Where the run stands seen from where it goes, and seen from the sacrum."""
        where = Whereabouts(ground.known[1], shaken(ground), 1)
        spine = ground.known[1].spine(1)
        assert spine is not None
        for _ in range(3):
            offsets = where.see(one, sights, frames, np.ones(1)).offsets
            spine.see(one, *sights.of_spine(frames))
        return offsets, spine.from_landmark(one)

    offsets, from_sacrum = after_three_looks(unsure)
    np.testing.assert_array_equal(offsets.columns, from_sacrum.columns)
    np.testing.assert_array_equal(offsets.rows, from_sacrum.rows)
    offsets, from_sacrum = after_three_looks(ground.sights)
    assert offsets.columns.argmax() == COLUMN_OFFSETS // 2 - 2, "two columns caudal of L5"
    assert from_sacrum.columns.argmax() == COLUMN_OFFSETS // 2 - 1


def test_a_survey_ends_where_nothing_can_be_counted(ground: Ground) -> None:
    one, where = np.zeros(1, dtype=int), Whereabouts(ground.known[1], shaken(ground), 1)
    unsure = replace(ground.sights, levels=np.zeros_like(ground.sights.levels))
    seen = [where.see(one, unsure, np.array([70]), np.ones(1)).offsets.columns[0] for _ in range(LONGEST_SURVEY + 2)]
    changes = [not np.allclose(before, after, atol=0.05) for before, after in pairwise(seen[3:])]
    assert changes.count(True) == 1
    assert changes.index(True) + 3 == LONGEST_SURVEY - 2


def test_where_no_spine_is_known_filter_and_tracker_lead_to_a_vertebra(ground: Ground) -> None:
    one, frames = np.zeros(1, dtype=int), np.array([Bin(5, 7).state])
    where = Whereabouts(replace(ground.known[1], spines=None), shaken(ground), 1)
    for _ in range(3):
        outlook = where.see(one, ground.sights, frames, np.ones(1))
        assert outlook.evidence[0, 4] == 0.0
        assert outlook.offsets.columns.argmax() == COLUMN_OFFSETS // 2 - 2
        where.move(one, np.array([Action.STOP]))


def test_runs_follow_what_they_see_alone(ground: Ground) -> None:
    """Three runs at a time, of which one ends: each holds for true what it would alone."""
    tracker, rng = shaken(ground), np.random.default_rng(2)
    many, alone = (Whereabouts(ground.known[0], tracker, count) for count in (3, 1))
    for live in (np.arange(3), np.array([0, 2]), np.array([0, 2])):
        frames, actions = rng.integers(2 * BINS, size=len(live)), rng.integers(MOVES, size=len(live))
        outlook = many.see(live, ground.sights, frames, np.ones(len(live)))
        own = alone.see(np.zeros(1, dtype=int), ground.sights, frames[-1:], np.ones(1))
        np.testing.assert_allclose(outlook.evidence[-1], own.evidence[0], atol=1e-5)
        np.testing.assert_allclose(outlook.offsets.rows[-1], own.offsets.rows[0], atol=1e-6)
        many.move(live, actions)
        alone.move(np.zeros(1, dtype=int), actions[-1:])


def test_runs_remember_what_they_saw_and_did(ground: Ground) -> None:
    """Step by step the tracker says what it says of the whole walk, its moves and its stuck frame included."""
    tracker, rng, steps = shaken(ground), np.random.default_rng(5), 5
    frames, moves = rng.integers(2 * BINS, size=(2, steps)), rng.integers(MOVES, size=(2, steps))
    fresh = np.array([[1.0, 1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    led = torch.cat([torch.zeros(2, 1, MOVES), torch.eye(MOVES)[torch.from_numpy(moves[:, :-1])]], dim=1)
    with torch.inference_mode():
        whole = tracker(ground.sights.answers[frames], torch.from_numpy(fresh).float(), led)
    where = Whereabouts(ground.known[1], tracker, 2)
    for step in range(steps):
        outlook = where.see(np.arange(2), ground.sights, frames[:, step], fresh[:, step])
        np.testing.assert_allclose(outlook.evidence[:, 2], whole.shown[:, step, 1], atol=1e-5)
        where.move(np.arange(2), moves[:, step])


def test_a_frame_that_says_nothing_new_leaves_the_filter_as_it_is(ground: Ground) -> None:
    where, one = Whereabouts(ground.known[0], shaken(ground), 1), np.zeros(1, dtype=int)
    first = where.see(one, ground.sights, np.array([17]), np.ones(1))
    again = where.see(one, ground.sights, np.array([99]), np.zeros(1))
    assert again.evidence[0, 1] == first.evidence[0, 1]
    assert where.see(one, ground.sights, np.array([99]), np.ones(1)).evidence[0, 1] != first.evidence[0, 1]


# --- walks --------------------------------------------------------------------------------------------------------


def no_strays(chances: Chances) -> Chances:
    return replace(chances, strays=np.full_like(chances.strays, -1), stuck=np.zeros_like(chances.stuck))


def test_walks_go_where_they_are_told_but_where_they_stray(ground: Ground) -> None:
    chances = sample_chances(40, 2, np.random.default_rng(0))
    walks = follow(chances, ground, lambda step, moves, states, frames, fresh: np.full(40, int(Action.UP)))
    assert walks.states.shape == walks.frames.shape == walks.moves.shape == (40, MAX_ACTIONS)
    assert (walks.states[:, 0] == chances.starts).all()
    assert (walks.moves[:, 0] == -1).all()
    for walk in range(40):
        for step in range(1, MAX_ACTIONS):
            stray, move = chances.strays[walk, step - 1], walks.moves[walk, step]
            assert move == (stray if stray >= 0 else Action.UP)
            before = Bin.from_state(int(walks.states[walk, step - 1]))
            assert before.moved(Action(int(move))).state == walks.states[walk, step]
    of_bin = ground.tables.bins[chances.subjects[:, None], walks.states]
    assert (np.take_along_axis(of_bin, chances.draws[..., None], axis=2)[..., 0] == walks.frames).all()


def test_a_stuck_frame_and_the_one_before_again_are_no_new_sight(ground: Ground) -> None:
    chances = sample_chances(40, 2, np.random.default_rng(5))
    walks = follow(chances, ground, truth(chances, ground, 0))
    again = np.zeros((40, MAX_ACTIONS), dtype=bool)
    again[:, 1:] = walks.frames[:, 1:] == walks.frames[:, :-1]
    assert again.any()
    np.testing.assert_array_equal(walks.fresh, ~again & ~chances.stuck)


def test_the_loss_asks_the_tracker_without_frames_that_are_no_new_sight(ground: Ground) -> None:
    learner = tracking._Learner(SHAPE, SETTINGS, ground, 0)
    learner.tracker.eval()
    chances = sample_chances(10, 2, np.random.default_rng(6))
    walks = follow(chances, ground, truth(chances, ground, 0))
    blind = replace(walks, fresh=np.zeros_like(walks.fresh))
    with torch.no_grad():
        assert learner._loss(chances, blind) != learner._loss(chances, walks)


def test_when_to_stop_is_learnt_without_frames_that_are_no_new_sight(ground: Ground) -> None:
    told: list[tuple[np.ndarray, np.ndarray]] = []

    class Noted(Whereabouts):
        def see(self, live: np.ndarray, sights: Sights, frames: np.ndarray, fresh: np.ndarray) -> Outlook:
            told.append((frames, fresh))
            return super().see(live, sights, frames, fresh)

    stops._endless_walk(Noted(ground.known[0], shaken(ground), 2 * BINS), ground.sights, ground.tables)
    frames, fresh = (np.stack(part) for part in zip(*told, strict=True))
    again = frames[1:] == frames[:-1]
    assert again.any()
    assert fresh[0].all()
    np.testing.assert_array_equal(fresh[1:] == 0.0, again)


def test_chances_are_spread() -> None:
    chances = sample_chances(4000, 7, np.random.default_rng(0))
    assert np.bincount(chances.subjects, minlength=7).min() > 450
    assert np.bincount(chances.starts, minlength=BINS).min() > 5
    assert set(np.unique(chances.draws)) == set(range(FRAMES_PER_BIN))
    strayed = (chances.strays >= 0).mean(axis=1)
    assert (strayed == 0).mean() > 0.2
    assert (strayed > 0.8).mean() > 0.04
    assert 0.04 < chances.stuck.mean() < 0.06


@pytest.mark.parametrize("target", [0, 1])
def test_the_truth_leads_to_the_target(ground: Ground, target: int) -> None:
    chances = no_strays(sample_chances(60, 2, np.random.default_rng(3)))
    walks = follow(chances, ground, truth(chances, ground, target))
    labels = ground.labels[chances.subjects, target]
    away = np.abs(labels[..., :2] - [ROW_OFFSETS // 2, COLUMN_OFFSETS // 2]).sum(axis=2)
    distance = np.take_along_axis(away, walks.states, axis=1)
    assert ((distance[:, 1:] - distance[:, :-1])[distance[:, :-1] > 0] == -1).all()


def test_the_agent_walks_as_it_would_decide(ground: Ground) -> None:
    tracker = shaken(ground)
    chances = no_strays(sample_chances(10, 2, np.random.default_rng(4)))
    walks = follow(chances, ground, agent(chances, ground, tracker, 1))
    where, every = Whereabouts(ground.known[1], tracker, 10), np.arange(10)
    for step in range(MAX_ACTIONS - 1):
        outlook = where.see(every, ground.sights, walks.frames[:, step], walks.fresh[:, step].astype(np.float64))
        moves = outlook.offsets.values(np.zeros(10))[:, :MOVES].argmax(axis=1)
        np.testing.assert_array_equal(moves, walks.moves[:, step + 1])
        where.move(every, moves)


# --- training -----------------------------------------------------------------------------------------------------


def weights(tracker: Tracker) -> list[bytes]:
    return [value.detach().numpy().tobytes() for value in tracker.state_dict().values()]


def test_the_loss_is_least_for_the_true_answer(ground: Ground) -> None:
    labels = torch.tensor([[[[10, 14, 1], [3, 20, 0]]]])
    right = [torch.full((1, 1, 2, size), -9.0) for size in (ROW_OFFSETS, COLUMN_OFFSETS)]
    for part, number in zip(right, (0, 1), strict=True):
        part.scatter_(3, labels[..., number : number + 1], 0.0)
    shown = torch.tensor([[[5.0, -5.0]]])
    least = tracking_loss(Tracked(right[0], right[1], shown, torch.zeros(0)), labels)
    for rows, columns, seen in (
        (right[0].flip(3), right[1], shown),
        (right[0], right[1].flip(3), shown),
        (*right, -shown),
    ):
        assert tracking_loss(Tracked(rows, columns, seen, torch.zeros(0)), labels) > least + 1.0


def test_a_training_that_was_broken_off_ends_in_the_same_weights(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_SAVE_EVERY", 7)
    whole = train_tracker(SHAPE, SETTINGS, ground, 0, tmp_path / "whole", quiet)

    def kill(progress: TrainProgress) -> None:
        if progress.done == 17:
            raise SystemExit

    (tmp_path / "broken").mkdir()
    with pytest.raises(SystemExit):
        train_tracker(SHAPE, SETTINGS, ground, 0, tmp_path / "broken", kill)
    seen: list[int] = []
    again = train_tracker(SHAPE, SETTINGS, ground, 0, tmp_path / "broken", lambda said: seen.append(said.done))
    assert seen[0] == 15
    assert weights(again) == weights(whole)
    assert weights(train_tracker(SHAPE, SETTINGS, ground, 1, tmp_path / "other", quiet)) != weights(whole)


def test_it_learns_to_know_better_than_the_locators(ground: Ground, tmp_path: Path) -> None:
    """A place where the locators err is told by the way there."""
    chances = sample_chances(200, 2, np.random.default_rng(9))
    walks = follow(chances, ground, truth(chances, ground, 0))
    labels = torch.from_numpy(ground.labels[chances.subjects[:, None], :, walks.states])
    moves = (torch.from_numpy(walks.moves)[..., None] == torch.arange(MOVES)).float()

    def wrong(tracker: Tracker) -> float:
        with torch.inference_mode():
            said = tracker(ground.sights.answers[walks.frames], torch.ones(200, MAX_ACTIONS), moves)
        return float((said.rows.argmax(3) != labels[..., 0])[:, 5:].float().mean())

    larger = replace(SHAPE, hidden=48)
    learnt = train_tracker(larger, TrackerSettings(300, 32, 5e-3), ground, 0, tmp_path, quiet)
    before, after = wrong(Tracker(larger, len(TARGETS)).eval()), wrong(learnt)
    assert before > 0.2
    assert after < 0.65 * before, f"{before:.2f} before, {after:.2f} after"
