"""CSV by the block, for speed: the same result as ``csv`` as text, or None when anything in the block is irregular.

The exact reader stays the definition of what a cell means. Each step here either gives the very same numbers or gives
up, and the block is then read as text; the tests compare the two on mutated logs.
"""

import functools
import io
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.logs.formats import times
from tickover.logs.formats.base import Job
from tickover.logs.formats.dialect import Dialect
from tickover.logs.formats.header import Keys, clean_column
from tickover.logs.mapping import TimeKind

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_NEWLINE: Final = ord("\n")
_ZERO: Final = ord("0")
_NOT_ASCII_TO_QUERY: Final = bytes(range(128)) + b"?" * 128
"""No other script's spaces or digits get past the number parser."""
_SHAPE_ISO: Final = b"0000-00-00 00:00:00"
_SHAPE_TIME_OF_DAY: Final = b"00:00:00"


class Plan(NamedTuple):
    """What to take from a block: the number of columns, the time's and the signals' positions."""

    width: int
    delimiter: bytes
    decimal: bytes
    time: int | None
    kind: TimeKind
    signals: tuple[int, ...]


FAST_KINDS: Final = ("iso", "time_of_day", "rate", *times.UNITS)
ARROW_BYTES: Final = 1 << 16
"""pyarrow is imported for logs of more than this: for less, numpy is faster than the import."""


def plan(job: Job, keys: Keys, dialect: Dialect) -> Plan | None:
    """The plan of a wide log of one vehicle with plain numbers; None for other logs and for one column (where a blank
    line looks like an empty cell): they are read as text."""
    evidence, mapping = job.evidence, job.mapping
    if keys.vehicle is not None or keys.date is not None or not keys.signals or dialect.width == 1:
        return None
    if evidence.decimals or mapping.log.missing or mapping.time.kind not in FAST_KINDS:
        return None
    if not {clean_column(column) for column in mapping.columns}.isdisjoint(evidence.units):
        return None
    time = keys.time if isinstance(keys.time, int) else None
    signals = tuple(key for key in keys.signals if isinstance(key, int))
    decimal = evidence.decimal.encode()
    return Plan(dialect.width, dialect.delimiter.encode(), decimal, time, mapping.time.kind, signals)


def parse(block: bytes, plan: Plan) -> tuple[TimeArray, DoubleArray] | None:
    """Stamps ``[N]`` (empty at a fixed rate) and values ``[N, F]`` of whole lines; None when they are irregular."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if not block or b'"' in block or b"\r" in block or b"\0" in block or b"#" in block or b"\n\n" in block:
        return None
    if block.startswith(b"\n"):
        return None
    arrow = _pyarrow() if len(block) >= ARROW_BYTES else None
    table = arrow.parse(block, plan) if arrow else _with_numpy(block, plan)
    # Infinity is counted with the cells that hold no reading, which the exact reader does.
    return None if table is None or np.isinf(table[1]).any() else table


@functools.cache
def _pyarrow() -> Any:
    """The reader with pyarrow; None where that is not installed."""
    try:
        from tickover.logs.formats import csv_arrow
    except ImportError:
        return None
    return csv_arrow


def _with_numpy(block: bytes, plan: Plan) -> tuple[TimeArray, DoubleArray] | None:
    if plan.decimal == b"," and b"." in block:
        return None
    data = np.frombuffer(block, np.uint8)
    # loadtxt does not notice surplus or missing cells in columns that it does not read, so the grid is checked first.
    ends = _cell_ends(data, plan)
    if ends is None:
        return None
    stamps = None
    if plan.time is not None and plan.kind in ("iso", "time_of_day"):
        stop = ends[:, plan.time]
        start = ends[:, plan.time - 1] + 1 if plan.time else np.concatenate(([0], ends[:-1, -1] + 1))
        width = int(stop[0] - start[0])
        if width < 1 or (stop - start != width).any():
            return None
        stamps = stamps_of_text(data[start[:, None] + np.arange(width)], plan.kind)
    numeric_time = plan.kind in times.UNITS and plan.time is not None
    columns = (plan.time, *plan.signals) if numeric_time and plan.time is not None else plan.signals
    if stamps is None and not numeric_time and plan.time is not None:
        return None
    table = _numbers(block, columns, plan)
    if table is None or len(table) != len(ends):
        return None
    if numeric_time:
        stamps = times.stamps_of_numbers(table[:, 0], plan.kind)
        table = table[:, 1:]
    if stamps is None:
        return None if plan.time is not None else (np.empty(0, np.int64), table)
    return stamps, table


def _cell_ends(data: Bytes, plan: Plan) -> Positions | None:
    """Where each cell ends, ``[N, columns]``; None when a row has more or fewer cells than the header."""
    ends: Positions = np.flatnonzero((data == plan.delimiter[0]) | (data == _NEWLINE))
    newline = data[ends] == _NEWLINE
    rows, cells = int(newline.sum()), int(newline.argmax()) + 1
    if cells < plan.width or len(ends) != rows * cells or not newline[cells - 1 :: cells].all():
        return None
    table = ends.reshape(rows, cells)
    # Rows may end in further empty cells (trailing delimiters): ends that follow one another with nothing between.
    surplus = np.diff(table[:, plan.width - 1 :], axis=1)
    return table if (surplus == 1).all() else None


def _numbers(block: bytes, columns: tuple[int, ...], plan: Plan) -> DoubleArray | None:
    """The columns' numbers ``[N, columns]``, NaN for empty cells; None when a cell holds something else."""
    if plan.decimal == b",":
        block = block.replace(b",", b".")
    block = _fill_empty(block.translate(_NOT_ASCII_TO_QUERY), plan.delimiter)
    try:
        return np.loadtxt(
            io.BytesIO(block),
            delimiter=plan.delimiter.decode(),
            comments=None,
            usecols=columns,
            ndmin=2,
            encoding="ascii",
        )
    except ValueError:
        return None


