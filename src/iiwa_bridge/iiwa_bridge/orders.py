"""What goes into the loop and comes out of it: orders of the operator and of the navigation, and a report a cycle."""

import math
from collections import deque
from dataclasses import dataclass

from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.errors import CommandError
from iiwa_bridge.robot import Array
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.types import StepCommand

_KEPT = 16


@dataclass(frozen=True)
class Touch:
    """A first contact: place on the parallel plane, in the patient frame [m], and contact force to hold [N]."""

    x: float
    y: float
    contact_force: float


@dataclass(frozen=True)
class Order:
    """Something that is asked of the loop.

    Attributes:
        number: by which its end is told.
        event: what is asked for, one of the operator's events of the state machine.
        aim: of a STEP: where to.
        reason: of a STOP or a HOLD.
    """

    number: int
    event: Event
    aim: StepCommand | Touch | None = None
    reason: str = ""


@dataclass(frozen=True)
class FrameSeen:
    """When the last frame came, on the steady clock [s]; None: nobody navigates, and frames do not matter."""

    time: float | None


@dataclass(frozen=True)
class OrderEnd:
    """How an order ended.

    ``failed`` says that it was refused or ended early; a step that a border held back is neither reached nor failed.
    """

    number: int
    reached: bool
    failed: bool
    reason: str = ""


class Ledger:
    """The order under way, and how the last ones ended."""

    def __init__(self) -> None:
        self._ended: deque[OrderEnd] = deque(maxlen=_KEPT)
        self._order: Order | None = None
        self._during: frozenset[State] = frozenset()

    @property
    def aim(self) -> StepCommand | Touch | None:
        """Of the order under way."""
        return None if self._order is None else self._order.aim

    @property
    def ended(self) -> tuple[OrderEnd, ...]:
        """The last orders that ended, oldest first."""
        return tuple(self._ended)

    def begin(self, order: Order, during: frozenset[State]) -> None:
        """An order is under way, as long as the machine is in one of these states."""
        self._order, self._during = order, during

    def watch(self, state: State, why: str) -> None:
        """The machine is in a state, for a reason: an order that has not ended by itself ends with it, failed."""
        if self._order is not None and state not in self._during:
            self.end(OrderEnd(self._order.number, reached=False, failed=True, reason=why))

    def finish(self, reached: bool, failed: bool = False, reason: str = "") -> None:
        """The order under way has ended by itself; nothing where there is none."""
        if self._order is not None:
            self.end(OrderEnd(self._order.number, reached, failed, reason))

    def end(self, how: OrderEnd) -> None:
        """An order has ended, the one under way or one that was done or refused at once."""
        if self._order is not None and how.number == self._order.number:
            self._order = None
        self._ended.append(how)


@dataclass(frozen=True, eq=False)
class LoopReport:
    """What the loop knows at the end of a cycle.

    Attributes:
        time: of the cycle, by the loop's clock [s].
        machine: state of the state machine.
        reasons: why it is in fault, the first one first.
        note: why the last motion ended early without a fault.
        pose: (4, 4) of ``us_probe`` in the patient frame, as measured [m].
        wrench: (6,) on the patient by the probe in ``us_probe``, tared [N, N m].
        contact: whether the probe touches, by its force.
        force_set_point: contact force that is asked for [N]; 0 where none is.
        tared: whether a tare was taken.
        cuts: cycles in which the guard took something away from a command.
        cut: what it took away last; empty before that.
        ended: the last orders that ended, oldest first.
    """

    time: float
    machine: State
    reasons: tuple[str, ...]
    note: str
    pose: Array
    wrench: Array
    contact: bool
    force_set_point: float
    tared: bool
    cuts: int
    cut: str
    ended: tuple[OrderEnd, ...]


@dataclass(frozen=True)
class Way:
    """A step as it is carried out: (dx, dy) on the parallel plane [m], and whether a border shortened it."""

    dx: float
    dy: float
    held_back: bool


def check_aim(aim: StepCommand | Touch, config: BridgeConfig) -> None:
    """Refuse what must not be asked for; the force is for the force controller to refuse.

    Raises:
        CommandError: not finite, a step that is too long, or a first contact beyond the border.
    """
    x, y = (aim.dx, aim.dy) if isinstance(aim, StepCommand) else (aim.x, aim.y)
    if not all(map(math.isfinite, (x, y, aim.contact_force))):
        raise CommandError(f"{aim} is not finite; expected metres and newtons")
    if isinstance(aim, Touch) and _within((x, y), config) != (x, y):
        raise CommandError(f"({x:g}, {y:g}) m is beyond the border, {config.border:g} m inside the workspace")
    length = math.hypot(x, y)
    if isinstance(aim, StepCommand) and length > config.max_step + 1e-9:
        raise CommandError(f"step of {length * 1e3:.1f} mm; at most {config.max_step * 1e3:.0f} mm in one step")


def way_from(place: tuple[float, float], step: StepCommand, config: BridgeConfig) -> Way:
    """A step from a measured place (x, y) in the patient frame [m], shortened at the border.

    What is within the tolerance beyond it, as a place at the border may be, is not said to be held back.
    """
    end = place[0] + step.dx, place[1] + step.dy
    x, y = _within(end, config)
    return Way(x - place[0], y - place[1], math.hypot(end[0] - x, end[1] - y) > config.tolerance)


def _within(place: tuple[float, float], config: BridgeConfig) -> tuple[float, float]:
    box, border = config.workspace, config.border
    x, y = (
        min(max(value, low + border), high - border)
        for value, low, high in zip(place, box.lower[:2], box.upper[:2], strict=True)
    )
    return x, y
