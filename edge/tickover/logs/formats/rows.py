"""The cells of a log to rows: a row's time, its vehicle and its values; long rows folded into wide ones."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.base import MAX_VEHICLES, Job
from tickover.logs.formats.header import Key, Keys, clean_column, shown

MISSING: Final = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
"""Cells that hold no reading, in lower case."""

Getter = Callable[[Key], object]


class BadRowError(Exception):
    """One row cannot be read; the message says what was expected and got."""


class Row(NamedTuple):
    """A parsed row: its stamp (``formats.times``), vehicle, and one value per signal; NaN = no reading."""

    stamp: int
    vehicle: str
    values: list[float]


def parse_row(get: Getter, keys: Keys, job: Job, index: int, fold: "Fold | None") -> Row | None:
    """The row behind ``get``; None when a long row went into ``fold`` instead. BadRowError when it cannot be read."""
    stamp = parse_stamp(get, keys, job, index)
    vehicle = job.vehicle if keys.vehicle is None else str(get(keys.vehicle) or "").strip()
    if not vehicle and keys.vehicle is not None:
        raise BadRowError(f"expected a vehicle in column '{job.mapping.log.vehicle_column}', got nothing")
    if fold is None or keys.signal is None or keys.value is None:
        return Row(stamp, vehicle, _values(get, keys, job))
    fold.add(stamp, vehicle, str(get(keys.signal) or ""), get(keys.value))
    return None


def _values(get: Getter, keys: Keys, job: Job) -> list[float]:
    values: list[float] = []
    decimal = job.mapping.log.decimal
    try:
        for key in keys.signals:
            values.append(parse_value(get(key), decimal))
    except BadRowError as error:
        raise BadRowError(f"column '{job.mapping.columns[len(values)]}': {error}") from None
    return values


def parse_stamp(get: Getter, keys: Keys, job: Job, index: int) -> int:
    """The stamp of a row; ``index`` is its place in the log, from 0."""
    time = job.mapping.time
    if keys.time is None:
        return rate_stamp(index, time.rate_hz or 1.0)
    cell = get(keys.time)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        stamp = times.stamp_of_number(cell, time.kind) if time.kind in times.UNITS else None
    else:
        stamp = times.parse_stamp(str(cell), time.kind) if cell is not None else None
    if stamp is None:
        raise BadRowError(f"column '{time.column}': expected {times.EXPECTED[time.kind]}, got {shown(cell)}")
    return stamp


def rate_stamp(index: int, rate_hz: float) -> int:
    """Row ``index``'s stamp at a fixed rate, microseconds."""
    return round(index * (SECOND / rate_hz))


def parse_value(cell: object, decimal: str = ".") -> float:
    """A cell as a number; NaN for no reading. BadRowError for anything else."""
    if cell is None:
        return math.nan
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            raise BadRowError(f"expected a number, got {shown(cell)}") from None
    if isinstance(cell, str):
        text = cell.replace(",", ".") if decimal == "," else cell
        number = times.parse_number(text)
        if number is not None:
            return number
        if text.strip().lower() in MISSING:
            return math.nan
    raise BadRowError(f"expected a number, got {shown(cell)}")


class Fold:
    """Folds long rows into wide ones: a vehicle's consecutive rows of one time are one row, until a signal repeats."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._position = {clean_column(column): index for index, column in enumerate(job.mapping.columns)}
        self._open: dict[str, Row] = {}
        self._done: list[Row] = []

    def add(self, stamp: int, vehicle: str, signal: str, cell: object) -> None:
        """Take one long row. A signal that the mapping does not name is counted and left out."""
        position = self._position.get(clean_column(signal))
        if position is None:
            self._job.counts["unmapped_readings"] += 1
            return
        try:
            value = parse_value(cell, self._job.mapping.log.decimal)
        except BadRowError as error:
            raise BadRowError(f"signal '{signal}': {error}") from None
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
