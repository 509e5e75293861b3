"""The last seconds of a curve, thinned, handed out piece by piece."""

from collections import deque

WINDOW = 30.0
"""Time that a plot shows [s]."""
SPACING = 0.05
"""Least time between two samples of a plot [s]: 600 of them fill its width."""

Sample = tuple[float, ...]
"""Time [s] and the values then."""


class Series:
    """Samples of the last WINDOW seconds, at least SPACING apart, numbered from 0 as they come."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Sample]] = deque()
        self.count = 0

    def add(self, time: float, *values: float) -> None:
        """Take a sample, unless the last one is too near; forget what has left the window."""
        if self._samples and time - self._samples[-1][1][0] < SPACING:
            return
        self._samples.append((self.count, (time, *values)))
        self.count += 1
        while self._samples[0][1][0] < time - WINDOW:
            self._samples.popleft()

    def since(self, number: int) -> list[Sample]:
        """The samples numbered ``number`` and above that are still in the window."""
        new: list[Sample] = []
        for index, sample in reversed(self._samples):
            if index < number:
                break
            new.append(sample)
        return new[::-1]
