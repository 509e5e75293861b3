"""A sequence at its pace: the recorded one or a rate, no burst after a delay, and an end with a reason."""

import time
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from us_grid_sim.errors import FrameError
from us_grid_sim.ros import players
from us_grid_sim.ros.players import SequencePlayer
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.config import ImageSourceConfig
from us_grid_sim.sources.supervision import Supervisor

MS = 10**6


class Script:
    """A sequence of stamps [ms]; an error is raised, a pause [s] is what reading takes."""

    info = SourceInfo(1.0, 1.0, 1.0, 1.0, "script", "")

    def __init__(self, *script: int | float | Exception) -> None:
        self.script, self.closed = list(script), False

    def read(self) -> Frame | None:
        event = self.script.pop(0) if self.script else None
        if isinstance(event, Exception):
            raise event
        if isinstance(event, float):
            time.sleep(event)
            return self.read()
        return None if event is None else Frame(np.zeros((600, 800), np.uint8), event * MS)

    def close(self) -> None:
        self.closed = True


class Outlet:
    """Keeps when each frame was shown [s] and with which stamp [ms]."""

    def __init__(self, subscribers: int) -> None:
        self.subscribers, self.shown = subscribers, list[tuple[float, int]]()

    def describe(self, info: SourceInfo) -> None: ...

    def show(self, frame: Frame, stamp: int) -> None:
        self.shown.append((time.monotonic(), stamp // MS))

    @property
    def gaps(self) -> np.ndarray:
        return np.diff([at for at, _ in self.shown])


Play = Callable[..., tuple[SequencePlayer, Outlet]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(players, "_LINGER", 0.0)
    monkeypatch.setattr(players, "_SETTLE", 0.01)

    def play(*script: int | float | Exception, here: int = 1, **parameters: object) -> tuple[SequencePlayer, Outlet]:
        source, outlet = Script(*script), Outlet(here)
        config = ImageSourceConfig(**{"source": "video", "file": "", "wait_timeout": 0.05, **parameters})
        player = SequencePlayer(config, source, Supervisor(10.0), outlet)
        deadline = time.monotonic() + 5.0
        while not player.finished and time.monotonic() < deadline:
            time.sleep(0.005)
        player.close()
        assert player.finished and source.closed
        return player, outlet

    return play


def test_the_recorded_pace_is_kept(play: Play) -> None:
    player, outlet = play(1000, 1040, 1140)
    assert [stamp for _, stamp in outlet.shown] == [1000, 1040, 1140]
    assert outlet.gaps == pytest.approx([0.04, 0.1], abs=0.03)
    assert player.exit_code == 0


def test_a_rate_overrides_it_and_no_burst_follows_a_frame_that_came_late(play: Play) -> None:
    _, outlet = play(0, 1, 0.3, 2, 3, 4, rate=20.0)
    assert outlet.gaps[1] > 0.25
    assert (outlet.gaps[2:] > 0.03).all()


@pytest.mark.parametrize(
    ("error", "said"),
    [(FrameError("frame is 640x480"), "error: frame is 640x480\n"), (OSError("disk"), "OSError: disk\n")],
)
def test_what_goes_wrong_in_a_sequence_ends_it_with_the_reason(
    play: Play, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    player, outlet = play(0, error, 40)
    assert (player.exit_code, len(outlet.shown)) == (1, 1)
    assert capsys.readouterr().err.endswith(said)


def test_subscribers_that_do_not_come_are_named(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    player, outlet = play(0, wait_for_subscribers=2, here=1)
    assert (player.exit_code, outlet.shown) == (1, [])
    assert "1 of 2 subscribers on /us/image_raw after 0.05 s; start them" in capsys.readouterr().err
