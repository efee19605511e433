"""Rows of many vehicles at once, as long as they come in order: what `tickover.daemon.fleet` does vehicle by vehicle.

A vehicle is *lent* while its rows are taken here: what its arrivals, its newest readings and its ticks know lies in
arrays, a row a vehicle. It is given back before the first row that might mean more than the next one: late, repeated,
behind, out of range, after a gap. How its rows are cut never matters, so the rest of them is read the slow way.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from tickover.core.arrivals import MAX_TIME, Arrivals
from tickover.core.columns import Columns, Rows, all_of, any_of, place_of
from tickover.core.emitted import FEW
from tickover.core.pipeline import Pipeline
from tickover.core.seen import KeyArray, keys_of
from tickover.core.values import DoubleArray, TimeArray
from tickover.daemon import events

MOST_ROWS: Final = 64
"""Of a vehicle at once; more are taken faster alone."""
KEYS: Final = 16
"""Keys of rows that are gathered before they are put to what was seen."""
KEPT: Final = 128
"""The most rows of a vehicle that are kept until their keys are made."""
UNKEYED: Final = 16
"""The most vehicles of which rows are kept."""
RESTS: Final = 2
"""Events of a vehicle after it was given back until it may be lent again: some need the slow way all the time."""

Place = slice | list[int]
"""Where a model's signals stand in the columns."""


class Lent:
    """One vehicle's part: its arrivals, its ``row``, how many events it ``rests``, and rows whose keys are not made."""

    __slots__ = ("arrivals", "rests", "row", "unkeyed")

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals, self.row, self.rests = arrivals, -1, 0
        self.unkeyed: list[events.Rows] = []


