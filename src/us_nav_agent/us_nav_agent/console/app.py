"""The application: the page, its files, the stream of what is to be seen, and the orders."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from us_nav_agent.console.access import Access
from us_nav_agent.console.feed import Answer, Feed, Orders, Player
from us_nav_agent.console.gate import Gate
from us_nav_agent.console.stream import Encoder, Viewer

STATIC = Path(str(files("us_nav_agent.console"))) / "static"


def make_app(
    feed: Feed, access: Access, stop_port: int = 0, orders: Orders | None = None, player: Player | None = None
) -> Starlette:
    """The application.

    Args:
        feed: what is looked at.
        access: who may.
        stop_port: where the stop is served beside (``stop_server``).
        orders: what may be ordered; None: nothing, the buttons are off.
        player: the feed again, where it is a recording.
    """
    encoder = Encoder()
    # Not among the other threads: a stop waits for nobody.
    stopping = ThreadPoolExecutor(2, thread_name_prefix="stop")
    working = ThreadPoolExecutor(2, thread_name_prefix="order")

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def about(request: Request) -> Response:
        return JSONResponse(
            {
                "title": feed.title,
                "targets": [] if orders is None else list(orders.targets),
                "orders": orders is not None,
                "recording": player is not None,
                "stop_port": stop_port,
            }
        )

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await Viewer(socket, feed, player, encoder).run()

    def order(
        pool: ThreadPoolExecutor, give: Callable[[Orders, Request], Callable[[], Answer]]
    ) -> Callable[..., object]:
        async def serve(request: Request) -> Response:
            if orders is None:
                return JSONResponse({"done": False, "words": "a recording takes no orders"}, 409)
            answer = await asyncio.get_running_loop().run_in_executor(pool, give(orders, request))
            return JSONResponse({"done": answer.done, "words": answer.words})

        return serve

    def start(orders: Orders, request: Request) -> Callable[[], Answer]:
        target = request.query_params.get("target", "")
        if target not in orders.targets:
            return lambda: Answer(False, f"no target {target!r}; there are {', '.join(orders.targets)}")
        return lambda: orders.start(target)

    routes = [
        Route("/", page),
        Route("/about", about),
        WebSocketRoute("/stream", stream),
        Route("/orders/start", order(working, start), methods=["POST"]),
        Route("/orders/cancel", order(working, lambda orders, _: orders.cancel), methods=["POST"]),
        Route("/orders/stop", order(stopping, lambda orders, _: orders.stop), methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Gate, access=access, stop_port=stop_port)])
