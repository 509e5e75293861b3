"""The console's server on real sockets: what it lets in, what it sends and how fast, and a stop that always works."""

import http.client
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from support.console_feed import WalkingFeed
from support.console_server import HOST, free_port, serving
from us_nav_agent.console.access import COOKIE, Access
from us_nav_agent.console.server import ConsoleServer
from us_nav_agent.console.stream import UNDER_WAY
from us_nav_agent.errors import ConsoleError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

TOKEN = "a-token-of-some-length"
Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[WalkingFeed, int]]:
    """A feed and the port of its console, for all tests that need nothing special."""
    feed, number = WalkingFeed(), free_port()
    with closing(feed), serving(feed, number):
        yield feed, number


@pytest.fixture
def feed(served: tuple[WalkingFeed, int]) -> WalkingFeed:
    """The feed, no order given yet."""
    served[0].stops = served[0].cancels = 0
    return served[0]


@pytest.fixture
def port(served: tuple[WalkingFeed, int]) -> int:
    return served[1]


def ask(port: int, method: str, path: str, **headers: str) -> Reply:
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request(method, path, headers={key.title(): value for key, value in headers.items()})
        reply = connection.getresponse()
        return reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def own(port: int) -> str:
    return f"http://{HOST}:{port}"


def turn_of(message: bytes | str) -> tuple[dict, bytes]:  # type: ignore[type-arg]
    assert isinstance(message, bytes)
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def test_the_page_comes_whole_from_here(port: int) -> None:
    status, headers, page = ask(port, "GET", "/")
    assert status == 200 and b"<title>usnav console</title>" in page
    assert b"http://" not in page and b"https://" not in page
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert ask(port, "GET", "/static/js/main.js")[0] == 200
    assert ask(port, "GET", "/static/../app.py")[0] == 404


@pytest.mark.parametrize("path", ["/orders/start?target=sacrum", "/orders/cancel", "/orders/stop"])
def test_orders_of_foreign_pages_are_refused(port: int, feed: WalkingFeed, path: str) -> None:
    assert ask(port, "POST", path, origin="http://evil.example")[0] == 403
    assert ask(port, "POST", path)[0] == 403
    rebound = f"evil.example:{port}"
    assert ask(port, "POST", path, host=rebound, origin=f"http://{rebound}")[0] == 421
    assert ask(port, "GET", path, origin=own(port))[0] == 405
    assert (feed.stops, feed.cancels) == (0, 0)


def test_orders_of_the_own_page_reach_the_feed(port: int, feed: WalkingFeed) -> None:
    for place, path in ((port, "/orders/stop"), (port + 1, "/stop")):
        status, _, answer = ask(place, "POST", path, origin=own(port))
        assert (status, json.loads(answer)) == (200, {"done": True, "words": "stopped"})
    assert feed.stops == 2
    assert json.loads(ask(port, "POST", "/orders/start?target=liver", origin=own(port))[2])["words"].startswith(
        "no target"
    )
    assert json.loads(ask(port, "POST", "/orders/cancel", origin=own(port))[2])["done"] and feed.cancels == 1


def test_the_stop_beside_refuses_foreign_pages_too(port: int, feed: WalkingFeed) -> None:
    for headers in ({"origin": "http://evil.example"}, {}, {"origin": own(port + 1)}):
        assert ask(port + 1, "POST", "/stop", **headers)[0] == 403
    assert ask(port + 1, "POST", "/stop", host="evil.example", origin="http://evil.example")[0] == 421
    assert ask(port + 1, "POST", "/other", origin=own(port))[0] == 404
    assert feed.stops == 0


