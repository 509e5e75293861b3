"""For simulations alone: what an operator does before the first step, done by the node itself."""

import time
from collections.abc import Callable

from iiwa_bridge.bridge import Bridge, BridgeStatus
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.orders import OrderEnd, Touch
from iiwa_bridge.robot import SessionState
from iiwa_bridge.safety.machine import State
from iiwa_bridge.types import StepCommand

_LOOK = 0.1
"""Between two looks at the session, and between two attempts at a tare [s]."""
_REST_TIMEOUT = 60.0
"""Longest wait for the rest that a tare needs [s]."""

_MORE_APPROACHES = 3

Send = Callable[[Callable[[], int]], OrderEnd]
"""Sends an order and waits for its end."""


def make_ready(
    bridge: Bridge,
    place: Touch,
    send: Send,
    status: Callable[[], BridgeStatus | None],
    seen: Callable[[], bool],
) -> None:
    """Tare, enable and touch the skin, as soon as the controller takes commands, frames come and the arm is at rest.

    Args:
        bridge: that is ordered.
        place: of the first contact.
        send: an order.
        status: of the bridge; None where the node takes no orders any more.
        seen: whether frames come, or do not matter.

    Raises:
        IiwaBridgeError: it did not come to a contact; the message says why.
    """
    _wait_for_commands(status, seen)
    _checked("tare", _tare(bridge, send, status))
    _checked("enable", send(bridge.enable))
    _checked("first contact", _touch(bridge, place, send, status))


def _wait_for_commands(status: Callable[[], BridgeStatus | None], seen: Callable[[], bool]) -> None:
    """Without a deadline: controller and image source may be started whenever their user likes.

    An image source that is not yet up is one that builds its subject, and takes the time that the approach needs.
    """
    while (now := status()) is not None and not (now.session is SessionState.COMMANDING_ACTIVE and seen()):
        time.sleep(_LOOK)


def _tare(bridge: Bridge, send: Send, status: Callable[[], BridgeStatus | None]) -> OrderEnd:
    """A tare is refused until enough was felt at rest."""
    deadline = time.monotonic() + _REST_TIMEOUT
    end = send(bridge.tare)
    while end.failed and status() is not None and time.monotonic() < deadline:
        time.sleep(_LOOK)
        end = send(bridge.tare)
    return end


def _touch(bridge: Bridge, place: Touch, send: Send, status: Callable[[], BridgeStatus | None]) -> OrderEnd:
    """Where the simulation is slow an approach runs into its deadline; the next goes on from where the probe is."""
    end = send(lambda: bridge.touch(place))
    for _ in range(_MORE_APPROACHES):
        while (now := status()) is not None and now.machine is State.RETRACTING:
            time.sleep(_LOOK)
        if not end.failed or now is None or now.machine is not State.ENABLED:
            break
        end = send(lambda: bridge.step(StepCommand(0.0, 0.0, place.contact_force)))
    return end


def _checked(what: str, end: OrderEnd) -> None:
    if end.failed:
        raise IiwaBridgeError(f"not ready, {what}: {end.reason}")
