"""How an environment shows its frames: as pixels, or as references into the bank of all frames."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from gymnasium import spaces


class FrameView(Protocol):
    """From the indices of remembered frames to what the agent is given."""

    def space(self, length: int) -> spaces.Box:
        """The space of ``length`` remembered frames."""
        ...

    def show(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The frames at ``indices`` (length,) of the bank."""
        ...


class PixelView:
    """The frames themselves.

    Args:
        bank: uint8 (n, height, width).
    """

    def __init__(self, bank: npt.NDArray[np.uint8]) -> None:
        self._bank = bank

    def space(self, length: int) -> spaces.Box:
        """Uint8 (length, height, width)."""
        return spaces.Box(0, 255, (length, *self._bank.shape[1:]), np.uint8)

    def show(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """A new array uint8 (length, height, width)."""
        return self._bank[indices]


class ReferenceView:
    """Indices into the bank: a replay buffer of them is thousands of times smaller than one of pixels.

    Args:
        bank: uint8 (n, height, width).
    """

    def __init__(self, bank: npt.NDArray[np.uint8]) -> None:
        self._frames = len(bank)

    def space(self, length: int) -> spaces.Box:
        """Int64 (length,) of 0 to n - 1."""
        return spaces.Box(0, self._frames - 1, (length,), np.int64)

    def show(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The indices as they are."""
        return indices


VIEWS: dict[str, type[PixelView] | type[ReferenceView]] = {"pixels": PixelView, "reference": ReferenceView}
