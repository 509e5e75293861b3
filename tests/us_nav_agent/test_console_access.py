"""Who may look at a console and who may press its buttons."""

import pytest
from us_nav_agent.console.access import COOKIE, Access, is_loopback, make_access
from us_nav_agent.errors import ConsoleError

TOKEN = "a-token-of-some-length"
LOCAL = Access("127.0.0.1", 8080)
OPEN = Access("0.0.0.0", 8080, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host) and make_access(host, 8080, None).token == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "robot.lab", "127.0.0.1.evil.example"])
def test_any_other_address_gets_one_made(host: str) -> None:
    access, other = make_access(host, 8080, None), make_access(host, 8080, None)
    assert len(access.token) >= 32 and access.token != other.token and access.token in access.url
    with pytest.raises(ConsoleError, match="that needs a token"):
        Access(host, 8080)


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ConsoleError, match="5 characters; take 16"):
        make_access("0.0.0.0", 8080, "short")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST:9999"])
def test_a_console_on_loopback_answers_to_the_names_of_loopback(host: str) -> None:
    assert LOCAL.why_not_host({"host": host}) == ""


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "192.168.1.4:8080", "", "[", "a b"])
def test_a_foreign_name_that_points_here_is_refused(host: str) -> None:
    assert "is not" in LOCAL.why_not_host({"host": host})


def test_an_open_console_answers_to_addresses_but_to_no_foreign_name() -> None:
    assert OPEN.why_not_host({"host": "192.168.1.4:8080"}) == ""
    assert "evil.example" in OPEN.why_not_host({"host": "evil.example:8080"})


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:8080", "http://localhost:8080", "null", ""],
)
def test_only_the_own_page_orders(origin: str) -> None:
    assert "own page" in LOCAL.why_not_origin({"host": "127.0.0.1:8080", "origin": origin})


def test_the_own_page_orders() -> None:
    assert LOCAL.why_not_origin({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}) == ""


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"cookie": f"{COOKIE}={TOKEN}"}, True),
        ({"cookie": f"other=1; {COOKIE}={TOKEN}"}, True),
        ({"authorization": f"Bearer {TOKEN}"}, True),
        ({}, False),
        ({"cookie": f"{COOKIE}={TOKEN[:-1]}"}, False),
        ({"cookie": f"{COOKIE}="}, False),
        ({"authorization": "Bearer"}, False),
        ({"authorization": f"Basic {TOKEN}"}, False),
        ({"cookie": f"{COOKIE}=\u00ff"}, False),
    ],
)
def test_the_token_is_brought_in_a_cookie_or_as_bearer(headers: dict[str, str], accepted: bool) -> None:
    assert (OPEN.why_not_token(headers) == "") == accepted
