"""From the thread that owns the socket to the thread that calls: events in order, in batches, bounded.

What lies in the socket at once is one batch: the other thread is woken once for it, not for each message.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from tickover.transports.base import Event, Received

QUEUE_LIMIT: Final = 20_000
"""Events that may wait for the caller; beyond, the thread stops reading and TCP holds the broker back."""
QUEUE_BYTES: Final = 4 * 2**20
"""Of messages that may wait likewise: about 8,000 of usual size, more than any broker sends unacknowledged."""
MESSAGE_BYTES: Final = 300
"""Of a message in memory, beside its topic and payload."""
FIRST_LIMIT: Final = 100
"""Of what is taken before all else; more of it waits in its turn."""
TAKEN_BYTES: Final = 2**19
"""`Handover.take` gives no more at once, which is 1,000 messages of usual size: what is decoded takes several times as
much memory as its bytes."""


class Handover:
    """One thread puts and asks for ``has_room``, one other takes: each counter is written by one of the two."""

    def __init__(self) -> None:
        self._batches: SimpleQueue[Sequence[Event]] = SimpleQueue()
        self._opened: deque[Event] = deque()
        """Of batches that `take` has begun."""
        self._first: deque[Event] = deque()
        self._put = self._put_bytes = 0
        self._taken = self._taken_bytes = 0

    @property
    def waiting(self) -> int:
        """Events that were put and not taken."""
        return self._put - self._taken

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the messages among them."""
        return self._put_bytes - self._taken_bytes

    @property
    def has_room(self) -> bool:
        """Whether more may be read from the socket."""
        return self.waiting < QUEUE_LIMIT and self.waiting_bytes < QUEUE_BYTES

    def put(self, *events: Event) -> None:
        """Hand over a batch."""
        self._put += len(events)
        self._put_bytes += sum(map(_weight, events))
        self._batches.put(events)

    def put_first(self, event: Event) -> None:
        """Hand over one that is taken before all that wait, while few are."""
        if len(self._first) >= FIRST_LIMIT:
            self.put(event)
            return
        self._first.append(event)
        self.put()  # an empty batch wakes the other thread

    def take(self, timeout: float, limit: int) -> list[Event]:
        """At most ``limit`` events; waits up to ``timeout`` seconds for the first."""
        events: list[Event] = []
        size, opened = 0, self._opened
        with suppress(Empty):
            if not opened:
                opened.extend(self._batches.get(timeout=timeout) if timeout > 0 else self._batches.get_nowait())
            while len(events) < limit and size < TAKEN_BYTES:
                while not opened:
                    opened.extend(self._batches.get_nowait())
                events.append(event := opened.popleft())
                size += _weight(event)
        self._taken += len(events)
        self._taken_bytes += size
        return [*self._ahead(), *events]

    def _ahead(self) -> Iterator[Event]:
        while self._first:
            yield self._first.popleft()


def _weight(event: Event) -> int:
    """Bytes of a message that waits; other events are few and small."""
    return MESSAGE_BYTES + len(event.topic) + len(event.payload) if type(event) is Received else 0
