"""Blocks of CSV by pyarrow, where it is installed: the same result as ``csv_fast`` with numpy, five times as fast."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from tickover.core.values import DoubleArray, TimeArray
from tickover.logs.formats import times
from tickover.logs.formats.csv_plan import Bytes, Plan, stamps_of_text


def parse(block: bytes, plan: Plan) -> tuple[TimeArray, DoubleArray] | None:
    """See `csv_fast.parse`; ``block`` holds whole lines without quotes, comments and blank lines."""
    table = _table(block, plan)
    if table is None or table.num_rows != block.count(b"\n"):
        return None
    values = np.empty((table.num_rows, len(plan.signals)))
    for index, place in enumerate(plan.signals):
        values[:, index] = table.column(str(place)).to_numpy()
    if plan.time is None:
        return np.empty(0, np.int64), values
    stamps = _stamps(table.column(str(plan.time)), plan)
    return None if stamps is None else (stamps, values)


def _table(block: bytes, plan: Plan) -> Any:
    number = plan.kind in times.UNITS
    kinds = {str(place): pa.float64() for place in plan.signals}
    if plan.time is not None:
        kinds[str(plan.time)] = pa.float64() if number else pa.binary()
    try:
        return arrow_csv.read_csv(
            io.BytesIO(block),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=[str(place) for place in range(plan.width)]
            ),
            arrow_csv.ParseOptions(delimiter=plan.delimiter.decode(), quote_char=False, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                null_values=[""],
                decimal_point=plan.decimal.decode(),
                check_utf8=False,
            ),
        )
    except (pa.ArrowException, ValueError):
        return None


def _stamps(column: Any, plan: Plan) -> TimeArray | None:
    if column.null_count:
        return None
    if plan.kind in times.UNITS:
        return times.stamps_of_numbers(column.to_numpy(), plan.kind)
    chunks = [_characters(chunk) for chunk in column.chunks]
    if any(chunk is None or chunk.shape[1] != chunks[0].shape[1] for chunk in chunks):  # type: ignore[union-attr]
        return None
    return stamps_of_text(np.concatenate([chunk for chunk in chunks if chunk is not None]), plan.kind)


def _characters(chunk: Any) -> Bytes | None:
    """The texts of a chunk as a table of characters, ``[N, width]``; None when they are not of one width."""
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    width = int(ends[1] - ends[0])
    if width < 1 or (np.diff(ends) != width).any():
        return None
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(chunk), width)
