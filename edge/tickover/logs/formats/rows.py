"""What all log formats share: the header's check, a row's meaning, and how rows become ``Readings``."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.values import (
    SECOND,
    DoubleArray,
    Readings,
    TimeArray,
)
from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.times import Clock
from tickover.logs.mapping import Mapping, TimeKind

BLOCK_ROWS: Final = 16_384
"""Rows in a block of readings, at most."""
SAMPLE_ROWS: Final = 256
"""Rows read ahead to tell what kind of time a column holds."""
MAX_VEHICLES: Final = 10_000
MAX_COLUMNS: Final = 4_096
SHOWN_COLUMNS: Final = 40
SHOWN_CHARACTERS: Final = 60

MISSING: Final = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))
"""Cells that hold no reading, in lower case."""

Key = int | str
Getter = Callable[[Key], object]


class BadRowError(Exception):
    """One row cannot be read; the message says what was expected and what came."""


class Head(NamedTuple):
    """The columns of a log and its first rows as text (an empty text is no value).

    ``sparse``: rows name their own columns, so a signal may first appear later than in these rows.
    """

    columns: tuple[str, ...]
    samples: list[tuple[str, ...]]
    sparse: bool = False


@dataclass(frozen=True)
class Job:
    """One log to read: ``mapping`` has its time column and kind settled, ``start`` is microseconds since the epoch."""

    name: str
    mapping: Mapping
    vehicle: str = ""
    start: int = 0
    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    on_bad: Callable[[str], None] = lambda message: None

    def bad(self, line: int, problem: object) -> None:
        """Count and report a bad row; LogError when strict."""
        message = f"{self.name}:{line}: {problem}"
        if self.strict:
            raise LogError(message)
        self.counts["bad_rows"] += 1
        self.on_bad(message)


class Keys(NamedTuple):
    """Where a row holds what: positions (CSV) or names (JSON Lines). ``signals`` is empty for long rows."""

    time: Key | None
    vehicle: Key | None
    signals: tuple[Key, ...]
    signal: Key | None
    value: Key | None


class Row(NamedTuple):
    """A parsed row: its stamp (``formats.times``), vehicle, and one value per signal; NaN = no reading."""

    stamp: int
    vehicle: str
    values: list[float]


def clean_column(text: str) -> str:
    """A column's name without spaces around it, and with UTF-8 that was read as Windows-1252 put right (``Â°``)."""
    text = text.strip()
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def settle(mapping: Mapping, head: Head, name: str) -> Mapping:
    """Check the header against the mapping and settle the time column and its kind; LogError names the columns."""
    columns = [clean_column(column) for column in head.columns]
    time = mapping.time
    if time.kind != "rate":
        column = clean_column(time.column) or _time_column(columns, mapping, name)
        time = msgspec.structs.replace(time, column=column)
    wanted = [*([time.column] if time.column else []), *_wanted(mapping)]
    _check_columns(wanted, columns, name, mapping.columns if head.sparse and mapping.log.layout == "wide" else ())
    if time.kind == "auto":
        kind = _time_kind([row[columns.index(time.column)] for row in head.samples], time.column, name)
        time = msgspec.structs.replace(time, kind=kind)
    return msgspec.structs.replace(mapping, time=time)


def keys_of(mapping: Mapping, columns: Sequence[str]) -> Keys:
    """Positions of the mapped columns in a settled header."""
    position = {clean_column(column): index for index, column in reversed(list(enumerate(columns)))}
    return _keys(mapping, position)


def names_of(mapping: Mapping) -> Keys:
    """The mapped columns by name, for rows that carry their own names."""
    wanted = [mapping.time.column, *_wanted(mapping)]
    return _keys(mapping, {clean_column(column): column for column in wanted})


def parse_row(get: Getter, keys: Keys, job: Job, index: int, fold: "Fold | None") -> Row | None:
    """The row behind ``get``; None when a long row went into ``fold`` instead. BadRowError when it cannot be read."""
    stamp = parse_stamp(get, keys, job, index)
    vehicle = job.vehicle if keys.vehicle is None else str(get(keys.vehicle) or "").strip()
    if not vehicle and keys.vehicle is not None:
        raise BadRowError(f"expected a vehicle in column '{job.mapping.log.vehicle_column}', came nothing")
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
        raise BadRowError(f"column '{time.column}': expected {times.EXPECTED[time.kind]}, came {shown(cell)}")
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
            raise BadRowError(f"expected a number, came {shown(cell)}") from None
    if isinstance(cell, str):
        text = cell.replace(",", ".") if decimal == "," else cell
        number = times.parse_number(text)
        if number is not None:
            return number
        if text.strip().lower() in MISSING:
            return math.nan
    raise BadRowError(f"expected a number, came {shown(cell)}")


def shown(cell: object) -> str:
    """A cell for a message: quoted, printable, short."""
    text = ascii(cell) if not isinstance(cell, str) or not cell.isprintable() else repr(cell)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def listed(columns: Sequence[str]) -> str:
    """Column names for a message."""
    names = [shown(column).strip("'") for column in columns[:SHOWN_COLUMNS]]
    more = len(columns) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


