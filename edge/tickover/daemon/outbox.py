"""What goes out: stored messages in order, retained topics, and messages that are not stored; at most 100 in flight,
and no more bytes than the link carries in a few seconds (`tickover.daemon.flow`)."""

import time
from collections import deque
from typing import Final, NamedTuple

from tickover.daemon.flow import Flow
from tickover.storage.store import Change, Message, Store
from tickover.transports.base import Published, Sink

WINDOW: Final = 100
"""Messages that may be in flight at once."""


class _Stored(NamedTuple):
    """A row of the outbox in flight."""

    n: int
    topic: str


class _Standing(NamedTuple):
    """A retained topic in flight."""

    topic: str
    body: bytes


class _Remark(NamedTuple):
    """A message that is not stored, in flight; ``number`` in order."""

    number: int
    topic: str
    body: bytes


class Outbox:
    """Feeds the sink from the store; what was delivered is committed by `settle`.

    A topic that the broker refused is left alone for ``refused_retry_s`` before one message tries it again: Mosquitto
    2.0.11 closes the connection at each refusal, and one forbidden topic would keep all others from going out.
    *Remarks* are messages that are not stored: answers to commands, health, scores.
    """

    def __init__(self, store: Store, sink: Sink, refused_retry_s: float) -> None:
        self._store, self._sink, self._retry_s = store, sink, refused_retry_s
        self._flow = Flow()
        self._lanes = deque((self._send_stored, self._send_standing, self._send_remark))
        self._up = False
        self._flight: set[_Stored | _Standing | _Remark] = set()
        self._cursor = 0
        self._more = True
        self._rows: deque[Message] = deque()
        """The next rows of the outbox, read from the store and not sent yet."""
        self._refused: dict[str, float] = {}
        self._probe: str | None = None
        self._suspects: set[str] = set()
        """Topics that were in flight when a connection broke. Their next message goes out alone: a broker that closes
        the connection at a refusal resets it when more is in flight, and the refusal never arrives."""
        self._delivered: list[int] = []
        self._cleared: list[str] = []
        self._standing: dict[str, bytes] = {}
        self._remarks: deque[tuple[str, bytes]] = deque(maxlen=WINDOW)
        self._remarked = 0
        self.lost_remarks = 0
        """Unstored messages that waited too long for a connection, or that the broker refuses."""
        self.delivered = 0
        self.refusal = ""
        """The newest refusal's reason while any topic is refused, else empty."""

    @property
    def unsettled(self) -> bool:
        """True when deliveries wait for a commit."""
        return bool(self._delivered or self._cleared)

    @property
    def idle(self) -> bool:
        """True when nothing more can be done now: all is delivered, or there is no connection."""
        return not self._up or not (self._flight or self._standing or self._remarks or self._more or self._rows)

    def connected(self) -> None:
        """Everything retained is published again, and what was in flight goes out again."""
        # The broker may have lost its retained messages, or another daemon of this name may have replaced them.
        self._up = True
        self._flow.connected()
        self._flight.clear()
        self._begin_again()
        self._standing = self._store.retained()

    def disconnected(self) -> None:
        """Nothing in flight is known to have arrived; perhaps one of those messages was the reason.

        What is not stored (answers to commands, health) goes out again too, before what waits, as far as there is room.
        """
        self._up = False
        under_way = sorted(token for token in self._flight if isinstance(token, _Remark))
        waiting, self._remarks = self._remarks, deque(maxlen=WINDOW)
        for topic, body in [*((token.topic, token.body) for token in under_way), *waiting]:
            self.remark(topic, body)
        self._suspects |= {token.topic for token in self._flight}
        self._flight.clear()
        self._begin_again()

    def stored(self) -> None:
        """New messages were committed, and others may have been dropped for want of room: rows are read anew."""
        self._more = True
        self._rows.clear()

    def resend(self) -> None:
        """Delivered messages are to be sent again with the next commit: begin from the oldest."""
        self._begin_again()

    def _begin_again(self) -> None:
        """The rows of the outbox are read from the first that is pending."""
        self._cursor, self._more = 0, True
        self._rows.clear()

    def stand(self, topic: str, body: bytes) -> None:
        """Publish a retained topic, now or when there is a connection."""
        self._standing[topic] = body

    def stand_first(self, topic: str, body: bytes) -> None:
        """The same, before all other retained topics."""
        self._standing = {topic: body, **{name: other for name, other in self._standing.items() if name != topic}}

    def remark(self, topic: str, body: bytes) -> None:
        """Publish a message that is not stored; the newest 100 wait for a connection, older ones are lost, counted."""
        self.lost_remarks += len(self._remarks) == WINDOW
        self._remarks.append((topic, body))

    def _has_room(self, topic: str) -> bool:
        """Whether a message of this topic may go out now."""
        # A suspect waits until nothing is in flight, and nothing joins one that is: if this is the message that the
        # broker refuses, its answer must be the only thing on the connection.
        suspects = self._suspects
        if suspects and (topic in suspects or not suspects.isdisjoint(token.topic for token in self._flight)):
            return not self._flight
        return len(self._flight) < WINDOW

    def pump(self) -> None:
        """Send what the window and the link have room for."""
        if not self._up:
            return
        self._flow.look(self._sink.waiting, time.monotonic())
        # In turn one stored message, one retained topic, one that is not stored: where the link has room for a few at a
        # time, alerts, alarms and status, answers and health all arrive before the rest of any of them, however much
        # waits.
        idle = 0
        while idle < len(self._lanes) and self._flow.has_room():
            lane = self._lanes[0]
            self._lanes.rotate(-1)
            idle = 0 if lane() else idle + 1
        self._probe_refused()

    def _send_standing(self) -> bool:
        """Send one retained topic, in any order: only the newest body of each counts. False when none may go now."""
        if len(self._flight) >= WINDOW:
            return False  # ten thousand may wait
        for topic in self._standing:
            if self._has_room(topic) and self._allowed(topic):
                body = self._standing.pop(topic)
                self._send(_Standing(topic, body), topic, body, True)
                return True
        return False

    def _send_remark(self) -> bool:
        """Send the oldest message that is not stored; False when it has to wait."""
        while self._remarks and self._has_room(self._remarks[0][0]):
            topic, body = self._remarks.popleft()
            if self._allowed(topic):
                self._remarked += 1
                self._send(_Remark(self._remarked, topic, body), topic, body, False)
                return True
            self.lost_remarks += 1
        return False

    def _send_stored(self) -> bool:
        """Send the next row of the outbox; False when there is none, or when it has to wait for those in flight."""
        while self._rows or self._read_rows():
            row = self._rows[0]
            token = _Stored(row.n, row.topic)
            # The row stays pending in the store until the next commit has noted its delivery.
            if row.n in self._delivered or token in self._flight:
                self._next_row()
                continue
            if not self._has_room(row.topic):
                return False
            self._next_row()
            if self._allowed(row.topic):
                self._send(token, row.topic, row.body, False)
                return True
        return False

    def _read_rows(self) -> bool:
        """Read as many rows as the window has room for; False when there are none, or no room."""
        room = WINDOW - len(self._flight)
        if not self._more or room <= 0:
            return False
        self._rows.extend(self._store.pending(self._cursor, room))
        self._more = len(self._rows) == room
        return bool(self._rows)

    def _next_row(self) -> None:
        self._cursor = self._rows.popleft().n

    def published(self, event: Published) -> None:
        """The broker's answer to one publish."""
        token = event.token
        if token not in self._flight:
            return  # sent without a token, or on a connection that has ended
        assert isinstance(token, _Stored | _Standing | _Remark)
        self._flight.discard(token)
        self._suspects.discard(token.topic)
        if event.refused:
            if isinstance(token, _Standing):
                self._standing.setdefault(token.topic, token.body)  # unless a newer body waits already
            self.lost_remarks += isinstance(token, _Remark)
            self._refused[token.topic] = time.monotonic() + self._retry_s
            self.refusal = event.refused
            return
        self._accepted(token.topic)
        if isinstance(token, _Stored):
            self._delivered.append(token.n)
            self.delivered += 1
        elif isinstance(token, _Standing) and not token.body:
            self._cleared.append(token.topic)

    def settle(self, change: Change) -> None:
        """Add what was delivered, and is being delivered, to the next commit."""
        change.in_flight = frozenset(token.n for token in self._flight if isinstance(token, _Stored))
        change.delivered += self._delivered
        change.forget += self._cleared
        self._delivered, self._cleared = [], []

    def _allowed(self, topic: str) -> bool:
        """False while the topic is refused, but for the one message that tries it again."""
        if topic not in self._refused:
            return True
        chosen, self._probe = topic == self._probe, None if topic == self._probe else self._probe
        return chosen

    def _probe_refused(self) -> None:
        """When a refused topic's time has come and nothing else is in flight, let one message try it."""
        now = time.monotonic()
        due = [topic for topic, at in self._refused.items() if at <= now]
        if due and not (self._flight or self._more or self._rows):
            self._probe = due[0]
            self._refused[due[0]] = now + self._retry_s
            self._begin_again()

    def _accepted(self, topic: str) -> None:
        """The broker accepts the topic, perhaps again: what was held back follows."""
        # The cursor has passed the rows that were held back; it starts again from the first that is pending.
        if self._refused.pop(topic, None) is not None:
            self._begin_again()
            self.refusal = self.refusal if self._refused else ""

    def _send(self, token: _Stored | _Standing | _Remark, topic: str, body: bytes, retain: bool) -> None:
        self._flight.add(token)
        self._flow.sent(len(topic) + len(body))
        self._sink.publish(token, topic, body, retain)
