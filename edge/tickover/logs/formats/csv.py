"""CSV: tables of text, wide or long. ``dialect`` finds their layout; ``csv_fast`` reads whole blocks of numbers."""

import itertools
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats import csv_fast
from tickover.logs.formats.base import SAMPLE_ROWS, Head, Job
from tickover.logs.formats.cells import MISSING
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.csv_plan import plan
from tickover.logs.formats.delimiters import BadCellsError, is_rule, split_cells
from tickover.logs.formats.dialect import COMMENT, LOOK_LINES, Dialect, dialect_of
from tickover.logs.formats.evidence import evidence_of
from tickover.logs.formats.header import clean_column, keys_of
from tickover.logs.formats.quoting import Records, records
from tickover.logs.formats.rows import RowReader, rate_stamp
from tickover.logs.formats.text import READ_BYTES, blocks, decode
from tickover.logs.mapping import LogLayout

SAMPLE_CELLS: Final = 65_536
"""Cells in the samples, at most: a wide log needs fewer rows to be told."""
LEAST_SAMPLES: Final = 16
WIDE_BYTES: Final = 4 << 10
MOST_BYTES: Final = 8 << 20
"""A block of a wide table has so many bytes for each column, at most this many in all."""


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The header, the first rows and what they say of the cells."""
    _, dialect, block = _open(stream, layout, name)
    rows = max(LEAST_SAMPLES, min(SAMPLE_ROWS, SAMPLE_CELLS // len(dialect.columns)))
    samples = []
    lines = block.split(b"\n", 4 * rows + dialect.first_row)[dialect.first_row : -1]
    for line, _ in records(
        (decode(line, layout.encoding) for line in lines), lambda text: isinstance(_row(text, dialect), list)
    ):
        cells = _row(line, dialect)
        if isinstance(cells, list) and any(cells):
            samples.append(tuple(cells[place].strip() for place in dialect.places))
            if len(samples) >= rows:
                break
    evidence = evidence_of(dialect.columns, samples, dialect.delimiter, layout.decimal)
    return Head(
        dialect.columns,
        samples,
        units=dialect.units,
        evidence=evidence,
        start=dialect.start,
        notes=dialect.notes,
    )


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; memory stays flat however long the log."""
    rest, dialect, block = _open(stream, job.mapping.log, job.name)
    reader = _Reader(job, dialect)
    for _ in range(dialect.first_row):
        block = block.partition(b"\n")[2]
    yield from reader.block(block)
    for block in rest:
        yield from reader.block(block)
    yield from reader.end()


def column_cells(stream: BinaryIO, layout: LogLayout, name: str, column: str) -> Iterator[str]:
    """All cells of one column, in order: for what a few rows cannot tell."""
    rest, dialect, block = _open(stream, layout, name)
    place = dialect.places[[clean_column(name) for name in dialect.columns].index(clean_column(column))]
    for _ in range(dialect.first_row):
        block = block.partition(b"\n")[2]
    for part in itertools.chain([block], rest):
        for line in part.split(b"\n"):
            # By the mark alone, quoted or not: a few cells that it cuts wrong decide nothing.
            cells = line.split(dialect.delimiter.encode()) if dialect.delimiter.strip(" ") else line.split()
            if place < len(cells) and len(cells) >= len(dialect.places) and not line.startswith(b"#"):
                yield decode(cells[place], layout.encoding).strip().strip('"').strip()


