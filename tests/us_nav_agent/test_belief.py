"""The Bayes filter over offsets: known answers, invariants, and what actions are worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.envs.rules import Rewards
from us_grid_sim.geometry import BINS, Action, Bin, goal_distance
from us_nav_agent.belief import FORGETTING, FRAME_TRUST, GAMMA, Belief, Grids, Offsets, agreed, falling
from us_nav_agent.networks.locator import COLUMN_OFFSETS, ROW_OFFSETS
from us_nav_agent.training.offsets import known_grids, offsets_to

MOVES = (Action.UP, Action.DOWN, Action.LEFT, Action.RIGHT)
ONE = np.zeros(1, dtype=np.int64)
FREE = Grids(
    (np.full(ROW_OFFSETS, 1 / ROW_OFFSETS), np.full(COLUMN_OFFSETS, 1 / COLUMN_OFFSETS)),
    (np.zeros((2, ROW_OFFSETS)), np.zeros((2, COLUMN_OFFSETS))),
)
"""Grids without a border, every offset as likely as any other."""


def believing(row: int, column: int, grids: Grids = FREE) -> Belief:
    """One run that is certain of its offset."""
    belief = Belief(grids, 1)
    belief.rows[:], belief.columns[:] = 0.0, 0.0
    belief.rows[0, row + 10] = belief.columns[0, column + 14] = 1.0
    return belief


# --- offsets ------------------------------------------------------------------------------------------------------

goal_sets = st.lists(st.builds(Bin, st.integers(0, 10), st.integers(0, 14)), min_size=1, max_size=12, unique=True).map(
    tuple
)


@given(goals=goal_sets)
def test_the_heart_of_a_target_is_its_fullest_row(goals: tuple[Bin, ...]) -> None:
    offsets = offsets_to(goals)
    counts = [sum(goal.row == row for goal in goals) for row in range(11)]
    at_heart = [Bin.from_state(state) for state in np.flatnonzero((offsets == 0).all(axis=1))]
    rows = {place.row for place in at_heart}
    assert len(rows) == 1
    assert counts[rows.pop()] == max(counts)
    assert set(at_heart) <= set(goals)


@given(row=st.integers(0, 10), columns=st.sets(st.integers(0, 14), min_size=1))
def test_towards_a_target_in_one_row_the_offset_is_the_distance(row: int, columns: set[int]) -> None:
    goals = tuple(Bin(row, column) for column in columns)
    distances = [goal_distance(Bin.from_state(state), goals) for state in range(BINS)]
    assert np.abs(offsets_to(goals)).sum(axis=1).tolist() == distances


def test_a_target_needs_a_goal_bin() -> None:
    with pytest.raises(ValueError, match="name at least one"):
        offsets_to(())


def test_borders_and_priors_are_counted() -> None:
    """Two subjects, goal rows 5 and 6: in offset -5 the one stands in row 0, the other in row 1."""
    grids = known_grids(np.stack([offsets_to((Bin(5, 0),)), offsets_to((Bin(6, 0),))]))
    assert grids.held[0][0][-5 + 10] == pytest.approx(0.5, abs=0.03)
    assert grids.held[0][0][-6 + 10] == pytest.approx(1.0, abs=0.07)
    assert grids.held[0][0][-4 + 10] < 0.01
    assert grids.held[1][0][0 + 14] == pytest.approx(1.0, abs=0.05)
    assert grids.prior[0].sum() == pytest.approx(1.0)
    assert grids.prior[1][14 + 1] == pytest.approx(1 / 15, abs=0.005)
    assert (grids.prior[1] > 0).all()


# --- the filter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", MOVES)
def test_a_move_shifts_the_belief_as_it_moves_the_probe(move: Action) -> None:
    belief, before = believing(2, -3), Bin(5, 7)
    belief.move(ONE, np.array([move]))
    after = before.moved(move)
    assert belief.rows[0, 10 + 2 + after.row - before.row] == 1.0
    assert belief.columns[0, 14 - 3 + after.column - before.column] == 1.0


def test_the_border_holds_its_part_of_the_belief() -> None:
    held = np.zeros((2, ROW_OFFSETS))
    held[0, 10 - 5] = 0.7
    belief = believing(-5, 0, Grids(FREE.prior, (held, FREE.held[1])))
    belief.move(ONE, np.array([Action.UP]))
    assert belief.rows[0, [10 - 5, 10 - 6]].tolist() == pytest.approx([0.7, 0.3])


@given(seed=st.integers(0, 99), moves=st.lists(st.sampled_from(MOVES), max_size=12), edge=st.sampled_from([-10, 0, 10]))
def test_a_belief_is_a_distribution_whatever_happens(seed: int, moves: list[Action], edge: int) -> None:
    rng = np.random.default_rng(seed)
    belief = believing(edge, 0)
    for move in moves:
        belief.move(ONE, np.array([move]))
        belief.see(ONE, rng.normal(0, 30, (1, ROW_OFFSETS)), rng.normal(0, 30, (1, COLUMN_OFFSETS)))
        for part in (belief.rows, belief.columns):
            assert part.sum() == pytest.approx(1.0)
            assert (part >= 0).all()


def test_a_frame_multiplies_with_its_likelihood() -> None:
    """Bayes' rule written out: prior times (said / prior) to the power of the trust, and a little of the prior."""
    rng = np.random.default_rng(0)
    prior = rng.dirichlet(np.ones(ROW_OFFSETS))
    said = rng.dirichlet(np.ones(ROW_OFFSETS))
    belief = Belief(Grids((prior, FREE.prior[1]), FREE.held), 1)
    belief.see(ONE, np.log(said)[None] + 5.0, np.zeros((1, COLUMN_OFFSETS)))  # whatever constant it comes with
    weighed = prior * (said / prior) ** FRAME_TRUST
    expected = (1 - FORGETTING) * weighed / weighed.sum() + FORGETTING * prior
    np.testing.assert_allclose(belief.rows[0], expected)


