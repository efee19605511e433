"""The first guess at a log's mapping, from its header and first rows: time, vehicle, layout and columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from tickover.core.time_format import iso
from tickover.errors import LogError
from tickover.logs import dates
from tickover.logs.formats import times
from tickover.logs.formats.base import Head, shown
from tickover.logs.formats.cells import MISSING, WORDS, Column
from tickover.logs.formats.header import clean_column, listed
from tickover.logs.kinds import Decision, decision
from tickover.logs.mapping import RELATIVE_KINDS, LogLayout, Mapping, TimeColumn
from tickover.logs.physics import kind_by_name, words_of
from tickover.logs.reading import column_texts
from tickover.logs.vehicle_column import by_times, is_named, share_times

NUMERIC_SHARE: Final = 0.9
"""A column is numeric when at least this share of its first cells is."""
ENOUGH: Final = 8
HALF: Final = 0.5
FEW_TEXTS: Final = 3
"""Where more cells are texts, the column still is numeric when they are at most half of the cells and so few texts."""
FEW_VALUES: Final = 12
SHOWN_VALUES: Final = 4

VEHICLES: Final = (
    *(
        "vehicle",
        "vehicle_id",
        "vehicle_name",
        "truck",
        "truck_id",
        "truck_name",
        "vin",
        "asset",
        "asset_id",
        "asset_name",
    ),
    *(
        "imei",
        "device_id",
        "deviceid",
        "device",
        "device_name",
        "unit_id",
        "fleet_number",
        "fleet_no",
        "plate",
        "license_plate",
    ),
    *(
        "licence_plate",
        "registration",
        "reg_no",
        "kennzeichen",
        "fahrzeug",
        "fahrzeug_id",
        "car",
        "car_id",
        "bus_id",
    ),
    *(
        "vehicleid",
        "vehicle_no",
        "vehicle_number",
        "machine",
        "machine_id",
        "equipment_id",
        "entity",
        "host",
        "thing_id",
    ),
)
SIGNAL_NAMES: Final = (
    *("signal", "signal_name", "signalname", "sensor", "sensor_name", "parameter", "pid", "spn", "channel", "variable"),
    *(
        "_field",
        "field",
        "metric",
        "tag",
        "tagname",
        "tag_name",
        "item",
        "key",
        "measurement",
        "quantity",
        "path",
        "name",
    ),
)
VALUE_NAMES: Final = ("value", "_value", "reading", "val", "wert", "value_num", "valor", "valeur", "numeric_value")
UNIT_NAMES: Final = ("unit", "units", "uom", "einheit")
DATE_NAMES: Final = ("date", "datum", "fecha", "data", "day", "tag", "date_utc", "local_date", "utc_date", "gps_date")
"""Column names as `physics.words_of` writes them, the likeliest first."""
MILLISECONDS: Final = frozenset(("milliseconds", "millis", "msec", "ms", "millisecond", "millisekunden"))
"""Columns that hold what a time in whole seconds leaves off."""
FLUX: Final = frozenset(("result", "table", "_start", "_stop", "_measurement"))
"""Columns of an annotated InfluxDB CSV that say nothing of a vehicle."""


@dataclass
class Guess:
    """The mapping without signals; the columns (or long signals) that may be signals, and their units."""

    mapping: Mapping
    columns: list[str] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def first_guess(heads: Sequence[tuple[str | Path, Head]], given: Mapping) -> Guess:
    """Columns, layout and time from the first rows; no ranges yet. ``given``: what is known."""
    path, head = heads[0]
    sheet = _Sheet(head, given)
    guess = Guess(given, notes=list(head.notes))
    columns = _shared_columns(heads, sheet.columns, guess.notes)
    # A format with times of its own has channels, not columns of which one may be the time or the vehicle.
    log = given.log if head.own_time else _layout(sheet, given.log)
    time = given.time if head.own_time else _time(sheet, given.time, str(path))
    if not log.vehicle_column and not head.own_time:
        log = msgspec.structs.replace(log, vehicle_column=_vehicle_by_times(sheet, time, log))
    guess.mapping = msgspec.structs.replace(given, time=time, log=log)
    if log.layout == "long":
        _long_signals(sheet, log, path, guess)
    else:
        _wide_signals(sheet, columns, time, log, guess)
    if head.evidence.decimal == ",":
        guess.notes.append("decimal commas: 1,5 is read as one and a half")
    if head.start is not None and time.kind in RELATIVE_KINDS:
        guess.notes.append(f"the log says that it began at {iso(head.start)}: its times count from there (--start)")
    if log.vehicle_column:
        guess.notes.append(f"vehicles: column '{log.vehicle_column}' (log.vehicle_column)")
    return guess


class _Sheet:
    """The first rows by column."""

    def __init__(self, head: Head, given: Mapping) -> None:
        self.head = head
        self.columns = [clean_column(column) for column in head.columns]
        cells = list(zip(*head.samples, strict=True)) if head.samples else [()] * len(self.columns)
        self.cells = {
            column: [cell for cell in part if cell.strip().lower() not in MISSING]
            for column, part in zip(self.columns, cells, strict=True)
        }
        self.whole = dict(zip(self.columns, cells, strict=True))
        self.units = {clean_column(column): unit for column, unit in head.units.items()}
        self.missing = given.log.missing
        self.words: dict[str, str] = {}
        for column in self.columns:
            self.words.setdefault(words_of(column) if not column.startswith("_") else column.lower(), column)

    def named(self, names: Sequence[str]) -> list[str]:
        """The columns with one of these names, in the order of the names."""
        return [self.words[name] for name in names if name in self.words]

    def reader(self, column: str) -> Column:
        """What reads the column's cells."""
        return self.head.evidence.column(column, self.missing)

    def numbers(self, column: str) -> bool:
        """Whether most cells are numbers; so is a column without any."""
        cells, reader = self.cells[column], self.reader(column)
        texts = [cell for cell in cells if reader.value(cell) is None]
        few = len(cells) >= ENOUGH and len(texts) <= HALF * len(cells) and len(set(texts)) <= FEW_TEXTS
        # A sensor that is off for most of the log, as one text, and measures for the rest.
        measured = len(set(texts)) == 1 and len(set(cells)) > ENOUGH
        return len(texts) <= (1 - NUMERIC_SHARE) * len(cells) or few or measured

    def kind(self, column: str) -> str | None:
        """The kind of time that most cells are; None when most are none."""
        cells = self.cells[column]
        decimal = self.head.evidence.column(column).decimal
        timed = [cell for cell in cells if times.detect_kind(cell, decimal)]
        return times.kind_of(timed, column, decimal) if 2 * len(timed) > len(cells) else None


