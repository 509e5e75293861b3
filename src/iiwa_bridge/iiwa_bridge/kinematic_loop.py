"""The loop from state to command: one cycle at a time, a guard before the plant, every step with a deadline.

No thread and no clock of its own: the caller calls ``cycle`` at its rate and hands in a steady clock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from iiwa_bridge.errors import CommandError
from iiwa_bridge.types import Measurement, Plant, SetPoint, StepCommand, StepResult

Clock = Callable[[], float]


@dataclass(frozen=True)
class LoopConfig:
    """Limits of the loop.

    Attributes:
        period: of a cycle [s].
        speed: at which the set point moves on the parallel plane [m/s]; 20 mm/s at most on a person.
        max_step: longest step [m].
        max_force: highest contact force that may be asked for [N] (Hase et al. 2020: 2 N).
        fault_force: measured force along the beam above which the probe retracts [N].
        half_extent: the set point stays within this far along x and y of the patient frame [m].
        tolerance: a step is reached within this distance [m].
        step_timeout: longest time of a step [s].
    """

    period: float = 0.01
    speed: float = 0.02
    max_step: float = 0.03
    max_force: float = 2.0
    fault_force: float = 5.0
    half_extent: tuple[float, float] = (0.141, 0.101)
    tolerance: float = 0.001
    step_timeout: float = 5.0


def check_command(command: StepCommand, config: LoopConfig) -> None:
    """Raise CommandError unless a step is finite and within the limits."""
    if not all(map(math.isfinite, (command.dx, command.dy, command.contact_force))):
        raise CommandError(f"step {command} is not finite; expected metres and newtons")
    length = math.hypot(command.dx, command.dy)
    if length > config.max_step + 1e-9:
        raise CommandError(f"step of {length * 1e3:.1f} mm; at most {config.max_step * 1e3:.0f} mm in one step")
    if not 0.0 < command.contact_force <= config.max_force:
        raise CommandError(
            f"contact force {command.contact_force:g} N; expected above 0, at most {config.max_force:g} N"
        )


class BridgeLoop:
    """Carries out steps on a plant, one at a time.

    Args:
        plant: what is commanded.
        config: the limits.
        clock: steady time [s].
    """

    def __init__(self, plant: Plant, config: LoopConfig, clock: Clock) -> None:
        self._plant, self._config, self._clock = plant, config, clock
        plant.reset()
        self._set_point = SetPoint(0.0, 0.0, 0.0)
        self._goal: SetPoint | None = None
        self._deadline = 0.0
        self._held_back = ""
        self._enabled = False
        self._fault = ""
        self.steps = 0
        self.measurement: Measurement = plant.step(0.0, 0.0, 0.0, config.period)

    @property
    def enabled(self) -> bool:
        """Whether steps are carried out."""
        return self._enabled

    @property
    def fault(self) -> str:
        """Why the loop refuses to move; empty without a fault."""
        return self._fault

    @property
    def force_set_point(self) -> float:
        """Contact force that is commanded now [N]."""
        return self._set_point.force

    @property
    def busy(self) -> bool:
        """Whether a step is under way."""
        return self._goal is not None

    def enable(self) -> None:
        """Allow steps; clears a fault."""
        self._enabled, self._fault = True, ""

    def stop(self, reason: str) -> None:
        """Stand still at once and refuse steps until enabled again; contact is kept."""
        pose = self.measurement.pose
        self._set_point = SetPoint(float(pose[0, 3]), float(pose[1, 3]), self._set_point.force)
        self._enabled, self._fault = False, reason

    def retract(self) -> None:
        """Lift the probe from the skin."""
        self._set_point = SetPoint(self._set_point.x, self._set_point.y, 0.0)

    def place(self, x: float, y: float, force: float) -> None:
        """Where the first contact is to be, before any step (within the limits).

        Raises:
            CommandError: beyond the workspace, or a force beyond its limit.
        """
        check_command(StepCommand(0.0, 0.0, force), self._config)
        if self._bounded(x, y) != (x, y):
            raise CommandError(f"({x:g}, {y:g}) m is beyond the workspace of +-{self._config.half_extent} m")
        self._set_point = SetPoint(x, y, force)

    def begin(self, command: StepCommand) -> None:
        """Begin a step.

        Raises:
            CommandError: it is refused: not enabled, another is under way, not finite, or beyond a limit.
        """
        if not self._enabled:
            raise CommandError(f"the bridge is not enabled ({self._fault or 'call /probe/enable first'})")
        if self._goal is not None:
            raise CommandError("another step is under way; one at a time")
        check_command(command, self._config)
        wanted = self._set_point.x + command.dx, self._set_point.y + command.dy
        x, y = self._bounded(*wanted)
        self._held_back = "" if (x, y) == wanted else "held back by the border of the workspace"
        self._goal = SetPoint(x, y, command.contact_force)
        self._deadline = self._clock() + self._config.step_timeout

    def cycle(self) -> StepResult | None:
        """Command the plant for one period; the result of the step that ended in it, if one did."""
        if self._enabled and self._goal is not None:
            self._set_point = self._towards(self._goal)
        point = self._set_point
        self.measurement = self._plant.step(point.x, point.y, point.force, self._config.period)
        if abs(float(self.measurement.wrench[2])) > self._config.fault_force:
            self.stop(f"force {float(self.measurement.wrench[2]):.1f} N above {self._config.fault_force:g} N")
            self.retract()
        return self._ended()

    def _ended(self) -> StepResult | None:
        goal, measurement = self._goal, self.measurement
        if goal is None:
            return None
        away = math.hypot(float(measurement.pose[0, 3]) - goal.x, float(measurement.pose[1, 3]) - goal.y)
        if not self._enabled:
            result = StepResult(measurement, False, True, self._fault)
        elif away <= self._config.tolerance and measurement.contact:
            result = StepResult(measurement, not self._held_back, False, self._held_back)
            self.steps += 1
        elif self._clock() >= self._deadline:
            why = "no contact" if not measurement.contact else f"{away * 1e3:.1f} mm away"
            result = StepResult(measurement, False, True, f"not there after {self._config.step_timeout:g} s: {why}")
        else:
            return None
        self._goal = None
        return result

    def _towards(self, goal: SetPoint) -> SetPoint:
        """The set point of the next cycle: bounded in speed, wherever the goal is."""
        dx, dy = goal.x - self._set_point.x, goal.y - self._set_point.y
        length, reach = math.hypot(dx, dy), self._config.speed * self._config.period
        share = 1.0 if length <= reach else reach / length
        return SetPoint(self._set_point.x + share * dx, self._set_point.y + share * dy, goal.force)

    def _bounded(self, x: float, y: float) -> tuple[float, float]:
        half_x, half_y = self._config.half_extent
        return min(max(x, -half_x), half_x), min(max(y, -half_y), half_y)
