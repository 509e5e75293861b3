"""Waits for the end of an order; every wait has a deadline on the steady clock and says what it waited for."""

import time
from collections.abc import Callable

from iiwa_bridge.bridge import BridgeStatus
from iiwa_bridge.orders import OrderEnd

_LOOK = 0.01
"""Between two looks at the status [s]."""


def wait_for_end(
    status: Callable[[], BridgeStatus | None],
    number: int,
    timeout: float,
    look: Callable[[BridgeStatus], None] = lambda status: None,
) -> OrderEnd:
    """How an order ended; failed, with the reason, where the bridge is gone or the order does not end in time.

    Args:
        status: of the bridge; None where it was closed.
        number: of the order.
        timeout: [s].
        look: called with the status at each look.
    """
    deadline = time.monotonic() + timeout
    while True:
        now = status()
        if now is None:
            return _failed(number, "the bridge was closed")
        for end in now.ended:
            if end.number == number:
                return end
        if now.failure:
            return _failed(number, now.failure)
        if time.monotonic() > deadline:
            session = f"session {now.session.name}: {now.session_reason}"
            return _failed(number, f"no end of the order within {timeout:g} s; {session}")
        look(now)
        time.sleep(_LOOK)


def _failed(number: int, reason: str) -> OrderEnd:
    return OrderEnd(number, reached=False, failed=True, reason=reason)
