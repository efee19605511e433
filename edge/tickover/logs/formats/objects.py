"""Rows that name their own columns, such as JSON objects: what they hold, and how they become readings."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import MAX_COLUMNS, SAMPLE_ROWS, Head, Job, shown
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.evidence import evidence_of
from tickover.logs.formats.header import names_of
from tickover.logs.formats.json_shapes import Table, named_values, plain, reading_of
from tickover.logs.formats.rows import RowReader
from tickover.logs.mapping import LogLayout

ROWS: Final = 2_048
"""Rows that are made into readings at once."""
SAMPLE_CELLS: Final = 65_536
WRAPPERS: Final = frozenset(("values", "fields", "data", "payload", "signals", "readings", "measurements", "telemetry"))
"""A key that only wraps the signals: theirs are not prefixed with it."""
DEEPEST: Final = 8
UNIT: Final = ".unit"


def flat(table: Table) -> Table:
    """A row with nested objects as ``outer.inner`` keys; the wrappers' own names are left away.

    An object that is one reading is its value, and its unit ``name.unit``; a list of named values is these values.
    """
    if not any(isinstance(value, dict | list) for value in table.values()):
        return table
    found: dict[str, Any] = {}
    _flatten(table, "", found, DEEPEST)
    return found


def _flatten(table: Table, prefix: str, found: dict[str, Any], depth: int) -> None:
    for key, value in table.items():
        name = f"{prefix}{key}"
        value = plain(value)
        if isinstance(value, list) and depth:
            value = named_values(value) or value
        reading = reading_of(value) if isinstance(value, dict) and len(value) > 1 else None
        if reading:
            value, unit = reading
            if unit:
                found[f"{name}.unit"] = unit
        if isinstance(value, dict) and depth:
            _flatten(value, "" if not prefix and key.lower() in WRAPPERS else f"{name}.", found, depth - 1)
        elif name not in found:
            found[name] = value
        else:
            found[f"{key}.{name}"] = value


def head_of_rows(rows: Iterable[tuple[int, Any]], layout: LogLayout, name: str, expected: str) -> Head:
    """`head_of` rows with their lines, of which those that are no objects are bad.

    LogError when the first is bad, or there is none; ``expected`` says what a row is.
    """

    def tables() -> Iterator[Table]:
        begun = False
        for line, table in rows:
            if isinstance(table, dict):
                begun = True
                yield table
            elif not begun:
                raise LogError(f"{name}:{line}: expected {expected}, got {shown(table)}")

    head = head_of(tables(), layout, name)
    if not head.samples:
        raise LogError(f"{name}: expected {expected}, got an empty file")
    return head


def read_rows(rows: Iterable[tuple[int, Any]], job: Job, expected: str) -> Iterator[Readings]:
    """`read_objects` of rows with their lines, of which those that are no objects are bad."""

    def tables() -> Iterator[tuple[int, Table | None]]:
        for line, table in rows:
            if isinstance(table, dict):
                yield line, table
            else:
                job.bad(line, f"expected {expected}, got {shown(table)}")
                yield line, None

    yield from read_objects(tables(), job)


def head_of(rows: Iterable[Table], layout: LogLayout, name: str) -> Head:
    """The keys of the first rows, in order of appearance, and the rows as text."""
    tables: list[Table] = []
    columns: dict[str, None] = {}
    for table in islice(rows, SAMPLE_ROWS):
        columns |= dict.fromkeys(table)
        tables.append(table)
        if len(columns) > MAX_COLUMNS:
            raise LogError(f"{name}: expected at most {MAX_COLUMNS} keys, got {len(columns)} in the first rows")
        if len(columns) * len(tables) > SAMPLE_CELLS:
            break
    samples = [tuple(_text(table.get(column)) for column in columns) for table in tables]
    units = _units(columns, tables)
    kept = [
        place for place, column in enumerate(columns) if not column.endswith(UNIT) or column[: -len(UNIT)] not in units
    ]
    names = tuple(name for place, name in enumerate(columns) if place in set(kept))
    samples = [tuple(row[place] for place in kept) for row in samples]
    return Head(names, samples, sparse=True, units=units, evidence=evidence_of(names, samples, decimal=layout.decimal))


def _units(columns: Iterable[str], tables: Sequence[Table]) -> dict[str, str]:
    """Units that stand beside the values, by column."""
    there = set(columns)
    units = {}
    for column in columns:
        if column.endswith(UNIT) and column[: -len(UNIT)] in there:
            texts = {table[column] for table in tables if isinstance(table.get(column), str)}
            if len(texts) == 1:
                units[column[: -len(UNIT)]] = texts.pop()
    return units


def read_objects(rows: Iterator[tuple[int, Table | None]], job: Job) -> Iterator[Readings]:
    """Blocks of readings of rows with their lines; None for a bad row, which takes its place in time."""
    keys = names_of(job.mapping)
    reader = RowReader(job, keys, Collector(job))
    number = 0
    while part := list(islice(rows, ROWS)):
        first = 0
        while first < len(part):
            last = first
            while last < len(part) and part[last][1] is not None:
                last += 1
            tables = [table for _, table in part[first:last] if table is not None]
            places = [line for line, _ in part[first:last]]
            if tables:
                yield from reader.rows(lambda key, rows=tables: [row.get(key) for row in rows], places, number + first)  # type: ignore[misc]
            first = last + 1
        number += len(part)
    yield from reader.end()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