def _shared_columns(heads: Sequence[tuple[str | Path, Head]], columns: list[str], notes: list[str]) -> list[str]:
    for other, its_head in heads[1:]:
        its_columns = {clean_column(column) for column in its_head.columns}
        absent = [column for column in columns if column not in its_columns]
        if absent and not its_head.sparse:
            notes.append(f"{other}: has no {listed(absent)}; left out")
            columns = [column for column in columns if column in its_columns]
    return columns


def _layout(sheet: _Sheet, given: LogLayout) -> LogLayout:
    signal = next((one for one in sheet.named(SIGNAL_NAMES) if _repeats(sheet.cells[one])), "")
    value = next(iter(sheet.named(VALUE_NAMES)), "")
    name, number = sheet.words.get("n"), sheet.words.get("v")
    if name and number and not (signal and value) and not sheet.numbers(name) and _repeats(sheet.cells[name]):
        signal, value = name, number  # SenML
    likely = dict.fromkeys([*sheet.named(VEHICLES), *(one for one in sheet.columns if is_named(one))])
    vehicle = given.vehicle_column or next((one for one in likely if _is_vehicle(sheet, one)), "")
    if given.vehicle_column and clean_column(given.vehicle_column) not in sheet.cells:
        raise LogError(
            f"expected the vehicle column '{given.vehicle_column}', got {listed(sheet.columns)}; check --vehicle-column"
        )
    log = msgspec.structs.replace(given, vehicle_column=vehicle)
    if given.layout == "long":
        return log
    if signal and value and signal != vehicle:
        return msgspec.structs.replace(log, layout="long", signal_column=signal, value_column=value)
    return log


