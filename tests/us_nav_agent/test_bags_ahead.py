"""Frames that are read ahead: there as soon as they are read, and the same whoever is faster."""

from collections.abc import Collection, Iterator
from threading import Event
from time import sleep
from typing import cast

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")

from us_grid_sim.preprocess import Frame8
from us_nav_agent.evaluation.bags.ahead import FramesAhead
from us_nav_agent.evaluation.bags.recording import Recording

LONG = 10.0
"""What nobody waits for unless something is wrong [s]."""


class Held:
    """A recording that holds frames of these stamps, each as grey as its place; it can break off behind them."""

    def __init__(self, stamps: list[int], error: Exception | None = None) -> None:
        self.frame_stamps, self.error, self.read = np.array(stamps), error, 0

    def frames(self, stamps: Collection[int]) -> Iterator[tuple[int, Frame8]]:
        for place, stamp in enumerate(self.frame_stamps.tolist()):
            if stamp in stamps:
                self.read += 1
                yield stamp, np.full((2, 2), place, dtype=np.uint8)
        if self.error is not None:
            raise self.error


def as_it_is(stamp: int, frame: Frame8) -> Frame8:
    return frame


def ahead(held: Held, stamps: list[int], make=as_it_is) -> FramesAhead:  # type: ignore[no-untyped-def]
    return FramesAhead(cast(Recording, held), stamps, make)


def grey(frame: Frame8 | None) -> int | None:
    return None if frame is None else int(frame[0, 0])


def test_a_frame_is_there_before_the_next_one_is_read() -> None:
    seen = Event()

    def make(stamp: int, frame: Frame8) -> Frame8:
        assert stamp == 10 or seen.wait(LONG)
        return frame

    with ahead(Held([10, 20]), [10, 20], make) as frames:
        assert grey(frames.at(10)) == 0
        seen.set()
        assert grey(frames.at(20)) == 1


def test_a_frame_that_is_not_in_the_bag_is_none() -> None:
    with ahead(Held([10]), [10, 20]) as frames:
        assert (grey(frames.at(20)), grey(frames.at(10))) == (None, 0)


def test_of_frames_with_one_stamp_the_last_counts_however_early_one_asks() -> None:
    asked = Event()

    def make(stamp: int, frame: Frame8) -> Frame8:
        assert frame[0, 0] == 0 or asked.wait(LONG)
        return frame

    with ahead(Held([10, 20, 10]), [10, 20], make) as frames:
        asked.set()
        assert [grey(frames.at(stamp)) for stamp in (10, 20)] == [2, 1]


def test_what_stops_the_reading_is_told_to_who_waits() -> None:
    with ahead(Held([10], ValueError("the disk is gone")), [10, 20]) as frames:
        assert grey(frames.at(10)) == 0
        with pytest.raises(ValueError, match="the disk is gone"):
            frames.at(20)


def test_at_its_end_the_bag_is_read_whole() -> None:
    held = Held(list(range(100)))
    with ahead(held, list(range(100))):
        pass
    assert held.read == 100


def test_who_gives_up_does_not_wait_for_the_rest() -> None:
    held = Held(list(range(200)))

    def slow(stamp: int, frame: Frame8) -> Frame8:
        sleep(0.01)
        return frame

    with pytest.raises(KeyboardInterrupt), ahead(held, list(range(200)), slow) as frames:
        frames.at(0)
        raise KeyboardInterrupt
    assert held.read < 200
