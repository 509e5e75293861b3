"""A bag as what an evaluation needs of it; frames stay in the bag until they are asked for."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import Action, Bin
from us_grid_sim.preprocess import Frame8, check_frame

from us_nav_agent.bags.bag import LEAP, Bag
from us_nav_agent.bags.read import DECISION_TOPIC, IMAGE_TOPIC, STATE_TOPIC, pixels_of, stamp_ns
from us_nav_agent.errors import BagError

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

TRUTH_TOPIC = "/simulation/probe"
TARGETS_TOPIC = "/simulation/target_bins"
DIAGNOSTICS_TOPIC = "/diagnostics"
_TOPICS = frozenset({DECISION_TOPIC, STATE_TOPIC, TRUTH_TOPIC, TARGETS_TOPIC, DIAGNOSTICS_TOPIC})
_PATIENT_FRAMES = ("patient", "patient_body")
_STALE = 1_000_000_000
"""A state that is older than this says nothing about where a frame was taken [ns]."""
_FAULTS = ("fault", "retracting to fault")
_ERROR = 2
"""diagnostic_msgs/DiagnosticStatus.ERROR."""


@dataclass(frozen=True)
class RecordedDecision:
    """A decision of the bag: frame's stamp and when it was received [ns], step in its run, latency [s], who made it."""

    stamp_ns: int
    time_ns: int
    step: int
    action: Action
    stop_probability: float
    latency: float
    model: str
    sha256: str


@dataclass(frozen=True, eq=False)
class ProbeTrack:
    """States of the probe in the order of the bag, n of them.

    Attributes:
        stamps: (n,), when measured [ns].
        times: (n,), when received [ns].
        places: (n, 2), x and y in the patient frame [m]; NaN where the pose is given in another frame.
        force: (n,), along the beam [N]; NaN where it is not measured.
        set_point: (n,), wanted [N]; NaN without force control.
        contact: (n,), whether the transducer touches the skin.
    """

    stamps: Stamps
    times: Stamps
    places: Floats
    force: Floats
    set_point: Floats
    contact: npt.NDArray[np.bool_]

    @cached_property
    def _order(self) -> Stamps:
        return np.argsort(self.stamps, kind="stable")

    def bin_at(self, stamp: int) -> Bin | None:
        """The bin of the probe at ``stamp`` [ns]; None where it is not known."""
        before = int(np.searchsorted(self.stamps, stamp, side="right", sorter=self._order)) - 1
        if before < 0 or stamp - self.stamps[self._order[before]] > _STALE:
            return None
        x, y = self.places[self._order[before]]
        return None if np.isnan(x + y) else Bin.nearest(float(x), float(y))


@dataclass(frozen=True)
class SafetyEvent:
    """A fault of the bridge: when it was told, from the beginning of the bag on [s], the state, and why."""

    at: float
    state: str
    reason: str


@dataclass(eq=False)
class Recording:
    """What a bag holds.

    Attributes:
        bag: itself.
        image_topic: where its frames are; empty where there are none.
        notes: what is missing, taken in place of another, or left out.
        decisions: in their order.
        frame_stamps, frame_times: of every frame, its stamp and when it was received [ns].
        measured: what the bridge, or whoever tracks the probe, said of it.
        truth: what the simulation knows of it; empty where there is none.
        target: of the last run, as the policy node said; empty where it did not.
        goals: by target, where the bag knows them.
        subject: who was examined; empty where that is not known.
        events: faults of the bridge.
    """

    bag: Bag
    image_topic: str = ""
    notes: list[str] = field(default_factory=list)
    decisions: list[RecordedDecision] = field(default_factory=list)
    frame_stamps: Stamps = field(default_factory=lambda: np.zeros(0, np.int64))
    frame_times: Stamps = field(default_factory=lambda: np.zeros(0, np.int64))
    measured: ProbeTrack = field(default_factory=lambda: _track([]))
    truth: ProbeTrack = field(default_factory=lambda: _track([]))
    target: str = ""
    goals: dict[str, tuple[Bin, ...]] = field(default_factory=dict)
    subject: str = ""
    events: list[SafetyEvent] = field(default_factory=list)

    @property
    def track(self) -> ProbeTrack:
        """Where the probe was: as the simulation knows it, else as it was measured."""
        return self.truth if self.truth.stamps.size else self.measured

    @property
    def runs(self) -> list[list[RecordedDecision]]:
        """The decisions of each run: one begins where the policy's memory was reset."""
        runs: list[list[RecordedDecision]] = []
        for decision in self.decisions:
            if not runs or decision.step <= runs[-1][-1].step:
                runs.append([])
            runs[-1].append(decision)
        return runs

    def frames(self, stamps: Collection[int]) -> Iterator[tuple[int, Frame8]]:
        """The frames of these stamps, each with its stamp; one that no policy can take is named in ``notes``."""
        wanted, refused = set(stamps), Counter[str]()
        for entry in self.bag.messages([self.image_topic] if self.image_topic else []):
            stamp = stamp_ns(entry.message.header.stamp)
            if stamp not in wanted:
                continue
            try:
                pixels = pixels_of(entry.message)
                check_frame(pixels)
            except (BagError, FrameError) as error:
                refused[str(error)] += 1
                continue
            yield stamp, pixels
        self.notes += [f"{count} frames cannot be decided on: {why}" for why, count in refused.items()]


