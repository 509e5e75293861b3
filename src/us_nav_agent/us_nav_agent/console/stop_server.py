"""The stop once more, on a port and threads of its own: it answers while the rest of the server hangs."""

import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from us_nav_agent.console.access import Access
from us_nav_agent.console.feed import Answer
from us_nav_agent.errors import ConsoleError

_SILENCE = 5.0
"""Longest wait for a request to be said to its end [s]."""


class StopServer:
    """Serves ``POST /stop`` until it is closed.

    The page comes from another port, so its origin is named to the browser as the one that may read the answer.

    Args:
        access: who may press; its ``port`` is the page's.
        port: to listen on; 0: any that is free.
        stop: calls the emergency stop.

    Raises:
        ConsoleError: the port is taken.
    """

    def __init__(self, access: Access, port: int, stop: Callable[[], Answer]) -> None:
        class Handler(_Handler):
            rules, press = access, staticmethod(stop)

        kind = type("Server", (ThreadingHTTPServer,), {"address_family": _family(access.host), "daemon_threads": True})
        try:
            self._server: ThreadingHTTPServer = kind((access.host, port), Handler)
        except OSError as error:
            raise ConsoleError(
                f"port {port}, for the stop, cannot be opened ({error}); choose another --port"
            ) from error
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="stop server", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    rules: Access
    press: Callable[[], Answer]
    timeout = _SILENCE

    def do_POST(self) -> None:
        """Press the stop."""
        status, why = self._refusal()
        if why:
            self._reply(status, Answer(False, why))
        else:
            self._reply(HTTPStatus.OK, self.press())

    def _refusal(self) -> tuple[HTTPStatus, str]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path != "/stop":
            return HTTPStatus.NOT_FOUND, "there is /stop here, and nothing else"
        if why := self.rules.why_not_host(headers):
            return HTTPStatus.MISDIRECTED_REQUEST, why
        # The page's address is this one with the page's port.
        page = headers["host"].rpartition(":")[0] + f":{self.rules.port}"
        if why := self.rules.why_not_origin({**headers, "host": page}):
            return HTTPStatus.FORBIDDEN, why
        if why := self.rules.why_not_token(headers):
            return HTTPStatus.UNAUTHORIZED, why
        return HTTPStatus.OK, ""

    def _reply(self, status: HTTPStatus, answer: Answer) -> None:
        content = json.dumps({"done": answer.done, "words": answer.words}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status is HTTPStatus.OK:
            self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
            self.send_header("Access-Control-Allow-Credentials", "true")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing; the answer says it."""


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
