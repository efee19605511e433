"""How many bytes of messages may wait to leave: what the link carries in a few seconds, as measured.

On a narrow link all that is handed over at once stands before whatever comes next: an alert, an acknowledgement, a
ping. So no more is handed over than leaves within `TARGET_S`, and the outbox decides late what goes next. On a fast
link the limit doubles each time that nothing waits any more, and soon holds nothing back.
"""

from typing import Final

FIRST: Final = 8 * 1024
"""Bytes at the beginning of a connection: 2 s of a link of 4 kB/s."""
LEAST, MOST = 4 * 1024, 8 * 1024 * 1024
TARGET_S: Final = 2.0
MEASURE_S: Final = 0.5
"""How long bytes must have waited without a pause for the rate at which they leave."""


class Flow:
    """`look` takes what waits; `has_room` says whether one more message may join. Times in monotonic seconds."""

    def __init__(self) -> None:
        self.connected()

    def connected(self) -> None:
        """A connection begins: nothing is known of the link."""
        self.limit = FIRST
        self._waiting = self._handed = 0
        self._since: tuple[float, int] | None = None
        self._was_full = False

    def look(self, waiting: int, now: float) -> None:
        """So many bytes wait to leave now."""
        left = self._handed - waiting
        if waiting <= 0:
            if self._was_full:
                self.limit = min(MOST, 2 * self.limit)
            self._since, self._was_full = None, False
        elif self._since is None:
            self._since = now, left
        elif now - self._since[0] >= MEASURE_S:
            rate = (left - self._since[1]) / (now - self._since[0])
            self.limit = min(MOST, max(LEAST, round(rate * TARGET_S)))
            self._since = now, left
        self._waiting = waiting

    def has_room(self) -> bool:
        """Whether one more message may be handed over: any, when nothing waits."""
        room = self._waiting < self.limit
        self._was_full |= not room
        return room

    def sent(self, size: int) -> None:
        """A message of this many bytes was handed over."""
        self._handed += size
        self._waiting += size
