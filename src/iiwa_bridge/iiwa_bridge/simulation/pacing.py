"""A simulated robot that is never faster than time."""

import time

from iiwa_bridge.robot import Cell, CellState, ControlMode, RobotCommand


class PacedCell:
    """Holds a cell back to the steady clock, for a controller that else goes on as soon as it is answered.

    On a machine that is too slow its time falls behind. One cycle is caught up with, since no sleep ends on time; more
    would be a robot that moves faster than it was told to.

    Args:
        cell: the robot.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell, self._due = cell, time.monotonic()

    def reset(self) -> CellState:
        """Stand still at the start."""
        self._due = time.monotonic()
        return self._cell.reset()

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
        """Hold a command for ``duration`` [s] in a control mode; returns when that time has passed."""
        state = self._cell.advance(command, control, duration)
        now = time.monotonic()
        self._due = max(self._due + duration, now - duration)
        if self._due > now:
            time.sleep(self._due - now)
        return state

    def close(self) -> None:
        """Give back what the cell holds."""
        self._cell.close()
