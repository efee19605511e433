"""Closed readings to ticks as array arithmetic: merging equal times, aggregating, filling gaps, holding.

Rows are readings of one time, in order of time; NaN = no reading. N rows, K occupied ticks, F signals.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import Aggregation, Signal
from tickover.core.once import once
from tickover.core.values import SECOND, DoubleArray, TimeArray

IndexArray = npt.NDArray[np.int64]
NEVER: Final = -(2**62)
"""A reading time before all others: nothing to hold."""


class Grid:
    """Writes closed readings onto the grid of ticks, tick after tick: trips, empty ticks, held values.

    ``period`` and ``gap_limit`` in microseconds. ``trip``, ``last_tick`` and ``last_time`` (number of the newest tick
    and the time of its last reading; None and 0 before a trip), ``held_time`` and ``held_value`` (each signal's newest
    reading in this trip, [F]) are its whole state; arrays are replaced, never written to.
    """

    __slots__ = (
        *("_columns", "_gap_limit", "_hold", "_nothing_held", "_period"),
        *("held_time", "held_value", "last_tick", "last_time", "trip"),
    )

    def __init__(self, signals: tuple[Signal, ...], period: int, gap_limit: int) -> None:
        self._period, self._gap_limit = period, gap_limit
        self._hold, self._columns = once(_holds_of, signals), once(columns_by_aggregation, signals)
        self._nothing_held = once(_nothing_held, signals)
        self.trip = -1
        self.begin()

    def begin(self) -> None:
        """The next reading starts a new trip."""
        self.last_tick: int | None = None
        self.last_time = 0
        self.hold_nothing()

    def hold_nothing(self) -> None:
        """No signal has a reading to hold."""
        self.held_time, self.held_value = self._nothing_held

    def write(self, time: TimeArray, values: DoubleArray) -> tuple[TimeArray, IndexArray, DoubleArray]:
        """Ticks of rows (one per time, in order, at least one), with the empty ticks of short gaps before them.

        Tick times [T], trips [T], values [T, F].
        """
        number = time // self._period
        starts = group_starts(number)
        ends = np.append(starts[1:], len(time)) - 1
        number = number[starts]
        new_trip = self._trip_starts(time[starts], time[ends])
        # Each occupied tick brings along the empty ticks since the one before it, and stands last among them. One that
        # starts a trip brings none: what lies before it is a gap.
        previous = np.concatenate([[number[0] if self.last_tick is None else self.last_tick], number[:-1]])
        emitted = np.where(new_trip, 1, number - previous)
        own = np.cumsum(emitted) - 1
        tick_time = (np.repeat(number - own, emitted) + np.arange(own[-1] + 1)) * self._period
        trip = self.trip + np.cumsum(new_trip)
        result = np.full((len(tick_time), values.shape[1]), np.nan)
        result[own] = aggregate(values, starts, self._columns)
        # Holding needs each signal's newest reading at every tick, which is dear: not where no signal holds, and where
        # no value is missing only the last tick's readings are remembered.
        missing = np.isnan(result) if self._hold.any() else None
        if missing is not None and missing.any():
            held = self._held_after(time, values, ends, new_trip)
            result = self._filled(result, missing, tick_time, emitted, *held)
        elif missing is not None:
            self._hold_last(time[starts[-1] :], values[starts[-1] :])
        self.trip, self.last_tick, self.last_time = int(trip[-1]), int(number[-1]), int(time[-1])
        return tick_time, np.repeat(trip, emitted), result

    def _trip_starts(self, first: TimeArray, last: TimeArray) -> npt.NDArray[np.bool_]:
        """For each occupied tick whether it starts a trip, from its first and last reading's times."""
        started = np.empty(len(first), np.bool_)
        started[0] = self.last_tick is None or first[0] - self.last_time > self._gap_limit
        started[1:] = first[1:] - last[:-1] > self._gap_limit
        return started

    def _hold_last(self, time: TimeArray, values: DoubleArray) -> None:
        """Remember the newest readings, when the rows of the last tick have one of every signal."""
        newest = last_reading(values)[-1]
        self.held_time, self.held_value = time[newest], values[newest, np.arange(values.shape[1])]

    def _held_after(
        self, time: TimeArray, values: DoubleArray, ends: IndexArray, new_trip: npt.NDArray[np.bool_]
    ) -> tuple[TimeArray, DoubleArray]:
        """Time and value of each signal's newest reading in its trip, before the first and after each occupied tick.

        Both [K + 1, F]; time ``NEVER`` where the trip has none yet. The last rows are kept as state.
        """
        newest = last_reading(values)[ends]
        # The row in which each tick's trip starts, -1 for the trip that the block before left: a reading counts only
        # when it lies in its own trip, here or, for that trip, in the state.
        trip_start = np.maximum.accumulate(np.where(new_trip, np.concatenate([[0], ends[:-1] + 1]), -1))[:, None]
        known = newest >= np.maximum(trip_start, 0)
        carried = np.where(trip_start < 0, self.held_time, NEVER)
        held_time = np.concatenate([self.held_time[None], np.where(known, time[newest], carried)])
        held_value = np.where(known, values[newest, np.arange(values.shape[1])], self.held_value)
        held_value = np.concatenate([self.held_value[None], held_value])
        # Views of the last rows would keep all of them alive.
        self.held_time, self.held_value = held_time[-1].copy(), held_value[-1].copy()
        return held_time, held_value

    def _filled(
        self,
        result: DoubleArray,
        missing: npt.NDArray[np.bool_],
        tick_time: TimeArray,
        emitted: IndexArray,
        held_time: TimeArray,
        held_value: DoubleArray,
    ) -> DoubleArray:
        """``result`` with missing values held where their signal's limit allows."""
        # An empty tick may hold what was known before the next occupied one; an occupied tick what it has itself, too.
        source = np.repeat(np.arange(len(emitted)), emitted)
        source[np.cumsum(emitted) - 1] += 1
        hold = missing & (tick_time[:, None] - held_time[source] <= self._hold)
        filled: DoubleArray = np.where(hold, held_value[source], result)
        return filled


