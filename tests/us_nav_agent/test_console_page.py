"""The console's page in headless Chromium against a feed that walks: what an operator does, and what goes wrong."""

import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest
from support.console_feed import GOAL, START, WalkingFeed
from support.console_recording import SteppedRecording
from support.console_server import HOST, free_port, serving

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: run `make setup`")
expect = playwright.expect

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium here: install Debian's chromium")
_PATIENCE = 15_000
"""Of an expectation [ms]: a busy machine draws slowly."""


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    """A page on which no script fails."""
    shown = browser.new_page(viewport={"width": 1440, "height": 900})
    shown.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    errors: list[str] = []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    yield shown
    shown.close()
    assert errors == []


def test_a_run_to_the_sacrum_and_the_stop(page: "playwright.Page") -> None:
    with closing(WalkingFeed()) as feed:
        port = free_port()
        with serving(feed, port):
            page.goto(f"http://{HOST}:{port}/")
            expect(page.locator("#link")).to_contain_text("LIVE")
            expect(page.locator("#cancel")).to_be_disabled()
            page.get_by_label("Target").select_option("sacrum")
            page.get_by_role("button", name="Start").click()
            expect(page.locator("#phase")).to_have_text("reached")
            expect(page.locator("#action")).to_have_text("STOP")
            path = page.locator("#grid").get_attribute("data-path") or ""
            assert path.split()[0] == f"{START.row},{START.column}" and path.split()[-1] == f"{GOAL.row},{GOAL.column}"
            expect(page.locator("#grid .goal")).to_have_count(2)
            expect(page.locator("#machine")).to_have_text("in contact")
            expect(page.locator("#diagnostics")).to_contain_text("bridge")
            expect(page.locator("#force")).to_have_text("1.02 of 1.00 N")
            assert int(page.locator("#frame").get_attribute("data-shown") or 0) > 5

            page.locator("#stop").click()
            expect(page.locator("#stop-said")).to_contain_text("stopped, answered after")
            pressed = feed.stops
            assert pressed >= 1
            page.keyboard.press("Escape")
            expect(page.locator("#stop-said")).to_have_attribute("data-done", "true")
            assert feed.stops > pressed


def test_a_lost_connection_is_red_at_once_and_comes_back_by_itself(page: "playwright.Page") -> None:
    with closing(WalkingFeed()) as feed:
        port = free_port()
        with serving(feed, port):
            page.goto(f"http://{HOST}:{port}/")
            expect(page.locator("#link")).to_contain_text("LIVE")
        expect(page.locator("html")).to_have_attribute("data-link", "lost")
        expect(page.locator("#alarm")).to_contain_text("CONNECTION TO THE CONSOLE LOST")
        expect(page.locator("#alarm")).to_contain_text("old")
        expect(page.locator("#frame-panel")).to_have_attribute("data-old", "")
        expect(page.locator("#start")).to_be_disabled()
        page.locator("#stop").click()
        expect(page.locator("#stop-said")).to_contain_text("NOT ANSWERED")
        with serving(feed, port):
            expect(page.locator("html")).to_have_attribute("data-link", "live")
            expect(page.locator("#alarm")).to_be_hidden()
            expect(page.locator("#frame-panel")).not_to_have_attribute("data-old", "")

            # The server is there, and the graph is not.
            feed.pause.set()
            expect(page.locator("#alarm")).to_contain_text("NO DATA FROM THE ROS GRAPH")
            expect(page.locator("#grid-panel")).to_have_attribute("data-old", "")
            feed.pause.clear()
            expect(page.locator("#alarm")).to_be_hidden()


def test_frames_that_stop_alone_are_not_shown_as_live(page: "playwright.Page") -> None:
    with closing(WalkingFeed(frames=5)) as feed:
        port = free_port()
        with serving(feed, port):
            page.goto(f"http://{HOST}:{port}/")
            expect(page.locator("#alarm")).to_contain_text("NO NEW FRAMES")
            expect(page.locator("#frame-panel")).to_have_attribute("data-old", "")
            expect(page.locator("#grid-panel")).not_to_have_attribute("data-old", "")


def test_the_slider_shows_the_frame_of_its_time_and_play_goes_on_from_there(page: "playwright.Page") -> None:
    with closing(SteppedRecording(seconds=60)) as feed:
        port = free_port()
        with serving(feed, port, player=feed):
            page.goto(f"http://{HOST}:{port}/")
            expect(page.locator("#link")).to_have_text("▮ RECORDING")
            expect(page.locator("#stop")).to_be_disabled()

            page.locator("#seek").fill("40")
            expect(page.locator("#clock")).to_have_text("0:40.0 / 1:00.0")
            wait_for_grey(page, feed.grey(40.0))
            page.locator("#seek").fill("12.5")
            wait_for_grey(page, feed.grey(12.5))

            page.get_by_role("button", name="Play").click()
            expect(page.get_by_role("button", name="Pause")).to_be_visible()
            wait_for_grey(page, feed.grey(14.0))
            page.keyboard.press("Space")
            expect(page.get_by_role("button", name="Play")).to_be_visible()
            stood = page.locator("#clock").inner_text()
            page.wait_for_timeout(300)
            assert page.locator("#clock").inner_text() == stood and not feed.playhead().playing


def wait_for_grey(page: "playwright.Page", grey: int) -> None:
    """Wait until the middle of the frame has this grey, within what JPEG makes of it."""
    page.wait_for_function(
        "grey => Math.abs(frame.getContext('2d').getImageData(4, 4, 1, 1).data[0] - grey) < 2",
        arg=grey,
    )


def test_a_token_is_asked_for_and_kept_out_of_the_address(page: "playwright.Page") -> None:
    token = "a-token-of-some-length"
    with closing(WalkingFeed()) as feed:
        port = free_port()
        with serving(feed, port, token):
            reply = page.goto(f"http://{HOST}:{port}/")
            assert reply is not None and reply.status == 401
            page.goto(f"http://{HOST}:{port}/?token={token}")
            expect(page.locator("#link")).to_contain_text("LIVE")
            assert token not in page.url
            page.keyboard.press("Escape")
            expect(page.locator("#stop-said")).to_have_attribute("data-done", "true")
            assert feed.stops >= 1
