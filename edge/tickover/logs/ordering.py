"""Rows in order of time: those that are out of order by little are sorted, a log from newest to oldest is turned.

A log is read in flat memory, so only the rows of the last minutes can be sorted. What comes later than that passes as
it is, counted; where that is the rule and no exception, the log is refused.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from tickover.core.values import SECOND, DoubleArray, Readings, TimeArray
from tickover.errors import LogError

BOUND_S: Final = 600
BOUND_ROWS: Final = 100_000
BOUND_VALUES: Final = 4_000_000
"""Rows are held back, to be sorted, for 10 minutes of the log, or until they or their values are so many."""
JUMP_SHARE: Final = 0.05
MOST_JUMPS: Final = 20
"""A log with more jumps back than both, of its rows and in number, is not in order of time."""
LEAST_GROUP: Final = 50
"""So many first rows of one signal alone, in a log of several, say that the rows come signal by signal."""
REGROUPED_ROWS: Final = 16_384
TURN_VALUES: Final = 32_000_000
"""A log from newest to oldest is held whole: values, at most."""

SORTED: Final = "rows_sorted"
JUMPS: Final = "jumps_back"
TURNED: Final = "logs_turned"
"""What is counted."""


def in_order(blocks: Iterator[Readings], counts: Counter[str], name: str, *, relative: bool) -> Iterator[Readings]:
    """The blocks with each vehicle's rows in order of time, within the bound.

    ``relative``: times count from the log's start; one that falls back to it is a logger that began again, and is not
    sorted in. LogError when the rows are in no order.
    """
    queue = _Queue(counts, name, relative=relative)
    for block in blocks:
        if len(block.time):
            yield from queue.add(block)
    yield from queue.end()


def turned(blocks: Iterator[Readings], counts: Counter[str], name: str) -> Iterator[Readings]:
    """The blocks of a log that begins with its newest row, from the oldest on."""
    held: list[Readings] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += block.values.size
        if size > TURN_VALUES:
            raise LogError(
                f"{name}: rows are not in time order: the newest come first, and there are too many to be turned here; "
                "sort the log by its time, oldest first"
            )
    counts[TURNED] += 1
    for block in reversed(held):
        yield Readings(block.vehicle, block.signals, block.time[::-1].copy(), block.values[::-1].copy())


def is_grouped(names: Sequence[str]) -> bool:
    """Whether long rows come signal by signal, each over all of the time, by the signals of the first rows."""
    return len(names) >= LEAST_GROUP and len(set(names)) == 1


def regrouped(blocks: Iterator[Readings], name: str) -> Iterator[Readings]:
    """Long rows that come signal by signal, as rows by time; held whole."""
    held: dict[str, list[tuple[TimeArray, int, DoubleArray]]] = {}
    signals: tuple[str, ...] = ()
    size = 0
    for block in blocks:
        signals = block.signals
        for index in range(len(signals)):
            there = np.flatnonzero(np.isfinite(block.values[:, index]))
            if len(there):
                held.setdefault(block.vehicle, []).append((block.time[there], index, block.values[there, index]))
                size += len(there)
        if size > TURN_VALUES:
            raise LogError(
                f"{name}: the rows come signal by signal, and there are too many to be put side by side here; sort the "
                "log by its time"
            )
    for vehicle, parts in held.items():
        time = np.concatenate([part[0] for part in parts])
        place = np.concatenate([np.full(len(part[0]), part[1]) for part in parts])
        value = np.concatenate([part[2] for part in parts])
        yield from _side_by_side(vehicle, signals, time, place, value)


def _side_by_side(
    vehicle: str, signals: tuple[str, ...], time: TimeArray, place: TimeArray, value: DoubleArray
) -> Iterator[Readings]:
    """Readings of one vehicle as rows; a signal's second reading of one time gets a row of its own."""
    order = np.lexsort((place, time))
    time, place, value = time[order], place[order], value[order]
    again = np.concatenate(([False], (np.diff(time) == 0) & (np.diff(place) == 0)))
    for repeated in (False, True):
        mine = again == repeated
        moments, row = np.unique(time[mine], return_inverse=True)
        for first in range(0, len(moments), REGROUPED_ROWS):
            last = min(first + REGROUPED_ROWS, len(moments))
            inside = (row >= first) & (row < last)
            values = np.full((last - first, len(signals)), np.nan)
            values[row[inside] - first, place[mine][inside]] = value[mine][inside]
            yield Readings(vehicle, signals, moments[first:last], values)


