"""A feed for tests of the console: a probe over a grid that walks when it is told to, without ROS."""

import threading
import time

import numpy as np
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.console.feed import Answer
from us_nav_agent.console.model import ConsoleModel, Marks, NumberedFrame, Snapshot
from us_nav_agent.console.records import (
    DecisionSeen,
    DiagnosticSeen,
    FrameSeen,
    GoalsSeen,
    JointsSeen,
    Level,
    Phase,
    ProbeSeen,
    RunSeen,
    Session,
)

GOAL = Bin(5, 3)
START = Bin(3, 6)
WAY = (Action.DOWN, Action.DOWN, Action.LEFT, Action.LEFT, Action.LEFT)
"""From START to GOAL."""


def decision(step: int, action: Action, stamp_ns: int, value: float = 0.5) -> DecisionSeen:
    """A decision with nothing odd about it."""
    q_values = tuple(0.9 if index == action else 0.1 * index for index in range(4))
    return DecisionSeen(
        stamp_ns, step, action, q_values, value, 0.99 if action is Action.STOP else 0.02, 0.8, 0.01, "fake"
    )


def probe(place: Bin, stamp_ns: int, steps: int = 0, frame_id: str = "patient") -> ProbeSeen:
    """The probe in contact over a bin."""
    return ProbeSeen(stamp_ns, frame_id, (*place.center, 0.0), 1.02, 1.0, True, Session.COMMANDING_ACTIVE, steps)


class WalkingFeed:
    """States 30 times a second, with the first ``frames`` of them a frame; a run takes a step every ``step`` seconds.

    ``pause`` holds everything: a graph that is gone.
    """

    title = "a probe that walks"
    targets = ("sacrum", "l5")

    def __init__(self, step: float = 0.1, frames: int = 10**9) -> None:
        self.model = ConsoleModel()
        self.stops, self.cancels = 0, 0
        self.pause = threading.Event()
        self._step, self._left, self._ended = step, frames, threading.Event()
        self._way: list[Action] = []
        self._place, self._walked = START, 0
        self._lock = threading.Lock()
        self._frames = [np.random.default_rng(seed).integers(0, 90, (600, 800), np.uint8) for seed in range(4)]
        self.model.take(GoalsSeen("Fake001", "sacrum", (GOAL, Bin(5, 4))), time.monotonic())
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def snapshot(self, marks: Marks) -> tuple[Snapshot, Marks]:
        return self.model.snapshot(time.monotonic(), marks)

    def frame(self) -> NumberedFrame | None:
        return self.model.frame(time.monotonic())

    def start(self, target: str) -> Answer:
        with self._lock:
            self._way = [*WAY, Action.STOP]
            self._place, self._walked = START, 0
        self.model.take(RunSeen(Phase.RUNNING, target, "under way"), time.monotonic())
        return Answer(True, "accepted")

    def cancel(self) -> Answer:
        self.cancels += 1
        return Answer(True, "cancelled")

    def stop(self) -> Answer:
        self.stops += 1
        return Answer(True, "stopped")

    def close(self) -> None:
        self._ended.set()
        self._thread.join(2.0)

    def _live(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(1 / 30):
            if self.pause.is_set():
                continue
            now, stamp = time.monotonic(), time.monotonic_ns()
            self.model.take(probe(self._place, stamp, self._walked), now)
            self.model.take(JointsSeen(tuple(f"A{n}" for n in range(1, 8)), tuple(np.sin(now + np.arange(7)))), now)
            said = (("machine", "in contact"), ("quality", "EXCELLENT"))
            self.model.take(DiagnosticSeen("bridge", Level.OK, "in contact", "127.0.0.1", said), now)
            if self._left > 0:
                self._left -= 1
                self.model.take(FrameSeen(self._frames[self._left % 4], stamp, 0.02), now)
            with self._lock:
                if self._way and now - last > self._step:
                    last = now
                    self._decide(self._way.pop(0), stamp, now)

    def _decide(self, action: Action, stamp: int, now: float) -> None:
        self.model.take(decision(self._walked, action, stamp, 0.4 + 0.1 * self._walked), now)
        self._walked += 1
        self._place = self._place.moved(action)
        if action is Action.STOP:
            self.model.take(RunSeen(Phase.REACHED, "sacrum", f"target in view after {len(WAY)} steps"), now)
