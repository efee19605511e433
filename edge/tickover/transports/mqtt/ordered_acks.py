"""Acknowledgements are sent in the order in which the messages arrived, whatever the order in which they are given.

MQTT asks for it (version 5, 4.6.0-2), and readings depend on it: Mosquitto 2.0.11 counts an acknowledgement that is
further back in its list of messages in flight than the receive maximum as room for another message, and sends the
next one that is published before all that wait (docs/durability.md).
"""

from collections import deque
from collections.abc import Collection, Iterable


class Receipts:
    """The messages of one connection that are not acknowledged. A place is a message's number in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._first = 0
        self._done: set[int] = set()

    @property
    def count(self) -> int:
        """How many messages have arrived."""
        return self._first + len(self._waiting)

    def arrived(self, packet_ids: Collection[int]) -> int:
        """Messages with these packet identifiers arrived; the place of the first."""
        first = self.count
        self._waiting.extend(packet_ids)
        return first

    def done(self, places: Iterable[int]) -> list[int]:
        """These may be acknowledged; the packet identifiers whose turn it is now, in order."""
        self._done.update(place for place in places if place >= self._first)
        due: list[int] = []
        while self._first in self._done:
            self._done.remove(self._first)
            self._first += 1
            due.append(self._waiting.popleft())
        return due
