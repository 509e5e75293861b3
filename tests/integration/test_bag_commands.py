"""A bag that is played is recorded again, its bytes untouched, with the parameters; a kill leaves it readable."""

import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from support.bags import MS, Messages, bag_of
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.provenance import COMMIT, MODEL, SHA256, parameters_of
from us_nav_agent.ros.player import play
from us_nav_agent.ros.recorded_topics import offered

from .conftest import START_UP, Start

pytestmark = pytest.mark.ros


def one_second(messages: Messages) -> None:
    for number in range(10):
        stamp = (number + 1) * 100 * MS
        messages.state(stamp, Bin(5, number))
        messages.frame(stamp, number)
        messages.decision(stamp, number, Action.RIGHT)


def test_what_is_played_is_recorded_and_survives_the_recorders_death(start: Start, tmp_path: Path) -> None:
    original = Bag(bag_of(tmp_path / "original", one_second, qos=[offered(latched=True)]))
    recorder = start("recorder_node", bag=tmp_path / "bag", storage="sqlite3")
    recorder.wait_for("recording")
    said: list[str] = []
    began = time.monotonic()
    assert play(original, 0.5, (), said.append, lambda done: None) == 30
    assert time.monotonic() - began > 1.8 and not said
    # What came is on the disk a second later, with the next message; parameters are asked for meanwhile.
    deadline = time.monotonic() + START_UP
    about = tmp_path / "bag" / "about.json"
    while "usnav.parameters" not in about.read_text():
        assert recorder.process.poll() is None and time.monotonic() < deadline, recorder.output
        time.sleep(0.2)
    threading.Event().wait(1.2)
    play(original, 10.0, ["/probe/state"], said.append, lambda done: None)
    recorder.process.send_signal(signal.SIGKILL)
    recorder.process.wait(10)

    bag = Bag(tmp_path / "bag")
    for topic in ("/us/image_raw", "/us_nav/decision"):
        recorded = [bytes(message.data) for message in bag.raw([topic])]
        played = [bytes(message.data) for message in original.raw([topic])]
        # The first may go out before the recorder is found, the last may come in its last second; between them none is
        # missing. The wire pads a message to four bytes.
        first = next(number for number, one in enumerate(played) if recorded[0].startswith(one))
        assert len(recorded) >= 5
        assert all(one.startswith(other) for one, other in zip(recorded, played[first:], strict=False))
    assert (bag.about[MODEL], bag.about[SHA256]) == ("m", "0" * 64) and bag.about[COMMIT]
    assert parameters_of(bag.about)["/recorder"]["storage"] == "sqlite3"
    assert bag.damage[0].startswith("metadata.yaml is missing")