def _holds_of(signals: tuple[Signal, ...]) -> IndexArray:
    """For how long each signal's value is held, microseconds ``[F]``."""
    return np.array([round(signal.hold_s * SECOND) for signal in signals], np.int64)


def _nothing_held(signals: tuple[Signal, ...]) -> tuple[TimeArray, DoubleArray]:
    """What a trip holds before its first reading: times and values ``[F]``."""
    return np.full(len(signals), NEVER, np.int64), np.full(len(signals), np.nan)


def in_order(time: TimeArray) -> bool:
    """Whether times never fall."""
    return bool((time[1:] >= time[:-1]).all())


def group_starts(keys: TimeArray) -> IndexArray:
    """Index of the first row of each run of equal keys; ``keys`` [N], N >= 1."""
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(keys[1:] != keys[:-1]) + 1])


def merge(
    time: TimeArray, values: DoubleArray, repeated: Callable[[IndexArray, IndexArray], None]
) -> tuple[TimeArray, DoubleArray]:
    """Sort rows by time and make one row of each time; the larger value of a repeated key wins.

    ``repeated(duplicates, conflicts)``, both [F], is told how many readings repeated a key, and how many
    of those differed from the value kept so far. Rows of equal time must be in order of arrival.
    """
    if not in_order(time):
        # Stable, so that rows of one time stay in order of arrival, by which conflicts are counted.
        order = np.argsort(time, kind="stable")
        time, values = time[order], values[order]
    starts = group_starts(time)
    if len(starts) == len(time):
        return time, values
    present = np.add.reduceat(~np.isnan(values), starts, axis=0, dtype=np.int64)
    high = np.fmax.reduceat(values, starts, axis=0)
    if (present > 1).any():
        low = np.fmin.reduceat(values, starts, axis=0)
        repeated(np.maximum(present - 1, 0).sum(axis=0), _conflicts(values, starts, low < high))
    return time[starts], high


def _conflicts(values: DoubleArray, starts: IndexArray, differ: npt.NDArray[np.bool_]) -> IndexArray:
    """Readings per signal that differed from the value kept so far; ``differ`` [groups, F] says where to look."""
    found = np.zeros(values.shape[1], np.int64)
    ends = np.append(starts[1:], len(values))
    # A loop: two values under one key are rare, and which of them differed depends on those before.
    for group, column in np.argwhere(differ):
        cell = values[starts[group] : ends[group], column]
        cell = cell[~np.isnan(cell)]
        found[column] += np.count_nonzero(cell[1:] != np.maximum.accumulate(cell)[:-1])
    return found


def last_reading(values: DoubleArray) -> IndexArray:
    """For each row and signal the index of the newest row so far that holds a reading, or -1; [N, F]."""
    row = np.arange(len(values), dtype=np.int64)[:, None]
    return np.maximum.accumulate(np.where(np.isnan(values), -1, row), axis=0)


def columns_by_aggregation(signals: tuple[Signal, ...]) -> dict[Aggregation, IndexArray]:
    """Which columns are aggregated how; only the aggregations in use."""
    found: dict[Aggregation, IndexArray] = {}
    for name in dict.fromkeys(signal.aggregation for signal in signals):
        found[name] = np.array([i for i, signal in enumerate(signals) if signal.aggregation == name], np.int64)
    return found


def aggregate(values: DoubleArray, starts: IndexArray, columns: dict[Aggregation, IndexArray]) -> DoubleArray:
    """One row per tick, [K, F]: each signal's last reading, their mean, or the largest; NaN without a reading."""
    if len(starts) == len(values):
        return values
    result = np.empty((len(starts), values.shape[1]))
    for how, chosen in columns.items():
        part = values if len(chosen) == values.shape[1] else values[:, chosen]
        result[:, chosen] = AGGREGATE[how](part, starts)
    return result


def _last(values: DoubleArray, starts: IndexArray) -> DoubleArray:
    ends = np.append(starts[1:], len(values)) - 1
    picked: DoubleArray = values[ends]
    if not np.isnan(picked).any():
        return picked
    newest = last_reading(values)[ends]
    columns = np.arange(values.shape[1])
    return np.where(newest >= starts[:, None], values[newest, columns], np.nan)


def _mean(values: DoubleArray, starts: IndexArray) -> DoubleArray:
    missing = np.isnan(values)
    total = np.add.reduceat(np.where(missing, 0.0, values), starts, axis=0)
    count = np.add.reduceat(~missing, starts, axis=0, dtype=np.int64)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _max(values: DoubleArray, starts: IndexArray) -> DoubleArray:
    highest: DoubleArray = np.fmax.reduceat(values, starts, axis=0)
    return highest


AGGREGATE: Final[dict[Aggregation, Callable[[DoubleArray, IndexArray], DoubleArray]]] = {
    "last": _last,
    "mean": _mean,
    "max": _max,
}
