"""Recording: the real sequence without a loss, a disk that fills up, and the whole graph over a simulated robot."""

import math
import resource
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from rosbags.highlevel import AnyReader
from support.graph import free_ports
from us_grid_sim.sources.metaimage import MetaImageSource
from us_grid_sim.sources.picture import Picture
from us_nav_agent.bags.read import IMAGE_TOPIC, STATE_TOPIC, read_bag, read_decisions, read_frames, stamp_ns
from us_nav_agent.cli.launch_file import read_launch_file
from us_nav_agent.cli.launcher import Launcher, find_launch_file, share_of
from us_nav_agent.ros.navigate_client import StepReport, navigate

from .conftest import START_UP, Start

pytestmark = pytest.mark.ros
ROI = (10, 12)


def test_each_frame_of_the_real_sequence_leads_to_one_decision_in_order_with_none_lost(
    ros_env: dict[str, str], plus_sequence: Path, wanderer: Path, tmp_path: Path
) -> None:
    bag = tmp_path / "bag"
    arguments = {"file": str(plus_sequence), "roi": "10,12", "model": str(wanderer), "bag": str(bag)}
    lines: list[str] = []
    with Launcher(read_launch_file(find_launch_file("replay"), arguments, share_of), lines.append, ros_env) as launcher:
        assert launcher.wait() == "image_source has ended", lines
    assert not launcher.failed, lines

    recorded = MetaImageSource(plus_sequence, Picture(ROI))
    originals = list(iter(recorded.read, None))
    assert len(originals) == 21
    frames = list(read_frames(bag))
    assert [frame.stamp_ns for frame in frames] == [frame.stamp_ns for frame in originals]
    assert all((frame.pixels == original.pixels).all() for frame, original in zip(frames, originals, strict=True))

    decisions = list(read_decisions(bag))
    assert [stamp_ns(decision.header.stamp) for decision in decisions] == [frame.stamp_ns for frame in originals]
    assert [decision.step for decision in decisions] == list(range(21))

    states = [entry.message for entry in read_bag(bag, ["/probe/state"])]
    assert [stamp_ns(state.header.stamp) for state in states] == [frame.stamp_ns for frame in originals]
    for state, original in zip(states, originals, strict=True):
        place = state.pose.position
        assert (place.x, place.y, place.z) == pytest.approx(tuple(original.pose[:3, 3]))
        assert state.header.frame_id == "tracker"
        assert math.isnan(state.wrench.force.z)


def test_the_bag_is_one_that_rosbags_and_ros2_bag_info_read(
    start: Start, patient_file: Path, wanderer: Path, tmp_path: Path
) -> None:
    recorder = start("recorder_node", bag=tmp_path / "bag")
    recorder.wait_for("recording")
    start("grid_replay_node", patient_file=patient_file).wait_for("frames/s")
    deadline = time.monotonic() + START_UP
    while not any(file.stat().st_size > 6_000_000 for file in (tmp_path / "bag").glob("*.mcap")):
        assert time.monotonic() < deadline, "the recorder gets no frames"
        time.sleep(0.1)
    assert recorder.end(signal.SIGTERM) == 0
    content = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["storage_identifier"] == "mcap"
    assert content["message_count"] > 10
    topics = {
        entry["topic_metadata"]["name"]: entry["topic_metadata"] for entry in content["topics_with_message_count"]
    }
    assert topics["/us/image_raw"]["type"] == "sensor_msgs/msg/Image"
    assert all(topic["type_description_hash"].startswith("RIHS01_") for topic in topics.values())
    # Without our definitions: those in the bag are enough.
    with AnyReader([tmp_path / "bag"]) as reader:
        connection = next(c for c in reader.connections if c.topic == "/probe/state")
        _, _, data = next(reader.messages([connection]))
        assert reader.deserialize(data, connection.msgtype).header.frame_id == "patient"


def test_a_disk_that_fills_up_is_one_clear_error_and_keeps_what_was_recorded(
    ros_env: dict[str, str], start: Start, patient_file: Path, tmp_path: Path
) -> None:
    start("grid_replay_node", patient_file=patient_file).wait_for("frames/s")

    def limit() -> None:
        # Writing on raises EFBIG instead of ENOSPC: a full disk as a test can have it.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    command = [sys.executable, "-m", "us_nav_agent.ros.recorder_node", "--ros-args", "-p", f"bag:={tmp_path / 'bag'}"]
    done = subprocess.run(command, env=ros_env, preexec_fn=limit, capture_output=True, text=True, timeout=START_UP)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors[0].endswith("the disk is full; free some or record elsewhere; what was recorded is kept")
    assert "Traceback" not in done.stderr


def test_a_bag_that_is_already_there_is_not_touched(start: Start, tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    recorder = start("recorder_node", bag=tmp_path / "bag")
    assert recorder.process.wait(START_UP) == 1
    assert "already there" in recorder.output


@pytest.mark.timeout(600)
def test_the_graph_with_bridge_and_simulated_robot_walks(
    ros_env: dict[str, str], wanderer: Path, tmp_path: Path
) -> None:
    controller, bridge = free_ports(2)
    ports = {"controller_port": str(controller), "port": str(bridge)}
    place = {"start": "3,10", "rate": "2.0", "plant": "mock", "target": ""}
    arguments = {"model": str(wanderer), "bag": str(tmp_path / "bag"), **ports, **place}
    lines: list[str] = []
    steps: list[StepReport] = []
    with Launcher(read_launch_file(find_launch_file("sim"), arguments, share_of), lines.append, ros_env) as launcher:
        deadline = time.monotonic() + 3 * START_UP
        while not any("ready: in contact" in line for line in lines):
            assert launcher.check() is None and "not ready" not in "".join(lines), lines
            assert time.monotonic() < deadline, lines
            time.sleep(0.1)
        recorded = (IMAGE_TOPIC, STATE_TOPIC)
        outcome = navigate("sacrum", 3, steps.append, recorded=recorded, timeout=300.0, check=launcher.check)
        assert launcher.check() is None, lines
    assert (outcome.steps, outcome.reason) == (3, "target not in view after 3 steps"), lines
    assert (steps[0].position.row, steps[0].position.column) == (3, 10)
    for before, after in pairwise(steps):
        assert after.position == before.position.moved(before.action)

    states = [entry.message for entry in read_bag(tmp_path / "bag", ["/probe/state"])]
    assert states[-1].steps == 3 and states[-1].contact
    assert max(state.wrench.force.z for state in states) < 3.0
    touched = next(stamp_ns(state.header.stamp) for state in states if state.contact)
    bright = [frame for frame in read_frames(tmp_path / "bag") if frame.stamp_ns > touched + 3_000_000_000]
    assert len(bright) > 3
    # What is felt is who is seen: in contact no frame is as dark as one of a probe in the air.
    assert min(frame.pixels.mean() for frame in bright) > 25.0
