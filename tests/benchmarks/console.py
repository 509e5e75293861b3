"""Measure how many frames a second the console shows, its server on one core.

    python tests/benchmarks/console.py

A node publishes rendered frames, 800 x 600, FRAMES_OFFERED a second, with states and joints beside; `usnav console`
is pinned to the first core with all that belongs to it; a page in headless Chromium, on the other cores, receives,
decodes and draws. What is counted is what the page has drawn. Beside it: the server's share of its core, and how old
the frames are where they are sent.

The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rclpy
from domain_coordinator import domain_id
from playwright.sync_api import Page, sync_playwright
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from us_grid_sim.geometry import Bin, probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.ros.conversions import OFFERED_IMAGE_QOS, image_message, tracked_state
from us_grid_sim.sources.phantom import PhantomSource
from us_nav_interfaces.msg import ProbeState

HOST = "127.0.0.1"
FRAMES_OFFERED = 40.0
FRAMES_RENDERED = 8
SUBJECT = 29
SECONDS = 20.0
START = 60.0
"""Longest wait for the console and for its first frame [s]."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def rendered_frames() -> list[npt.NDArray[np.uint8]]:
    """Frames of a virtual back, uint8 (600, 800), along a row of the grid: as large as JPEG as those people look at."""
    source = PhantomSource(sample_subject(0, SUBJECT))
    frames = []
    for column in range(FRAMES_RENDERED):
        source.look_from(contact_pose(source.phantom, *Bin(5, column).center, 1.0), 1.0)
        frames.append(source.read().pixels)
    return frames


def publish(ended: threading.Event, counts: list[int]) -> None:
    """Publish frames, states and joints until ``ended``; counts[0] is how many frames."""
    with rclpy.init():
        node = Node("console_benchmark")
        images = node.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        states = node.create_publisher(ProbeState, "/probe/state", 10)
        joints = node.create_publisher(JointState, "/joint_states", 10)
        rng = np.random.default_rng(0)
        frames = rendered_frames()
        following = time.monotonic()
        while not ended.is_set():
            stamp = node.get_clock().now().nanoseconds
            states.publish(tracked_state(probe_pose(0.0, 0.0), "patient", stamp))
            joints.publish(JointState(name=[f"A{n}" for n in range(1, 8)], position=rng.normal(size=7).tolist()))
            images.publish(image_message(frames[counts[0] % len(frames)], stamp))
            counts[0] += 1
            following += 1.0 / FRAMES_OFFERED
            time.sleep(max(0.0, following - time.monotonic()))


@contextmanager
def console(port: int, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """`usnav console` on one core."""
    process = subprocess.Popen(
        [sys.executable, "-m", "us_nav_agent.cli.main", "console", "--port", str(port)],
        stdout=sys.stderr,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def open_page(page: Page, port: int) -> None:
    """Open the console, as soon as it is there, and wait for frames."""
    deadline = time.monotonic() + START
    while True:
        with suppress(OSError), socket.create_connection((HOST, port), 1.0):
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"error: no console on port {port} after {START:g} s")
        time.sleep(0.2)
    page.goto(f"http://{HOST}:{port}/")
    page.wait_for_selector("#frame[data-shown]", timeout=START * 1e3)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory that a process holds [MB]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(chromium: str) -> dict[str, float]:
    """Count what the page draws."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(others) or {first})
    ended, counts, port = threading.Event(), [0], free_port()
    publisher = threading.Thread(target=publish, args=(ended, counts))
    publisher.start()
    try:
        with console(port, first) as process, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            open_page(page, port)
            page.wait_for_timeout(2000)

            def drawn() -> int:
                return int(page.locator("#frame").get_attribute("data-shown") or 0)

            begun, before, used = time.monotonic(), drawn(), processor_seconds(process.pid)
            offered, held = counts[0], resident_mb(process.pid)
            page.wait_for_timeout(SECONDS * 1e3)
            frames, seconds = drawn() - before, time.monotonic() - begun
            share = (processor_seconds(process.pid) - used) / seconds
            report(
                f"{frames} frames drawn in {seconds:.1f} s, {counts[0] - offered} published; server {share:.0%} of its "
                f"core, {held:.0f} MB before, {resident_mb(process.pid):.0f} MB after; "
                f"page says: {page.locator('#frame-note').inner_text()}"
            )
            browser.close()
    finally:
        ended.set()
        publisher.join()
    return {"console_fps": round(frames / seconds, 1)}


def main() -> None:
    """Measure and print the figure."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("error: there is no Chromium here; install Debian's package chromium")
    with domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        print(json.dumps(measure(chromium)))


if __name__ == "__main__":
    main()
