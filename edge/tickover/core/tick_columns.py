"""Readings to ticks for many vehicles side by side: a row of each at a time, as long as each comes just as it should.

That is: later than all before, with values in range, within a trip or as the first of one when the clock starts, one
row a tick, and closing at most one tick. What
a row then changes is the end of `tickover.core.resample.Ticks`, here in arrays, a row a vehicle; :meth:`may` says for
which vehicles it is no more than that. Anything else is for ``Ticks``, and tests hold both equal. V vehicles, F
signals.
"""

from typing import Final, NamedTuple

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.columns import Columns, Rows, all_of, any_of, place_of
from tickover.core.manifest import Manifest
from tickover.core.values import SECOND, DoubleArray, FloatArray, TimeArray
from tickover.core.windows import IndexArray

MOST_OPEN: Final = 8
"""Rows of a vehicle in open ticks; with more it is for ``Ticks``, as it is with more than `most_open`."""
NO_TICK: Final = -(2**62)
"""Smaller than every tick number."""

CLOCK: Final = ("watermark", "closed", "trip", "last_tick", "last_time")
HELD: Final = ("held_time", "held_value")
OPENED: Final = ("open_time", "open_values")


def most_open(period: int, lateness: int) -> int:
    """How many rows a vehicle may have in open ticks here: as many as there are with one row a tick, and the next."""
    return min(MOST_OPEN, -(-lateness // period) + 2)


class LentTicks(NamedTuple):
    """What `Ticks` lends: see there and `tickover.core.windows.Grid`, ``last_tick`` `NO_TICK` when no tick has closed
    since the clock started; ``open_time`` ``[K]`` and ``open_values``
    ``[K, F]`` are its open rows, in order, K <= `most_open`."""

    watermark: int
    closed: int
    trip: int
    last_tick: int
    last_time: int
    held_time: TimeArray
    held_value: DoubleArray
    open_time: TimeArray
    open_values: DoubleArray


class Emitted(NamedTuple):
    """Ticks that closed, one of each of some vehicles: their ``rows``, ``time`` ``[V]`` and ``values`` ``[V, F]``."""

    rows: Rows
    time: TimeArray
    values: FloatArray


class OneTick(NamedTuple):
    """A tick of one vehicle that closed: its ``row``, ``time`` and ``values`` ``[F]``."""

    row: int
    time: int
    values: FloatArray

    def of_many(self) -> Emitted:
        """The same as one of many."""
        return Emitted(np.array([self.row]), np.array([self.time]), self.values[None])


class TickColumns:
    """Those of one model's vehicles; whoever lends a vehicle chooses its row."""

    def __init__(self, manifest: Manifest, low: DoubleArray, high: DoubleArray) -> None:
        signals = len(manifest.signals)
        self._period, self._lateness = manifest.period, round(manifest.lateness_s * SECOND)
        self._gap_limit = round(manifest.gap_limit_s * SECOND)
        self._most_open = most_open(self._period, self._lateness)
        self._hold = np.array([round(signal.hold_s * SECOND) for signal in manifest.signals], np.int64)
        self._holds = bool(self._hold.any())
        self._low, self._high = low, high
        one: tuple[int, ...] = ()
        self._columns = Columns(
            {
                **dict.fromkeys(CLOCK, (np.int64, one)),
                "held_time": (np.int64, (signals,)),
                "held_value": (np.float64, (signals,)),
                "open_time": (np.int64, (self._most_open,)),
                "open_values": (np.float64, (self._most_open, signals)),
                "first": (np.int64, one),
                "count": (np.int64, one),
            }
        )

    def put(self, row: int, lent: LentTicks) -> None:
        """The vehicle has this row from now on."""
        self._columns.reach(row)
        columns, count = self._columns.arrays, len(lent.open_time)
        for name in (*CLOCK, *HELD):
            columns[name][row] = getattr(lent, name)
        for name in OPENED:
            columns[name][row, :count] = getattr(lent, name)
        columns["first"][row], columns["count"][row] = 0, count

    def get(self, row: int) -> LentTicks:
        """What is known of the vehicle now."""
        columns = self._columns.arrays
        order = (int(columns["first"][row]) + np.arange(int(columns["count"][row]))) % self._most_open
        numbers = {name: int(columns[name][row]) for name in CLOCK}
        held = {name: columns[name][row].copy() for name in HELD}
        opened = {name: columns[name][row, order] for name in OPENED}
        return LentTicks(**numbers, **held, **opened)  # type: ignore[arg-type]

    def trips(self, rows: Rows) -> IndexArray:
        """The trip of each vehicle."""
        return self._columns.of("trip", rows)

    def trip(self, row: int) -> int:
        """That of one vehicle."""
        trip: int = self._columns["trip"].item(row)
        return trip

    def may(self, rows: Rows, time: TimeArray, values: DoubleArray) -> BoolArray:
        """Whose next row, of ``time`` ``[V]`` and ``values`` ``[V, F]``, comes just as it should, bool ``[V]``."""
        of, period = self._columns.of, self._period
        closed = np.maximum(of("closed", rows), (time - self._lateness) // period)
        first, count = of("first", rows), of("count", rows)
        may: BoolArray = (time > of("watermark", rows)) & (time // period >= closed) & (count < self._most_open)
        oldest = self._opened(rows, first)
        closes = (count > 0) & (oldest // period < closed)
        if any_of(closes):
            only = (count == 1) | (self._opened(rows, (first + 1) % self._most_open) // period >= closed)
            last_tick = of("last_tick", rows)
            follows = (oldest // period == last_tick + 1) & (oldest - of("last_time", rows) <= self._gap_limit)
            may &= ~closes | (only & (follows | (last_tick == NO_TICK)))
        outside = (values < self._low) | (values > self._high)
        if any_of(outside):
            may &= ~outside.any(axis=1)
        missing = np.isnan(values)
        if any_of(missing):
            may &= ~missing.all(axis=1)
        return may

    def _opened(self, rows: Rows, place: Rows) -> TimeArray:
        """The time of an open row of each vehicle."""
        return self._columns["open_time"].reshape(-1).take(rows * self._most_open + place)

    def take(self, rows: Rows, time: TimeArray, values: DoubleArray) -> tuple[Emitted | None, IndexArray | None]:
        """Take such rows; the ticks that they close, and how many values are missing in these, ``[F]``."""
        columns, of, period, at = self._columns.arrays, self._columns.of, self._period, place_of(rows)
        first, count = of("first", rows), of("count", rows)
        closed = np.maximum(of("closed", rows), (time - self._lateness) // period)
        columns["watermark"][at], columns["closed"][at] = time, closed
        place = place_of(rows * self._most_open + (first + count) % self._most_open)
        columns["open_time"].reshape(-1)[place] = time
        columns["open_values"].reshape(-1, values.shape[1])[place] = values
        closes = (count > 0) & (self._opened(rows, first) // period < closed)
        columns["count"][at] = count + ~closes
        if not any_of(closes):
            return None, None
        if all_of(closes):
            return self._close(rows, first)
        return self._close(rows[closes], first[closes])

    def may_one(self, row: int, time: int, values: DoubleArray) -> bool:
        """`may` of one vehicle in plain numbers, which costs less than arrays of one row; ``values`` ``[F]``."""
        columns, period = self._columns.arrays, self._period
        count = columns["count"].item(row)
        closed = max(columns["closed"].item(row), (time - self._lateness) // period)
        if time <= columns["watermark"].item(row) or time // period < closed or count >= self._most_open:
            return False
        if count and (oldest := self._opened_one(row, 0)) // period < closed:
            only = count == 1 or self._opened_one(row, 1) // period >= closed
            if not (only and self._follows_one(row, oldest)):
                return False
        if all_of((values >= self._low) & (values <= self._high)):
            return True
        outside, missing = (values < self._low) | (values > self._high), np.isnan(values)
        return not any_of(outside) and not all_of(missing)

    def _follows_one(self, row: int, oldest: int) -> bool:
        """Whether the tick of the oldest open row of a vehicle comes right after its newest, or is the first."""
        columns = self._columns.arrays
        last_tick: int = columns["last_tick"].item(row)
        if last_tick == NO_TICK:
            return True
        return oldest // self._period == last_tick + 1 and oldest - columns["last_time"].item(row) <= self._gap_limit

    def _opened_one(self, row: int, place: int) -> int:
        """The time of an open row of a vehicle, by its place among them."""
        columns = self._columns.arrays
        time: int = columns["open_time"].item(row, (columns["first"].item(row) + place) % self._most_open)
        return time

    def take_one(self, row: int, time: int, values: DoubleArray) -> tuple[OneTick | None, IndexArray | None]:
        """`take` of one vehicle; the tick that its row closes, and which values are missing in it, 0 or 1 ``[F]``."""
        columns, period = self._columns.arrays, self._period
        first, count = columns["first"].item(row), columns["count"].item(row)
        closed = max(columns["closed"].item(row), (time - self._lateness) // period)
        columns["watermark"][row], columns["closed"][row] = time, closed
        place = (first + count) % self._most_open
        columns["open_time"][row, place], columns["open_values"][row, place] = time, values
        if not count or self._opened_one(row, 0) // period >= closed:
            columns["count"][row] = count + 1
            return None, None
        read = self._opened_one(row, 0)
        columns["first"][row] = (first + 1) % self._most_open
        if columns["last_tick"].item(row) == NO_TICK:
            columns["trip"][row] += 1
        columns["last_tick"][row], columns["last_time"][row] = read // period, read
        return self._closed_one(row, read, columns["open_values"][row, first])

    def _closed_one(self, row: int, read: int, opened: DoubleArray) -> tuple[OneTick, IndexArray | None]:
        """The tick of a row that was read at a time, with values held in place of missing ones."""
        columns, values = self._columns.arrays, opened
        missing, counted = np.isnan(values), None
        any_missing = any_of(missing)
        if self._holds:
            held_time, held_value = columns["held_time"][row], columns["held_value"][row]
            there = ~missing if any_missing else slice(None)
            held_time[there], held_value[there] = read, values[there]
        if any_missing:
            time = read // self._period * self._period
            if self._holds:
                values = np.where(missing & (time - held_time <= self._hold), held_value, values)
                missing = np.isnan(values)
            counted = missing.astype(np.int64)
        return OneTick(row, read // self._period * self._period, values.astype(np.float32)), counted

    def _close(self, rows: Rows, first: Rows) -> tuple[Emitted, IndexArray | None]:
        """Close the tick of each vehicle's oldest row."""
        columns, at = self._columns.arrays, place_of(rows)
        columns["first"][at] = (first + 1) % self._most_open
        read, opened = self._opened(rows, first), columns["open_values"]
        values = opened.reshape(-1, opened.shape[2]).take(rows * self._most_open + first, axis=0)
        number = read // self._period
        time = number * self._period
        columns["trip"][at] += self._columns.of("last_tick", rows) == NO_TICK
        columns["last_tick"][at], columns["last_time"][at] = number, read
        missing = np.isnan(values)
        if not any_of(missing):
            if self._holds:
                columns["held_time"][at], columns["held_value"][at] = read[:, None], values
            return Emitted(rows, time, values.astype(np.float32)), None
        if self._holds:
            held_time = np.where(missing, columns["held_time"][at], read[:, None])
            held_value = np.where(missing, columns["held_value"][at], values)
            columns["held_time"][at], columns["held_value"][at] = held_time, held_value
            values = np.where(missing & (time[:, None] - held_time <= self._hold), held_value, values)
            missing = np.isnan(values)
        return Emitted(rows, time, values.astype(np.float32)), missing.sum(axis=0)
