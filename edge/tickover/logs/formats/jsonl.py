"""JSON Lines: one object per row, wide (a key per signal) or long (a signal and a value)."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import SAMPLE_ROWS, Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import names_of, shown
from tickover.logs.formats.rows import BadRowError, Row, parse_row
from tickover.logs.formats.text import TextRows, blocks, decode
from tickover.logs.mapping import LogLayout


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The keys of the first rows, in order of appearance, and the rows as text."""
    tables = []
    for line in next(blocks(stream, name), b"").split(b"\n")[:SAMPLE_ROWS]:
        text = decode(line, layout.encoding)
        table = _table(text)
        if isinstance(table, dict):
            tables.append(table)
        elif line.strip() and not tables:
            raise LogError(f"{name}:1: expected one JSON object per line, got {shown(text)}")
    if not tables:
        raise LogError(f"{name}: expected one JSON object per line, got an empty file")
    columns = tuple(dict.fromkeys(key for table in tables for key in table))
    return Head(columns, [tuple(_text(table.get(column)) for column in columns) for table in tables], sparse=True)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a key that a row does not have is no reading."""
    collector, keys = Collector(job), names_of(job.mapping)

    def parse(text: str, index: int) -> Row | None:
        table = _table(text)
        if not isinstance(table, dict):
            raise BadRowError(f"expected a JSON object, got {shown(text)}")
        return parse_row(table.get, keys, job, index, collector.fold)

    rows = TextRows(job, parse)
    for block in blocks(stream, job.name):
        yield from collector.rows(rows.of(block))
    yield from collector.end()


def _table(text: str) -> Any:
    """A line's JSON value; None when it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _text(value: object) -> str:
    return "" if value is None else str(value)
