"""Parquet, by row group in batches; needs the extra ``parquet`` (pyarrow)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tickover.core.time_format import EARLIEST, LATEST
from tickover.core.values import DoubleArray, Readings, TimeArray
from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.base import BLOCK_ROWS, MAX_COLUMNS, SAMPLE_ROWS, ColumnSamples, Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.evidence import Evidence, evidence_of
from tickover.logs.formats.header import Keys, clean_column, names_of
from tickover.logs.formats.parquet_maps import holds_map, is_map, spread
from tickover.logs.formats.rows import RowReader, rate_stamp
from tickover.logs.mapping import LogLayout, TimeKind

MAX_ROW_GROUP: Final = 4 << 30
"""A row group larger than this, uncompressed, is refused: it would have to be unpacked whole."""


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The columns, nested ones as ``outer.inner``, and the first rows as text, which are read when they are looked at:
    to read a log takes one column of them, and who asks whose logs there are looks at none."""
    file = _open(stream, name)
    if any(holds_map(field.type) for field in file.schema_arrow):
        return _head_of_maps(file, layout, name)
    schema = _no_rows(file).schema
    columns = tuple(schema.names)
    rows = ColumnSamples(min(SAMPLE_ROWS, file.metadata.num_rows), len(columns), _FirstRows(file, columns, name).texts)
    texts = any(_is_text(field.type) for field in schema)
    evidence = evidence_of(columns, list(rows), decimal=layout.decimal) if texts else Evidence()
    return Head(columns, rows, evidence=evidence, kinds=_kinds(schema))


def _head_of_maps(file: Any, layout: LogLayout, name: str) -> Head:
    """The head where the first rows say which columns there are; a later row may have others."""
    batch = next(_batches(file, None, SAMPLE_ROWS, name), None)
    whole = _no_rows(file) if batch is None else _flat_batch(batch)
    columns = tuple(whole.schema.names)
    if len(columns) > MAX_COLUMNS:
        raise LogError(f"{name}: expected at most {MAX_COLUMNS} columns, got {len(columns)} in the first rows")
    rows = list(zip(*(_texts(column) for column in whole.columns), strict=True))
    evidence = evidence_of(columns, rows, decimal=layout.decimal)
    return Head(columns, rows, sparse=True, evidence=evidence, kinds=_kinds(whole.schema))


def _kinds(schema: Any) -> dict[str, TimeKind]:
    """The kinds of time that types alone tell."""
    return {field.name: "iso" for field in schema if pa.types.is_timestamp(field.type)}


class _FirstRows:
    """The first rows of a file: one column alone, or, when a second one is asked for, all of them at once."""

    def __init__(self, file: Any, columns: tuple[str, ...], name: str) -> None:
        self._file, self._columns, self._name = file, columns, name
        self._first: str | None = None
        self._whole: Any = None

    def texts(self, place: int) -> Sequence[str]:
        """The cells of a column."""
        column = self._columns[place]
        if self._first is None and self._columns.count(column) == 1:
            self._first = column
            found = self._read(_roots(self._file, [clean_column(column)]))
            if column in found.schema.names:
                return _texts(found.column(column))
        if self._whole is None:
            self._whole = self._read(None)
        return _texts(self._whole.column(place))

    def _read(self, roots: Sequence[str] | None) -> Any:
        batch = next(_batches(self._file, roots, SAMPLE_ROWS, self._name), None)
        return _no_rows(self._file) if batch is None else _flat_batch(batch)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings, row group by row group; a bad row is named by its number, from 1."""
    file = _open(stream, job.name)
    keys = names_of(job.mapping)
    collector = Collector(job)
    reader = RowReader(job, keys, collector)
    wanted = list(dict.fromkeys(_flat(keys)))
    roots = _roots(file, wanted)
    plain = job.mapping.log.layout == "wide" and keys.date is None
    row = 0
    for batch in _batches(file, roots, BLOCK_ROWS, job.name):
        whole = _flat_batch(batch)
        column = {clean_column(name): name for name in whole.schema.names}
        table = _chosen(whole, {key: column.get(key) for key in wanted})
        fast = _columns(table, keys, job, row) if plain else None
        whose = None if fast is None else _whose(table, keys, job)
        if fast is None or whose is None:
            cells = {name: _values(table.column(name)) for name in wanted}
            places = range(row + 1, row + 1 + table.num_rows)
            yield from reader.rows(lambda key, cells=cells: cells[str(key)], places, row)  # type: ignore[misc]
        else:
            for name, mine in whose:
                yield from collector.block(name, fast[0][mine], fast[1][mine])
        row += batch.num_rows
    yield from reader.end()


def _chosen(whole: Any, names: Mapping[str, str | None]) -> Any:
    """The wanted columns; a map may lack a key in a batch, which is a column of nulls then."""
    found = [name for name in names.values() if name is not None]
    if len(found) == len(names):
        return whole.select(found).rename_columns(list(names))
    none = pa.nulls(whole.num_rows, pa.float64())
    return pa.table({key: none if name is None else whole.column(name) for key, name in names.items()})


def _flat_batch(batch: Any) -> Any:
    """A batch as a table without nested columns."""
    return _flat_table(pa.Table.from_batches([batch]))


def _no_rows(file: Any) -> Any:
    """The columns of a file, none of them nested, without a row; `empty_table` would import pandas, see `_plain`."""
    return _flat_table(pa.Table.from_batches([], schema=file.schema_arrow))


def _flat_table(table: Any) -> Any:
    """A table without nested columns; a map's keys are columns of their own."""
    while any(pa.types.is_struct(field.type) or is_map(field.type) for field in table.schema):
        table = spread(table.flatten())
    return table.combine_chunks()


