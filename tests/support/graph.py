"""Nodes as processes in a ROS 2 domain of their own, for benchmarks and tests of whole graphs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from domain_coordinator import domain_id

LOCALHOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """UDP ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        ports = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for one in ports:
            one.bind((LOCALHOST, 0))
        return [int(one.getsockname()[1]) for one in ports]


@contextmanager
def own_domain() -> Iterator[None]:
    """A domain on this machine alone that no other run is in, set in this process for its children too."""
    with domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        yield


@contextmanager
def node(module: str, **parameters: object) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, which ends with the block."""
    words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    process = subprocess.Popen([sys.executable, "-m", module, "--ros-args", *words], stdout=sys.stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
