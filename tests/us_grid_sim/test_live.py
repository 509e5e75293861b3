"""Frames in the making at once: order, bounds, errors; and that rendering on several threads changes no byte."""

import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.errors import SourceError
from us_grid_sim.geometry import Bin
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.sources.base import Frame
from us_grid_sim.sources.live import LiveFrames

PATIENCE = 10.0


class Listener:
    """What came out, in its order."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.frames: list[Frame] = []
        self.errors: list[Exception] = []

    def deliver(self, frame: Frame, stamp: int) -> None:
        self.frames.append(frame)
        self.stamps.append(stamp)


Open = Callable[[Callable[[], Frame]], LiveFrames]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def open_live(listener: Listener) -> Iterator[Open]:
    opened: list[LiveFrames] = []

    def begin(read: Callable[[], Frame]) -> LiveFrames:
        opened.append(LiveFrames(read, listener.deliver, listener.errors.append))
        return opened[-1]

    yield begin
    for live in opened:
        live.close()


def ask_until_taken(live: LiveFrames, stamp: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not live.ask(stamp):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def picture() -> Frame:
    return Frame(np.zeros((600, 800), np.uint8))


def test_a_frame_that_is_ready_early_waits_for_the_one_before(open_live: Open, listener: Listener) -> None:
    second_is_ready, calls = threading.Event(), iter(range(2))

    def read() -> Frame:
        if next(calls) == 0:
            assert second_is_ready.wait(PATIENCE)
        else:
            second_is_ready.set()
        return picture()

    live = open_live(read)
    for stamp in (1, 2):
        ask_until_taken(live, stamp)
    live.close()
    assert listener.stamps == [1, 2]


def test_no_more_frames_are_begun_than_there_are_threads(open_live: Open, listener: Listener) -> None:
    go_on = threading.Event()

    def read() -> Frame:
        assert go_on.wait(PATIENCE)
        return picture()

    live = open_live(read)
    assert [live.ask(stamp) for stamp in (1, 2, 3)] == [True, True, False]
    go_on.set()
    ask_until_taken(live, 4)
    live.close()
    assert listener.stamps == [1, 2, 4]


def test_an_error_is_told_at_its_turn_and_the_next_frame_comes(open_live: Open, listener: Listener) -> None:
    outcomes = iter([SourceError("too deep"), picture()])

    def read() -> Frame:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    live = open_live(read)
    for stamp in (1, 2):
        ask_until_taken(live, stamp)
    live.close()
    assert [str(error) for error in listener.errors] == ["too deep"]
    assert listener.stamps == [2]


def test_the_interpreter_is_left_as_it_was(open_live: Open) -> None:
    before = sys.getswitchinterval()
    live = open_live(picture)
    assert sys.getswitchinterval() < before
    live.close()
    assert sys.getswitchinterval() == before


def test_frames_rendered_at_once_are_those_rendered_alone(open_live: Open, listener: Listener) -> None:
    renderer = Renderer(sample_subject(seed=3, index=2))
    poses = [contact_pose(renderer.phantom, *Bin(5, column).center, 1.0) for column in range(8)]
    waiting, taking = list(enumerate(poses)), threading.Lock()

    def read() -> Frame:
        with taking:
            number, pose = waiting.pop(0)
        return Frame(renderer.render(pose, 1.0, number)[0], pose=pose)

    live = open_live(read)
    for stamp in range(len(poses)):
        ask_until_taken(live, stamp)
    live.close()
    assert len(listener.frames) == len(poses)
    for frame in listener.frames:
        number = next(k for k, pose in enumerate(poses) if pose is frame.pose)
        np.testing.assert_array_equal(frame.pixels, renderer.render(frame.pose, 1.0, number)[0])
