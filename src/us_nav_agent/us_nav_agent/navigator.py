"""NavigateToTarget as a pure state machine: frames, step results and the time go in, what to do next comes out.

No ROS, no thread, no clock of its own. Every wait has a deadline on the steady time that is handed in.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import Action, displacement
from us_grid_sim.preprocess import Frame8

from us_nav_agent.policy import Decision


class Decider(Protocol):
    """What the navigator needs of a policy."""

    def reset(self, target: str | None = None) -> None:
        """Forget the last run and set out for ``target``."""
        ...

    def act(self, frame: Frame8) -> Decision:
        """Decide on a frame, uint8 (600, 800)."""
        ...


@dataclass(frozen=True)
class NavigatorConfig:
    """Where a run goes, and its limits.

    Attributes:
        target: the view to find, one that the policy finds.
        max_steps: probe steps.
        first_frame_timeout: longest wait for the first frame [s]; longer where a source may still be discovered.
        frame_timeout: longest wait for a frame that shows the new place [s].
        step_timeout: longest wait for the result of a step [s].
    """

    target: str
    max_steps: int
    first_frame_timeout: float
    frame_timeout: float
    step_timeout: float


class Wait(Enum):
    """What a run waits for."""

    FRAME = "frame"
    STEP = "step"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Step:
    """Ask for this probe step: displacement in the patient frame [m]."""

    decision: Decision
    dx: float
    dy: float


@dataclass(frozen=True)
class End:
    """The run has ended; ``decision`` is the one that ended it, where one did."""

    reached: bool
    steps: int
    reason: str
    decision: Decision | None = None


Order = Step | End | None


class Navigator:
    """One run.

    Args:
        policy: decides on frames; it is reset and sent to the target.
        config: limits.
        now: steady time [s].
        after: only frames stamped later than this are decided on [ns].
    """

    def __init__(self, policy: Decider, config: NavigatorConfig, now: float, after: int = 0) -> None:
        policy.reset(config.target)
        self._policy, self._config = policy, config
        self._after = after
        self.steps = 0
        self._cancelled = False
        self._wait(Wait.FRAME, config.first_frame_timeout, now)

    @property
    def waits_for(self) -> Wait:
        """What the run waits for now."""
        return self._waits

    def on_frame(self, frame: Frame8, stamp: int, now: float) -> Order:
        """A frame came, stamped at capture [ns]; frames from before the last step's end are passed over."""
        if self._waits is not Wait.FRAME or stamp <= self._after:
            return None
        try:
            decision = self._policy.act(frame)
        except FrameError as error:
            return self._end(False, str(error))
        if decision.action is Action.STOP:
            return self._end(True, "target in view", decision)
        if self.steps >= self._config.max_steps:
            return self._end(False, f"target not in view after {self.steps} steps", decision)
        self._wait(Wait.STEP, self._config.step_timeout, now)
        return Step(decision, *displacement(decision.action))

    def on_bad_frame(self, problem: str) -> Order:
        """A message came that is no frame; ``problem`` says why."""
        return self._end(False, problem) if self._waits is Wait.FRAME else None

    def on_step_done(self, stamp: int, now: float) -> Order:
        """The step was carried out, or held back by a border, at ``stamp`` [ns]."""
        if self._waits is not Wait.STEP:
            return None
        self.steps += 1
        self._after = stamp
        self._wait(Wait.FRAME, self._config.frame_timeout, now)
        return self._end(False, "cancelled") if self._cancelled else None

    def on_step_failed(self, reason: str) -> Order:
        """The step was refused or aborted."""
        return self._end(False, f"probe step failed: {reason}") if self._waits is Wait.STEP else None

    def cancel(self) -> Order:
        """End the run: at once, or when the step that is under way has ended."""
        if self._waits is Wait.FRAME:
            return self._end(False, "cancelled")
        self._cancelled = True
        return None

    def tick(self, now: float) -> Order:
        """Time has passed."""
        if self._waits is Wait.NOTHING or now < self._deadline:
            return None
        if self._waits is Wait.FRAME:
            return self._end(False, f"no frame for {self._timeout:g} s")
        return self._end(False, f"no result of the probe step for {self._timeout:g} s")

    def _wait(self, what: Wait, timeout: float, now: float) -> None:
        self._waits, self._timeout = what, timeout
        self._deadline = now + timeout

    def _end(self, reached: bool, reason: str, decision: Decision | None = None) -> End:
        self._waits = Wait.NOTHING
        return End(reached, self.steps, reason, decision)
