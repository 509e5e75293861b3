"""A policy on the frames of a bag: on those that were decided on, or on every frame where nobody decided."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from us_grid_sim.geometry import Bin
from us_grid_sim.preprocess import Frame8

from us_nav_agent.bags.run import RunStep
from us_nav_agent.deciders.base import Decision
from us_nav_agent.evaluation.bags.ahead import FramesAhead
from us_nav_agent.evaluation.bags.recording import RecordedDecision, Recording
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.policy import Policy

PICTURED_RUNS = 3
"""Runs that are drawn."""
_PICTURED_FRAMES = 8
_SMALL = (400, 300)


@dataclass(frozen=True, eq=False)
class Look:
    """One frame that was decided on.

    Attributes:
        stamp_ns: of the frame [ns].
        position: bin of the probe then; None where it is not known.
        recorded: what was decided then; None where nobody did.
        decided: what the policy makes of it now; None where the frame is not in the bag, or none that it can take.
    """

    stamp_ns: int
    position: Bin | None
    recorded: RecordedDecision | None
    decided: Decision | None


Run = list[Look]


def rerun(
    policy: Policy, recording: Recording, target: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Run], list[list[RunStep]]]:
    """Decide again on the recorded frames.

    The policy remembers its own decisions, not the recorded ones, and a run goes on over the recorded frames when it
    says stop: from the first decision that differs on, it sees what it would not have seen.

    Args:
        policy: decides.
        recording: of a bag.
        target: that it is to find.
        progress: called with the frames done and their number.

    Returns:
        The runs, and of the first ones, where the probe's place is known, what a picture needs.

    Raises:
        ModelError: the policy cannot find the target.
    """
    decider = policy.decider.towards(target)
    runs = _frames_of_runs(recording)
    stamps = [stamp for run in runs for stamp, _ in run]
    shown = {stamp for run in runs[:PICTURED_RUNS] for stamp in _shown([stamp for stamp, _ in run])}
    pictures: dict[int, Frame8] = {}

    def make(stamp: int, frame: Frame8) -> tuple[Frame8, Any]:
        if stamp in shown:
            pictures[stamp] = np.asarray(cv2.resize(frame, _SMALL, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        small = policy.preprocess(frame)
        return small, decider.look(small)

    looks: list[Run] = []
    done = 0
    with one_thread(), FramesAhead(recording, stamps, make) as frames:
        for run in runs:
            decide, looked = decider.begin(), []
            for stamp, recorded in run:
                seen = frames.at(stamp)
                decided = None if seen is None else decide(*seen)
                looked.append(Look(stamp, recording.track.bin_at(stamp), recorded, decided))
                done += 1
                progress(done, len(stamps))
            looks.append(looked)
    _say_missing(recording, sum(frames.at(stamp) is None for stamp in set(stamps)))
    return looks, [steps for run in looks[:PICTURED_RUNS] if (steps := _steps(run, pictures))]


def _frames_of_runs(recording: Recording) -> list[list[tuple[int, RecordedDecision | None]]]:
    """The stamps that are decided on and what was decided; all frames as one run where nobody decided."""
    if recording.decisions:
        return [[(decision.stamp_ns, decision) for decision in run] for run in recording.runs]
    if not recording.frame_stamps.size:
        return []
    recording.notes.append("nobody decided while it was recorded; the policy decides on every frame, as one run")
    return [[(int(stamp), None) for stamp in recording.frame_stamps]]


def _shown(stamps: list[int]) -> set[int]:
    """The stamps whose frames are drawn: first and last, others evenly between."""
    places = np.linspace(0, len(stamps) - 1, min(len(stamps), _PICTURED_FRAMES))
    return {stamps[round(float(place))] for place in places}


def _say_missing(recording: Recording, missing: int) -> None:
    if missing and recording.decisions:
        recording.notes.append(f"{missing} decided frames are not in the bag, or cannot be taken; they are left out")


def _steps(run: Run, pictures: dict[int, Frame8]) -> list[RunStep]:
    """What ``figures.draw_run`` needs of a run; nothing where a place is not known."""
    blank = np.zeros(_SMALL[::-1], dtype=np.uint8)
    steps = []
    for look in run:
        if look.position is None or look.decided is None:
            return []
        action = look.recorded.action if look.recorded is not None else look.decided.action
        stop = look.recorded.stop_probability if look.recorded is not None else look.decided.stop_probability
        frame = pictures.get(look.stamp_ns, blank)
        steps.append(RunStep(frame, look.position, action, look.decided.q_values, look.decided.state_value, stop))
    return steps
