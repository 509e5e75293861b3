"""The plane, its bins and the pose of the probe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.geometry import BINS, COLUMNS, ROWS, Action, Bin, displacement, goal_distance, probe_pose

bins = st.builds(Bin, st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))
actions = st.sampled_from(Action)


def test_states_count_the_bins_row_by_row() -> None:
    assert [Bin.from_state(state).state for state in range(BINS)] == list(range(165))
    assert Bin(5, 1).state == 76


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (11, 0), (0, -1), (0, 15)])
def test_a_bin_off_the_grid_is_refused(row: int, column: int) -> None:
    with pytest.raises(ValueError, match="off the grid; rows are 0 to 10, columns 0 to 14"):
        Bin(row, column)


def test_the_middle_bin_is_the_origin_of_the_patient_frame() -> None:
    assert Bin(5, 7).center == (0.0, 0.0)


def test_the_caudal_left_corner() -> None:
    """Column 0 is caudal (x is negative), row 0 the patient's left (y, to the right, is negative)."""
    assert Bin(0, 0).center == pytest.approx((-0.14, -0.10))


@given(bins)
def test_the_nearest_bin_to_a_centre_is_the_bin(position: Bin) -> None:
    assert Bin.nearest(*position.center) == position


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_there_is_a_nearest_bin_everywhere(x: float, y: float) -> None:
    nearest = Bin.nearest(x, y)
    assert 0 <= nearest.state < BINS


@given(bins, actions)
def test_a_move_inside_the_grid_is_its_displacement(position: Bin, action: Action) -> None:
    moved = position.moved(action)
    step = np.subtract(moved.center, position.center)
    if moved == position:
        at_border = {
            Action.UP: position.row == 0,
            Action.DOWN: position.row == ROWS - 1,
            Action.LEFT: position.column == 0,
            Action.RIGHT: position.column == COLUMNS - 1,
            Action.STOP: True,
        }
        assert at_border[action]
    else:
        assert step == pytest.approx(displacement(action))


@given(bins, actions, st.lists(bins, min_size=1, max_size=4))
def test_one_step_changes_the_distance_by_at_most_one(position: Bin, action: Action, goals: list[Bin]) -> None:
    before = goal_distance(position, tuple(goals))
    after = goal_distance(position.moved(action), tuple(goals))
    assert abs(after - before) <= 1


@given(bins, st.lists(bins, min_size=1, max_size=4))
def test_the_distance_is_zero_in_a_goal(extra: Bin, goals: list[Bin]) -> None:
    assert all(goal_distance(goal, (*goals, extra)) == 0 for goal in goals)


def test_the_two_minima_are_taken_separately() -> None:
    """Row 2 is near one goal, column 9 near the other."""
    assert goal_distance(Bin(2, 9), (Bin(2, 0), Bin(10, 9))) == 0


def test_without_a_goal_there_is_no_distance() -> None:
    with pytest.raises(ValueError, match="without goal bins"):
        goal_distance(Bin(0, 0), ())


def test_the_probe_looks_down_with_its_columns_along_y() -> None:
    pose = probe_pose(0.1, 0.02, 0.003)
    rotation = pose[:3, :3]
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert rotation @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation @ [0, 0, 1] == pytest.approx([0, 0, 1])
    assert pose[:3, 3] == pytest.approx([0.1, 0.02, 0.003])
