"""The cells of a log to readings, column by column: times, vehicles and values; long rows folded into wide ones.

A cell that cannot be read costs itself; a row without a time or a vehicle is a bad row.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from tickover.core.values import SECOND, DoubleArray, Readings
from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.base import MAX_VEHICLES, Job, shown
from tickover.logs.formats.cells import SILENT, Column
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import Key, Keys, clean_column

GetColumn = Callable[[Key], Sequence[object]]
_FAST_KINDS: Final = tuple(times.UNITS)


class BadRowError(Exception):
    """One row cannot be read; the message says what was expected and got."""


class Row(NamedTuple):
    """A folded row: its stamp (``formats.times``), vehicle, and one value per signal; NaN = no reading."""

    stamp: int
    vehicle: str
    values: list[float]


class RowReader:
    """Makes readings of rows that are given as columns of cells."""

    def __init__(self, job: Job, keys: Keys, collector: Collector) -> None:
        self._job = job
        self._keys = keys
        self._collector = collector
        self._stamps = StampReader(job)
        missing = job.mapping.log.missing
        self._columns = [job.evidence.column(clean_column(name), missing) for name in job.mapping.columns]
        # One column of long rows holds the numbers of some signals and the switches of others.
        of_long = dataclasses.replace(job.evidence, numbers=frozenset())
        self._value = of_long.column(clean_column(job.mapping.log.value_column), missing)
        self._fold = Fold(job, self._value) if job.mapping.log.layout == "long" else None

    def rows(self, get: GetColumn, places: Sequence[int], first: int) -> Iterator[Readings]:
        """Blocks of readings. ``places``: each row's line, for messages; ``first``: the number of the first, from 0."""
        stamps = self._stamps.stamps(get, self._keys, places, first)
        vehicles = None if self._keys.vehicle is None else self._vehicles(get(self._keys.vehicle), stamps, places)
        if self._fold:
            yield from self._folded(get, stamps, vehicles, places)
            return
        good = [row for row, stamp in enumerate(stamps) if stamp is not None]
        values = np.empty((len(good), len(self._columns)))
        for index, (key, column) in enumerate(zip(self._keys.signals, self._columns, strict=True)):
            cells = get(key)
            cells = cells if len(good) == len(cells) else [cells[row] for row in good]
            values[:, index] = self._numbers(cells, column, index, places, good)
        moments = np.array([stamps[row] for row in good], np.int64)
        if vehicles is None:
            yield from self._collector.block(self._job.vehicle, moments, values)
            return
        groups: dict[str, list[int]] = {}
        for place, row in enumerate(good):
            groups.setdefault(vehicles[row], []).append(place)
        for vehicle, members in groups.items():
            yield from self._collector.block(vehicle, moments[members], values[members])

    def end(self) -> Iterator[Readings]:
        """What long rows left open at the end of the log."""
        if self._fold:
            yield from self._grouped(self._fold.end())

    def _vehicles(self, cells: Sequence[object], stamps: list[int | None], places: Sequence[int]) -> list[str]:
        """Each row's vehicle; a row without one is bad, and its stamp taken away."""
        vehicles = ["" if cell is None else str(cell).strip() for cell in cells]
        for row, vehicle in enumerate(vehicles):
            if not vehicle and stamps[row] is not None:
                column = self._job.mapping.log.vehicle_column
                self._job.bad(places[row], f"expected a vehicle in column '{column}', got nothing")
                stamps[row] = None
        return vehicles

    def _numbers(
        self, cells: Sequence[object], column: Column, index: int, places: Sequence[int], good: list[int]
    ) -> DoubleArray:
        plain = column.numbers(cells)
        if plain is not None:
            return plain
        signal, where = self._job.mapping.names[index], f"column '{self._job.mapping.columns[index]}'"
        values = np.empty(len(cells))
        for row, cell in enumerate(cells):
            value = column.value(cell)
            values[row] = read_cell(value, cell, signal, where, places[good[row]], self._job)
        return values

    def _folded(
        self, get: GetColumn, stamps: list[int | None], vehicles: list[str] | None, places: Sequence[int]
    ) -> Iterator[Readings]:
        signal, value, fold = self._keys.signal, self._keys.value, self._fold
        if signal is None or value is None or fold is None:
            return
        names, cells = get(signal), get(value)
        for row, stamp in enumerate(stamps):
            if stamp is not None:
                vehicle = self._job.vehicle if vehicles is None else vehicles[row]
                fold.add(stamp, vehicle, str(names[row] or ""), cells[row], places[row])
        yield from self._grouped(fold.take())

    def _grouped(self, rows: Sequence[Row]) -> Iterator[Readings]:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.vehicle, []).append(row)
        for vehicle, group in groups.items():
            stamps = np.array([row.stamp for row in group], np.int64)
            yield from self._collector.block(vehicle, stamps, np.array([row.values for row in group], np.float64))


