"""Measure the bridge's cycle in the whole graph: a controller that asks every 5 ms, image and policy nodes beside it.

    python tests/benchmarks/cycle.py

The nodes are those of `usnav launch sim`, each a process: simulated robot (in real time: it waits for nobody), bridge,
rendered frames, the default model, which walks from target to target. What is told is the bridge's own account over
60 s after the first contact: the worst p99 of 2000 answers, from a message's arrival in the kernel to its answer's
departure, and how often the connection quality fell below GOOD.

Before, what the machine allows: how late a bare thread of the same priority wakes, with nothing beside it.

The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from iiwa_bridge.realtime import CLIENT, claim_processor
from rclpy.executors import SingleThreadedExecutor
from support.graph import LOCALHOST, free_ports, node, own_domain
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.navigate_client import navigate

SECONDS = 60.0
START = 180.0
BARE = 10.0
PERIOD = 0.005
TARGETS = ("sacrum", "l4", "sacroiliac_left", "l3", "sacroiliac_right", "l5")
"""In an order that keeps the probe walking."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


class Listener:
    """Keeps what the bridge tells in its diagnostics, on a context and thread of its own."""

    def __init__(self) -> None:
        context = rclpy.Context()
        rclpy.init(context=context)
        self._node = rclpy.create_node("cycle_listener", context=context)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 10)
        self.said: list[dict[str, str]] = []
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(self._node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _take(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == "bridge":
                self.said.append({pair.key: pair.value for pair in status.values} | {"message": status.message})

    @property
    def in_contact(self) -> bool:
        """Whether the probe touches."""
        return bool(self.said) and self.said[-1].get("machine") == "in contact"


def wakes_late(seconds: float) -> str:
    """How late a thread of the client's priority wakes from sleeps of 5 ms, in words."""
    late, due = [], time.monotonic()
    claimed = claim_processor(CLIENT)
    while len(late) < seconds / PERIOD:
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
        late.append(1e3 * (time.monotonic() - due))
    p99, p999 = np.percentile(late, [99.0, 99.9])
    return f"{claimed}; bare it wakes late by {p99:.2f} ms at p99, {p999:.2f} at p99.9, {max(late):.2f} at most"


def measure(rate: float) -> dict[str, float]:
    """Run the graph and sum its diagnostics up."""
    here, there = free_ports(2)
    robot = {"port": there, "client_port": here, "plant": "mock", "subject": 29}
    bridge = {"controller_host": LOCALHOST, "controller_port": there, "host": LOCALHOST, "port": here}
    with (
        node("iiwa_bridge.ros.simulation_node", **robot),
        node("iiwa_bridge.ros.bridge_node", **bridge, ready_on_start=True, frame_age=5.0),
        node("us_grid_sim.ros.image_source_node", source="phantom", subject=29, rate=rate),
        node("us_nav_agent.ros.policy_node", model=DEFAULT_MODEL, monitor=True, step_timeout=45.0, frame_timeout=10.0),
    ):
        listener = Listener()
        deadline = time.monotonic() + START
        while not listener.in_contact:
            if time.monotonic() > deadline:
                raise SystemExit(f"error: no contact after {START:g} s: {listener.said[-1:]}")
            time.sleep(0.1)
        begun, before = time.monotonic(), listener.said[-1]
        for target in cycle(TARGETS):
            try:
                outcome = navigate(target, 20, lambda step: None, timeout=SECONDS)
                report(f"{target}: {outcome.steps} steps, {outcome.reason}")
            except UsNavAgentError as error:
                report(f"{target}: {error}")
            if time.monotonic() - begun > SECONDS:
                break
            time.sleep(1.0)
        during = listener.said[listener.said.index(before) + 1 :]
    last = during[-1]
    report(f"bridge: {last['message']}; missed {last['missed_cycles']}; {last['setup']}")
    return {
        "fri_answer_p99_ms": max(float(one["cycle_p99_ms"]) for one in during),
        "fri_quality_drops": float(int(last["quality_drops"]) - int(before["quality_drops"])),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=15.0, help="frames a second")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(1) as bare:
        report(bare.submit(wakes_late, BARE).result())
    with own_domain():
        print(json.dumps(measure(arguments.rate)))


if __name__ == "__main__":
    main()
