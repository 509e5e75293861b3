"""The written state machine of the bridge: one table, and one way to move through it.

Every pair of state and event is either in the table or refused with a reason. A stop and a violation are in the table
for each state. docs/safety.md shows the table; ``iiwa_bridge.safety.table`` writes it.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from iiwa_bridge.safety.monitor import Violation
from iiwa_bridge.safety.readings import Reaction


class State(Enum):
    """What the bridge does with the probe."""

    IDLE = "idle"
    ENABLED = "enabled"
    APPROACHING = "approaching"
    IN_CONTACT = "in contact"
    STEPPING = "stepping"
    RETRACTING = "retracting"
    FAULT_RETRACTING = "retracting to fault"
    FAULT = "fault"


class Event(Enum):
    """What moves the machine: the operator, the force controller, the monitor, the session, the clock."""

    ENABLE = "enable"
    DISABLE = "disable"
    STEP = "step"
    HOLD = "hold"
    RETRACT = "retract"
    TARE = "tare"
    CLEAR = "clear"
    STOP = "stop"
    CONTACT = "contact"
    STEP_DONE = "step done"
    LOST_CONTACT = "lost contact"
    RETRACTED = "retracted"
    VIOLATION_HOLD = "violation: hold"
    VIOLATION_RETRACT = "violation: retract"
    VIOLATION_STOP = "violation: stop"
    COMMANDING_BEGINS = "commanding begins"
    COMMANDING_ENDS = "commanding ends"
    TIMEOUT = "time-out"


class Motion(Enum):
    """What is sent in a state."""

    STILL = "the last position, no feed-forward"
    APPROACH = "along the beam until contact, then the force is ramped"
    PRESS = "force regulated along the beam, still across it"
    STEP = "force regulated along the beam, moving across it"
    LIFT = "out of the body, no feed-forward"


MOTION: Mapping[State, Motion] = {
    State.IDLE: Motion.STILL,
    State.ENABLED: Motion.STILL,
    State.APPROACHING: Motion.APPROACH,
    State.IN_CONTACT: Motion.PRESS,
    State.STEPPING: Motion.STEP,
    State.RETRACTING: Motion.LIFT,
    State.FAULT_RETRACTING: Motion.LIFT,
    State.FAULT: Motion.STILL,
}

DEADLINES: Mapping[State, float] = {
    State.APPROACHING: 30.0,
    State.STEPPING: 8.0,
    State.RETRACTING: 10.0,
    State.FAULT_RETRACTING: 10.0,
}
"""Longest time in a state that is to end by itself [s]."""

_STOPS = {
    Event.STOP: State.FAULT,
    Event.VIOLATION_RETRACT: State.FAULT_RETRACTING,
    Event.VIOLATION_STOP: State.FAULT,
    Event.COMMANDING_ENDS: State.FAULT,
}
"""Where these lead from each state in which the arm moves or may."""

TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.IDLE: {
        Event.ENABLE: State.ENABLED,
        Event.TARE: State.IDLE,
        Event.STOP: State.FAULT,
        Event.VIOLATION_HOLD: State.IDLE,
        Event.VIOLATION_RETRACT: State.FAULT,
        Event.VIOLATION_STOP: State.FAULT,
        Event.COMMANDING_BEGINS: State.IDLE,
        Event.COMMANDING_ENDS: State.IDLE,
    },
    State.ENABLED: {
        Event.DISABLE: State.IDLE,
        Event.STEP: State.APPROACHING,
        Event.HOLD: State.ENABLED,
        Event.RETRACT: State.RETRACTING,
        Event.TARE: State.ENABLED,
        Event.VIOLATION_HOLD: State.ENABLED,
        **_STOPS,
    },
    State.APPROACHING: {
        Event.HOLD: State.ENABLED,
        Event.RETRACT: State.RETRACTING,
        Event.CONTACT: State.IN_CONTACT,
        Event.LOST_CONTACT: State.RETRACTING,
        Event.VIOLATION_HOLD: State.ENABLED,
        Event.TIMEOUT: State.RETRACTING,
        **_STOPS,
    },
    State.IN_CONTACT: {
        Event.STEP: State.STEPPING,
        Event.HOLD: State.IN_CONTACT,
        Event.RETRACT: State.RETRACTING,
        Event.LOST_CONTACT: State.RETRACTING,
        Event.VIOLATION_HOLD: State.IN_CONTACT,
        **_STOPS,
    },
    State.STEPPING: {
        Event.HOLD: State.IN_CONTACT,
        Event.RETRACT: State.RETRACTING,
        Event.STEP_DONE: State.IN_CONTACT,
        Event.LOST_CONTACT: State.RETRACTING,
        Event.VIOLATION_HOLD: State.IN_CONTACT,
        Event.TIMEOUT: State.IN_CONTACT,
        **_STOPS,
    },
    State.RETRACTING: {
        Event.RETRACTED: State.ENABLED,
        Event.VIOLATION_HOLD: State.RETRACTING,
        Event.TIMEOUT: State.FAULT,
        **_STOPS,
    },
    State.FAULT_RETRACTING: {
        Event.RETRACTED: State.FAULT,
        Event.VIOLATION_HOLD: State.FAULT_RETRACTING,
        Event.TIMEOUT: State.FAULT,
        **_STOPS,
    },
    State.FAULT: {
        Event.CLEAR: State.IDLE,
        Event.STOP: State.FAULT,
        Event.VIOLATION_HOLD: State.FAULT,
        Event.VIOLATION_RETRACT: State.FAULT,
        Event.VIOLATION_STOP: State.FAULT,
        Event.COMMANDING_BEGINS: State.FAULT,
        Event.COMMANDING_ENDS: State.FAULT,
    },
}

_INSTEAD: Mapping[State, str] = {
    State.IDLE: "enable first",
    State.ENABLED: "disable, or step",
    State.APPROACHING: "wait for contact, hold, or retract",
    State.IN_CONTACT: "step, or retract",
    State.STEPPING: "wait for the end of the step, hold, or retract",
    State.RETRACTING: "wait until the probe is retracted",
    State.FAULT_RETRACTING: "wait until the probe is retracted, or stop",
    State.FAULT: "clear the fault first",
}
_BY_REACTION = {
    Reaction.HOLD: Event.VIOLATION_HOLD,
    Reaction.RETRACT: Event.VIOLATION_RETRACT,
    Reaction.STOP: Event.VIOLATION_STOP,
}
_TO_FAULT = frozenset({State.FAULT, State.FAULT_RETRACTING})
_EXPLAINED = frozenset(_STOPS) | {Event.VIOLATION_HOLD, Event.TIMEOUT, Event.LOST_CONTACT, Event.HOLD, Event.RETRACT}
"""What ends a motion early, so that the operator is told why."""


@dataclass(frozen=True)
class Answer:
    """What came of an event: the state after it, and why it was refused; empty where it was not."""

    state: State
    refused: str = ""


class StateMachine:
    """Where the bridge is, and why it stands. Any thread may call any method, none waits for long; a signal
    handler may not, since it could interrupt the thread that holds the lock.

    Args:
        now: steady time [s].
        deadlines: longest time in a state that is to end by itself [s].
    """

    def __init__(self, now: float, deadlines: Mapping[State, float] = DEADLINES) -> None:
        self._deadlines = deadlines
        self._state, self._since = State.IDLE, now
        self._commanding = False
        self._reasons: dict[str, str] = {}
        self._note = ""
        # The emergency stop comes from a thread of its own. Nothing waits while this lock is held.
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """Where the bridge is."""
        return self._state

    @property
    def enabled(self) -> bool:
        """Whether the arm moves or may: neither idle nor in fault."""
        return self._state not in (State.IDLE, State.FAULT)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the bridge is in fault, or on its way there: the first reason first; kept until cleared."""
        return tuple(self._reasons.values())

    @property
    def note(self) -> str:
        """Why the last motion ended early without a fault; until the next one begins."""
        return self._note

    def fire(self, event: Event, now: float, reason: str = "") -> Answer:
        """Take an event.

        Args:
            event: what happened.
            now: steady time [s].
            reason: of a stop, for the operator; the event's own name where there is none.
        """
        with self._lock:
            said = reason or event.value
            return self._take(event, now, {said: said})

    def violate(self, violations: Sequence[Violation], now: float) -> Answer:
        """Take what the monitor found in one cycle, by the gravest; at least one violation.

        Each limit is kept as a reason once, with the value that broke it first.
        """
        event = _BY_REACTION[max(violation.reaction for violation in violations)]
        with self._lock:
            return self._take(event, now, {violation.name: violation.text for violation in violations})

    def tick(self, now: float) -> Answer:
        """Time has passed: a state that is to end by itself is ended at its deadline."""
        with self._lock:
            deadline = self._deadlines.get(self._state)
            if deadline is None or now - self._since < deadline:
                return Answer(self._state)
            reason = f"{self._state.value} for more than {deadline:g} s"
            return self._take(Event.TIMEOUT, now, {reason: reason})

    def _take(self, event: Event, now: float, reasons: Mapping[str, str]) -> Answer:
        before = self._state
        after = TRANSITIONS[before].get(event)
        if after is None:
            return Answer(before, f"{event.value} is not allowed while {before.value}: {_INSTEAD[before]}")
        if event is Event.ENABLE and not self._commanding:
            return Answer(before, "enable is not allowed without a commanding session: start the robot's application")
        if event in (Event.COMMANDING_BEGINS, Event.COMMANDING_ENDS):
            self._commanding = event is Event.COMMANDING_BEGINS
        self._explain(event, after, reasons)
        if after is not before:
            self._state, self._since = after, now
        return Answer(after)

    def _explain(self, event: Event, after: State, reasons: Mapping[str, str]) -> None:
        """Keep why the bridge stands: as reasons on the way to a fault, else as a note."""
        if event is Event.CLEAR:
            self._reasons = {}
        elif event in _EXPLAINED and after in _TO_FAULT:
            # The first reason of each name stays, and stays in front.
            for name, text in reasons.items():
                self._reasons.setdefault(name, text)
        elif event in _EXPLAINED and after is not State.IDLE:
            self._note = "; ".join(reasons.values())
        elif event is Event.STEP:
            self._note = ""
