"""The memory of Hase et al. 2020 (sec. III-B), for one run and for many: the last frames and moves, newest first."""

import numpy as np
import torch
from torch import Tensor
from us_grid_sim.memory import ActionMemory, FrameMemory
from us_grid_sim.preprocess import Frame8

from us_nav_agent.deciders.base import Floats, Ints


class Window:
    """What one run remembers.

    Args:
        frames: how many, the current one included.
        moves: how many.
        actions: that the agent can choose among.
    """

    def __init__(self, frames: int, moves: int, actions: int) -> None:
        self._frames, self._moves = FrameMemory(frames), ActionMemory(moves, actions)

    def see(self, frame: Frame8) -> tuple[Tensor, Tensor]:
        """Take in the current frame; frames uint8 (1, frames, h, w) and moves float (1, moves * actions)."""
        self._frames.push(frame)
        return torch.from_numpy(self._frames.stacked())[None], torch.from_numpy(self._moves.vector())[None]

    def chose(self, action: int) -> None:
        """Take in the move that was chosen."""
        self._moves.push(action)


class Windows:
    """What many runs remember, frames as numbers."""

    def __init__(self, runs: int, frames: int, moves: int, actions: int) -> None:
        self._frames: Ints = np.full((runs, frames), -1)
        self._moves: Floats = np.zeros((runs, moves, actions), dtype=np.float32)

    def see(self, live: Ints, frames: Ints) -> tuple[Ints, Floats]:
        """Take in what the runs ``live`` (n,) see; frame numbers (n, frames) and moves (n, moves * actions)."""
        before = self._frames[live]
        seen = np.concatenate([frames[:, None], before[:, :-1]], axis=1)
        self._frames[live] = np.where(before[:, :1] < 0, frames[:, None], seen)  # the first frame fills all places
        return self._frames[live], self._moves[live].reshape(len(live), -1)

    def chose(self, live: Ints, actions: Ints) -> None:
        """Take in the moves that the runs ``live`` (n,) chose, (n,)."""
        newest = np.eye(self._moves.shape[2], dtype=np.float32)[actions]
        kept = self._moves.shape[1]
        self._moves[live] = np.concatenate([newest[:, None], self._moves[live]], axis=1)[:, :kept]