class Collector:
    """Makes parsed rows into blocks of readings, vehicle by vehicle, with the mapping's scale and offset.

    ``fold``: where ``parse_row`` puts the rows of a long log; None for a wide one.
    """

    def __init__(self, job: Job) -> None:
        self.fold = Fold(job) if job.mapping.log.layout == "long" else None
        self._job = job
        self._signals = job.mapping.names
        self._clocks: dict[str, Clock] = {}
        columns = job.mapping.signals.values()
        self._scale = np.array([column.scale for column in columns])
        self._offset = np.array([column.offset for column in columns])
        self._plain = bool((self._scale == 1).all() and (self._offset == 0).all())

    def rows(self, rows: Iterable[Row]) -> Iterator[Readings]:
        """Blocks of readings from parsed rows, in order, and from what they completed in the fold."""
        yield from self._grouped([*rows, *(self.fold.take() if self.fold else ())])

    def end(self) -> Iterator[Readings]:
        """What long rows left open at the end of the log."""
        if self.fold:
            yield from self._grouped(self.fold.end())

    def _grouped(self, rows: Sequence[Row]) -> Iterator[Readings]:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.vehicle, []).append(row)
        for vehicle, group in groups.items():
            stamps = np.array([row.stamp for row in group], np.int64)
            yield from self.block(vehicle, stamps, np.array([row.values for row in group], np.float64))

    def block(self, vehicle: str, stamps: TimeArray, values: DoubleArray) -> Iterator[Readings]:
        """Blocks of readings from one vehicle's arrays: stamps ``[N]`` and raw values ``[N, F]``."""
        self._job.counts["rows"] += len(stamps)
        time = self._clock(vehicle).absolute(stamps)
        if not self._plain:
            values = values * self._scale + self._offset
        for first in range(0, len(time), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            yield Readings(vehicle, self._signals, time[part], values[part])

    def _clock(self, vehicle: str) -> Clock:
        if vehicle not in self._clocks:
            if len(self._clocks) >= MAX_VEHICLES:
                raise LogError(f"{self._job.name}: expected at most {MAX_VEHICLES} vehicles in one log")
            self._clocks[vehicle] = Clock(self._job.mapping.time.kind, self._job.start)
        return self._clocks[vehicle]


class Fold:
    """Folds long rows into wide ones: a vehicle's consecutive rows of one time, until a signal comes twice."""

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


def _wanted(mapping: Mapping) -> list[str]:
    """The columns that a log must have besides its time."""
    log = mapping.log
    vehicle = [log.vehicle_column] if log.vehicle_column else []
    return vehicle + ([log.signal_column, log.value_column] if log.layout == "long" else list(mapping.columns))


def _keys(mapping: Mapping, key: Table[str, Key]) -> Keys:
    log, long = mapping.log, mapping.log.layout == "long"
    return Keys(
        time=key[clean_column(mapping.time.column)] if mapping.time.kind != "rate" else None,
        vehicle=key[clean_column(log.vehicle_column)] if log.vehicle_column else None,
        signals=() if long else tuple(key[clean_column(column)] for column in mapping.columns),
        signal=key[clean_column(log.signal_column)] if long else None,
        value=key[clean_column(log.value_column)] if long else None,
    )


def _time_column(columns: Sequence[str], mapping: Mapping, name: str) -> str:
    """The column whose name says that it holds the time."""
    taken = {clean_column(column) for column in _wanted(mapping)}
    found = times.called_time([column for column in columns if column not in taken])
    if found:
        return found[0]
    raise LogError(
        f"{name}:1: expected a time column, called one of {', '.join(times.TIME_NAMES)} or named by the mapping's "
        f"time.column; came {listed(columns)}"
    )


def _time_kind(cells: Sequence[str], column: str, name: str) -> TimeKind:
    """The kind of time that most of the first cells hold; a log without rows has none to tell."""
    kind = times.kind_of(cells, column)
    if kind:
        return kind
    if cells:
        expected = "ISO, epoch, time of day or seconds"
        raise LogError(f"{name}:2: column '{column}': expected a time ({expected}), came {shown(cells[0])}")
    return "iso"


def _check_columns(wanted: Sequence[str], columns: Sequence[str], name: str, any_of: Sequence[str]) -> None:
    """Every wanted column exactly once; of those in ``any_of``, one is enough."""
    wanted = [clean_column(column) for column in wanted]
    missing = [column for column in wanted if column not in columns]
    twice = [column for column in wanted if columns.count(column) > 1]
    optional = {clean_column(column) for column in any_of}
    if optional.intersection(columns):
        missing = [column for column in missing if column not in optional]
    if missing or twice:
        there = [column for column in wanted if column not in missing]
        problem = f"there twice: {listed(twice)}" if twice else _lacking(missing, there)
        raise LogError(f"{name}:1: expected columns {listed(wanted)}; {problem}; came {listed(columns)}")


def _lacking(missing: Sequence[str], there: Sequence[str]) -> str:
    """What is missing, or what is there if that is shorter to say."""
    if len(missing) <= len(there):
        return f"missing: {listed(missing)}"
    return f"there: only {listed(there)}" if there else "there: none of them"
