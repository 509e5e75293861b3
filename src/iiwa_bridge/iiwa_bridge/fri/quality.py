"""Quality of a connection by the answers that came in time, over the last messages."""

import math
from collections import deque

from iiwa_bridge.robot import ConnectionQuality

WINDOW = 100
"""Messages that are looked back on."""
_MISSING = {ConnectionQuality.EXCELLENT: 5, ConnectionQuality.GOOD: 25, ConnectionQuality.FAIR: 50}
"""At most so many of them without an answer."""
SILENCE = 0.06
"""After so long without any answer the quality is POOR, whatever was before [s]."""


class QualityWindow:
    """Judges a connection message by message.

    KUKA does not publish its own rule. This one leaves a connection that loses 5 % of the datagrams each way at GOOD
    for an hour, lets one that loses 20 % fall within a second, and bears a gap of 50 ms at 5 ms a message; a client
    that is silent has stopped the robot before 100 ms, which the window alone would do after 130.

    Args:
        period: of the messages [s].
    """

    def __init__(self, period: float) -> None:
        self._answered: deque[bool] = deque([False] * WINDOW, maxlen=WINDOW)
        self._longest_silence = max(2, math.ceil(SILENCE / period))
        self._silence = self._missing = WINDOW

    def add(self, answered: bool) -> None:
        """One more message was sent, and was answered in time or not."""
        # Counted along, since the quality is asked for several times a message.
        self._missing += self._answered[0] - answered
        self._answered.append(answered)
        self._silence = 0 if answered else self._silence + 1

    @property
    def quality(self) -> ConnectionQuality:
        """Of the connection now; POOR at first, since nothing has been answered."""
        if self._silence >= self._longest_silence:
            return ConnectionQuality.POOR
        for quality, most in _MISSING.items():
            if self._missing <= most:
                return quality
        return ConnectionQuality.POOR
