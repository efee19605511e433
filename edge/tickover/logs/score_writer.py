"""Scores to a file, a row per tick: trip, time, score, open (0/1), then a column per chart.

``.csv`` or ``.parquet`` (extra ``parquet``), by the file's suffix. Times are ISO 8601 in UTC, or, for logs that count
from their start, the log's own seconds. A missing score is an empty cell (CSV) or null. The last column,
``vehicle``, is written only for logs with a vehicle column. Values are float32, with the digits that read back equal.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from tickover.core.manifest import Manifest
from tickover.core.values import SECOND, ScoredTicks, TimeArray
from tickover.storage.files import replace_file

COLUMNS: Final = ("trip", "time", "score", "open")
VEHICLE: Final = "vehicle"
GROUP_ROWS: Final = 65_536
"""Rows in a Parquet row group, at least."""
DIGITS: Final = 9
"""Significant digits that tell any two float32 apart."""
MICROSECOND_DIGITS: Final = 6
UNITS: Final = ("s", "ms", "ms", "ms", "us", "us", "us")
"""NumPy's unit for so many digits after the point."""


class Writer(Protocol):
    """Takes scored ticks in any number; memory does not grow with them."""

    def add(self, scored: ScoredTicks) -> None:
        """Write the rows of these ticks."""

    def close(self) -> None:
        """Finish the file; no more ticks follow."""


class _Csv:
    """Rows as text, a block at a time."""

    def __init__(self, file: BinaryIO, manifest: Manifest, start: int | None, with_vehicle: bool) -> None:
        self._file, self._start, self._with_vehicle = file, start, with_vehicle
        self._digits = decimals(manifest.period, start or 0)
        charts = [chart.name for chart in manifest.charts]
        self._row = f"%d,%s,%.{DIGITS}g,%d" + f",%.{DIGITS}g" * len(charts)
        header = [*COLUMNS, *charts, *([VEHICLE] if with_vehicle else [])]
        file.write((",".join(header) + "\n").encode())

    def add(self, scored: ScoredTicks) -> None:
        """Write the rows of these ticks."""
        ticks, scores = scored.ticks, scored.scores
        columns: list[list[Any]] = [
            ticks.trip.tolist(),
            self._times(ticks.time),
            scores.score.tolist(),
            scored.open.tolist(),
            *scores.chart.T.tolist(),
        ]
        row, end = self._row, f",{quoted(ticks.vehicle)}\n" if self._with_vehicle else "\n"
        lines = [row % cells for cells in zip(*columns, strict=True)]
        if np.isnan(scores.score).any() or np.isnan(scores.chart).any():
            lines = [line.replace("nan", "") for line in lines]
        self._file.write("".join([line + end for line in lines]).encode())

    def close(self) -> None:
        """All rows are written already."""

    def _times(self, time: TimeArray) -> list[str]:
        if self._start is not None:
            return [f"{seconds:.{self._digits}f}" for seconds in ((time - self._start) / SECOND).tolist()]
        unit = UNITS[self._digits]
        return [f"{text}Z" for text in np.datetime_as_string(time.astype("M8[us]").astype(f"M8[{unit}]")).tolist()]


class _Parquet:
    """Rows as Arrow tables, gathered into row groups."""

    def __init__(self, file: BinaryIO, manifest: Manifest, start: int | None, with_vehicle: bool) -> None:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        self._arrow, self._start, self._with_vehicle = arrow, start, with_vehicle
        when = arrow.timestamp("us", tz="UTC") if start is None else arrow.float64()
        fields = list(zip(COLUMNS, (arrow.int64(), when, arrow.float32(), arrow.int8()), strict=True))
        fields += [(chart.name, arrow.float32()) for chart in manifest.charts]
        fields += [(VEHICLE, arrow.string())] if with_vehicle else []
        self._schema = arrow.schema(fields)
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Any] = []
        self._rows = 0

    def add(self, scored: ScoredTicks) -> None:
        """Write the rows of these ticks."""
        ticks, scores = scored.ticks, scored.scores
        time = ticks.time if self._start is None else (ticks.time - self._start) / SECOND
        columns = [ticks.trip, time, scores.score, scored.open.astype(np.int8), *scores.chart.T]
        if self._with_vehicle:
            columns.append(np.full(len(ticks.time), ticks.vehicle, object))
        arrays = [
            self._arrow.array(np.ascontiguousarray(column), type=kind, from_pandas=True)
            for column, kind in zip(columns, self._schema.types, strict=True)
        ]
        self._waiting.append(self._arrow.table(arrays, schema=self._schema))
        self._rows += len(ticks.time)
        if self._rows >= GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Write what is gathered, and the footer."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.concat_tables(self._waiting))
            self._waiting, self._rows = [], 0


FORMATS: Final[dict[str, Callable[[BinaryIO, Manifest, int | None, bool], Writer]]] = {
    ".csv": _Csv,
    ".parquet": _Parquet,
}


@contextlib.contextmanager
def open_scores(
    path: Path, manifest: Manifest, *, start: int | None = None, with_vehicle: bool = False
) -> Iterator[Writer]:
    """A writer of a file that replaces ``path`` when the block ends without an error.

    ``start`` (microseconds): where the logs count their seconds from; None writes absolute times.
    """
    with replace_file(path) as file:
        writer = FORMATS[path.suffix.lower()](file, manifest, start, with_vehicle)
        try:
            yield writer
        finally:
            writer.close()


def decimals(period: int, start: int) -> int:
    """Digits after the point that tell every multiple of ``period`` from ``start`` exactly, 0 to 6."""
    step, digits = math.gcd(period, start, SECOND), MICROSECOND_DIGITS
    while digits and step % 10 == 0:
        step //= 10
        digits -= 1
    return digits


def quoted(text: str) -> str:
    """One CSV cell."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(mark in text for mark in ',"\r\n') else text
