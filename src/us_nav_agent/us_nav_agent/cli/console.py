"""`usnav console`: a page that shows a running graph, or a bag."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from us_nav_agent.cli.screen import console as screen
from us_nav_agent.cli.screen import progress_bar

if TYPE_CHECKING:
    from us_nav_agent.console.recording import Recording


def console(
    bag: Annotated[Path | None, typer.Option(help="Show this bag instead of the running graph.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback needs the token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65534, help="Port of the page; the next one is the stop's.")] = 8080,
    token: Annotated[str | None, typer.Option(help="Of 16 characters or more; without it one is made.")] = None,
) -> None:
    """Open a window on a running graph in the browser: frame, decision, grid, force, joints, diagnostics, and the stop.

    The page looks at the graph of this ROS domain (ROS_DOMAIN_ID). Escape, or the red button, calls /probe/stop; it
    replaces no emergency stop that is wired. With --bag the page scrubs through a recording and orders nothing.

    On another machine: `usnav console --host 0.0.0.0` prints an address with a token. It is not encrypted;
    where the network is not yours, leave the host as it is and use `ssh -L 8080:127.0.0.1:8080 -L 8081:127.0.0.1:8081`.

    Examples: `usnav console` beside `usnav launch sim`; `usnav console --bag demo/bag`
    """
    from us_nav_agent.console.access import make_access
    from us_nav_agent.console.server import ConsoleServer

    access = make_access(host, port, token)
    with ExitStack() as stack:
        if bag is not None:
            from us_nav_agent.console.bag_feed import BagFeed

            recording = BagFeed(_read(bag), f"bag {bag}")
            stack.callback(recording.close)
            server = ConsoleServer(recording, access, player=recording)
        else:
            from us_nav_agent.ros.console_feed import ConsoleFeed

            live = ConsoleFeed()
            stack.callback(live.close)
            server = ConsoleServer(live, access, orders=live)
        screen.print(f"open {access.url} in a browser; Ctrl-C ends", soft_wrap=True, highlight=False)
        # The signal comes again when the server has ended by it.
        with suppress(KeyboardInterrupt):
            server.serve()


def _read(bag: Path) -> "Recording":
    """The bag, with a bar while it is read."""
    from us_nav_agent.console.recording import Recording

    with progress_bar() as bar:
        task = bar.add_task(f"reading {bag}", total=None)
        return Recording(bag, lambda done, total: bar.update(task, completed=done, total=total))
