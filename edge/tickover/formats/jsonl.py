"""JSON Lines: one object per row, wide (a key per signal) or long (a signal and a value)."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from tickover.errors import LogError
from tickover.formats.rows import (
    SAMPLE_ROWS,
    BadRowError,
    Collector,
    Fold,
    Head,
    Job,
    Row,
    names_of,
    parse_row,
    shown,
)
from tickover.formats.text import blocks, decode
from tickover.mapping import LogLayout
from tickover.records import Readings

Table = dict[str, Any]


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The keys of the first rows, in order of appearance, and the rows as text."""
    tables = []
    for line in next(blocks(stream, name), b"").split(b"\n")[:SAMPLE_ROWS]:
        table = _table(line, layout.encoding)
        if isinstance(table, dict):
            tables.append(table)
        elif line.strip() and not tables:
            raise LogError(f"{name}:1: expected one JSON object per line, came {shown(decode(line, layout.encoding))}")
    if not tables:
        raise LogError(f"{name}: expected one JSON object per line, came an empty file")
    columns = tuple(dict.fromkeys(key for table in tables for key in table))
    return Head(columns, [tuple(_text(table.get(column)) for column in columns) for table in tables], sparse=True)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a key that a row does not have is no reading."""
    collector = Collector(job)
    fold = Fold(job) if job.mapping.log.layout == "long" else None
    rows = _Rows(job, fold)
    for block in blocks(stream, job.name):
        yield from collector.rows(list(rows.of(block)))
        if fold:
            yield from collector.rows(fold.take())
    if fold:
        yield from collector.rows(fold.end())


class _Rows:
    """Parses blocks of whole lines; knows the line and row number."""

    def __init__(self, job: Job, fold: Fold | None) -> None:
        self._job = job
        self._fold = fold
        self._keys = names_of(job.mapping)
        self._line = 0
        self._row = 0

    def of(self, block: bytes) -> Iterator[Row]:
        """The rows of a block; bad ones are counted and told."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            self._line += 1
            if not line.strip():
                continue
            try:
                row = self._parse(line)
            except BadRowError as error:
                self._job.bad(self._line, error)
            else:
                if row:
                    yield row
            self._row += 1

    def _parse(self, line: bytes) -> Row | None:
        encoding = self._job.mapping.log.encoding
        table = _table(line, encoding)
        if not isinstance(table, dict):
            raise BadRowError(f"expected a JSON object, came {shown(decode(line, encoding))}")
        return parse_row(table.get, self._keys, self._job, self._row, self._fold)


def _table(line: bytes, encoding: str) -> Any:
    """The line's JSON value; None when it is not JSON."""
    try:
        return msgspec.json.decode(decode(line, encoding))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _text(value: object) -> str:
    return "" if value is None else str(value)
