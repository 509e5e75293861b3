"""Serves a console until Ctrl-C: the application on its port, the stop beside it on the next."""

import socket

import uvicorn

from us_nav_agent.console.access import Access
from us_nav_agent.console.app import make_app
from us_nav_agent.console.feed import Feed, Orders, Player
from us_nav_agent.console.stop_server import StopServer
from us_nav_agent.errors import ConsoleError

_GOODBYE = 1
"""Given to open connections at the end [s]."""


class ConsoleServer:
    """The console on its ports; ``serve`` runs in the calling thread.

    Args:
        feed: what is looked at.
        access: address, port and who may look.
        orders: what may be ordered; None: nothing.
        player: the feed again, where it is a recording.

    Raises:
        ConsoleError: a port is taken, or the address is none of this machine.
    """

    def __init__(self, feed: Feed, access: Access, orders: Orders | None = None, player: Player | None = None) -> None:
        self._socket = _listen(access)
        try:
            self._stop = None if orders is None else StopServer(access, access.port + 1, orders.stop)
        except ConsoleError:
            self._socket.close()
            raise
        app = make_app(feed, access, 0 if self._stop is None else self._stop.port, orders, player)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                # JPEG does not shrink any more.
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_GOODBYE,
            )
        )

    def serve(self) -> None:
        """Serve until a signal or ``end``."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            if self._stop is not None:
                self._stop.close()

    def end(self) -> None:
        """Let ``serve`` return soon; any thread may call it."""
        self._server.should_exit = True


def _listen(access: Access) -> socket.socket:
    family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((access.host, access.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConsoleError(
            f"{access.host} port {access.port} cannot be opened ({error.strerror}); choose another with --port"
        ) from error
    return listener
