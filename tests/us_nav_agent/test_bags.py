"""Bags: written so that others read them, read with clear words where they are not whole."""

import errno
from pathlib import Path

import pytest
import yaml

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

from rosbags.highlevel import AnyReader
from support.bags import Messages, bag_of, two_runs
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.play import schedule
from us_nav_agent.bags.provenance import COMMIT, MODEL, PARAMETERS, VERSION, parameter_text, parameters_of, software
from us_nav_agent.bags.read import read_bag, read_decisions, read_frames
from us_nav_agent.bags.record import BagWriter
from us_nav_agent.bags.run import read_run
from us_nav_agent.errors import BagError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return bag_of(tmp_path / "bag", two_runs)


def test_what_is_written_is_read_by_us_and_by_rosbags(run: Path) -> None:
    path = run
    assert [decision.step for decision in read_decisions(path)] == [0, 0, 1]
    assert [(frame.stamp_ns, int(frame.pixels[0, 0])) for frame in read_frames(path)] == [(2, 10), (4, 20), (6, 30)]
    assert [entry.time_ns for entry in read_bag(path, ["/probe/state"])] == [1, 3, 5]
    content = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (content["storage_identifier"], content["message_count"]) == ("mcap", 9)
    with AnyReader([path]) as reader:
        assert reader.message_count == 9


def test_a_run_is_the_last_one_with_its_frames_and_places(run: Path) -> None:
    steps = read_run(run)
    assert [(step.position, step.action, int(step.frame[0, 0])) for step in steps] == [
        (Bin(5, 7), Action.RIGHT, 20),
        (Bin(5, 8), Action.STOP, 30),
    ]
    assert steps[0].q_values.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (steps[0].state_value, steps[0].stop_probability) == (0.5, 0.25)


def test_a_decision_whose_frame_is_not_in_the_bag_is_said(tmp_path: Path) -> None:
    def fill(messages: Messages) -> None:
        messages.state(1, Bin(0, 0))
        messages.frame(2, 10)
        messages.decision(3, 0, Action.UP)

    bag_of(tmp_path / "bag", fill)
    with pytest.raises(BagError, match="the frame of decision 0"):
        read_run(tmp_path / "bag")


def test_a_bag_that_is_there_is_not_overwritten(run: Path) -> None:
    with pytest.raises(BagError, match="already there; name another folder"), BagWriter(run):
        pass
    assert len(list(read_decisions(run))) == 3


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="are to stay free; free some or record elsewhere"):
        BagWriter(tmp_path / "bag", min_free=10**18).__enter__()
    assert not (tmp_path / "bag").exists()


def test_a_disk_that_fills_up_is_said_and_what_was_recorded_stays_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/words", "std_msgs/msg/Bool")
        writer.write("/words", 2, bytes(5))

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(writer._writer, "write", full)
            with pytest.raises(
                BagError, match="the disk is full; free some or record elsewhere; what was recorded is kept"
            ):
                writer.write("/words", 4, bytes(5))
    assert [entry.time_ns for entry in read_bag(tmp_path / "bag")] == [2]


def test_missing_and_empty_bags_and_topics_that_are_not_there_are_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such bag"):
        list(read_bag(tmp_path / "none"))
    with pytest.raises(BagError, match="the bag is empty"):
        list(read_bag(bag_of(tmp_path / "empty", lambda messages: None)))
    with pytest.raises(BagError, match=r"holds none of \['/nothing'\]; it holds /diagnostics"):
        list(read_bag(run, ["/nothing"]))


def test_a_bag_says_where_it_comes_from_in_the_metadata_that_ros2_bag_reads(tmp_path: Path) -> None:
    parameters = {"/policy": {"model": "belief", "numbers": [1, 2]}}
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/words", "std_msgs/msg/Bool")
        writer.write("/words", 2, bytes(5))
        writer.describe({**software(), MODEL: "belief", PARAMETERS: parameter_text(parameters)})
    content = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["custom_data"][MODEL] == "belief"
    (tmp_path / "bag" / "about.json").unlink()
    for path in (tmp_path / "bag", next((tmp_path / "bag").glob("*.mcap"))):
        bag = Bag(path)
        assert bag.survey.messages == 1
        assert (bag.about[MODEL], parameters_of(bag.about)) == ("belief", parameters)
        assert bag.about[VERSION] and bag.about[COMMIT]


def test_messages_are_due_at_the_recorded_pace_or_a_multiple_of_it(run: Path) -> None:
    bag = Bag(run)
    due = [when for when, _ in schedule(bag, 2.0, ["/us/image_raw"])]
    assert due == pytest.approx([0.5e-9, 1.5e-9, 2.5e-9])  # stamped 2, 4 and 6 ns, the bag begins at 1 ns
    with pytest.raises(BagError, match="holds no /nothing; it holds /probe/state"):
        list(schedule(bag, 1.0, ["/nothing"]))
