"""Readings to ticks as array arithmetic: merging equal times, aggregating, holding. No state, no clock.

Rows are readings of one time, in order of time; NaN = no reading. N rows, K occupied ticks, F signals.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.manifest import Aggregation, Signal
from tickover.records import DoubleArray, TimeArray

IndexArray = npt.NDArray[np.int64]
NEVER: Final = -(2**62)
"""A reading time before all others: nothing to hold."""


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
    picked = values[ends]
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