class SideBySide:
    """Of a fleet's ``pipelines``, each with the ``places`` of its signals among ``width`` columns; ``window`` as there.

    ``last`` ``[width]`` of a vehicle, the times of the newest readings, is lent and given back by the caller.
    """

    def __init__(self, pipelines: Mapping[str, Pipeline], places: Mapping[str, Place], width: int, window: int) -> None:
        self._pipelines, self._width, self._remembers = pipelines, width, window > 0
        self._places = [(pipeline, places[name]) for name, pipeline in pipelines.items()]
        self.rows: dict[str, int] = {}
        """The vehicles that are lent, and their rows."""
        self._lent: dict[str, Lent] = {}
        self._by_row: dict[int, Lent] = {}
        self._unkeyed: dict[int, Lent] = {}
        """Those of which rows are kept, by row."""
        self._columns = Columns(
            {
                "newest": (np.int64, ()),
                "last": (np.int64, (width,)),
                "key_time": (np.int64, (KEYS,)),
                "key": (np.uint64, (KEYS,)),
                "keys": (np.int64, ()),
            }
        )

    def lend(self, vehicle: str, arrivals: Arrivals, last: TimeArray) -> bool:
        """Whether the vehicle's rows can be taken here from now on."""
        lent = self._lent.get(vehicle)
        if lent is None or lent.arrivals is not arrivals:
            lent = self._lent[vehicle] = Lent(arrivals)
        if lent.rests > 0:
            lent.rests -= 1
            return False
        newest = arrivals.lend()
        if newest is None:
            return False
        row = self._columns.take()
        done: list[Pipeline] = []
        for pipeline in self._pipelines.values():
            if not pipeline.lend(vehicle, row):
                for one in done:
                    one.take_back([vehicle])
                self._columns.give_back(row)
                lent.rests = RESTS
                return False
            done.append(pipeline)
        columns = self._columns.arrays
        columns["newest"][row], columns["last"][row], columns["keys"][row] = newest, last, 0
        lent.row, self._by_row[row], self.rows[vehicle] = row, lent, row
        return True

    def newest(self, vehicle: str) -> int:
        """The front of a vehicle that is lent."""
        return int(self._columns["newest"][self.rows[vehicle]])

    def last(self, vehicle: str) -> TimeArray:
        """When each column of a vehicle that is lent was last read, ``[width]``."""
        found: TimeArray = self._columns["last"][self.rows[vehicle]].copy()
        return found

    def quiet(self, vehicles: list[str], stale: TimeArray, never: int) -> set[str]:
        """Of vehicles that are lent, those with a signal not read for its ``stale`` microseconds ``[width]``, though
        it was once."""
        rows = np.array([self.rows[vehicle] for vehicle in vehicles], np.int64)
        last, newest = self._columns.of("last", rows), self._columns.of("newest", rows)
        each = (last < newest[:, None] - stale) & (last != never)
        if not any_of(each):
            return set()
        quiet = each.any(axis=1)
        return {vehicles[place] for place in np.flatnonzero(quiet).tolist()}

    def is_quiet(self, vehicle: str, stale: TimeArray, never: int) -> bool:
        """`quiet` of one vehicle."""
        row, columns = self.rows[vehicle], self._columns.arrays
        last = columns["last"][row]
        quiet = last < columns["newest"].item(row) - stale
        return any_of(quiet) and any_of(quiet & (last != never))

    def give_back(self, vehicles: Collection[str], keep: bool = False) -> None:
        """Bring vehicles that are lent up to date, all but their ``last``; they may ``keep`` their rows."""
        for pipeline in self._pipelines.values():
            pipeline.take_back(vehicles, keep)
        for vehicle in vehicles:
            lent = self._lent[vehicle]
            self._settle(lent)
            if not keep:
                self._drop(vehicle, lent)
                lent.rests = RESTS

    def forget(self, vehicle: str) -> None:
        """The vehicle is nobody's any more."""
        lent = self._lent.pop(vehicle, None)
        if lent is not None and lent.row >= 0:
            self._drop(vehicle, lent)

    def take(self, pending: Mapping[str, events.Rows]) -> dict[str, int]:
        """Take the rows of vehicles that are lent; of those that are to be given back, how many were taken."""
        vehicles, every = list(pending), list(pending.values())
        lengths = [len(event.time) // events.TIME_BYTES for event in every]
        if len(vehicles) <= FEW and max(lengths) == 1:
            return {vehicle: 0 for vehicle, event in pending.items() if not self._take_one(vehicle, event)}
        sizes = np.array(lengths, np.int64)
        time = np.frombuffer(b"".join([event.time for event in every]), "<i8")
        values = np.frombuffer(b"".join([event.values for event in every]), "<f8").reshape(-1, self._width)
        first = np.cumsum(sizes) - sizes
        rows = np.array([self.rows[vehicle] for vehicle in vehicles], np.int64)
        going = np.arange(len(vehicles))
        left: dict[str, int] = {}
        for number in range(max(lengths)):
            if number >= min(lengths):
                going = going[sizes[going] > number]
            place = first[going] + number if len(vehicles) > 1 else slice(number, number + 1)
            taken = self._take(rows[going], time[place], values[place])
            if not all_of(taken):
                left |= {vehicles[one]: number for one in going[~taken].tolist()}
                going = going[taken]
                if not len(going):
                    break
        return left

    def _take_one(self, vehicle: str, event: events.Rows) -> bool:
        """`_take` of one row of one vehicle, in plain numbers, which cost less than arrays of one row."""
        row, columns = self.rows[vehicle], self._columns.arrays
        time = int.from_bytes(event.time, "little", signed=True)
        values = np.frombuffer(event.values, "<f8")
        if not columns["newest"].item(row) < time <= MAX_TIME:
            return False
        for pipeline, place in self._places:
            if not pipeline.may_one(row, time, values[place]):
                return False
        columns["newest"][row] = time
        missing = np.isnan(values)
        if any_of(missing):
            columns["last"][row, ~missing] = time
        else:
            columns["last"][row] = time
        if self._remembers:
            self._remember_later(self._lent[vehicle], event)
        for pipeline, place in self._places:
            pipeline.take_one(row, time, values[place])
        return True

    def _remember_later(self, lent: Lent, event: events.Rows) -> None:
        """Keep a row, whose key is made with those of others: of one alone it costs ten times as much."""
        lent.unkeyed.append(event)
        self._unkeyed[lent.row] = lent
        if len(lent.unkeyed) == KEPT:
            self._settle(lent)
        elif len(self._unkeyed) > UNKEYED:
            self._settle_unkeyed()

    def _settle_unkeyed(self) -> None:
        for lent in list(self._unkeyed.values()):
            self._settle(lent)

    def _take(self, rows: Rows, time: TimeArray, values: DoubleArray) -> Any:
        """Take a row of each, if it is no more than the next; bool ``[V]`` whose was taken."""
        may = (time > self._columns.of("newest", rows)) & (time <= MAX_TIME)
        for pipeline, place in self._places:
            may &= pipeline.may(rows, time, values[:, place])
        if not all_of(may):
            rows, time, values = rows[may], time[may], values[may]
            if not len(rows):
                return may
        columns, at = self._columns.arrays, place_of(rows)
        columns["newest"][at] = time
        missing = np.isnan(values)
        stamp = time[:, None]
        columns["last"][at] = np.where(missing, columns["last"][at], stamp) if any_of(missing) else stamp
        if self._remembers:
            self._remember(rows, time, keys_of(time, values))
        for pipeline, place in self._places:
            pipeline.take(rows, time, values[:, place])
        return may

    def _remember(self, rows: Rows, time: TimeArray, keys: KeyArray) -> None:
        if self._unkeyed:
            self._settle_unkeyed()  # what was kept came before
        columns = self._columns.arrays
        count = self._columns.of("keys", rows)
        place = place_of(rows * KEYS + count)
        columns["key_time"].reshape(-1)[place], columns["key"].reshape(-1)[place] = time, keys
        count += 1
        columns["keys"][place_of(rows)] = count
        full = count == KEYS
        if any_of(full):
            for row in rows[full].tolist():
                self._settle(self._by_row[row])

    def _settle(self, lent: Lent) -> None:
        """Bring a vehicle's arrivals up to date."""
        columns, row = self._columns.arrays, lent.row
        count = int(columns["keys"][row])
        time, keys = columns["key_time"][row, :count].copy(), columns["key"][row, :count].copy()
        if lent.unkeyed:
            kept = events.joined(lent.unkeyed).arrays(self._width)
            time, keys = np.concatenate([time, kept[0]]), np.concatenate([keys, keys_of(*kept)])
            lent.unkeyed = []
            del self._unkeyed[row]
        lent.arrivals.give(int(columns["newest"][row]), time, keys)
        columns["keys"][row] = 0

    def _drop(self, vehicle: str, lent: Lent) -> None:
        if self._unkeyed.pop(lent.row, None):
            lent.unkeyed = []
        del self.rows[vehicle]
        self._columns.give_back(lent.row)
        del self._by_row[lent.row]
        lent.row = -1
