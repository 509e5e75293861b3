"""The rules of access before every request and websocket, and the headers that keep foreign pages out."""

from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from us_nav_agent.console.access import COOKIE, Access


class Gate:
    """ASGI middleware: what the rules do not let pass is refused before the application sees it.

    ``GET /?token=...`` with the right token lets in, and leaves a cookie with it.

    Args:
        app: the application behind.
        access: the rules.
        stop_port: where the stop is served beside; the page may call it.
    """

    def __init__(self, app: ASGIApp, access: Access, stop_port: int) -> None:
        self._app, self._access, self._stop_port = app, access, stop_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        status, why = self._refusal(scope, headers)
        if why and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        elif why:
            await PlainTextResponse(f"{why}\n", status)(scope, receive, send)
        else:
            await self._app(scope, receive, self._dressed(scope, headers, send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str]:
        if why := self._access.why_not_host(headers):
            return HTTPStatus.MISDIRECTED_REQUEST, why
        looks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not looks and (why := self._access.why_not_origin(headers)):
            return HTTPStatus.FORBIDDEN, why
        if not self._brings_token(scope) and (why := self._access.why_not_token(headers)):
            return HTTPStatus.UNAUTHORIZED, why
        return HTTPStatus.OK, ""

    def _brings_token(self, scope: Scope) -> bool:
        """Whether the address that was opened holds the token."""
        if scope["type"] != "http" or scope["path"] != "/":
            return False
        brought = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        return self._access.is_token(brought[0])

    def _dressed(self, scope: Scope, asked: Headers, send: Send) -> Send:
        """``send`` that adds the headers of a page that runs its own scripts only and is shown in no frame."""
        name = asked.get("host", "").rpartition(":")[0] or asked.get("host", "")

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = (
                    f"default-src 'self'; img-src 'self' data:; connect-src 'self' http://{name}:{self._stop_port}; "
                    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
                )
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cache-Control"] = "no-store"
                if self._brings_token(scope):
                    # The cookie goes with every later request of this page, and with none that another site makes.
                    cookie = f"{COOKIE}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("Set-Cookie", cookie)
            await send(message)

        return dressed
