"""Bags for tests: messages such as the nodes send, written by our writer or by whoever takes serialized bytes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Qos
from rosbags.typesys.store import Typestore
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.bags.definitions import make_typestore
from us_nav_agent.bags.record import BagWriter

IMAGE, DECISION, STATE, TARGETS, DIAGNOSTICS = (
    "sensor_msgs/msg/Image",
    "us_nav_interfaces/msg/NavDecision",
    "us_nav_interfaces/msg/ProbeState",
    "us_nav_interfaces/msg/TargetBins",
    "diagnostic_msgs/msg/DiagnosticArray",
)
TOPICS = {
    "/us/image_raw": IMAGE,
    "/us_nav/decision": DECISION,
    "/probe/state": STATE,
    "/simulation/probe": STATE,
    "/simulation/target_bins": TARGETS,
    "/diagnostics": DIAGNOSTICS,
}
MS = 1_000_000


class Messages:
    """Makes serialized messages and hands them on with their topic and receive time [ns], which is the stamp."""

    def __init__(self, store: Typestore, write: Callable[[str, int, bytes], None]) -> None:
        self.store, self._write = store, write

    def _make(self, name: str, *values: Any) -> Any:
        return self.store.types[name](*values)

    def _header(self, stamp: int, frame: str) -> Any:
        return self._make(
            "std_msgs/msg/Header", self._make("builtin_interfaces/msg/Time", *divmod(stamp, 10**9)), frame
        )

    def _send(self, topic: str, stamp: int, message: Any) -> None:
        self._write(topic, stamp, bytes(self.store.serialize_cdr(message, TOPICS[topic])))

    def frame(self, stamp: int, level: int, shape: tuple[int, int] = (6, 8), encoding: str = "mono8") -> None:
        bytes_of_pixel = 1 if encoding == "mono8" else 3
        data = np.full(shape[0] * shape[1] * bytes_of_pixel, level, np.uint8)
        header, step = self._header(stamp, "us_image"), shape[1] * bytes_of_pixel
        self._send("/us/image_raw", stamp, self._make(IMAGE, header, *shape, encoding, 0, step, data))

    def state(
        self,
        stamp: int,
        position: Bin,
        force: float = 0.0,
        contact: bool = True,
        topic: str = "/probe/state",
        frame_id: str = "patient",
    ) -> None:
        point = self._make("geometry_msgs/msg/Point", *position.center, 0.0)
        pose = self._make(
            "geometry_msgs/msg/Pose", point, self._make("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.0, 1.0)
        )
        vectors = [self._make("geometry_msgs/msg/Vector3", 0.0, 0.0, z) for z in (force, 0.0)]
        wrench = self._make("geometry_msgs/msg/Wrench", *vectors)
        self._send(topic, stamp, self._make(STATE, self._header(stamp, frame_id), pose, wrench, contact, 1.0, 255, 0))

    def decision(self, stamp: int, step: int, action: Action, latency: float = 0.01) -> None:
        q = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
        header = self._header(stamp, "us_image")
        message = self._make(DECISION, header, step, int(action), q, 0.5, 0.25, 0.9, latency, "m", "0" * 64)
        self._send("/us_nav/decision", stamp, message)

    def targets(self, stamp: int, target: str, bins: list[Bin]) -> None:
        rows = np.array([one.row for one in bins], np.uint8)
        columns = np.array([one.column for one in bins], np.uint8)
        message = self._make(TARGETS, self._header(stamp, "patient"), "Virtual029", target, rows, columns)
        self._send("/simulation/target_bins", stamp, message)

    def bridge(self, stamp: int, machine: str, reasons: str, level: int) -> None:
        self._status(stamp, level, "bridge", reasons, {"machine": machine, "reasons": reasons})

    def policy(self, stamp: int, target: str) -> None:
        self._status(stamp, 0, "policy", "navigating", {"target": target})

    def _status(self, stamp: int, level: int, name: str, words: str, values: dict[str, str]) -> None:
        pairs = [self._make("diagnostic_msgs/msg/KeyValue", *pair) for pair in values.items()]
        status = self._make("diagnostic_msgs/msg/DiagnosticStatus", level, name, words, "", pairs)
        self._send("/diagnostics", stamp, self._make(DIAGNOSTICS, self._header(stamp, ""), [status]))


def bag_of(path: Path, fill: Callable[[Messages], None], storage: str = "mcap", qos: Sequence[Qos] = ()) -> Path:
    """A bag, written by our writer; each topic offers ``qos``."""
    with BagWriter(path, storage=storage) as writer:
        for topic, kind in TOPICS.items():
            writer.add_topic(topic, kind, qos)
        fill(Messages(make_typestore(), writer.write))
    return path


def two_runs(messages: Messages) -> None:
    """Two runs; the last: right from bin (5, 7), then a stop in (5, 8)."""
    messages.state(1, Bin(0, 0), math.nan)
    messages.frame(2, 10)
    messages.decision(2, 0, Action.STOP)
    messages.state(3, Bin(5, 7), math.nan)
    messages.frame(4, 20)
    messages.decision(4, 0, Action.RIGHT)
    messages.state(5, Bin(5, 8), math.nan)
    messages.frame(6, 30)
    messages.decision(6, 1, Action.STOP)
