"""What a viewer gets: the newest, never more than it can take.

A turn is a snapshot, and with it the newest frame where there is a new one. The page answers each turn; two may be
under way. A slow viewer therefore gets fewer turns, each with what is newest then, and nothing piles up anywhere.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from us_nav_agent.console.feed import Feed, Player
from us_nav_agent.console.model import Marks
from us_nav_agent.console.records import Picture
from us_nav_agent.console.wire import jpeg, turn_message

UNDER_WAY = 2
"""Turns that a viewer has not answered yet."""
_LOOK = 0.005
"""Between two looks for a new frame [s]."""
HEARTBEAT = 0.1
"""A turn comes at least so often [s]: a page that hears nothing knows that the connection is lost."""
_ANSWER = 10.0
"""Longest wait for an answer of the page [s]; a viewer that hangs is let go."""

P = ParamSpec("P")
T = TypeVar("T")


class Encoder:
    """JPEGs of the newest frame, each made once for all viewers."""

    def __init__(self) -> None:
        self._made: tuple[int, bytes] = (0, b"")

    async def encode(self, number: int, pixels: Picture) -> bytes:
        """The frame's JPEG."""
        if self._made[0] != number:
            self._made = number, await run_in_threadpool(jpeg, pixels)
        return self._made[1]


class Viewer:
    """One page that looks.

    Args:
        socket: accepted.
        feed: what it looks at.
        player: the feed again, where it is a recording.
        encoder: shared by all viewers.
    """

    def __init__(self, socket: WebSocket, feed: Feed, player: Player | None, encoder: Encoder) -> None:
        self._socket, self._feed, self._player, self._encoder = socket, feed, player, encoder
        self._sent, self._answered = 0, 0
        self._gone = False
        self._answer = asyncio.Event()

    async def run(self) -> None:
        """Send turns until the page is closed, or answers no more."""
        hearing = asyncio.create_task(self._hear())
        try:
            await self._send_turns()
        except (WebSocketDisconnect, RuntimeError):
            # Closed between two turns: starlette says one or the other.
            pass
        finally:
            hearing.cancel()

    async def _send_turns(self) -> None:
        marks, shown, told, epoch = Marks(), 0, 0.0, 0
        while not self._gone:
            if self._sent - self._answered >= UNDER_WAY:
                self._answer.clear()
                try:
                    await asyncio.wait_for(self._answer.wait(), _ANSWER)
                except asyncio.TimeoutError:
                    await self._socket.close(1001)
                    return
                continue
            frame = await self._look(self._feed.frame)
            fresh = frame is not None and frame.number != shown
            if not fresh and time.monotonic() - told < HEARTBEAT:
                await asyncio.sleep(_LOOK)
                continue
            player = None if self._player is None else self._player.playhead()
            if player is not None and player.jumps != epoch:
                marks, epoch = Marks(), player.jumps
            snapshot, marks = await self._look(self._feed.snapshot, marks)
            picture = b""
            # The snapshot's own frame: another may have come since the look.
            if snapshot.frame is not None and snapshot.frame.number != shown:
                shown = snapshot.frame.number
                picture = await self._encoder.encode(shown, snapshot.frame.record.pixels)
            told, self._sent = time.monotonic(), self._sent + 1
            await self._socket.send_bytes(turn_message(snapshot, player, picture))

    async def _look(self, at: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the feed answers: a live one at once; a recording may have been moved, and is asked on a thread."""
        return at(*args, **kwargs) if self._player is None else await run_in_threadpool(at, *args, **kwargs)

    async def _hear(self) -> None:
        """Take what the page says: the turns that it has seen, and where to go in a recording."""
        try:
            while True:
                said = json.loads(await self._socket.receive_text())
                if "turns" in said:
                    self._answered = min(int(said["turns"]), self._sent)
                    self._answer.set()
                elif self._player is not None:
                    await run_in_threadpool(_move, self._player, said)
        except (WebSocketDisconnect, ValueError, TypeError):
            # Closed, or what speaks there is no page of ours.
            pass
        finally:
            self._gone = True
            self._answer.set()


def _move(player: Player, said: dict[str, Any]) -> None:
    if "seek" in said:
        player.seek(float(said["seek"]))
    elif "play" in said:
        (player.play if said["play"] else player.pause)()
