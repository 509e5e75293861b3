"""The client's process: ``python -m iiwa_bridge.fri.client_main PAGE ORDERS``, started by ``client_process``.

Nothing of the parent holds it up. Its garbage collector is off, so the motion has to do without reference cycles.
"""

import gc
import math
import pickle
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from iiwa_bridge.fri.client import ClientConfig, ClientStatus, run_client
from iiwa_bridge.fri.client_process import MAX_ORDER, ClientReport, MakeRespond
from iiwa_bridge.fri.shared import SharedPage
from iiwa_bridge.realtime import CLIENT, claim_processor, lock_memory

_NEWS = 0.018
"""The status is told and written when the last one is older [s]: pickling takes long beside a cycle, and the parent
looks some thirty times a second."""


class _Parent:
    """The other end: its orders, its end, and what it is told."""

    def __init__(self, page: SharedPage, orders: socket.socket) -> None:
        self._page, self._socket = page, orders
        self._socket.setblocking(False)
        self._orders: deque[bytes] = deque()
        self._gone = False
        self._content: Any = None
        self._setup: tuple[str, ...] = ()
        self._status: Callable[[], ClientStatus] | None = None
        self._written = -math.inf

    def settle(self) -> None:
        """Give the process what timing the machine allows, and keep what came of it."""
        self._setup = (claim_processor(CLIENT), lock_memory(), _stop_collecting())

    def orders(self) -> list[bytes]:
        orders = list(self._orders)
        self._orders.clear()
        return orders

    def report(self, content: Any) -> None:
        self._content = content

    def stopped(self) -> bool:
        """Whether the client is to end: told so, or left alone."""
        try:
            while not self._gone:
                order = self._socket.recv(MAX_ORDER)
                self._gone = not order
                self._orders.extend([order] if order else [])
        except BlockingIOError:
            pass
        except OSError:
            self._gone = True
        return self._gone or self._page.stopped

    def publish(self, status: Callable[[], ClientStatus]) -> None:
        self._status, now = status, time.monotonic()
        if now - self._written > _NEWS:
            self._written = now
            self._write("")

    def fail(self, failure: str) -> None:
        self._write(failure)

    def _write(self, failure: str) -> None:
        status = None if self._status is None else self._status()
        self._page.write(pickle.dumps(ClientReport(status, self._content, self._setup, failure)))


def _stop_collecting() -> str:
    gc.collect()
    gc.freeze()
    gc.disable()
    return "garbage collector: off"


def main() -> int:
    """Run the client that the parent wrote to standard input."""
    page = SharedPage(int(sys.argv[1]))
    parent = _Parent(page, socket.socket(fileno=int(sys.argv[2])))
    try:
        config: ClientConfig
        make_respond: MakeRespond
        config, make_respond = pickle.loads(sys.stdin.buffer.read())
        respond = make_respond(parent)
        parent.settle()
        run_client(config, respond, parent.publish, parent.stopped)
    except Exception as error:
        # Whatever ended the loop is for the parent to tell; the robot stops for want of answers.
        parent.fail(f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
