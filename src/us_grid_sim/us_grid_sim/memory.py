"""What an agent remembers: the last frames and the last actions, newest first.

The environments and the policy hold these very classes, so that a policy sees the same arrays on the grid,
in the node and from a bag. Hase et al. 2020, sec. III-B; sizes and order are those of the authors' code.
"""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

FRAME_MEMORY = 3
"""Frames in the memory, the current one included (authors' code)."""
ACTION_MEMORY = 5
"""Actions in the memory (Hase et al. 2020, sec. III-B)."""


class FrameMemory:
    """The current frame and the ones before it.

    The order is newest first: index 0 is the current frame. After ``reset`` the first frame fills all places.
    A frame is kept as it was shown. (The authors' code draws another of a past bin's five frames each time it
    is looked at; a live probe cannot do that.)

    A frame may be an array of any one shape and type, or a scalar such as an index into a bank of frames.

    Args:
        length: number of frames held, at least 1.
    """

    def __init__(self, length: int = FRAME_MEMORY) -> None:
        if length < 1:
            raise ValueError(f"a frame memory of {length} frames; it must hold at least 1")
        self.length = length
        self._frames: deque[npt.NDArray[Any]] = deque(maxlen=length)

    def reset(self) -> None:
        """Forget all frames."""
        self._frames.clear()

    def push(self, frame: npt.ArrayLike) -> None:
        """Take in (a copy of) the current frame."""
        current = np.array(frame)
        if self._frames:
            self._frames.appendleft(current)
        else:
            self._frames.extend([current] * self.length)

    def stacked(self) -> npt.NDArray[Any]:
        """A new array (length, *shape of a frame) of the frames' type, current frame first.

        Raises:
            ValueError: no frame was pushed since the last reset.
        """
        if not self._frames:
            raise ValueError("the frame memory is empty; push the first frame before looking at it")
        return np.stack(tuple(self._frames))


class ActionMemory:
    """The last actions as one-hot vectors, concatenated.

    The order is newest first: elements 0 to actions - 1 are the newest action. After ``reset`` all are zero.

    Args:
        length: number of actions held; 0 for an agent that remembers none.
        actions: size of the action space: 4 without the stop action, 5 with it.
    """

    def __init__(self, length: int = ACTION_MEMORY, actions: int = 5) -> None:
        if length < 0 or actions < 1:
            raise ValueError(f"an action memory of {length} places for {actions} actions; expected 0 and 1 at least")
        self.length = length
        self.actions = actions
        self._one_hot = np.zeros((length, actions), dtype=np.float32)

    def reset(self) -> None:
        """Forget all actions."""
        self._one_hot[:] = 0.0

    def push(self, action: int) -> None:
        """Take in the action that was just chosen, whether or not the probe could carry it out.

        Raises:
            ValueError: there is no such action.
        """
        if not 0 <= action < self.actions:
            raise ValueError(f"action {action} is none of 0 to {self.actions - 1}")
        newest = np.eye(self.actions, dtype=np.float32)[action]
        self._one_hot = np.concatenate([newest[None], self._one_hot])[: self.length]

    def vector(self) -> npt.NDArray[np.float32]:
        """A new float32 vector (length * actions,), newest action first."""
        return self._one_hot.reshape(-1).copy()
