"""When the states of vehicles are written so that the journal may be forgotten, and which of them with each commit.

To write ten thousand states at once stops everything else for seconds. So a checkpoint of many vehicles goes through
them a few with each commit, and forgets the journal up to where it began once the last of them is written: each state
says which entry it includes, and recovery runs only later ones again (docs/adr/0020-journal-and-checkpoint.md).
"""

import math
from collections import deque
from collections.abc import Container, Iterable
from typing import Final

JOURNAL_FACTOR: Final = 4
"""A checkpoint is due when the journal is so many times larger than the one before: it adds at most a quarter to the
bytes written."""
JOURNAL_LEAST: Final = 64 * 1024
"""Bytes of journal that are never worth a checkpoint."""
JOURNAL_ROWS: Final = 1_000_000
"""Rows that the journal may hold until one is due: to run them again takes half a minute."""
LEAST: Final = 200
"""Vehicles whose states go with one commit at least: some 40 ms."""
SPREAD_S: Final = 30.0
"""A checkpoint is done within this, as far as there are commits."""


class Checkpoint:
    """Times in monotonic seconds; one is due every ``every_s`` at the latest."""

    def __init__(self, every_s: float, now: float) -> None:
        self._every_s, self._at = every_s, now + every_s
        self._dirty: set[str] = set()
        self._left: deque[str] = deque()
        self._total = 0
        self._looked = now
        self.upto: int | None = None
        """The newest entry that the checkpoint under way makes needless; None: there is none under way."""
        self._bytes = self._rows = 0
        self._begun = (0, 0)
        self._written = self._before = 0

    def changed(self, vehicle: str) -> None:
        """An event of the vehicle was applied: its state on disk, if any, is out of date."""
        self._dirty.add(vehicle)

    def journalled(self, size: int, rows: int) -> None:
        """An entry of so many bytes and rows goes with the next commit."""
        self._bytes += size
        self._rows += rows

    def is_due(self, now: float) -> bool:
        """Whether to begin one."""
        outgrown = self._bytes > max(JOURNAL_LEAST, JOURNAL_FACTOR * self._before)
        return self.upto is None and (outgrown or self._rows >= JOURNAL_ROWS or now >= self._at)

    def begin(self, upto: int, awake: Container[str], now: float) -> None:
        """Begin one, with a commit whose entry, if it has one, is ``upto``; states of vehicles not ``awake`` are on
        disk."""
        self.upto, self._at, self._looked = upto, now + self._every_s, now
        self._dirty = {vehicle for vehicle in self._dirty if vehicle in awake}
        self._left, self._total = deque(self._dirty), len(self._dirty)
        self._begun, self._written = (self._bytes, self._rows), 0

    def share(self, now: float) -> list[str]:
        """The vehicles whose states go with the next commit, as many as keep up with `SPREAD_S`."""
        count = max(LEAST, math.ceil(self._total * (now - self._looked) / SPREAD_S))
        self._looked = now
        return [self._left.popleft() for _ in range(min(count, len(self._left)))]

    @property
    def is_last(self) -> bool:
        """Whether what `share` gave was the rest."""
        return self.upto is not None and not self._left

    def wrote(self, states: Iterable[str], size: int) -> None:
        """A commit with these vehicles' states, ``size`` bytes, is on disk; the last one ends the checkpoint."""
        self._dirty.difference_update(states)
        self._written += size
        if self.is_last:
            self._bytes, self._rows = self._bytes - self._begun[0], self._rows - self._begun[1]
            self._before, self.upto = self._written, None

    def wrote_all(self, size: int, now: float) -> None:
        """A commit with the states of all that had changed, ``size`` bytes, is on disk."""
        self.give_up()
        self._dirty.clear()
        self._bytes = self._rows = 0
        self._before, self._at = size, now + self._every_s

    def give_up(self) -> None:
        """What was written of the one under way is not to be relied on."""
        self._left.clear()
        self.upto = None

    @property
    def dirty(self) -> frozenset[str]:
        """The vehicles whose states on disk are out of date."""
        return frozenset(self._dirty)
