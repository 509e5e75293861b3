"""A bag in the console: read once, then looked at any moment of it."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.definitions import make_typestore
from us_nav_agent.bags.record import BagWriter
from us_nav_agent.console.bag_feed import BagFeed
from us_nav_agent.console.model import Marks
from us_nav_agent.console.recording import Recording
from us_nav_agent.console.records import Phase
from us_nav_agent.errors import BagError, ConsoleError

STEPS = (Bin(5, 5), Bin(5, 4), Bin(5, 3))
SECOND = 10**9
START = 1000 * SECOND
IMAGE, DECISION, STATE = (
    "sensor_msgs/msg/Image",
    "us_nav_interfaces/msg/NavDecision",
    "us_nav_interfaces/msg/ProbeState",
)


class Clock:
    """A steady clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, last: int = len(STEPS)) -> Path:
    """A bag of a run: every second a state, a frame as bright as ten times its number, a decision; stops at the end."""
    store = make_typestore()
    types = store.types

    def header(stamp: int, frame: str):  # type: ignore[no-untyped-def]
        time = types["builtin_interfaces/msg/Time"](sec=stamp // SECOND, nanosec=stamp % SECOND)
        return types["std_msgs/msg/Header"](stamp=time, frame_id=frame)

    with BagWriter(path) as writer:
        for topic, kind in (("/us/image_raw", IMAGE), ("/us_nav/decision", DECISION), ("/probe/state", STATE)):
            writer.add_topic(topic, kind)
        for number, place in enumerate(STEPS[:last]):
            stamp, (x, y) = START + number * SECOND, place.center
            point = types["geometry_msgs/msg/Point"](x=x, y=y, z=0.0)
            turn = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
            force = types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=float(number))
            pose, wrench = types["geometry_msgs/msg/Pose"](point, turn), types["geometry_msgs/msg/Wrench"](force, force)
            pixels = np.full(48, 10 * (number + 1), np.uint8)
            action = Action.STOP if place == STEPS[-1] else Action.LEFT
            q = np.array([0.1, 0.2, 0.9, 0.4], np.float32)
            for topic, kind, message in (
                ("/probe/state", STATE, types[STATE](header(stamp, "patient"), pose, wrench, True, 1.0, 4, number)),
                ("/us/image_raw", IMAGE, types[IMAGE](header(stamp, "us_image"), 6, 8, "mono8", 0, 8, pixels)),
                (
                    "/us_nav/decision",
                    DECISION,
                    types[DECISION](header(stamp, "us_image"), number, int(action), q, 0.5, 0.2, 0.9, 0.01, "m", ""),
                ),
            ):
                writer.write(topic, stamp, bytes(store.serialize_cdr(message, kind)))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bags") / "bag")


@pytest.fixture(scope="module")
def recording(path: Path) -> Iterator[Recording]:
    """Read once; feeds leave it as it is."""
    read = Recording(path)
    yield read
    read.close()


def shown(feed: BagFeed) -> tuple[int, list[Bin], Phase]:
    """Brightness of the frame, path, phase of the run."""
    snapshot, frame = feed.snapshot(Marks())[0], feed.frame()
    assert frame is not None
    return int(frame.record.pixels[0, 0]), list(snapshot.path), snapshot.run.phase


def test_a_recording_begins_at_its_beginning_and_stands(path: Path) -> None:
    clock, counts = Clock(), []
    feed = BagFeed(Recording(path, lambda done, of: counts.append((done, of))), "bag", clock)
    assert counts[-1] == (9, 9) and all(later[0] == earlier[0] + 1 for earlier, later in pairwise(counts))
    clock.now = 100.0
    assert shown(feed) == (10, [STEPS[0]], Phase.RUNNING)
    assert (feed.playhead().position, feed.playhead().duration, feed.playhead().playing) == (0.0, 2.0, False)
    feed.close()


def test_played_it_goes_on_with_the_clock_and_stands_at_its_end(recording: Recording) -> None:
    clock = Clock()
    feed = BagFeed(recording, "bag", clock)
    feed.play()
    clock.now = 1.5
    assert shown(feed) == (20, list(STEPS[:2]), Phase.RUNNING)
    feed.pause()
    clock.now = 50.0
    assert feed.playhead().position == 1.5
    feed.play()
    clock.now = 60.0
    assert shown(feed) == (30, list(STEPS), Phase.REACHED)
    assert (feed.playhead().position, feed.playhead().playing) == (2.0, False)
    feed.play()
    assert feed.playhead().position == 0.0 and shown(feed)[1] == [STEPS[0]]


@pytest.mark.parametrize("position", [0.0, 0.4, 1.0, 1.7, 2.0])
def test_a_jump_shows_what_was_to_be_seen_there(recording: Recording, position: float) -> None:
    """As if one had looked from the beginning."""
    clock = Clock()
    played, jumped = (BagFeed(recording, "bag", clock) for _ in range(2))
    played.play()
    clock.now = position
    jumped.seek(2.0)
    jumped.seek(position)
    assert shown(jumped) == shown(played)
    assert jumped.snapshot(Marks())[0].force == played.snapshot(Marks())[0].force
    assert jumped.playhead().jumps == 2


def test_a_jump_beyond_the_ends_stays_within(recording: Recording) -> None:
    feed = BagFeed(recording, "bag", Clock())
    feed.seek(99.0)
    assert feed.playhead().position == 2.0
    feed.seek(-1.0)
    assert feed.playhead().position == 0.0


def test_of_a_bag_that_was_cut_off_the_rest_is_shown_and_the_loss_said(tmp_path: Path) -> None:
    cut = write(tmp_path / "cut")
    file = next(cut.glob("*.mcap"))
    whole = file.read_bytes()
    # Within the last records, before the index.
    file.write_bytes(whole[: whole.rindex(b"us_image") - 4])
    feed = BagFeed(Recording(cut), "bag", Clock())
    feed.seek(99.0)
    assert shown(feed)[0] >= 10
    assert [one.record.name for one in feed.snapshot(Marks())[0].diagnostics] == ["bag"]
    feed.close()


def test_what_is_no_bag_or_shows_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such bag"):
        Recording(tmp_path / "none")
    with BagWriter(tmp_path / "other") as writer:
        writer.add_topic("/chatter", "std_msgs/msg/String")
    with pytest.raises((BagError, ConsoleError), match="nothing to show"):
        Recording(tmp_path / "other")
