"""Bags: written so that others read them, read with clear words where they are not whole."""

import errno
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

from rosbags.highlevel import AnyReader
from rosbags.typesys.store import Typestore
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.definitions import make_typestore
from us_nav_agent.bags.read import read_bag, read_decisions, read_frames
from us_nav_agent.bags.record import BagWriter
from us_nav_agent.bags.run import read_run
from us_nav_agent.errors import BagError

IMAGE, DECISION, STATE = (
    "sensor_msgs/msg/Image",
    "us_nav_interfaces/msg/NavDecision",
    "us_nav_interfaces/msg/ProbeState",
)


@pytest.fixture(scope="module")
def store() -> Typestore:
    return make_typestore()


class Recording:
    """Serialized messages such as the nodes send."""

    def __init__(self, store: Typestore, writer: BagWriter) -> None:
        self.store, self.writer = store, writer
        for topic, kind in (("/us/image_raw", IMAGE), ("/us_nav/decision", DECISION), ("/probe/state", STATE)):
            writer.add_topic(topic, kind)

    def _header(self, stamp: int, frame: str):  # type: ignore[no-untyped-def]
        time = self.store.types["builtin_interfaces/msg/Time"](sec=0, nanosec=stamp)
        return self.store.types["std_msgs/msg/Header"](stamp=time, frame_id=frame)

    def _write(self, topic: str, kind: str, stamp: int, message: object) -> None:
        self.writer.write(topic, stamp, bytes(self.store.serialize_cdr(message, kind)))

    def frame(self, stamp: int, level: int) -> None:
        data = np.full(6 * 8, level, np.uint8)
        kind = self.store.types[IMAGE]
        message = kind(
            self._header(stamp, "us_image"), height=6, width=8, encoding="mono8", is_bigendian=0, step=8, data=data
        )
        self._write("/us/image_raw", IMAGE, stamp, message)

    def state(self, stamp: int, position: Bin) -> None:
        types, (x, y) = self.store.types, position.center
        point = types["geometry_msgs/msg/Point"](x=x, y=y, z=0.0)
        turn = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
        zero = types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
        message = types[STATE](
            self._header(stamp, "patient"), types["geometry_msgs/msg/Pose"](point, turn),
            types["geometry_msgs/msg/Wrench"](zero, zero), True, 1.0, 255, 0,
        )  # fmt: skip
        self._write("/probe/state", STATE, stamp, message)

    def decision(self, stamp: int, step: int, action: Action) -> None:
        q = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
        message = self.store.types[DECISION](
            self._header(stamp, "us_image"), step, int(action), q, 0.5, 0.25, 0.9, 0.01, "m", "0" * 64
        )
        self._write("/us_nav/decision", DECISION, stamp, message)


def record_run(store: Typestore, path: Path) -> Path:
    """Two runs; the last: right from bin (5, 7), then a stop in (5, 8)."""
    with BagWriter(path) as writer:
        bag = Recording(store, writer)
        bag.state(1, Bin(0, 0))
        bag.frame(2, 10)
        bag.decision(2, 0, Action.STOP)
        bag.state(3, Bin(5, 7))
        bag.frame(4, 20)
        bag.decision(4, 0, Action.RIGHT)
        bag.state(5, Bin(5, 8))
        bag.frame(6, 30)
        bag.decision(6, 1, Action.STOP)
    return path


def test_what_is_written_is_read_by_us_and_by_rosbags(store: Typestore, tmp_path: Path) -> None:
    path = record_run(store, tmp_path / "bag")
    assert [decision.step for decision in read_decisions(path)] == [0, 0, 1]
    assert [(frame.stamp_ns, int(frame.pixels[0, 0])) for frame in read_frames(path)] == [(2, 10), (4, 20), (6, 30)]
    assert [entry.time_ns for entry in read_bag(path, ["/probe/state"])] == [1, 3, 5]
    content = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (content["storage_identifier"], content["message_count"]) == ("mcap", 9)
    with AnyReader([path]) as reader:
        assert reader.message_count == 9


def test_a_run_is_the_last_one_with_its_frames_and_places(store: Typestore, tmp_path: Path) -> None:
    steps = read_run(record_run(store, tmp_path / "bag"))
    assert [(step.position, step.action, int(step.frame[0, 0])) for step in steps] == [
        (Bin(5, 7), Action.RIGHT, 20),
        (Bin(5, 8), Action.STOP, 30),
    ]
    assert steps[0].q_values.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (steps[0].state_value, steps[0].stop_probability) == (0.5, 0.25)


def test_a_decision_whose_frame_is_not_in_the_bag_is_said(store: Typestore, tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        bag = Recording(store, writer)
        bag.state(1, Bin(0, 0))
        bag.frame(2, 10)
        bag.decision(3, 0, Action.UP)
    with pytest.raises(BagError, match="the frame of decision 0"):
        read_run(tmp_path / "bag")


def test_a_bag_that_is_there_is_not_overwritten(store: Typestore, tmp_path: Path) -> None:
    path = record_run(store, tmp_path / "bag")
    with pytest.raises(BagError, match="already there; name another folder"), BagWriter(path):
        pass
    assert len(list(read_decisions(path))) == 3


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="are to stay free; free some or record elsewhere"):
        BagWriter(tmp_path / "bag", min_free=10**18).__enter__()
    assert not (tmp_path / "bag").exists()


def test_a_disk_that_fills_up_is_said_and_what_was_recorded_stays_readable(
    store: Typestore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        bag = Recording(store, writer)
        bag.frame(2, 10)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(writer._writer, "write", full)
            with pytest.raises(
                BagError, match="the disk is full; free some or record elsewhere; what was recorded is kept"
            ):
                bag.frame(4, 20)
    assert [frame.stamp_ns for frame in read_frames(tmp_path / "bag")] == [2]


def test_missing_empty_and_cut_off_bags_are_said(store: Typestore, tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such bag"):
        list(read_bag(tmp_path / "none"))
    with BagWriter(tmp_path / "empty") as writer:
        Recording(store, writer)
    with pytest.raises(BagError, match="the bag is empty"):
        list(read_bag(tmp_path / "empty"))
    path = record_run(store, tmp_path / "bag")
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BagError, match="the bag is empty, what there is cannot be read: .*cut off after 100 bytes"):
        list(read_bag(path))
    with pytest.raises(BagError, match=r"holds none of \['/nothing'\]; it holds /probe/state"):
        list(read_bag(record_run(store, tmp_path / "other"), ["/nothing"]))
