"""What goes out: the stored backlog in order, alarm topics as they stand, passing remarks; at most 100 in flight."""

import time
from typing import Final, NamedTuple

from tickover.io.mqtt import Link, Published
from tickover.io.store import Change, Store

WINDOW: Final = 100
"""Publishes that may be under way at once."""
REFUSED_RETRY_S: Final = 60.0
"""How long a refused message waits before it is tried again."""


class _Stored(NamedTuple):
    """A row of the outbox on its way."""

    n: int


class _Standing(NamedTuple):
    """A retained topic on its way."""

    topic: str
    body: bytes


class Outbox:
    """Feeds the link from the store. `Change` parts it wants committed are added by `settle`."""

    def __init__(self, store: Store, link: Link) -> None:
        self._store, self._link = store, link
        self._up = False
        self._flight: set[object] = set()
        self._cursor = 0
        self._more = True
        self._refused: dict[int, float] = {}
        self._delivered: list[int] = []
        self._cleared: list[str] = []
        self._standing: dict[str, bytes] = {}
        self.lost_remarks = 0
        """Unstored messages that found no connection or no room."""
        self.delivered = 0
        self.refusal = ""
        """The newest refusal's reason while any stored message is refused, else empty."""

    @property
    def unsettled(self) -> bool:
        """True when deliveries wait for a commit."""
        return bool(self._delivered or self._cleared)

    @property
    def idle(self) -> bool:
        """True when nothing more can be done now: all is out, or there is no connection."""
        return not self._up or not (self._flight or self._standing or self._more)

    def connected(self) -> None:
        """Everything retained is told again, and what was in flight goes out again."""
        self._up, self._more = True, True
        self._flight.clear()
        self._cursor = 0
        self._refused.clear()
        self._standing = self._store.retained()

    def disconnected(self) -> None:
        """Nothing in flight is known to have arrived."""
        self._up = False
        self._flight.clear()
        self._cursor = 0

    def stored(self) -> None:
        """New messages were committed."""
        self._more = True

    def stand(self, topic: str, body: bytes) -> None:
        """Publish a retained topic, now or when there is a connection."""
        self._standing[topic] = body

    def remark(self, topic: str, body: bytes) -> None:
        """Publish something that need not be kept; lost when there is no connection or no room."""
        if self._up and len(self._flight) < WINDOW:
            self._send(("remark", object()), topic, body, False)
        else:
            self.lost_remarks += 1

    def pump(self) -> None:
        """Send what the window has room for."""
        if not self._up:
            return
        while self._standing and len(self._flight) < WINDOW:
            topic, body = self._standing.popitem()
            self._send(_Standing(topic, body), topic, body, True)
        self._retry_refused()
        while self._more and (room := WINDOW - len(self._flight)) > 0:
            rows = self._store.pending(self._cursor, room)
            self._more = len(rows) == room
            for row in rows:
                self._cursor = row.n
                if row.n not in self._delivered and _Stored(row.n) not in self._flight:
                    self._send(_Stored(row.n), row.topic, row.body, False)

    def published(self, event: Published) -> None:
        """The broker's answer to one publish."""
        if event.token not in self._flight:
            return
        self._flight.discard(event.token)
        if isinstance(event.token, _Stored):
            self._stored_answer(event.token.n, event.refused)
        elif isinstance(event.token, _Standing) and not event.refused and not event.token.body:
            self._cleared.append(event.token.topic)

    def settle(self, change: Change) -> None:
        """Add what was delivered to the next commit."""
        change.delivered += self._delivered
        change.forget += self._cleared
        self._delivered, self._cleared = [], []

    def _stored_answer(self, n: int, refused: str) -> None:
        if refused:
            self._refused[n] = time.monotonic() + REFUSED_RETRY_S
            self.refusal = refused
        else:
            self._delivered.append(n)
            self.delivered += 1
            self._refused.pop(n, None)
            self.refusal = self.refusal if self._refused else ""

    def _retry_refused(self) -> None:
        """Go back to the oldest refused message when its time has come."""
        if self._refused and min(self._refused.values()) <= time.monotonic():
            self._cursor = min(self._cursor, min(self._refused) - 1)
            self._more = True
            self._refused = {n: time.monotonic() + REFUSED_RETRY_S for n in self._refused}

    def _send(self, token: object, topic: str, body: bytes, retain: bool) -> None:
        self._flight.add(token)
        self._link.publish(token, topic, body, retain)
