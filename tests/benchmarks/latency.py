"""Measure the way from a frame published to its decision published, with the robot loop beside it.

    python tests/benchmarks/latency.py [--seconds 300]

Each node a process, as on the workstation: the image source plays a video of 800 x 600 frames at 30 a second, the
policy decides on every one with the default model, the bridge holds the probe of a simulated robot in contact over FRI.
Both times are those that the middleware stamps a message with when its publisher hands it over. A frame of the video
that has no decision is lost.

The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from support.graph import LOCALHOST, free_ports, node, own_domain
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, Bin
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.ros.conversions import LATCHED_QOS, nanoseconds
from us_grid_sim.sources.phantom import PhantomSource
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_interfaces.msg import NavDecision

RATE = 30.0
START = 240.0
VIEWS = 60


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def write_frames(file: Path, seconds: float) -> None:
    """A video of an unseen subject seen along its grid, as a frame grabber gives it: motion JPEG."""
    source = PhantomSource(sample_subject(0, 29))
    jpeg = []
    for state in np.linspace(0, 164, VIEWS).astype(int):
        place = Bin.from_state(int(state)).center
        source.look_from(contact_pose(source.phantom, *place, 1.0), 1.0)
        jpeg.append(source.read().pixels)
    video = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (FRAME_WIDTH, FRAME_HEIGHT), False)
    for number in range(round(seconds * RATE)):
        video.write(jpeg[number % VIEWS])
    video.release()


class Listener:
    """Keeps when each frame and each decision was published, by the frame's stamp [ns]."""

    def __init__(self) -> None:
        context = rclpy.Context()
        rclpy.init(context=context)
        self._node = rclpy.create_node("latency_listener", context=context)
        self.frames: dict[int, int] = {}
        self.decisions: dict[int, int] = {}
        self.bridge: dict[str, str] = {}
        all_of_them = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self._node.create_subscription(Image, "/us/image_raw", self._frame, all_of_them, raw=True)
        self._node.create_subscription(NavDecision, "/us_nav/decision", self._decision, LATCHED_QOS)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnostics, 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(self._node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _frame(self, image: bytes, about: dict[str, Any]) -> None:
        # Serialised: four bytes of encapsulation, then the header's stamp.
        seconds, rest = struct.unpack_from("<iI", image, 4)
        self.frames[seconds * 10**9 + rest] = about["source_timestamp"]

    def _decision(self, decision: NavDecision, about: dict[str, Any]) -> None:
        self.decisions[nanoseconds(decision.header.stamp)] = about["source_timestamp"]

    def _diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == "bridge":
                self.bridge = {pair.key: pair.value for pair in status.values} | {"message": status.message}

    @property
    def in_contact(self) -> bool:
        """Whether the bridge holds the probe on the skin."""
        return self.bridge.get("machine") == "in contact"


def wait(done: Any, seconds: float, otherwise: str) -> None:
    """Wait for something, or end with words.

    Raises:
        SystemExit: it did not come.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"error: {otherwise} within {seconds:g} s")
        time.sleep(0.1)


def measure(seconds: float, folder: Path) -> dict[str, float]:
    """Run the graph while the video lasts."""
    write_frames(folder / "frames.avi", seconds)
    here, there = free_ports(2)
    robot = {"port": there, "client_port": here, "plant": "mock", "subject": 29, "patience": 0.1}
    bridge = {"controller_host": LOCALHOST, "controller_port": there, "host": LOCALHOST, "port": here}
    listener = Listener()
    with (
        node("iiwa_bridge.ros.simulation_node", **robot),
        # Frames do not matter to a probe that only rests: the first contact need not wait for the video.
        node("iiwa_bridge.ros.bridge_node", **bridge, ready_on_start=True, watch_frames=False, timeout=1.0),
        node("us_nav_agent.ros.policy_node", model=DEFAULT_MODEL, monitor=True),
    ):
        wait(lambda: listener.in_contact, START, "no contact")
        report(f"in contact; {seconds:g} s of frames")
        # The policy and the listener: nobody misses the beginning.
        video = {"source": "video", "file": folder / "frames.avi", "wait_for_subscribers": 2}
        with node("us_grid_sim.ros.image_source_node", **video) as source:
            wait(lambda: source.poll() is not None, seconds + START, "the video does not end")
            time.sleep(1.0)
        report(f"bridge: {listener.bridge['message']}, force {listener.bridge['force_n']} N")
    return summed_up(listener.frames, listener.decisions, seconds)


def summed_up(frames: dict[int, int], decisions: dict[int, int], seconds: float) -> dict[str, float]:
    """The rows, of the times that frames and decisions were published at, by stamp [ns]."""
    expected = round(seconds * RATE)
    taken = np.array([decisions[stamp] - frames[stamp] for stamp in decisions if stamp in frames]) * 1e-6
    report(f"{len(frames)} of {expected} frames heard, {len(decisions)} decided; worst {taken.max():.1f} ms")
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "frame_to_decision_p50_ms": round(float(p50), 2),
        "frame_to_decision_p99_ms": round(float(p99), 2),
        "frames_lost": float(expected - len(decisions)),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the video")
    arguments = parser.parse_args()
    with own_domain(), tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments.seconds, Path(folder))))


if __name__ == "__main__":
    main()
