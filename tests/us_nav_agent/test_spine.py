"""The filters along and beside the spine: they count, and say when they are sure."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.belief import Doubles
from us_nav_agent.networks.locator import ASIDES, COLUMN_OFFSETS, LEVEL_PARTS, LEVELS, ROW_OFFSETS
from us_nav_agent.spine import ASIDE_CENTRES, CENTRES, LANDMARK, Spine
from us_nav_agent.training.levels import known_spines

from tests.us_nav_agent.support_spine import toy_levels

ONE = np.zeros(1, dtype=np.int64)
BODIES = [(Bin(row, column), climb) for row in (4, 5, 6) for column in (5, 6, 7) for climb in (0.75, 0.85, 0.95)]
LEVELS_OF_BODIES = np.stack([toy_levels(*body) for body in BODIES])
KNOWN_SPINES = known_spines(LEVELS_OF_BODIES)
assert KNOWN_SPINES is not None
SPINES = KNOWN_SPINES
BLANK = np.zeros((1, ASIDES))


def seen_as(level: float, spread: float = 0.1) -> Doubles:
    """Log-probabilities (1, LEVELS) of a frame that tells the level."""
    return np.asarray(-((CENTRES[None] - level) ** 2) / (2 * spread**2))


def seen_between(level: float) -> Doubles:
    """Those of a frame that tells where between two processes it lies, and not between which."""
    return np.asarray(6.0 * np.cos(2 * np.pi * (CENTRES[None] - level)))


def climbed(spine: Spine, level: float, climb: float, columns: int) -> float:
    """Climb so many columns, where between two processes is seen; the level at the end."""
    for _ in range(columns):
        spine.move(ONE, np.array([Action.RIGHT]))
        level += climb
        spine.see(ONE, seen_between(level), BLANK)
    return level


def likeliest(spine: Spine) -> float:
    return float(CENTRES[spine.levels(ONE)[0].argmax()])


def test_spines_are_known_as_they_are() -> None:
    mean = np.mean([climb for _, climb in BODIES])
    assert SPINES.climb[np.abs(CENTRES) < 4] == pytest.approx(mean, abs=0.05)
    assert SPINES.spread == pytest.approx(np.std(np.log([climb for _, climb in BODIES])), abs=0.02)
    at = {"left": int((CENTRES < -5 * 0.85).sum()), "right": int((CENTRES < 8 * 0.85).sum())}
    assert SPINES.held_along[0, at["left"]] > 0.2 > SPINES.held_along[0, at["right"]]
    assert SPINES.held_along[1, at["right"]] > 0.2 > SPINES.held_along[1, at["left"]]
    up, down = (SPINES.held_beside[:, np.abs(ASIDE_CENTRES - border) < 0.003].max(axis=1) for border in (-0.1, 0.1))
    assert up[0] > 0.2 > up[1]
    assert down[1] > 0.2 > down[0]
    assert SPINES.held_along.max() < 1.0
    assert SPINES.held_beside.max() < 1.0


def test_people_of_whom_no_level_is_known_tell_nothing_of_spines() -> None:
    people = np.full((2, *LEVELS_OF_BODIES[0].shape), np.nan, dtype=np.float32)
    assert known_spines(people) is None
    beside = known_spines(np.concatenate([people, LEVELS_OF_BODIES]))
    assert beside is not None
    np.testing.assert_array_equal(beside.climb, SPINES.climb)
    assert beside.spread == SPINES.spread


@given(climb=st.floats(0.74, 0.96), start=st.floats(-1.0, 0.0))
def test_from_the_sacrum_it_counts_vertebrae_that_look_alike(climb: float, start: float) -> None:
    """However far apart they lie in this subject."""
    spine = Spine(SPINES, 2.0, 1)
    spine.see(ONE, seen_as(start), BLANK)
    level = climbed(spine, start, climb, 4)
    assert likeliest(spine) == pytest.approx(level, abs=0.3)


def test_without_the_sacrum_it_knows_the_place_between_two_but_not_between_which() -> None:
    spine = Spine(SPINES, 2.0, 1)
    for _ in range(6):
        spine.see(ONE, seen_between(1.3), BLANK)
    levels = spine.levels(ONE)[0]
    folded = levels.reshape(-1, LEVEL_PARTS).sum(axis=0)
    assert CENTRES[folded.argmax()] % 1 == pytest.approx(0.3, abs=0.1)
    assert levels.max() < 0.2
    assert spine.certainty(ONE)[0] < 0.3
    spine.see(ONE, seen_as(1.3), BLANK)
    assert spine.certainty(ONE)[0] > 0.9


def test_a_target_is_so_many_columns_away_as_it_lies() -> None:
    spine = Spine(SPINES, 2.0, 1)
    for _ in range(5):
        spine.see(ONE, seen_as(-0.7, 0.05), BLANK)
    climb = float(SPINES.climb.mean())
    assert spine.from_target(ONE).columns[0].argmax() - COLUMN_OFFSETS // 2 == round(-2.7 / climb)
    assert spine.from_landmark(ONE).columns[0].argmax() == round((-0.7 - LANDMARK) / climb) + COLUMN_OFFSETS // 2


@pytest.mark.parametrize(("aside", "row"), [(0.002, 0), (0.008, 0), (0.013, 1), (-0.012, -1), (-0.05, -2), (0.061, 3)])
def test_the_row_of_a_vertebra_is_the_one_nearest_to_the_midline(aside: float, row: int) -> None:
    spine = Spine(SPINES, 1.0, 1)
    for _ in range(4):
        spine.see(ONE, np.zeros((1, LEVELS)), -((ASIDE_CENTRES[None] - aside) ** 2) / (2 * 0.003**2))
    rows = spine.from_target(ONE).rows[0]
    assert rows.argmax() - ROW_OFFSETS // 2 in {row, -3 if aside == -0.05 else row}
    assert rows.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("move", "climb", "rows"), [(Action.UP, 0, -1), (Action.DOWN, 0, 1), (Action.LEFT, -1, 0), (Action.RIGHT, 1, 0)]
)
def test_a_move_moves_the_beliefs(move: Action, climb: int, rows: int) -> None:
    spine = Spine(SPINES, 0.0, 1)
    for _ in range(5):
        spine.see(ONE, seen_as(1.06), -((ASIDE_CENTRES[None] - 0.00125) ** 2) / (2 * 0.003**2))
    spine.move(ONE, np.array([move]))
    assert likeliest(spine) == pytest.approx(1.06 + climb * 0.85, abs=0.1)
    assert spine.from_target(ONE).rows[0].argmax() - ROW_OFFSETS // 2 == rows


def test_a_stop_moves_nothing_and_others_stay_where_they_are() -> None:
    spine, every = Spine(SPINES, 0.0, 3), np.arange(3)
    spine.see(every, np.repeat(seen_as(0.6), 3, axis=0), np.repeat(BLANK, 3, axis=0))
    before = spine.levels(every)
    spine.move(np.array([0, 2]), np.array([Action.RIGHT, Action.STOP]))
    after = spine.levels(every)
    assert (after[1:] == before[1:]).all()
    assert CENTRES[after[0].argmax()] > CENTRES[before[0].argmax()] + 0.5


def test_where_the_border_holds_a_move_the_level_stays() -> None:
    held = dataclasses.replace(SPINES, held_along=np.full((2, LEVELS), 0.9))
    spine = Spine(held, 0.0, 1)
    spine.see(ONE, seen_as(0.06), BLANK)
    spine.move(ONE, np.array([Action.RIGHT]))
    assert likeliest(spine) == pytest.approx(0.06, abs=0.1)


def test_runs_are_followed_each_on_its_own() -> None:
    spine, alone = Spine(SPINES, 1.0, 2), Spine(SPINES, 1.0, 1)
    both = np.arange(2)
    spine.see(both, np.concatenate([seen_as(0.3), seen_as(3.2)]), np.zeros((2, ASIDES)))
    spine.move(both, np.array([Action.RIGHT, Action.LEFT]))
    alone.see(ONE, seen_as(3.2), BLANK)
    alone.move(ONE, np.array([Action.LEFT]))
    assert spine.levels(both)[1] == pytest.approx(alone.levels(ONE)[0])
    assert spine.from_target(both).columns[1] == pytest.approx(alone.from_target(ONE).columns[0])


def test_no_frame_is_so_sure_that_nothing_could_be_learnt_after_it() -> None:
    spine = Spine(SPINES, 1.0, 1)
    for level in (4.0, 0.2, 0.2, 0.2):
        spine.see(ONE, seen_as(level, 0.02), BLANK)
    assert likeliest(spine) == pytest.approx(0.2, abs=0.1)


def test_the_second_look_from_a_place_counts_half_and_the_third_a_third() -> None:
    spine, said = Spine(SPINES, 0.0, 1), seen_as(1.3, 1.5)
    for _ in range(3):
        spine.see(ONE, said, BLANK)
        spine.move(ONE, np.array([Action.STOP]))
    once = np.exp(0.5 * (1 + 1 / 2 + 1 / 3) * said)
    np.testing.assert_allclose(spine.levels(ONE), once / once.sum(), atol=1e-5)


def test_a_place_that_a_run_comes_back_to_is_the_same_place() -> None:
    """Moves up and down leave the level as it is, to the same doubt: what differs is where the second look is from."""

    def after(*moves: Action) -> float:
        spine = Spine(SPINES, 0.0, 1)
        spine.see(ONE, seen_as(1.3, 0.8), BLANK)
        for move in moves:
            spine.move(ONE, np.array([move]))
        spine.see(ONE, seen_as(1.3, 0.8), BLANK)
        return float(spine.certainty(ONE)[0])

    elsewhere = after(Action.UP, Action.UP)
    assert after(Action.UP, Action.DOWN) < elsewhere - 0.02
    assert after(Action.DOWN, Action.UP) == pytest.approx(after(Action.UP, Action.DOWN))
    assert after(Action.DOWN, Action.DOWN) == pytest.approx(elsewhere)


def test_a_run_may_go_one_way_for_ever() -> None:
    spine = Spine(SPINES, 0.0, 1)
    for move in [Action.RIGHT] * 40 + [Action.UP] * 40:
        spine.move(ONE, np.array([move]))
        spine.see(ONE, seen_as(5.0), BLANK)
    assert likeliest(spine) == pytest.approx(5.0, abs=0.2)
