"""Who may look, and who may press: rules on the headers of a request. Pure.

- Host must name this machine as the console was opened (no foreign name that was made to point here: DNS rebinding).
- What orders something, and every websocket, must come from the console's own page (Origin), or any page that the
  operator visits could press its buttons.
- Off loopback everything needs the token, compared in constant time.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from us_nav_agent.errors import ConsoleError

COOKIE = "usnav_console"
_SHORTEST = 16


@dataclass(frozen=True)
class Access:
    """Address that the console listens on, and its token; empty: none is needed.

    Raises:
        ConsoleError: the address can be reached from other machines and there is no token, or a short one.
    """

    host: str
    port: int
    token: str = ""

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise ConsoleError(f"{self.host} can be reached from other machines: that needs a token")
        if self.token and (len(self.token) < _SHORTEST or not self.token.isascii()):
            raise ConsoleError(f"the token has {len(self.token)} characters; take {_SHORTEST} ASCII ones or more")

    @property
    def url(self) -> str:
        """What the operator opens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def why_not_host(self, headers: Mapping[str, str]) -> str:
        """Why the Host header is not accepted; empty where it is."""
        name = _name_of(headers.get("host", ""))
        if name == "localhost" or is_loopback(name):
            return ""
        own = {self.host.lower(), socket.gethostname().lower()}
        if not is_loopback(self.host) and (name in own or _is_address(name)):
            return ""
        return f"this console is not {name or 'nameless'}; open it by the address that it printed"

    def why_not_origin(self, headers: Mapping[str, str]) -> str:
        """Why an order or a websocket of this Origin is not accepted; empty where it is the console's own page."""
        origin, host = headers.get("origin", ""), headers.get("host", "")
        return "" if origin == f"http://{host}" else f"orders come from the console's own page, not from {origin!r}"

    def why_not_token(self, headers: Mapping[str, str]) -> str:
        """Why what the request brings (cookie, or ``Authorization: Bearer``) is not enough; empty where it is."""
        if not self.token:
            return ""
        scheme, _, brought = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            brought = _cookie(headers.get("cookie", ""))
        return (
            ""
            if self.is_token(brought)
            else "the token is missing or wrong; open the address that usnav console printed"
        )

    def is_token(self, brought: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return bool(self.token) and hmac.compare_digest(brought.encode(), self.token.encode())


def make_access(host: str, port: int, token: str | None) -> Access:
    """The rules of a console: off loopback a token is made where none is given.

    Raises:
        ConsoleError: the token is too short.
    """
    return Access(host, port, token or ("" if is_loopback(host) else secrets.token_urlsafe(24)))


def is_loopback(host: str) -> bool:
    """Whether an address, or ``localhost``, is reached from this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets, in small letters."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