def read_recording(bag: Bag) -> Recording:
    """Read a bag once.

    Raises:
        BagError: there is nothing in it that can be read.
    """
    survey = bag.survey
    if not survey.messages:
        raise BagError(f"{bag.path}: the bag is empty" + "".join(f"; {line}" for line in bag.damage))
    recording = Recording(bag)
    recording.image_topic = _image_topic(recording)
    states: dict[str, list[Any]] = {STATE_TOPIC: [], TRUTH_TOPIC: []}
    frames: list[tuple[int, int]] = []
    failing = False
    for entry in bag.messages(_TOPICS | {recording.image_topic}):
        message, topic = entry.message, entry.topic
        if topic == recording.image_topic:
            frames.append((stamp_ns(message.header.stamp), entry.time_ns))
        elif topic == DECISION_TOPIC:
            recording.decisions.append(_decision(message, entry.time_ns))
        elif topic in states:
            states[topic].append((message, entry.time_ns))
        elif topic == TARGETS_TOPIC:
            recording.subject = message.subject
            recording.goals[message.target] = tuple(
                Bin(int(row), int(column)) for row, column in zip(message.rows, message.columns, strict=True)
            )
        else:
            failing = _watch(recording, message, (entry.time_ns - survey.start_ns) * 1e-9, failing)
    stamped = np.array(frames, dtype=np.int64).reshape(-1, 2)
    recording.frame_stamps, recording.frame_times = stamped[:, 0], stamped[:, 1]
    _say_jumps(recording, recording.image_topic, recording.frame_stamps, recording.frame_times)
    recording.measured, recording.truth = _track(states[STATE_TOPIC]), _track(states[TRUTH_TOPIC])
    for topic, track in ((STATE_TOPIC, recording.measured), (TRUTH_TOPIC, recording.truth)):
        _say_jumps(recording, topic, track.stamps, track.times)
    return recording


def _image_topic(recording: Recording) -> str:
    """The topic of the frames: ours, else the only one with images, which is said."""
    topics = recording.bag.survey.topics
    images = sorted(name for name, one in topics.items() if one.count and one.topic.type == "sensor_msgs/msg/Image")
    if IMAGE_TOPIC in images:
        return IMAGE_TOPIC
    if len(images) == 1:
        recording.notes.append(f"no frames on {IMAGE_TOPIC}; those on {images[0]} are taken")
        return images[0]
    recording.notes.append(f"no frames on {IMAGE_TOPIC}" + (f"; images are on {', '.join(images)}" if images else ""))
    return ""


def _decision(message: Any, time_ns: int) -> RecordedDecision:
    """A decision; what another definition of the message does not have is not known."""
    return RecordedDecision(
        stamp_ns(message.header.stamp),
        time_ns,
        int(message.step),
        Action(message.action),
        float(getattr(message, "stop_probability", float("nan"))),
        float(getattr(message, "latency", float("nan"))),
        str(getattr(message, "model", "")),
        str(getattr(message, "model_sha256", "")),
    )


def _track(entries: list[Any]) -> ProbeTrack:
    """The states of the probe as arrays."""
    states = [message for message, _ in entries]

    def place(state: Any) -> tuple[float, float]:
        known = state.header.frame_id in _PATIENT_FRAMES
        return (state.pose.position.x, state.pose.position.y) if known else (np.nan, np.nan)

    return ProbeTrack(
        np.array([stamp_ns(state.header.stamp) for state in states], dtype=np.int64),
        np.array([time_ns for _, time_ns in entries], dtype=np.int64),
        np.array([place(state) for state in states], dtype=np.float64).reshape(-1, 2),
        np.array([state.wrench.force.z for state in states], dtype=np.float64),
        np.array([state.force_set_point for state in states], dtype=np.float64),
        np.array([state.contact for state in states], dtype=np.bool_),
    )


def _watch(recording: Recording, message: Any, at: float, failing: bool) -> bool:
    """Keep what the bridge says of faults and the policy of its target; whether the bridge is in a fault now."""
    for status in message.status:
        values = {pair.key: pair.value for pair in status.values}
        if status.name == "policy":
            recording.target = values.get("target", "") or recording.target
        if status.name != "bridge":
            continue
        state, reason = values.get("machine", ""), values.get("reasons", "") or status.message
        now = state in _FAULTS or int(status.level) == _ERROR
        if now and not failing:
            recording.events.append(SafetyEvent(at, state, reason))
        elif now and len(reason) > len(recording.events[-1].reason):
            # Reasons are added to the first one while the fault lasts.
            recording.events[-1] = SafetyEvent(recording.events[-1].at, state, reason)
        failing = now
    return failing


def _say_jumps(recording: Recording, topic: str, stamps: Stamps, times: Stamps) -> None:
    """Name a clock that jumped: the stamps of a topic against when its messages were received."""
    moved = np.diff(stamps)
    back, leaps = int((moved < 0).sum()), int((np.abs(moved - np.diff(times)) > LEAP).sum())
    if back:
        recording.notes.append(f"{topic}: stamps go backwards {back} times")
    if leaps:
        recording.notes.append(
            f"{topic}: stamps and receive times move apart by more than 1 s {leaps} times: a clock jumped, or messages "
            "were held up; rates, drops and times over these places are left out"
        )