def _roots(file: Any, wanted: Sequence[str]) -> list[str]:
    """The columns at the top that hold the wanted ones."""
    names = {clean_column(name): name for name in file.schema_arrow.names}
    roots = [names.get(key) or names.get(_root(key, names)) for key in wanted]
    return list(dict.fromkeys(root for root in roots if root is not None))


def _root(key: str, names: Mapping[str, str]) -> str:
    parts = key.split(".")
    return next((root for size in range(len(parts), 0, -1) if (root := ".".join(parts[:size])) in names), "")


def _columns(table: Any, keys: Keys, job: Job, row: int) -> tuple[TimeArray, DoubleArray] | None:
    """Stamps and values of a table, column by column; None when a column is not numeric or a time is irregular."""
    columns = [table.column(str(key)) for key in keys.signals]
    if not all(_is_numeric(column.type) for column in columns):
        return None
    values = np.empty((table.num_rows, len(columns)))
    for index, column in enumerate(columns):
        values[:, index] = _doubles(column)
    if np.isinf(values).any():
        return None
    stamps = _stamps(None if keys.time is None else table.column(str(keys.time)), table.num_rows, job, row)
    return None if stamps is None else (stamps, values)


def _whose(table: Any, keys: Keys, job: Job) -> list[tuple[str, Any]] | None:
    """The vehicles of a table, in order of their first rows, and which rows are theirs; None when a row has to be
    looked at by itself."""
    if keys.vehicle is None:
        return [(job.vehicle, np.s_[:])]
    column = table.column(str(keys.vehicle)).combine_chunks()
    if column.null_count or not (_is_text(column.type) or pa.types.is_integer(column.type)):
        return None
    codes = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    names = [str(name).strip() for name in codes.dictionary.to_pylist()]
    if not all(names):
        return None
    place = {name: number for number, name in enumerate(dict.fromkeys(names))}
    which = np.array([place[name] for name in names], np.int64)[codes.indices.to_numpy(zero_copy_only=False)]
    found, first = np.unique(which, return_index=True)
    known = list(place)
    return [(known[number], np.flatnonzero(which == number)) for number in found[np.argsort(first)].tolist()]


def _stamps(column: Any, rows: int, job: Job, row: int) -> TimeArray | None:
    """Stamps of a batch's time column; None when one must be looked at by itself."""
    time = job.mapping.time
    if column is None:
        return np.array([rate_stamp(row + index, time.rate_hz or 1.0) for index in range(rows)], np.int64)
    if column.null_count:
        return None
    if pa.types.is_timestamp(column.type) and time.kind == "iso":
        stamps = _plain(column.cast(pa.timestamp("us"), safe=False), np.dtype(np.int64))
        inside = (stamps >= EARLIEST) & (stamps <= LATEST)
        return stamps if inside.all() else None
    if _is_numeric(column.type) and time.kind in times.UNITS:
        return times.stamps_of_numbers(_doubles(column, safe=False), time.kind)
    return None


def _doubles(column: Any, *, safe: bool = True) -> DoubleArray:
    """A numeric column; NaN for null."""
    if column.type != pa.float64():
        column = column.cast(pa.float64(), safe=safe)
    numbers: DoubleArray = _plain(column.fill_null(np.nan) if column.null_count else column, np.dtype(np.float64))
    return numbers


def _plain(column: Any, kind: Any) -> Any:
    """The numbers of a column without nulls, as they lie in memory; `to_numpy` would import pandas where there is one,
    which takes longer than a log of a day."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    if not len(whole):
        return np.empty(0, kind)
    return np.frombuffer(whole.buffers()[1], kind, len(whole), whole.offset * kind.itemsize)


def _open(stream: BinaryIO, name: str) -> Any:
    """The file; LogError when it is not Parquet, or of a size that no log has."""
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LogError(f"{name}: expected a Parquet file: {error}") from error
    columns = len(file.schema_arrow.names)
    if not 1 <= columns <= MAX_COLUMNS:
        raise LogError(f"{name}: expected 1 to {MAX_COLUMNS} columns, got {columns}")
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).total_byte_size
        if size > MAX_ROW_GROUP:
            raise LogError(f"{name}: row group {group}: expected at most {MAX_ROW_GROUP} bytes, got {size}")
    return file


def _batches(file: Any, columns: Sequence[str] | None, rows: int, name: str) -> Iterator[Any]:
    try:
        yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LogError(f"{name}: the Parquet data are damaged: {error}") from error


def _flat(keys: Keys) -> list[str]:
    """All keys that are not None."""
    single = [keys.time, keys.date, keys.vehicle, keys.signal, keys.value]
    return [str(key) for key in (*single, *keys.signals) if key is not None]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _is_numeric(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _values(column: Any) -> list[Any]:
    """Python values; times as text, which any kind of time can be read from; NaN for a null number."""
    if pa.types.is_temporal(column.type):
        return [None if text == "" else text for text in _texts(column)]
    values: list[Any] = column.to_pylist()
    return [None if value != value else float(value) if hasattr(value, "as_tuple") else value for value in values]


def _texts(column: Any) -> list[str]:
    """Cells as text; an empty text for null and NaN."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz and "UTC"), safe=False)
    elif pa.types.is_time64(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    values = column.to_pylist()
    return ["" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value) for value in values]
