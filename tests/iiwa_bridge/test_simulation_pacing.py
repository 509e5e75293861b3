"""A paced robot keeps the steady clock's time where it can, falls behind where it cannot, and never hurries."""

import time

import numpy as np
import pytest
from iiwa_bridge.robot import Array, CellState, ControlMode, RobotCommand
from iiwa_bridge.simulation.pacing import PacedCell

PERIOD = 0.005
COMMAND = RobotCommand(np.zeros(7))


class FakeTime:
    """A clock that sleep and work move on, and nothing else."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Worker:
    """A cell whose cycles take as long as they are told to."""

    def __init__(self, clock: FakeTime, work: list[float]) -> None:
        self._clock, self._work = clock, work
        self.closed = False

    def reset(self) -> CellState:
        zeros: Array = np.zeros(7)
        return CellState(zeros, zeros, zeros)

    def advance(self, command: RobotCommand, control: ControlMode, duration: float) -> CellState:
        self._clock.now += self._work.pop(0)
        return self.reset()

    def close(self) -> None:
        self.closed = True


def ends(monkeypatch: pytest.MonkeyPatch, work: list[float]) -> list[float]:
    """When each cycle ends, from the first one's begin on [s], by the work that it takes [s]."""
    clock = FakeTime()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    cell = PacedCell(Worker(clock, list(work)))
    clock.now += 50.0
    cell.reset()
    begin, found = clock.now, []
    for _ in work:
        cell.advance(COMMAND, ControlMode.POSITION, PERIOD)
        found.append(clock.now - begin)
    return found


def test_cycles_that_are_fast_end_on_the_period(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, [0.001, 0.0, 0.004]) == pytest.approx([0.005, 0.010, 0.015])


def test_a_cycle_that_is_a_little_late_is_caught_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, [0.006, 0.001, 0.001]) == pytest.approx([0.006, 0.010, 0.015])


def test_after_a_stall_no_more_than_one_cycle_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, [0.100, 0.0, 0.0, 0.0]) == pytest.approx([0.100, 0.100, 0.105, 0.110])


def test_it_closes_what_it_holds_back() -> None:
    worker = Worker(FakeTime(), [])
    PacedCell(worker).close()
    assert worker.closed
