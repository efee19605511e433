"""CSV: the header, the lines, and the exact reader of a row. ``csv_fast`` reads whole blocks to the same result."""

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import numpy as np

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats import csv_fast
from tickover.logs.formats.base import MAX_COLUMNS, SAMPLE_ROWS, Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import keys_of
from tickover.logs.formats.rows import BadRowError, Row, parse_row, rate_stamp
from tickover.logs.formats.text import TextRows, blocks, decode
from tickover.logs.mapping import LogLayout

DELIMITERS: Final = (",", ";", "\t", "|")


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The header and the first rows."""
    _, _, header, delimiter, first = _open(stream, layout, name)
    samples = []
    for line in first.split(b"\n")[:SAMPLE_ROWS]:
        with contextlib.suppress(BadRowError):
            cells = _cells(decode(line, layout.encoding), delimiter)
            if any(cells) and len(cells) >= len(header):
                samples.append(tuple(cell.strip() for cell in cells[: len(header)]))
    return Head(header, samples)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; memory stays flat however long the log."""
    lines, line, header, delimiter, first = _open(stream, job.mapping.log, job.name)
    reader = _Reader(job, header, delimiter, line)
    yield from reader.block(first)
    for block in lines:
        yield from reader.block(block)
    yield from reader.end()


class _Reader:
    """Takes blocks of whole lines."""

    def __init__(self, job: Job, header: Sequence[str], delimiter: str, line: int) -> None:
        self._job = job
        self._width = len(header)
        self._delimiter = delimiter
        self._keys = keys_of(job.mapping, header)
        self._collector = Collector(job)
        self._rows = TextRows(job, self._parse, line)
        self._fast = csv_fast.plan(job.mapping, self._keys, self._width, delimiter)

    def block(self, block: bytes) -> Iterator[Readings]:
        """Readings of a block: by ``csv_fast`` when the whole block is regular, else row by row."""
        if not block:
            return
        table = csv_fast.parse(block, self._fast) if self._fast else None
        if table is None:
            yield from self._collector.rows(self._rows.of(block))
            return
        stamps, values = table
        rate = self._job.mapping.time.rate_hz
        if rate is not None:
            stamps = np.array([rate_stamp(self._rows.row + row, rate) for row in range(len(values))], np.int64)
        self._rows.skip(len(values))
        yield from self._collector.block(self._job.vehicle, stamps, values)

    def end(self) -> Iterator[Readings]:
        """What long rows left open."""
        yield from self._collector.end()

    def _parse(self, text: str, index: int) -> Row | None:
        cells = _cells(text, self._delimiter)
        while len(cells) > self._width and not cells[-1].strip():
            cells.pop()
        if len(cells) != self._width:
            raise BadRowError(f"expected {self._width} cells, got {len(cells)}")
        return parse_row(cells.__getitem__, self._keys, self._job, index, self._collector.fold)  # type: ignore[arg-type]


def _open(stream: BinaryIO, layout: LogLayout, name: str) -> tuple[Iterator[bytes], int, tuple[str, ...], str, bytes]:
    """The remaining blocks, the header's line number, the header, the delimiter, and the rest of the first block."""
    lines = blocks(stream, name)
    skipped = 0
    for block in lines:
        stripped = block.lstrip(b"\r\n")
        skipped += block[: len(block) - len(stripped)].count(b"\n")
        if not stripped:
            continue
        first, _, rest = stripped.partition(b"\n")
        text = decode(first, layout.encoding).lstrip("\ufeff").rstrip("\r")
        delimiter = layout.delimiter or max(DELIMITERS, key=text.count)
        return lines, skipped + 1, _header(text, delimiter, name), delimiter, rest
    raise LogError(f"{name}: expected a header and rows, got an empty file")


def _header(text: str, delimiter: str, name: str) -> tuple[str, ...]:
    if "\r" in text:
        raise LogError(f"{name}:1: expected lines that end in LF or CRLF, got CR alone")
    try:
        cells = [cell.strip() for cell in _cells(text, delimiter)]
    except BadRowError as error:
        raise LogError(f"{name}:1: {error}") from None
    while cells and not cells[-1]:
        cells.pop()
    if not 1 <= len(cells) <= MAX_COLUMNS:
        raise LogError(f"{name}:1: expected a header of 1 to {MAX_COLUMNS} columns, got {len(cells)}")
    return tuple(cells)


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, quotes undone."""
    line = line.rstrip("\r")
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise BadRowError(f"expected cells between '{delimiter}', quoted by \" or not: {error}") from None
