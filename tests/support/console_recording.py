"""A recording for tests of the console, without a bag: each second its own grey."""

from dataclasses import dataclass, field

import numpy as np
from support.console_feed import START, probe
from us_nav_agent.console.bag_feed import BagFeed
from us_nav_agent.console.records import FrameSeen
from us_nav_agent.console.timeline import Timeline


@dataclass
class _Frames:
    """What ``Recording`` is to a feed."""

    duration: float
    timeline: Timeline = field(default_factory=Timeline)
    damage: tuple[str, ...] = ()

    @property
    def frame_times(self) -> list[float]:
        return [float(second) for second in range(int(self.duration) + 1)]

    def frame_at(self, time: float) -> int:
        return int(time) + 1

    def frame(self, number: int) -> FrameSeen:
        return FrameSeen(np.full((48, 64), 4 * (number - 1), np.uint8), (number - 1) * 10**9)

    def close(self) -> None:
        """Nothing is held."""


class SteppedRecording(BagFeed):
    """A frame and a state every second."""

    def __init__(self, seconds: int) -> None:
        frames = _Frames(float(seconds))
        for second in range(seconds + 1):
            frames.timeline.add(float(second), probe(START, second * 10**9))
        super().__init__(frames, "a recording")  # type: ignore[arg-type]

    def grey(self, position: float) -> int:
        """Of the frame at this time [s]."""
        return 4 * int(position)
