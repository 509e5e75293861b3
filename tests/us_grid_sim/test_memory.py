"""The memories that the environments and the policy share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.memory import ActionMemory, FrameMemory


def test_the_first_frame_fills_the_memory() -> None:
    memory = FrameMemory(3)
    memory.push(7)
    assert memory.stacked().tolist() == [7, 7, 7]


def test_the_current_frame_comes_first_and_a_reset_forgets() -> None:
    memory = FrameMemory(3)
    for frame in (1, 2, 3, 4):
        memory.push(frame)
    assert memory.stacked().tolist() == [4, 3, 2]
    memory.reset()
    memory.push(9)
    assert memory.stacked().tolist() == [9, 9, 9]


def test_pixels_are_copied_in_and_out() -> None:
    frame = np.zeros((2, 3), np.uint8)
    memory = FrameMemory(2)
    memory.push(frame)
    frame[:] = 255
    stacked = memory.stacked()
    assert stacked.dtype == np.uint8
    assert stacked.shape == (2, 2, 3)
    assert not stacked.any()
    stacked[:] = 1
    assert not memory.stacked().any()


def test_looking_at_an_empty_memory_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        FrameMemory().stacked()


def test_actions_start_at_zero_and_the_newest_comes_first() -> None:
    memory = ActionMemory(length=3, actions=4)
    assert memory.vector().tolist() == [0.0] * 12
    memory.push(3)
    memory.push(0)
    assert memory.vector().tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert memory.vector().dtype == np.float32


def test_the_stop_action_has_no_place_among_four() -> None:
    with pytest.raises(ValueError, match="action 4 is none of 0 to 3"):
        ActionMemory(actions=4).push(4)


def test_a_memory_of_no_action_is_empty_and_stays_so() -> None:
    memory = ActionMemory(length=0, actions=4)
    memory.push(2)
    assert memory.vector().shape == (0,)


@given(st.lists(st.integers(0, 4), max_size=12))
def test_the_vector_is_the_last_actions_reversed(actions: list[int]) -> None:
    memory = ActionMemory(length=5, actions=5)
    for action in actions:
        memory.push(action)
    rows = memory.vector().reshape(5, 5)
    newest_first = actions[::-1][:5]
    assert rows.argmax(axis=1)[: len(newest_first)].tolist() == newest_first
    assert rows.sum() == len(newest_first)