def _vehicle_by_times(sheet: _Sheet, time: TimeColumn, log: LogLayout) -> str:
    """The column that tells rows of one time apart, whatever it is called."""
    if time.kind == "rate":
        return ""
    parts = [sheet.whole[column] for column in (time.date_column, time.column) if column]
    if log.layout == "long":
        parts.append(sheet.whole[log.signal_column])
    moments = [" ".join(cells) for cells in zip(*parts, strict=True)]
    if not share_times(moments):
        return ""
    taken = {time.column, time.date_column, log.signal_column, log.value_column}
    numbers = [column for column in sheet.columns if column not in taken and sheet.numbers(column)]
    texts = {
        column: sheet.whole[column]
        for column in sheet.columns
        if column not in taken and (column not in numbers or kind_by_name(column) == "id")
    }
    filled = {column: [cell.strip().lower() not in MISSING for cell in sheet.whole[column]] for column in numbers}
    return by_times(moments, texts, filled, lambda column: sheet.kind(column) is None or column in numbers)


def _repeats(cells: Sequence[str]) -> bool:
    """Whether a column has names that come again."""
    return not cells or len(set(cells)) < len(cells) or len(cells) < 3


def _is_vehicle(sheet: _Sheet, column: str) -> bool:
    cells = sheet.cells[column]
    several = len(set(cells)) <= max(2, len(cells) // 2)
    whole = all(not any(mark in cell for mark in ".,") or not cell[:1].isdigit() for cell in cells)
    return bool(cells) and several and whole


def _time(sheet: _Sheet, given: TimeColumn, name: str) -> TimeColumn:
    """The time column by its name, else the first column whose cells are dates or times of day."""
    if given.rate_hz is not None or given.kind == "rate":
        return msgspec.structs.replace(given, kind="rate")
    if given.column and clean_column(given.column) not in sheet.cells:
        raise LogError(f"{name}:1: expected the time column '{given.column}', got {listed(sheet.columns)}")
    named = [clean_column(given.column)] if given.column else times.called_time(sheet.columns)
    kinds = {column: sheet.kind(column) for column in named}
    found = [column for column in named if kinds[column]] or named[:1]
    if not found:
        found = [
            column
            for column in sheet.columns
            if sheet.cells[column] and sheet.kind(column) in ("iso", "date", "time_of_day")
        ][:1]
    if not found:
        raise LogError(
            f"{name}:1: expected a time column, got {listed(sheet.columns)}; for rows at a fixed rate, give it: "
            '--rate-hz 1, or a mapping with [time] kind = "rate" and rate_hz; or name the column: --time-column'
        )
    column = found[0]
    kind = given.kind if given.kind != "auto" else ("date" if given.format else sheet.kind(column))
    if kind is None:
        cells = sheet.whole[column]
        raise LogError(
            f"{name}:2: expected a time in column '{column}'; no cell of its first rows is one"
            + (f", got {shown(cells[0])}; say how it is written: [time] format (--time-format)" if cells else "")
        )
    time = msgspec.structs.replace(given, column=column, kind=kind)
    return _with_date(sheet, time)


def _with_date(sheet: _Sheet, time: TimeColumn) -> TimeColumn:
    """The time column with the date that stands in a column of its own."""
    if time.date_column:
        return msgspec.structs.replace(time, kind="date")
    if (time.kind == "date" and _only_dates(sheet.cells[time.column])) or (
        time.kind == "iso" and _only_dates(sheet.cells[time.column])
    ):
        clock = next((one for one in sheet.columns if one != time.column and sheet.kind(one) == "time_of_day"), "")
        return msgspec.structs.replace(time, column=clock, date_column=time.column, kind="date") if clock else time
    if time.kind == "seconds" and times.are_clock_digits(sheet.cells[time.column]):
        # 131500 beside 20231025 or 251023: two numbers that are a date and a time of day.
        day = next((one for one in sheet.named(DATE_NAMES) if _compact_dates(sheet.cells[one])), "")
        if day:
            return msgspec.structs.replace(time, date_column=day, kind="date")
    if time.kind == "time_of_day":
        dated = [*sheet.named(DATE_NAMES), *sheet.columns]
        day = next((one for one in dated if one != time.column and _is_day(sheet.cells[one], one)), "")
        return msgspec.structs.replace(time, date_column=day, kind="date") if day else time
    return time


def _is_day(cells: Sequence[str], column: str) -> bool:
    """Whether a column holds the date of a row: written as one, or named so and in digits alone."""
    return _only_dates(cells) or (words_of(column) in DATE_NAMES and _compact_dates(cells))


def _compact_dates(cells: Sequence[str]) -> bool:
    """Whether all cells may be dates without marks: ``20231025`` or ``251023``."""
    return bool(cells) and all(
        len(cell) in (6, 8) and cell.isdigit() and any(dates.parse_date(cell, order) for order in ("", *dates.ORDERS))
        for cell in cells[:20]
    )


def _only_dates(cells: Sequence[str]) -> bool:
    """Whether all cells are dates without a time."""
    return bool(cells) and all(
        ":" not in cell and any(dates.parse_date(cell, order) for order in ("", *dates.ORDERS)) for cell in cells[:20]
    )


def _long_signals(sheet: _Sheet, log: LogLayout, path: str | Path, guess: Guess) -> None:
    """The signals of long rows: their names, units, and which of them are numbers."""
    signal, value = log.signal_column, log.value_column
    reader = replace(sheet.head.evidence, numbers=frozenset()).column(value, sheet.missing)
    held: dict[str, list[str]] = {}
    units: dict[str, str] = {}
    unit_column = next(iter(sheet.named(UNIT_NAMES)), "")
    for row, name in enumerate(sheet.whole[signal]):
        name = clean_column(name)
        held.setdefault(name, []).append(sheet.whole[value][row])
        if unit_column and sheet.whole[unit_column][row]:
            units.setdefault(name, sheet.whole[unit_column][row])
    for name in column_texts(path, log, signal):
        held.setdefault(clean_column(name), [])
    for name, cells in held.items():
        some = [cell for cell in cells if cell.strip().lower() not in MISSING]
        if not name:
            continue
        if sum(reader.value(cell) is not None for cell in some) < NUMERIC_SHARE * len(some):
            guess.notes.append(f"signal '{name}': not numbers ({_few(some)}), left out")
        elif (kind := kind_by_name(name, units.get(name, ""))) in ("label", "id", "position"):
            guess.decisions.append(decision(name, kind))
        else:
            guess.columns.append(name)
    guess.units = units


def _wide_signals(sheet: _Sheet, columns: Sequence[str], time: TimeColumn, log: LogLayout, guess: Guess) -> None:
    """The columns of numbers; those left out are noted."""
    taken = {time.column, time.date_column, log.vehicle_column}
    guess.units = sheet.units | {
        clean_column(column): unit for column, unit in sheet.head.evidence.units.items() if unit
    }
    for column in columns:
        if column in taken or column.lower() in FLUX:
            continue
        kind = kind_by_name(column, guess.units.get(column, ""))
        cells = sheet.cells[column]
        if kind in ("label", "position"):
            guess.decisions.append(decision(column, kind))
        elif kind == "id" or _extra(column, cells):
            guess.decisions.append(decision(column, "id"))
        elif words_of(column) in MILLISECONDS and all(cell.isdigit() and len(cell) <= 3 for cell in cells):
            guess.decisions.append(decision(column, "fraction"))
        elif sheet.numbers(column):
            guess.columns.append(column)
            if cells and all(cell.strip().lower() in WORDS for cell in cells):
                guess.notes.append(f"column '{column}': a switch ({_few(cells)}), read as 1 and 0")
        elif sheet.kind(column) in ("iso", "date", "time_of_day"):
            guess.decisions.append(decision(column, "time", more=f" (the time is column '{time.column}')"))
        elif cells and cells[0].lstrip().startswith(("{", "[")):
            guess.notes.append(
                f"column '{column}': JSON in a cell ({shown(cells[0])}), left out: unpack it into columns"
            )
        elif len(set(cells)) <= FEW_VALUES:
            guess.notes.append(
                f"column '{column}': not numbers, left out: a text with few values ({_few(cells)}); write codes "
                "instead to keep it"
            )
        else:
            guess.notes.append(f"column '{column}': not numbers, left out ({_few(cells)})")


def _extra(column: str, cells: Sequence[str]) -> bool:
    """A column without a name whose cells count the rows, as an index does."""
    if not column.startswith("column "):
        return False
    return len(cells) > 2 and all(cell.isdigit() for cell in cells) and len(set(cells)) == len(cells)


def _few(cells: Sequence[str]) -> str:
    values = list(dict.fromkeys(cells))
    return ", ".join(shown(value).strip("'") for value in values[:SHOWN_VALUES]) + (
        ", …" if len(values) > SHOWN_VALUES else ""
    )