def read_cell(value: float | None, cell: object, signal: str, where: str, place: int | str, job: Job) -> float:
    """The value of a cell, NaN for none; what it says besides is counted."""
    if value is None:
        job.bad_cell(place, signal, where, cell)
        return math.nan
    if value != value and isinstance(cell, str) and cell.strip().lower() not in SILENT:
        job.missing_cell(signal, cell)
    elif isinstance(cell, float) and math.isinf(value):
        job.missing_cell(signal, str(cell))
        return math.nan
    return value


class StampReader:
    """Reads the time of each row."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._time = job.mapping.time
        self._decimal = job.evidence.column(clean_column(self._time.column)).decimal

    def stamps(self, get: GetColumn, keys: Keys, places: Sequence[int], first: int) -> list[int | None]:
        """The rows' stamps; None for a bad row, which is reported."""
        if keys.time is None:
            rate = self._time.rate_hz or 1.0
            return [rate_stamp(first + row, rate) for row in range(len(places))]
        cells = get(keys.time)
        if keys.date is not None:
            cells = [f"{day} {clock}" for day, clock in zip(get(keys.date), cells, strict=True)]
        found = [self.stamp(cell) for cell in cells]
        if None in found:
            for row, stamp in enumerate(found):
                if stamp is None:
                    expected = times.EXPECTED[self._time.kind]
                    where = f"column '{self._time.column}'"
                    self._job.bad(places[row], f"{where}: expected {expected}, got {shown(cells[row])}")
        return found

    def stamp(self, cell: object) -> int | None:
        """The stamp in one cell; None when it is no such time."""
        kind = self._time.kind
        if isinstance(cell, int | float) and not isinstance(cell, bool) and kind != "date":
            return times.stamp_of_number(cell, kind) if kind in _FAST_KINDS else None
        return times.parse_stamp(str(cell), kind, self._decimal, self._time.format) if cell is not None else None


def rate_stamp(index: int, rate_hz: float) -> int:
    """Row ``index``'s stamp at a fixed rate, microseconds."""
    return round(index * (SECOND / rate_hz))


class Fold:
    """Folds long rows into wide ones: a vehicle's consecutive rows of one time are one row, until a signal repeats."""

    def __init__(self, job: Job, column: Column) -> None:
        self._job = job
        self._column = column
        self._position = {clean_column(column): index for index, column in enumerate(job.mapping.columns)}
        self._open: dict[str, Row] = {}
        self._done: list[Row] = []

    def add(self, stamp: int, vehicle: str, signal: str, cell: object, place: int | str) -> None:
        """Take one long row. A signal that the mapping does not name is counted and left out."""
        position = self._position.get(clean_column(signal))
        if position is None:
            self._job.counts["unmapped_readings"] += 1
            return
        name = self._job.mapping.names[position]
        value = read_cell(self._column.value(cell), cell, name, f"signal '{signal}'", place, self._job)
        row = self._open.get(vehicle)
        # A signal that repeats at the same time begins another row: both values are readings, and ticks decide between.
        if row is None or row.stamp != stamp or not math.isnan(row.values[position]):
            row = self._begin(stamp, vehicle)
        row.values[position] = value

    def take(self) -> list[Row]:
        """The rows that are complete."""
        done, self._done = self._done, []
        return done

    def end(self) -> list[Row]:
        """The rest, at the end of the log."""
        done = [*self.take(), *self._open.values()]
        self._open = {}
        return done

    def _begin(self, stamp: int, vehicle: str) -> Row:
        if vehicle in self._open:
            self._done.append(self._open[vehicle])
        elif len(self._open) >= MAX_VEHICLES:
            raise LogError(f"{self._job.name}: expected at most {MAX_VEHICLES} vehicles in one log")
        self._open[vehicle] = Row(stamp, vehicle, [math.nan] * len(self._position))
        return self._open[vehicle]
