"""Measure whether the memory of the closed loop over a simulated robot stays flat, run after run.

    python tests/benchmarks/memory.py                  an hour: the row of docs/figures.yaml
    python tests/benchmarks/memory.py --minutes 10     a first look

The nodes of sim.launch.yaml but the recorder, which would fill the disk, each a process. The policy walks from target
to target as long as it takes. Every ten seconds each process's own memory is read, that of its children with it; after
a warm-up of five minutes (or a fifth of the time) a line is fitted to each. The last line is a JSON object for
tools/figures.py: the growth of the node that grows most. A node that ends ends the measurement with words.
"""

import argparse
import json
import sys
import threading
import time
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from subprocess import Popen

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from support.graph import LOCALHOST, free_ports, node, own_domain
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.navigate_client import NavigateClient, client_node

PERIOD = 10.0
"""Between two readings [s]."""
TARGETS = ("sacrum", "l4", "sacroiliac_left", "l3", "sacroiliac_right", "l5")
"""In an order that keeps the probe walking."""
CONTACT = 300.0
RUN = 300.0


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def own_memory(pid: int) -> float:
    """Heaps and stacks of a process and its children [MB]: what they wrote themselves.

    Pages of files, such as the code of libraries, come and go as the kernel sees fit.
    """
    total = 0
    for one in family(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
    return total / 1024


class Readings:
    """Reads the memory of processes until it is told to end.

    Args:
        processes: by the name of their node.
    """

    def __init__(self, processes: dict[str, Popen[bytes]]) -> None:
        self._processes, self._ended = processes, threading.Event()
        self.times: list[float] = []
        self.values: dict[str, list[float]] = {name: [] for name in processes}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended.wait(PERIOD):
            self.times.append(time.monotonic())
            for name, process in self._processes.items():
                self.values[name].append(own_memory(process.pid))

    def gone(self) -> str | None:
        """The node that has ended, if one has."""
        ended = [name for name, process in self._processes.items() if process.poll() is not None]
        return f"{ended[0]} has ended" if ended else None

    def growth(self, after: float) -> dict[str, float]:
        """Of each node, from the moment ``after`` on [MB/h]."""
        self._ended.set()
        self._thread.join()
        times = np.array(self.times)
        late = times > after
        return {
            name: float(np.polyfit(times[late] / 3600.0, np.array(values)[late], 1)[0])
            for name, values in self.values.items()
        }


def graph(stack: ExitStack) -> dict[str, Popen[bytes]]:
    """The nodes of sim.launch.yaml with its parameters."""
    here, there = free_ports(2)
    robot = {"plant": "pybullet", "subject": 29, "breathing": True, "start": "'0,14'", "patience": 0.1}
    bridge = {"ready_on_start": True, "start": "'0,14'", "timeout": 1.0, "state_age": 1.0, "command_age": 1.0}
    wanted = {
        "robot_simulation": ("iiwa_bridge.ros.simulation_node", {**robot, "port": there, "client_port": here}),
        "bridge": (
            "iiwa_bridge.ros.bridge_node",
            {**bridge, "frame_age": 5.0, "controller_host": LOCALHOST, "controller_port": there}
            | {"host": LOCALHOST, "port": here},
        ),
        "image_source": ("us_grid_sim.ros.image_source_node", {"source": "phantom", "subject": 29, "rate": 5.0}),
        "policy": (
            "us_nav_agent.ros.policy_node",
            {"model": DEFAULT_MODEL, "step_timeout": 45.0, "frame_timeout": 10.0},
        ),
    }
    return {name: stack.enter_context(node(module, **values)) for name, (module, values) in wanted.items()}


def measure(minutes: float) -> dict[str, float]:
    """Walk for so long.

    Raises:
        UsNavAgentError: a node ended, or a run was not carried out.
    """
    with own_domain(), ExitStack() as stack:
        readings = Readings(graph(stack))
        walker, executor = stack.enter_context(client_node("memory_benchmark"))
        client = NavigateClient(walker, executor, readings.gone)
        client.wait_for_contact(CONTACT)
        began, runs, steps = time.monotonic(), 0, 0
        for target in cycle(TARGETS):
            outcome = client.run(target, 0, lambda step: None, CONTACT, RUN)
            runs, steps = runs + 1, steps + outcome.steps
            report(f"{(time.monotonic() - began) / 60:5.1f} min  {target}: {outcome}")
            if time.monotonic() - began > 60.0 * minutes:
                break
        growth = readings.growth(began + min(300.0, 12.0 * minutes))
        for name, values in readings.values.items():
            report(" ".join(f"{value:.1f}" for value in values[:: max(1, len(values) // 60)]))
            report(f"{name}: {values[-1]:.0f} MB at the end, {growth[name]:+.2f} MB/h")
        report(f"{runs} runs, {steps} steps")
        return {"closed_loop_growth_mb_per_hour": round(max(growth.values()), 2)}


def main() -> int:
    """Measure and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="to walk")
    try:
        print(json.dumps(measure(parser.parse_args().minutes)))
    except UsNavAgentError as error:
        report(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