def _fill_empty(block: bytes, mark: bytes) -> bytes:
    """``nan`` into every empty cell. Twice, because neighbours share a delimiter."""
    pair, filled = mark * 2, mark + b"nan" + mark
    if pair in block:
        block = block.replace(pair, filled).replace(pair, filled)
    if mark + b"\n" in block:
        block = block.replace(mark + b"\n", mark + b"nan\n")
    if b"\n" + mark in block or block.startswith(mark):
        block = (b"\n" + block).replace(b"\n" + mark, b"\nnan" + mark)[1:]
    return block


def stamps_of_text(text: Bytes, kind: TimeKind) -> TimeArray | None:
    """Stamps of cells of one width, ``[N, characters]``; None when they are not of one shape."""
    # Cells of one width are the rows of a table of characters: digits are then read column by column.
    shape = _SHAPE_ISO if kind == "iso" else _SHAPE_TIME_OF_DAY
    width = text.shape[1]
    if width < len(shape):
        return None
    zone = width - 1 if kind == "iso" and (text[:, -1] == ord("Z")).all() else width
    micros = _fraction(text[:, len(shape) : zone])
    if micros is None or not _has_shape(text[:, : len(shape)], shape):
        return None
    fields = _clock_fields(text[:, len(shape) - 8 : len(shape)])
    if fields is None:
        return None
    return fields + micros if kind == "time_of_day" else _with_days(text[:, :10], fields + micros)


def _has_shape(text: Bytes, shape: bytes) -> bool:
    """Whether each text has digits where the shape has 0, and its mark elsewhere; a ``T`` may replace the space."""
    for position, mark in enumerate(shape):
        column = text[:, position]
        if mark == _ZERO:
            same = (column - _ZERO) < 10
        else:
            same = (column == mark) | (column == ord("T")) if mark == ord(" ") else column == mark
        if not same.all():
            return False
    return True


def _clock_fields(text: Bytes) -> TimeArray | None:
    """Microseconds since midnight of ``hh:mm:ss``; None when a field is out of range."""
    digits = (text - _ZERO).astype(np.int64)
    hour, minute, second = (digits[:, place] * 10 + digits[:, place + 1] for place in (0, 3, 6))
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any():
        return None
    micros: TimeArray = ((hour * 60 + minute) * 60 + second) * SECOND
    return micros


def _fraction(text: Bytes) -> TimeArray | None:
    """Microseconds of ``.ffffff`` with 1 to 6 digits, or of nothing."""
    digits = text.shape[1] - 1
    if digits < 0:
        return np.zeros(len(text), np.int64)
    if not 1 <= digits <= 6 or (text[:, 0] != ord(".")).any() or ((text[:, 1:] - _ZERO) > 9).any():
        return None
    powers = 10 ** np.arange(5, 5 - digits, -1)
    micros: TimeArray = (text[:, 1:] - _ZERO).astype(np.int64) @ powers
    return micros


def _with_days(text: Bytes, clock: TimeArray) -> TimeArray | None:
    """Adds the date ``yyyy-mm-dd`` to the clock; None when it is not a date."""
    # A log has few different days: each is converted once, by NumPy's own calendar.
    dates, place = np.unique(np.ascontiguousarray(text).view("S10").ravel(), return_inverse=True)
    try:
        days = dates.astype("datetime64[D]").astype(np.int64)
    except ValueError:
        return None
    if (dates < b"0001").any():
        return None
    stamps: TimeArray = days[place] * times.DAY + clock
    return stamps
