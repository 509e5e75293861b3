"""Datagrams that get lost on the way, sampled from a seed and then replayed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iiwa_bridge.fri.errors import FriSessionError

_KEPT = 12_000
"""Cycles for which losses are sampled; a minute of 5 ms, after which they come again."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Which datagrams get lost.

    Attributes:
        lost: (n, 2) whether the message of a cycle and its answer do; after n cycles they come again.
    """

    lost: npt.NDArray[np.bool_]

    def of(self, cycle: int) -> tuple[bool, bool]:
        """Whether the message of this cycle is lost, and whether its answer is."""
        message, answer = self.lost[cycle % len(self.lost)]
        return bool(message), bool(answer)


NONE = Losses(np.zeros((1, 2), dtype=bool))
"""Every datagram arrives."""


def sample_losses(share: float, seed: int) -> Losses:
    """Sample a network that loses this share of the datagrams each way, one as likely as another.

    Raises:
        FriSessionError: the share is not from 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise FriSessionError(f"a share of {share:g} of the datagrams is lost; expected 0 to 1")
    return Losses(np.random.default_rng(seed).random((_KEPT, 2)) < share)