class _Reader:
    """Takes blocks of whole lines."""

    def __init__(self, job: Job, dialect: Dialect) -> None:
        self._job = job
        self._dialect = dialect
        self._line = dialect.first_row
        self._row = 0
        keys = keys_of(job.mapping, dialect.columns, dialect.places)
        self._collector = Collector(job)
        self._rows = RowReader(job, keys, self._collector)
        self._fast = plan(job, keys, dialect)
        self._records = Records(lambda text: isinstance(_row(text, dialect), list))

    def block(self, block: bytes) -> Iterator[Readings]:
        """Readings of a block: by ``csv_fast`` when the whole block is regular, else column by column as text."""
        if not block:
            return
        if not block.strip() and not self._records.is_open:
            self._line += block.count(b"\n")
            return
        table = csv_fast.parse(block, self._fast) if self._fast and not self._records.is_open else None
        if table is None:
            yield from self._exact(block)
            return
        stamps, values = table
        rate = self._job.mapping.time.rate_hz
        if rate is not None:
            stamps = np.array([rate_stamp(self._row + row, rate) for row in range(len(values))], np.int64)
        self._row += len(values)
        self._line += len(values)
        yield from self._collector.block(self._job.vehicle, stamps, values)

    def end(self) -> Iterator[Readings]:
        """What a quote and long rows left open."""
        yield from self._exact(b"", last=True)
        yield from self._rows.end()

    def _exact(self, block: bytes, *, last: bool = False) -> Iterator[Readings]:
        good: list[list[str]] = []
        places: list[int] = []
        first = self._row
        gap = False
        for cells in self._cells(block, last=last):
            if cells is None:
                gap = True
            else:
                if gap and good:
                    yield from self._readings(good, places, first)
                    good, places = [], []
                if not good:
                    first = self._row
                gap = False
                good.append(cells)
                places.append(self._line + 1)
            self._row += 1
        yield from self._readings(good, places, first)

    def _readings(self, rows: list[list[str]], places: list[int], first: int) -> Iterator[Readings]:
        if rows:
            columns = list(zip(*rows, strict=True))
            yield from self._rows.rows(lambda key: columns[key], places, first)  # type: ignore[index]

    def _cells(self, block: bytes, *, last: bool) -> Iterator[list[str] | None]:
        """The cells of each row; None for a bad one. Blank lines, comments and repeated headers are no rows."""
        for line, count in self._lines(block, last=last):
            if line and not line.isspace():
                cells = _row(line, self._dialect)
                if isinstance(cells, list):
                    yield cells
                elif cells in SKIPPED:
                    self._job.counts[cells] += 1
                else:
                    self._job.bad(self._line + 1, cells)
                    yield None
            self._line += count

    def _lines(self, block: bytes, *, last: bool) -> Iterator[tuple[str, int]]:
        """The records of a block, and their numbers of lines; ``last``: what is still held of the blocks before."""
        if last:
            yield from self._records.end()
            return
        encoding = self._job.mapping.log.encoding
        try:
            lines = block.removesuffix(b"\n").decode(encoding or "utf-8").split("\n")
        except UnicodeDecodeError:
            lines = [decode(line, encoding) for line in block.removesuffix(b"\n").split(b"\n")]
        if b'"' not in block and not self._records.is_open:
            yield from ((line, 1) for line in lines)
            return
        for line in lines:
            yield from self._records.add(line)


COMMENTS: Final = "comment_lines"
REPEATED: Final = "repeated_headers"
RULES: Final = "rule_lines"
SKIPPED: Final = frozenset((COMMENTS, REPEATED, RULES))


def _row(line: str, dialect: Dialect) -> list[str] | str:
    """The cells of a line, as many as the dialect's rows have; a word or sentence for what it is instead."""
    line = line.rstrip("\r")
    try:
        cells = split_cells(line, dialect.delimiter)
    except BadCellsError as error:
        return COMMENTS if line.lstrip().startswith(COMMENT) else str(error)
    if line.lstrip().startswith(COMMENT) and not (len(cells) >= dialect.width and cells[0].strip().lower() in MISSING):
        return COMMENTS
    if (len(cells) != dialect.width or not any(map(str.isalnum, cells[0][:1]))) and is_rule(line):
        return RULES
    if len(cells) != dialect.width:
        while len(cells) > dialect.width and not cells[-1].strip():
            cells.pop()
        least = max(dialect.places) + 1
        if not least <= len(cells) <= dialect.width:
            return f"expected {least} cells, got {len(cells)}"
        cells += [""] * (dialect.width - len(cells))
    if line == dialect.header:
        return REPEATED
    return cells


def _open(stream: BinaryIO, layout: LogLayout, name: str) -> tuple[Iterator[bytes], Dialect, bytes]:
    """The remaining blocks, the dialect, and the first block, which begins with the first line of the file."""
    parts = blocks(stream, name, READ_BYTES)
    first = next(parts, b"")
    while not first.strip():
        first = next(parts, b"")
        if not first:
            raise LogError(f"{name}: expected a header and rows, got an empty file")
    lines = [decode(line, layout.encoding) for line in first.split(b"\n", LOOK_LINES)[:LOOK_LINES]]
    if lines and not lines[-1]:
        lines.pop()
    dialect = dialect_of([line.rstrip("\r") if line.count("\r") < 2 else line for line in lines], layout, name)
    width = len(dialect.columns)
    size = min(MOST_BYTES, max(READ_BYTES, WIDE_BYTES * width))
    return _gathered(parts, size), dialect, first


def _gathered(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The rest of the blocks, gathered to about ``size`` bytes."""
    gathered: list[bytes] = []
    held = 0
    for part in parts:
        gathered.append(part)
        held += len(part)
        if held >= size:
            yield b"".join(gathered)
            gathered, held = [], 0
    if gathered:
        yield b"".join(gathered)
