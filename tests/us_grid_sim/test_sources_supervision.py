"""What is known of a source, by what happens to it; time is a number that the tests set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.sources.supervision import State, Supervisor


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(clock: Clock) -> Supervisor:
    return Supervisor(stall_after=2.0, first_pause=0.25, longest_pause=5.0, clock=clock)


def states(watched: Supervisor) -> tuple[State, str]:
    status = watched.status()
    return status.state, status.reason


def test_a_source_starts_runs_and_finishes(watched: Supervisor) -> None:
    assert states(watched) == (State.STARTING, "")
    watched.opened()
    assert states(watched) == (State.STARTING, "")
    watched.delivered()
    assert states(watched) == (State.RUNNING, "")
    watched.finished()
    assert states(watched) == (State.FINISHED, "")


def test_silence_is_a_stall_even_while_the_reader_hangs(watched: Supervisor, clock: Clock) -> None:
    """Nobody tells anything: status alone shows it."""
    watched.opened()
    watched.delivered()
    clock.now += 2.0
    assert watched.status().state is State.RUNNING
    clock.now += 1.0
    assert states(watched) == (State.STALLED, "no frame for 3 s")


def test_a_stalled_source_is_opened_again_and_stays_stalled_until_a_frame_comes(
    watched: Supervisor, clock: Clock
) -> None:
    watched.opened()
    watched.delivered()
    assert watched.overdue() is None
    clock.now += 2.1
    assert watched.overdue() == "no frame for 2 s"
    assert watched.given_up() == 0.25
    watched.opened()
    assert watched.overdue() is None, "it has its time again"
    assert states(watched) == (State.STALLED, "no frame for 2 s")
    watched.delivered()
    status = watched.status()
    assert (status.state, status.reconnects, status.reason) == (State.RUNNING, 1, "no frame for 2 s")


def test_frames_that_cannot_be_used_are_told_and_do_not_count_as_frames(watched: Supervisor, clock: Clock) -> None:
    watched.opened()
    for _ in range(21):
        watched.refused("image is 640x480; expected 800x600")
        clock.now += 0.1
    assert states(watched) == (State.UNUSABLE, "image is 640x480; expected 800x600")
    assert watched.overdue() == "image is 640x480; expected 800x600"
    assert watched.status().frames == 0
    watched.delivered()
    assert watched.status().state is State.RUNNING


def test_a_source_that_is_gone_says_why(watched: Supervisor) -> None:
    watched.failed("/dev/video0: cannot be opened")
    assert states(watched) == (State.GONE, "/dev/video0: cannot be opened")


def test_pauses_double_up_to_their_bound_and_are_short_again_after_a_frame(watched: Supervisor) -> None:
    assert [watched.failed("gone") for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    watched.opened()
    assert watched.failed("gone") == 5.0, "opening alone is no success"
    watched.opened()
    watched.delivered()
    assert watched.failed("gone") == 0.25


def test_a_closed_source_is_not_overdue(watched: Supervisor, clock: Clock) -> None:
    watched.opened()
    watched.failed("gone")
    clock.now += 60.0
    assert watched.overdue() is None
    assert watched.status().state is State.GONE


def test_the_rate_is_that_of_the_last_two_seconds(watched: Supervisor, clock: Clock) -> None:
    watched.opened()
    for period, count in ((0.2, 20), (1 / 30, 90)):
        for _ in range(count):
            clock.now += period
            watched.delivered()
    assert watched.status().fps == pytest.approx(30.0)
    clock.now += 2.5
    assert watched.status().fps == 0.0


@given(st.lists(st.sampled_from(["opened", "delivered", "dropped", "refused", "failed", "wait"]), max_size=60))
def test_whatever_happens_the_pause_is_bounded_and_a_frame_means_running(events: list[str]) -> None:
    clock = Clock()
    watched = Supervisor(clock=clock)
    for event in events:
        match event:
            case "wait":
                clock.now += 1.5
                watched.overdue()
            case "refused":
                watched.refused("r")
            case "failed":
                assert 0.25 <= watched.failed("f") <= 5.0
            case _:
                getattr(watched, event)()
        if event == "delivered":
            assert watched.status().state is State.RUNNING
    status = watched.status()
    assert status.frames == events.count("delivered")
    assert status.dropped == events.count("dropped")
    assert status.reconnects == max(events.count("opened") - 1, 0)
    assert status.state is not State.GONE or "failed" in events
