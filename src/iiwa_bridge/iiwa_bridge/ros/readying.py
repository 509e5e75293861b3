"""For simulations alone: what an operator does before the first step, done by the node itself."""

import time
from collections.abc import Callable

from iiwa_bridge.bridge import Bridge, BridgeStatus
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.orders import OrderEnd, Touch
from iiwa_bridge.robot import SessionState

_LOOK = 0.1
"""Between two looks at the session, and between two attempts at a tare [s]."""
_REST_TIMEOUT = 60.0
"""Longest wait for the rest that a tare needs [s]."""

Send = Callable[[Callable[[], int]], OrderEnd]
"""Sends an order and waits for its end."""


def make_ready(bridge: Bridge, place: Touch, send: Send, status: Callable[[], BridgeStatus | None]) -> None:
    """Tare, enable and touch the skin, as soon as the controller takes commands and the arm is at rest.

    Args:
        bridge: that is ordered.
        place: of the first contact.
        send: an order.
        status: of the bridge; None where the node takes no orders any more.

    Raises:
        IiwaBridgeError: it did not come to a contact; the message says why.
    """
    _wait_for_commands(status)
    _checked("tare", _tare(bridge, send, status))
    _checked("enable", send(bridge.enable))
    _checked("first contact", send(lambda: bridge.touch(place)))


def _wait_for_commands(status: Callable[[], BridgeStatus | None]) -> None:
    """Without a deadline: the controller may be started whenever its user likes."""
    while (now := status()) is not None and now.session is not SessionState.COMMANDING_ACTIVE:
        time.sleep(_LOOK)


def _tare(bridge: Bridge, send: Send, status: Callable[[], BridgeStatus | None]) -> OrderEnd:
    """A tare is refused until enough was felt at rest."""
    deadline = time.monotonic() + _REST_TIMEOUT
    end = send(bridge.tare)
    while end.failed and status() is not None and time.monotonic() < deadline:
        time.sleep(_LOOK)
        end = send(bridge.tare)
    return end


def _checked(what: str, end: OrderEnd) -> None:
    if end.failed:
        raise IiwaBridgeError(f"not ready, {what}: {end.reason}")
