"""What the first rows say of the cells: the decimal mark of the file and of its columns, and units in cells."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tickover.logs.formats import cells as cells_
from tickover.logs.formats.cells import Column

COLUMN_CELLS: Final = 64
"""Cells of a column that are looked at for a unit."""
MOST_CELLS: Final = 8_192
LEAST_ROWS: Final = 16
"""Of wide samples, some rows are enough: so many cells, or so many rows."""
UNIT_SHARE: Final = 0.8
"""Of the cells that hold something, those that must end in one unit for it to be the column's."""

_DOT: Final = re.compile(
    r"[+-]?(?:\d+\.(?:\d{1,2}|\d{4,})|(?:0|\d{4,})\.\d{3}|\d{1,3}(?:,\d{3})+\.\d+|\.\d+)", re.ASCII
)
_COMMA: Final = re.compile(r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|(?:0|\d{4,}),\d{3}|\d{1,3}(?:\.\d{3})+,\d+)", re.ASCII)
_EITHER: Final = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)
"""Texts that are numbers under one decimal mark only, and those that are under both."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """``decimal``: the file's mark. ``decimals``: columns that have the other one. ``units``: what cells end in.

    ``numbers``: columns whose cells are numbers beyond 0 and 1, in which a switch's words are none.
    """

    decimal: str = "."
    decimals: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()

    def column(self, name: str, missing: Iterable[str] = ()) -> Column:
        """The reader of a column."""
        further = frozenset(text.strip().lower() for text in missing)
        decimal = self.decimals.get(name, self.decimal)
        return Column(decimal, self.units.get(name, ""), further, words=name not in self.numbers)


def evidence_of(
    columns: Sequence[str], samples: Sequence[Sequence[str]], delimiter: str = ",", decimal: str = ""
) -> Evidence:
    """What the sample rows say; ``decimal`` is the mark when it is known."""
    stride = max(1, len(samples) * len(columns) // MOST_CELLS)
    samples = samples[::stride] if len(samples) // stride >= LEAST_ROWS else samples[:LEAST_ROWS]
    by_column = dict(zip(columns, zip(*samples, strict=True), strict=False)) if samples else {}
    marks = {} if decimal else {name: _marks(cells) for name, cells in by_column.items()}
    total: Counter[str] = sum(marks.values(), Counter())
    found = decimal or _mark_of(total, delimiter)
    other = {name: mark for name, seen in marks.items() if (mark := _own_mark(seen, found))}
    units = {name: unit for name, cells in by_column.items() if (unit := _unit_of(cells))}
    numbers = frozenset(name for name, cells in by_column.items() if _beyond_a_switch(cells, found))
    return Evidence(found, other, units, numbers)


def _beyond_a_switch(cells: Sequence[str], decimal: str) -> bool:
    """Whether the numbers among the cells are more than 0 and 1, and more than the words.

    Cells all over the sample are looked at: a sensor may say ``off`` until it is on.
    """
    cells = cells[:: -(-len(cells) // COLUMN_CELLS) or 1]
    numbers = [number for cell in cells if (number := cells_.number_of(cell, decimal)) is not None]
    words = sum(cell.strip().lower() in cells_.WORDS for cell in cells)
    return any(number not in (0.0, 1.0) and number == number for number in numbers) and words < len(numbers)


def _marks(cells: Sequence[str]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for cell in cells:
        if "," in cell or "." in cell:
            text = cell.strip()
            parts = None if text[-1:].isdigit() else cells_.split_unit(text)
            text = parts[0] if parts else text
            for mark, shape in ((".", _DOT), (",", _COMMA), ("?", _EITHER)):
                if shape.fullmatch(text):
                    seen[mark] += 1
                    break
    return seen


def _mark_of(seen: Counter[str], delimiter: str) -> str:
    """The file's mark: that of most certain cells; without any, a comma that separates no cells is a decimal comma."""
    if seen["."] or seen[","]:
        return "," if seen[","] > seen["."] else "."
    return "," if seen["?"] and delimiter != "," else "."


def _own_mark(seen: Counter[str], found: str) -> str:
    """The mark of a column whose certain cells all have the other one."""
    other = "," if found == "." else "."
    return other if seen[other] and not seen[found] else ""


def _unit_of(cells: Sequence[str]) -> str:
    held = [cell for cell in cells[:COLUMN_CELLS] if cell.strip() and cell.strip().lower() not in cells_.MISSING]
    if not held or all(cell[-1:].isdigit() for cell in held[:4]):
        return ""
    units = Counter(parts[1] for cell in held if (parts := cells_.split_unit(cell)))
    if not units:
        return ""
    unit, count = units.most_common(1)[0]
    return unit if count >= UNIT_SHARE * len(held) else ""
