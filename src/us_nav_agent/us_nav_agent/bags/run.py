"""The run that a bag holds: each decision with the frame it was made on and where the probe was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import Action, Bin

from us_nav_agent.bags.read import DECISION_TOPIC, IMAGE_TOPIC, STATE_TOPIC, read_bag, stamp_ns
from us_nav_agent.errors import BagError


@dataclass(frozen=True)
class RunStep:
    """One decision.

    Attributes:
        frame: uint8 (height, width) that was decided on.
        position: bin of the probe then.
        action: what was decided.
        q_values: float32 (4,) or (5,).
        state_value: V(s).
        stop_probability: probability that the frame shows the target.
    """

    frame: npt.NDArray[np.uint8]
    position: Bin
    action: Action
    q_values: npt.NDArray[np.float32]
    state_value: float
    stop_probability: float


def read_run(path: Path) -> list[RunStep]:
    """The steps of the last run in a bag.

    Raises:
        BagError: the bag cannot be read, holds no decision, or a decided frame or the probe's place is missing.
    """
    decisions: list[Any] = []
    images: dict[int, Any] = {}
    states: dict[int, Any] = {}
    for entry in read_bag(path, [DECISION_TOPIC, IMAGE_TOPIC, STATE_TOPIC]):
        stamp = stamp_ns(entry.message.header.stamp)
        if entry.topic == DECISION_TOPIC:
            decisions = [*(decisions if entry.message.step else []), entry.message]
        else:
            (images if entry.topic == IMAGE_TOPIC else states)[stamp] = entry.message
    if not decisions:
        raise BagError(f"{path}: holds no decision")
    stamps = np.array(sorted(states))
    return [_step(path, decision, images, states, stamps) for decision in decisions]


def _step(
    path: Path, decision: Any, images: dict[int, Any], states: dict[int, Any], stamps: npt.NDArray[np.int64]
) -> RunStep:
    stamp = stamp_ns(decision.header.stamp)
    image = images.get(stamp)
    before = int(np.searchsorted(stamps, stamp, side="right")) - 1
    if image is None or before < 0:
        raise BagError(f"{path}: the frame of decision {decision.step}, or where the probe was, is not in the bag")
    place = states[int(stamps[before])].pose.position
    pixels = np.asarray(image.data, dtype=np.uint8).reshape(image.height, image.step)[:, : image.width]
    return RunStep(
        pixels,
        Bin.nearest(place.x, place.y),
        Action(decision.action),
        np.asarray(decision.q_values, dtype=np.float32),
        float(decision.state_value),
        float(decision.stop_probability),
    )