class _Queue:
    """Blocks that are held back, of all vehicles in order of arrival."""

    def __init__(self, counts: Counter[str], name: str, *, relative: bool) -> None:
        self._counts = counts
        self._name = name
        self._relative = relative
        self._held: deque[Readings] = deque()
        self._newest: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._rows = 0
        self._held_rows = 0
        self._held_values = 0

    def add(self, block: Readings) -> Iterator[Readings]:
        """Take a block; gives what can no longer be preceded."""
        for begins_anew, part in self._segments(block):
            if begins_anew:
                yield from self.end()
            self._take(part)
            yield from self._due()

    def end(self) -> Iterator[Readings]:
        """All that is held back."""
        while self._held:
            yield self._next()
        self._newest.clear()

    def _next(self) -> Readings:
        block = self._held.popleft()
        self._held_rows -= len(block.time)
        self._held_values -= block.values.size
        return block

    def _segments(self, block: Readings) -> Iterator[tuple[bool, Readings]]:
        """The block, cut where time jumps back by more than the bound, or to the start of a relative log."""
        time, vehicle = block.time, block.vehicle
        newest = self._newest.get(vehicle)
        before = np.concatenate(([time[0] if newest is None else newest], time[:-1]))
        self._rows += len(time)
        first = self._first.setdefault(vehicle, int(time[0]))
        back = time < before - BOUND_S * SECOND
        jumps = int(back.sum())
        if self._relative:
            back |= (time < before - SECOND) & (time <= first + SECOND)
        if jumps:
            self._count_jumps(jumps, time, before)
        cuts = [0, *(np.flatnonzero(back[1:]) + 1).tolist(), len(time)]
        for start, stop in pairwise(cuts):
            if stop > start:
                yield bool(back[start]), Readings(vehicle, block.signals, time[start:stop], block.values[start:stop])

    def _count_jumps(self, jumps: int, time: TimeArray, before: TimeArray) -> None:
        self._counts[JUMPS] += jumps
        if self._counts[JUMPS] <= max(MOST_JUMPS, JUMP_SHARE * self._rows):
            return
        far = int((before - time).max()) / SECOND
        raise LogError(
            f"{self._name}: rows are not in time order: they go back {self._counts[JUMPS]} times by more than "
            f"{BOUND_S // 60} minutes, up to {far:,.0f} s; sort the log by its time, or name the column of the vehicle "
            "(--vehicle-column) when it holds several"
        )

    def _take(self, part: Readings) -> None:
        time, newest = part.time, self._newest.get(part.vehicle)
        if (np.diff(time) < 0).any() or (newest is not None and int(time[0]) < newest):
            part = self._merged(part)
        self._held.append(part)
        self._held_rows += len(part.time)
        self._held_values += part.values.size
        latest = int(time.max())
        self._newest[part.vehicle] = latest if newest is None else max(newest, latest)

    def _merged(self, part: Readings) -> Readings:
        """The part with all that is held of its vehicle, sorted; it is taken out of what is held."""
        mine = [block for block in self._held if block.vehicle == part.vehicle]
        self._held = deque(block for block in self._held if block.vehicle != part.vehicle)
        for block in mine:
            self._held_rows -= len(block.time)
            self._held_values -= block.values.size
        time = np.concatenate([*(block.time for block in mine), part.time])
        values = np.concatenate([*(block.values for block in mine), part.values])
        ahead = np.maximum.accumulate(time)
        self._counts[SORTED] += int(np.count_nonzero(part.time < ahead[-len(part.time) :]))
        order = np.argsort(time, kind="stable")
        return Readings(part.vehicle, part.signals, time[order], values[order])

    def _due(self) -> Iterator[Readings]:
        while len(self._held) > 1 and self._is_due():
            yield self._next()
        if len(self._held) == 1 and self._is_full():
            whole = self._next()
            half = len(whole.time) // 2
            self._held.append(Readings(whole.vehicle, whole.signals, whole.time[half:], whole.values[half:]))
            self._held_rows += len(whole.time) - half
            self._held_values += whole.values[half:].size
            yield Readings(whole.vehicle, whole.signals, whole.time[:half], whole.values[:half])

    def _is_due(self) -> bool:
        oldest = self._held[0]
        past = int(oldest.time[-1]) < self._newest.get(oldest.vehicle, 0) - BOUND_S * SECOND
        return past or self._is_full()

    def _is_full(self) -> bool:
        return self._held_rows > BOUND_ROWS or self._held_values > BOUND_VALUES
