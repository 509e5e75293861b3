"""What goes over the wire to the page: a turn is a snapshot as JSON and, where there is a new one, a frame as JPEG."""

import json
import math
import struct
from typing import Any

import cv2
from us_grid_sim.geometry import COLUMNS, ROWS, Bin

from us_nav_agent.console.feed import Playhead
from us_nav_agent.console.model import NumberedFrame, Snapshot
from us_nav_agent.console.records import DecisionSeen, DiagnosticSeen, JointsSeen, Picture, ProbeSeen
from us_nav_agent.console.series import Sample
from us_nav_agent.errors import ConsoleError

_QUALITY = 85
"""Of the JPEG, in per cent: speckle keeps its grain, 60 kB a frame."""
_HEAD = struct.Struct("<I")
"""Before the JSON: its length in bytes; what comes after it is the JPEG."""


def jpeg(pixels: Picture) -> bytes:
    """A frame as JPEG.

    Raises:
        ConsoleError: it cannot be written as one.
    """
    done, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    if not done:
        raise ConsoleError(f"a frame of shape {pixels.shape} cannot be written as JPEG")
    return bytes(data)


def turn_message(snapshot: Snapshot, player: Playhead | None, picture: bytes = b"") -> bytes:
    """A turn for the page: length of the JSON, the JSON, the JPEG or nothing.

    Metres as millimetres, radians as degrees, what is not known as null.

    ``epoch`` counts the jumps of a recording: curves of another epoch are to be forgotten.
    """
    content: dict[str, Any] = {
        "epoch": 0 if player is None else player.jumps,
        "now": _short(snapshot.now),
        "age": _short(snapshot.age),
        "frame": _frame(snapshot.frame, snapshot.frame_rate),
        "decision": None if snapshot.decision is None else _decision(snapshot.decision.record, snapshot.decision.age),
        "probe": None if snapshot.probe is None else _probe(snapshot.probe.record, snapshot.probe.age),
        "joints": None if snapshot.joints is None else _joints(snapshot.joints.record, snapshot.joints.age),
        "diagnostics": [_diagnostic(seen.record, seen.age) for seen in snapshot.diagnostics],
        "grid": {
            "rows": ROWS,
            "columns": COLUMNS,
            "path": _bins(snapshot.path),
            "values": [[place.row, place.column, _short(value)] for place, value in snapshot.values.items()],
            "goals": {target: _bins(bins) for target, bins in snapshot.goals.items()},
            "subject": snapshot.subject,
        },
        "run": {"phase": snapshot.run.phase.value, "target": snapshot.run.target, "words": snapshot.run.words},
        "player": None
        if player is None
        else {"position": player.position, "duration": player.duration, "playing": player.playing},
        "force": _samples(snapshot.force),
        "joint_angles": _samples(snapshot.joint_angles, 180.0 / math.pi),
    }
    told = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return b"".join((_HEAD.pack(len(told)), told, picture))


def _short(value: float | None) -> float | None:
    """The number with four decimals; None where it is none."""
    return round(value, 4) if value is not None and math.isfinite(value) else None


def _bins(bins: tuple[Bin, ...]) -> list[list[int]]:
    return [[place.row, place.column] for place in bins]


def _samples(samples: list[Sample], scale: float = 1.0) -> list[list[float | None]]:
    """Samples, their values scaled."""
    return [[_short(time), *(_short(value * scale) for value in values)] for time, *values in samples]


def _frame(frame: NumberedFrame | None, rate: float) -> dict[str, Any] | None:
    if frame is None:
        return None
    height, width = frame.record.pixels.shape
    return {
        "number": frame.number,
        "age": _short(frame.age),
        "rate": _short(rate),
        "delay": _short(frame.record.delay),
        "height": height,
        "width": width,
    }


def _decision(decision: DecisionSeen, age: float) -> dict[str, Any]:
    return {
        "age": _short(age),
        "step": decision.step,
        "action": decision.action.name.lower(),
        "q": [_short(value) for value in decision.q_values],
        "value": _short(decision.state_value),
        "stop": _short(decision.stop_probability),
        "confidence": _short(decision.confidence),
        "latency_ms": _short(decision.latency * 1e3),
        "model": decision.model,
    }


def _probe(probe: ProbeSeen, age: float) -> dict[str, Any]:
    return {
        "age": _short(age),
        "frame_id": probe.frame_id,
        "position_mm": [_short(value * 1e3) for value in probe.position],
        "bin": None if probe.bin is None else [probe.bin.row, probe.bin.column],
        "force": _short(probe.force),
        "set_point": _short(probe.set_point),
        "contact": probe.contact,
        "session": probe.session.name,
        "steps": probe.steps,
    }


def _joints(joints: JointsSeen, age: float) -> dict[str, Any]:
    return {
        "age": _short(age),
        "names": list(joints.names),
        "degrees": [_short(math.degrees(angle)) for angle in joints.angles],
    }


def _diagnostic(said: DiagnosticSeen, age: float) -> dict[str, Any]:
    return {
        "age": _short(age),
        "name": said.name,
        "level": said.level.name.lower(),
        "message": said.message,
        "hardware": said.hardware,
        "values": [list(pair) for pair in said.values],
    }
