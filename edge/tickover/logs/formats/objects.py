"""Rows that name their own columns, such as JSON objects: what they hold, and how they become readings."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import MAX_COLUMNS, SAMPLE_ROWS, Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.evidence import evidence_of
from tickover.logs.formats.header import names_of
from tickover.logs.formats.rows import RowReader
from tickover.logs.mapping import LogLayout

Table = Mapping[str, Any]
ROWS: Final = 2_048
"""Rows that are made into readings at once."""
SAMPLE_CELLS: Final = 65_536
WRAPPERS: Final = frozenset(("values", "fields", "data", "payload", "signals", "readings", "measurements", "telemetry"))
"""A key that only wraps the signals: theirs are not prefixed with it."""
DEEPEST: Final = 8


def flat(table: Table) -> Table:
    """A row with nested objects as ``outer.inner`` keys; the wrappers' own names are left away."""
    if not any(isinstance(value, dict) for value in table.values()):
        return table
    found: dict[str, Any] = {}
    _flatten(table, "", found, DEEPEST)
    return found


def _flatten(table: Table, prefix: str, found: dict[str, Any], depth: int) -> None:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth:
            _flatten(value, "" if not prefix and key.lower() in WRAPPERS else f"{name}.", found, depth - 1)
        elif name not in found:
            found[name] = value
        else:
            found[f"{key}.{name}"] = value


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
    evidence = evidence_of(tuple(columns), samples, decimal=layout.decimal)
    return Head(tuple(columns), samples, sparse=True, evidence=evidence)


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
