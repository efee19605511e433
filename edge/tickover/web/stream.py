"""Server-sent events: what changed after a number that the browser has seen.

The browser sends the number back when it reconnects (``Last-Event-ID``), so nothing is kept for it here, and a slow
browser gets fewer, larger events. https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from tickover.web.desk import Desk
from tickover.web.listener import Listener

PAUSE_S: Final = 0.25
"""Between two events to one browser."""
BEAT_S: Final = 2.0
"""An event is sent this often when nothing urgent happened: scores move, and the connection shows that it lives."""
MOST_STREAMS: Final = 100
RETRY_MS: Final = 1000
"""How soon a browser asks again when the connection ended."""


class Bell:
    """Wakes every stream from whichever thread something changed in."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()
        self.closing = False

    def bind(self) -> None:
        """Called once in the server's loop."""
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Something changed."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End every stream: the server stops."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another stream."""
        return len(self._waiting) >= MOST_STREAMS

    def add(self) -> asyncio.Event:
        """A stream's own bell."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def remove(self, event: asyncio.Event) -> None:
        """The stream ended."""
        self._waiting.discard(event)


def seen_of(last: str, epoch: str, asked: str) -> int:
    """The number up to which a browser has seen everything; -1: nothing, or of another run of the server."""
    run, _, number = (last or asked).partition("-")
    return int(number) if run == epoch and number.isdigit() else -1


async def events(desk: Desk, listener: Listener, bell: Bell, seen: int, truck: str) -> AsyncIterator[bytes]:
    """The events of one browser: of the list, or of one truck's page when ``truck`` is named."""
    bells = bell.add()
    try:
        if seen < 0:
            yield _event("anew", f"{desk.epoch}-0", {})
            return
        live, head = 0, -1
        while not bell.closing:
            bells.clear()
            body = await asyncio.to_thread(desk.changes, seen)
            seen = body["number"]
            if truck:
                await asyncio.to_thread(listener.watch, truck)
                body, live, head = await asyncio.to_thread(_of_truck, desk, truck, live, head, body)
            body["page"] = await asyncio.to_thread(desk.page)
            yield _event("change", f"{desk.epoch}-{seen}", body)
            await asyncio.sleep(PAUSE_S)
            try:
                await asyncio.wait_for(bells.wait(), BEAT_S)
            except TimeoutError:
                continue
    finally:
        bell.remove(bells)


def _of_truck(desk: Desk, name: str, live: int, head: int, body: dict[str, Any]) -> tuple[dict[str, Any], int, int]:
    """One truck's ticks and, when it changed, its head; the rest of the fleet is left out."""
    with desk.lock:
        found: dict[str, Any] = {"number": body["number"], "live": desk.live.since(name, live)}
        shown = desk.truck_head(name)
        version = shown.get("version", -1)
        if version != head:
            found["truck"] = shown
        return found, desk.now(), version


def _event(name: str, id: str, body: Any) -> bytes:
    """``data`` is JSON, which has no line breaks."""
    return b"retry: %d\nevent: %s\nid: %s\ndata: %s\n\n" % (
        RETRY_MS,
        name.encode(),
        id.encode(),
        msgspec.json.encode(body),
    )
