"""A console's server in a thread, for tests."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from support.console_feed import WalkingFeed
from us_nav_agent.console.access import Access
from us_nav_agent.console.feed import Feed, Player
from us_nav_agent.console.server import ConsoleServer

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that is free, and the next one too."""
    while True:
        with ExitStack() as stack:
            first, second = (stack.enter_context(socket.socket()) for _ in range(2))
            first.bind((HOST, 0))
            port = int(first.getsockname()[1])
            try:
                second.bind((HOST, port + 1))
            except (OSError, OverflowError):
                continue
            return port


@contextmanager
def serving(
    feed: Feed, port: int, token: str = "", orders: bool = True, player: Player | None = None
) -> Iterator[None]:
    """A console on this port; a feed that walks takes orders, unless it is told not to."""
    ordered = feed if orders and isinstance(feed, WalkingFeed) else None
    server = ConsoleServer(feed, Access(HOST, port, token), orders=ordered, player=player)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield
    finally:
        server.end()
        thread.join(5.0)
        assert not thread.is_alive(), "the server has not ended within 5 s"
