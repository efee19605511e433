"""Rows of a vehicle that close no tick: kept as they came until one does, and then read together.

A truck that sends a hundred rows a second has ninety-nine of them that nothing can come of yet. Reading them together
gives what reading them one by one gives, since how rows are cut into blocks never matters; but it costs a fraction.
"""

from typing import Final

import numpy as np

from tickover.daemon.events import TIME_BYTES, Rows, joined

MOST_ROWS: Final = 256
"""Rows of a vehicle that are kept."""


class Deferred:
    """Of one vehicle. ``until``: rows before this event time close no tick, and tell no signal to be quiet; None: not
    known."""

    __slots__ = ("_count", "_front", "events", "until")

    def __init__(self) -> None:
        self.events: list[Rows] | None = None
        self.until: int | None = None
        self._front = self._count = 0

    def begin(self, front: int, until: int) -> None:
        """What is read reaches up to ``front``."""
        self._front, self.until = front, until

    def keep(self, event: Rows) -> bool:
        """Keep rows that are ahead of all before them, in order, and too early to close a tick; False: they are not."""
        count = len(event.time) // TIME_BYTES
        if count == 1:
            first = last = int.from_bytes(event.time, "little", signed=True)
        else:
            time = np.frombuffer(event.time, "<i8")
            if not count or not (time[1:] > time[:-1]).all():
                return False
            first, last = int(time[0]), int(time[-1])
        if self.until is None or not self._front < first or last >= self.until or self._count + count > MOST_ROWS:
            return False
        self._front, self._count = last, self._count + count
        if self.events is None:
            self.events = [event]
        else:
            self.events.append(event)
        return True

    def take(self, event: Rows | None = None) -> Rows | None:
        """All that is kept, and then ``event``, as one; None: nothing."""
        events, self.events = self.events, None
        self.until, self._count = None, 0
        if not events:
            return event
        return joined([*events, event] if event else events)