def test_runs_do_not_mix() -> None:
    belief = Belief(FREE, 3)
    said = np.zeros((1, ROW_OFFSETS))
    said[0, 0] = 9.0
    belief.see(np.array([1]), said, np.zeros((1, COLUMN_OFFSETS)))
    belief.move(np.array([1]), np.array([Action.DOWN]))
    np.testing.assert_array_equal(belief.rows[[0, 2]], np.tile(FREE.prior[0], (2, 1)))
    assert belief.rows[1].argmax() == 1


# --- what actions are worth ---------------------------------------------------------------------------------------


def best_return(distance: int) -> float:
    """Written out: so many steps closer, then the stop."""
    rewards = Rewards()
    return sum(GAMMA**step * rewards.closer for step in range(distance)) + GAMMA**distance * rewards.correct_stop


@given(row=st.integers(-9, 9), column=st.integers(-13, 13))
def test_where_the_state_is_known_an_action_is_worth_its_return(row: int, column: int) -> None:
    values = believing(row, column).of(ONE).values(np.array([0.25]))[0]
    rewards, distance = Rewards(), abs(row) + abs(column)
    closer = [row > 0, row < 0, column > 0, column < 0]
    for action, leads_closer in enumerate(closer):
        reward, after = (rewards.closer, distance - 1) if leads_closer else (rewards.further, distance + 1)
        assert values[action] == pytest.approx(reward + GAMMA * best_return(after))
    assert values[Action.STOP] == pytest.approx(0.25 * rewards.correct_stop + 0.75 * rewards.incorrect_stop)


def test_the_best_move_is_the_one_that_most_probably_leads_closer() -> None:
    belief = believing(0, 0)
    belief.rows[0, 10 - 3], belief.rows[0, 10] = 0.6, 0.4
    belief.columns[0, 14 + 2], belief.columns[0, 14] = 0.8, 0.2
    offsets = belief.of(ONE)
    assert offsets.closer()[0] == pytest.approx([0.0, 0.6, 0.8, 0.0])
    assert offsets.values(np.zeros(1))[0, :4].argmax() == Action.LEFT
    assert offsets.here()[0] == pytest.approx(0.4 * 0.2)


# --- two opinions -------------------------------------------------------------------------------------------------


def opinion(seed: int, count: int = 3) -> Offsets:
    rng = np.random.default_rng(seed)
    return Offsets(*(rng.dirichlet(np.full(size, 0.1), count) for size in (ROW_OFFSETS, COLUMN_OFFSETS)))


def test_two_opinions_of_the_same_are_that() -> None:
    one = opinion(0)
    np.testing.assert_allclose(agreed(one, one).rows, one.rows, atol=3e-3)


@given(seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_what_two_opinions_agree_on_is_a_distribution_whoever_speaks_first(seeds: tuple[int, int]) -> None:
    one, other = map(opinion, seeds)
    both, turned = agreed(one, other), agreed(other, one)
    for part, same in ((both.rows, turned.rows), (both.columns, turned.columns)):
        np.testing.assert_allclose(part.sum(axis=1), 1.0)
        np.testing.assert_array_equal(part, same)
        assert (part > 0).all()


def test_what_one_opinion_rules_out_the_other_alone_cannot_hold() -> None:
    """0.9 against 0 and 0.1 against 1: the geometric mean goes with the second."""
    one, other = opinion(0, 1), opinion(0, 1)
    one.rows[:], other.rows[:] = 0.0, 0.0
    one.rows[0, [3, 4]], other.rows[0, 4] = (0.9, 0.1), 1.0
    assert agreed(one, other).rows[0, 4] > 0.9


# --- when to be content with less ---------------------------------------------------------------------------------


def test_a_threshold_stays_for_twelve_decisions_and_falls_to_its_last_at_the_twentieth() -> None:
    along = falling(0.9, 0.2, np.arange(40))
    assert along[:13].tolist() == [0.9] * 13
    np.testing.assert_allclose(np.diff(along[12:20]), -0.1, atol=1e-12)
    np.testing.assert_allclose(along[19:], 0.2)


def test_a_threshold_whose_first_and_last_are_alike_never_falls() -> None:
    assert set(falling(0.7, 0.7, np.arange(40)).tolist()) == {0.7}