def test_the_stop_works_while_the_server_hangs(port: int, feed: WalkingFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, released = threading.Event(), threading.Event()

    def hang() -> None:
        """The event loop itself waits: no request is answered any more."""
        hanging.set()
        released.wait(20.0)

    with monkeypatch.context() as patch, connect(f"ws://{HOST}:{port}/stream", origin=own(port)) as page:
        page.recv(timeout=5.0)
        patch.setattr(feed, "frame", hang)
        page.send(json.dumps({"turns": UNDER_WAY}))
        try:
            assert hanging.wait(5.0)
            connection = http.client.HTTPConnection(HOST, port, timeout=0.3)
            connection.request("GET", "/about")
            with pytest.raises(TimeoutError):
                connection.getresponse()
            assert json.loads(ask(port + 1, "POST", "/stop", origin=own(port))[2])["done"]
            assert feed.stops == 1
        finally:
            released.set()


def test_a_slow_viewer_gets_the_newest_and_no_more(port: int) -> None:
    with connect(f"ws://{HOST}:{port}/stream", origin=own(port)) as page:
        first = [turn_of(page.recv(timeout=5.0))[0] for _ in range(UNDER_WAY)]
        time.sleep(0.5)
        with pytest.raises(TimeoutError):
            page.recv(timeout=0.1)
        page.send(json.dumps({"turns": UNDER_WAY}))
        turn, picture = turn_of(page.recv(timeout=5.0))
        # Half a second of frames has been left out, and what comes is new.
        assert turn["frame"]["number"] > first[-1]["frame"]["number"] + 5
        assert turn["frame"]["age"] < 0.2 and picture.startswith(b"\xff\xd8")


def test_a_quick_viewer_gets_every_frame_once(port: int) -> None:
    numbers: list[int] = []
    with connect(f"ws://{HOST}:{port}/stream", origin=own(port)) as page:
        for turns in range(1, 31):
            turn, picture = turn_of(page.recv(timeout=5.0))
            page.send(json.dumps({"turns": turns}))
            if picture:
                numbers.append(turn["frame"]["number"])
    assert len(numbers) > 10 and numbers == sorted(set(numbers))


def test_nonsense_on_the_stream_ends_that_viewer_alone(port: int) -> None:
    for words in ("no JSON", '{"turns": "x"}', "3"):
        with connect(f"ws://{HOST}:{port}/stream", origin=own(port)) as page:
            page.send(words)
            with pytest.raises(ConnectionClosed):
                for _ in range(UNDER_WAY + 1):
                    page.recv(timeout=5.0)
    assert ask(port, "GET", "/about")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", None])
def test_a_foreign_page_cannot_look(port: int, origin: str | None) -> None:
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{HOST}:{port}/stream", origin=origin):  # type: ignore[arg-type]
        pass


def test_with_a_token_everything_needs_it(feed: WalkingFeed) -> None:
    port = free_port()
    stream = f"ws://{HOST}:{port}/stream"
    with serving(feed, port, TOKEN):
        for path in ("/", "/about", "/static/js/main.js", "/?token=wrong"):
            assert ask(port, "GET", path)[0] == 401
        for place, path in ((port, "/orders/stop"), (port + 1, "/stop")):
            assert ask(place, "POST", path, origin=own(port))[0] == 401
        with pytest.raises(InvalidStatus, match="403"), connect(stream, origin=own(port)):  # type: ignore[arg-type]
            pass
        assert feed.stops == 0
        status, headers, _ = ask(port, "GET", f"/?token={TOKEN}")
        assert status == 200 and "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
        cookie = f"{COOKIE}={TOKEN}"
        assert ask(port, "GET", "/about", cookie=cookie)[0] == 200
        assert ask(port + 1, "POST", "/stop", origin=own(port), cookie=cookie)[0] == 200
        with connect(stream, origin=own(port), additional_headers={"Cookie": cookie}) as page:  # type: ignore[arg-type]
            page.recv(timeout=5.0)


def test_a_recording_takes_no_orders(feed: WalkingFeed) -> None:
    port = free_port()
    with serving(feed, port, orders=False):
        assert ask(port, "POST", "/orders/stop", origin=own(port))[0] == 409
        assert json.loads(ask(port, "GET", "/about")[2])["orders"] is False
        with pytest.raises(ConnectionRefusedError):
            ask(port + 1, "POST", "/stop", origin=own(port))


def test_a_port_that_is_taken_is_said(feed: WalkingFeed, port: int) -> None:
    make: Callable[[int], ConsoleServer] = lambda number: ConsoleServer(feed, Access(HOST, number), orders=feed)  # noqa: E731
    with pytest.raises(ConsoleError, match=f"port {port} cannot be opened .* choose another with --port"):
        make(port)
    with pytest.raises(ConsoleError, match=f"port {port}, for the stop, cannot be opened"):
        make(port - 1)
