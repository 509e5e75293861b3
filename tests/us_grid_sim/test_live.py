"""Frames rendered in processes: the same bytes, in order, bounded; a pose at fault, a process that dies, an end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Pipe

import numpy as np
import pytest
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.errors import SourceEndedError, SourceError
from us_grid_sim.geometry import Bin, probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.sources.live import LiveFrames, Pixels
from us_grid_sim.sources.phantom import Look

PATIENCE = 20.0


class Listener:
    """What came out, in its order."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.frames: list[Pixels] = []
        self.errors: list[SourceError] = []

    def forget(self) -> None:
        for heard in (self.stamps, self.frames, self.errors):
            heard.clear()

    def deliver(self, pixels: Pixels, stamp: int) -> None:
        self.frames.append(pixels)
        self.stamps.append(stamp)

    def wait_for(self, frames: int, errors: int = 0) -> None:
        deadline = time.monotonic() + PATIENCE
        while (len(self.frames), len(self.errors)) != (frames, errors):
            assert time.monotonic() < deadline, f"{len(self.frames)} frames, {self.errors}"
            time.sleep(0.002)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(sample_subject(seed=3, index=2))


@pytest.fixture(scope="module")
def opened(renderer: Renderer) -> Iterator[tuple[LiveFrames, Listener]]:
    listener = Listener()
    live = LiveFrames(listener.deliver, listener.errors.append)
    live.show(renderer.phantom)
    yield live, listener
    live.close()


@pytest.fixture
def live(opened: tuple[LiveFrames, Listener]) -> LiveFrames:
    return opened[0]


@pytest.fixture
def listener(opened: tuple[LiveFrames, Listener]) -> Listener:
    opened[1].forget()
    return opened[1]


def looks(renderer: Renderer, count: int) -> list[Look]:
    return [Look(contact_pose(renderer.phantom, *Bin(5, column).center, 1.0), 1.0) for column in range(count)]


def ask_until_taken(live: LiveFrames, look: Look, stamp: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not live.ask(look, stamp):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_frames_come_in_order_and_are_those_rendered_here(
    live: LiveFrames, listener: Listener, renderer: Renderer
) -> None:
    path = looks(renderer, 9)
    for stamp, look in enumerate(path):
        ask_until_taken(live, look, stamp)
    listener.wait_for(len(path))
    assert listener.stamps == list(range(len(path)))
    for look, pixels in zip(path, listener.frames, strict=True):
        np.testing.assert_array_equal(pixels, renderer.render(look.pose, 1.0, look.number)[0])


def test_no_more_frames_are_begun_than_there_are_processes(
    live: LiveFrames, listener: Listener, renderer: Renderer
) -> None:
    assert [live.ask(look, stamp) for stamp, look in enumerate(looks(renderer, 3))] == [True, True, False]
    listener.wait_for(2)


def test_from_the_same_place_the_frame_is_not_rendered_again(
    live: LiveFrames, listener: Listener, renderer: Renderer
) -> None:
    look = looks(renderer, 1)[0]
    ask_until_taken(live, look, 0)
    listener.wait_for(1)
    for stamp in (1, 2, 3):
        ask_until_taken(live, look, stamp)
    listener.wait_for(4)
    assert all(pixels is listener.frames[0] for pixels in listener.frames)
    assert listener.stamps == [0, 1, 2, 3]


def test_a_pose_that_cannot_be_rendered_is_told_at_its_turn_and_the_next_frame_comes(
    live: LiveFrames, listener: Listener, renderer: Renderer
) -> None:
    ask_until_taken(live, Look(probe_pose(1.0, 0.0), 1.0), 0)
    ask_until_taken(live, looks(renderer, 1)[0], 1)
    listener.wait_for(1, errors=1)
    assert "beyond the subject's back" in str(listener.errors[0])
    assert not isinstance(listener.errors[0], SourceEndedError)
    assert listener.stamps == [1]


def test_a_process_that_dies_ends_the_source_with_a_word(renderer: Renderer) -> None:
    listener = Listener()
    live = LiveFrames(listener.deliver, listener.errors.append, workers=1)
    live.show(renderer.phantom)
    process = live._workers[0]._process
    process.send_signal(signal.SIGSTOP)
    assert live.ask(looks(renderer, 1)[0], 0)
    process.send_signal(signal.SIGKILL)
    listener.wait_for(0, errors=1)
    live.close()
    assert isinstance(listener.errors[0], SourceEndedError)
    assert "a rendering process has ended" in str(listener.errors[0])


def test_a_process_that_does_not_start_is_an_error(renderer: Renderer) -> None:
    live = LiveFrames(lambda pixels, stamp: None, lambda error: None, workers=1)
    live._workers[0]._process.send_signal(signal.SIGKILL)
    with pytest.raises(SourceEndedError, match="a rendering process has ended"):
        live.show(renderer.phantom)
    live.close()


def test_a_process_ends_when_the_one_it_works_for_is_gone() -> None:
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "us_grid_sim.sources.rendering", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env={**os.environ, "OMP_NUM_THREADS": "1"})
    theirs.close()
    ours.close()
    assert process.wait(PATIENCE) == 0
