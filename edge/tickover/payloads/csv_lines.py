"""Lines of values between commas (or semicolons, tabs, bars): with a head of names, or by place.

``t,rpm,coolant`` and ``1700000000,812,88.5`` name their signals; without a head the first value of a line is ``[0]``:
``time = "[0]"``, ``signals = { "[1]" = "engine_speed" }``.
"""

import csv
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from tickover.payloads.base import MAX_ROWS, Input, PayloadError
from tickover.payloads.json_batch import JsonBatch
from tickover.payloads.strict_json import as_text
from tickover.payloads.values import NO_NUMBER, likely_unit, number_of, with_point

SEPARATORS: Final = ";\t|,"
"""The first of these that stands in the first line; a semicolon before a comma, which may stand before a fraction."""
_DECIMAL: Final = re.compile(r"[+-]?\d+,\d+")
"""A number as spreadsheets of many countries write it; no comma stands between values there."""
MAX_CELLS: Final = 1024
"""In a line."""


class CsvLines(JsonBatch):
    """A row a line."""

    KEYS = frozenset({"time", "vehicle_field", "name", "value", "optional", "decimal"})

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        super().__init__(replace(spec, rows=None), columns, units)

    def _parsed(self, payload: bytes) -> Any:
        self._inner_left = MAX_ROWS * MAX_CELLS
        lines = [line for line in as_text(payload).split("\n", MAX_ROWS + 2) if line.strip()]
        separator = next((mark for mark in SEPARATORS if lines and mark in lines[0]), "")
        if not separator or lines[0].lstrip()[0] in "{[":
            raise PayloadError("bad_line", "expected values with commas between them")
        try:
            cells = [[cell.strip() for cell in line] for line in csv.reader(lines, delimiter=separator)]
        except csv.Error as error:
            raise PayloadError("bad_line", str(error)) from None
        if any(len(line) > MAX_CELLS for line in cells):
            raise PayloadError("too_many_values", f"more than {MAX_CELLS} values in a line")
        if separator != ",":
            cells = [[with_point(cell) if _DECIMAL.fullmatch(cell) else cell for cell in line] for line in cells]
        head = cells.pop(0) if _is_head(cells[0]) else [f"[{place}]" for place in range(max(map(len, cells)))]
        return [dict(zip(head, line, strict=False)) for line in cells]


def _is_head(cells: list[str]) -> bool:
    """Whether a line holds names: no value in it is a number or a time."""
    return all(number_of(cell)[1] == NO_NUMBER and not likely_unit(cell) for cell in cells if cell)
