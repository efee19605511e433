"""CSV by the block, for speed: the same result as ``csv`` as text, or None when anything in the block is irregular.

The exact reader stays the definition of what a cell means. Each step here either gives the very same numbers or gives
up, and the block is then read as text; the tests compare the two on mutated logs.
"""

import functools
import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray, TimeArray
from tickover.logs.formats import times
from tickover.logs.formats.csv_plan import Bytes, Plan, stamps_of_text

Positions = npt.NDArray[np.int64]

_NEWLINE: Final = ord("\n")
_NOT_ASCII_TO_QUERY: Final = bytes(range(128)) + b"?" * 128
"""No other script's spaces or digits get past the number parser."""


ARROW_BYTES: Final = 1 << 16
"""pyarrow is imported for logs of more than this: for less, numpy is faster than the import."""


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
