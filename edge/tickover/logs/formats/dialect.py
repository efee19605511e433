"""How a text table is laid out: delimiter, what stands before the header, its lines, and which cell is whose.

Found by content: the rows that follow one another with cells of the same sorts are the data; what stands right before
them and is no data is the header, perhaps with rows of units and sources; all before that is a preamble.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from tickover.errors import LogError
from tickover.logs import dates
from tickover.logs.formats import times
from tickover.logs.formats.base import MAX_COLUMNS, shown
from tickover.logs.formats.cells import MISSING
from tickover.logs.formats.delimiters import (
    SPACES,
    BadCellsError,
    delimiter_of,
    is_rule,
    is_value,
    split_cells,
    trimmed,
)
from tickover.logs.formats.header import clean_column, listed
from tickover.logs.formats.quoting import records
from tickover.logs.formats.units import bare, is_unit
from tickover.logs.mapping import LogLayout

COMMENT: Final = "#"
LOOK_LINES: Final = 200
"""Lines at the start of a log that are looked at."""
MOST_LOOK_CELLS: Final = 16_384
HEADER_LINES: Final = 4
"""Lines that a header has at most: names, units, sources."""
TYPED_SHARE: Final = 0.6
"""A column holds numbers or times when at least this share of its cells do."""
SHORT_ROWS: Final = 8
"""Of more rows than this, the second half shows the usual width: a preamble may be long."""
LEAST_AGREEING: Final = 3
"""So many rows say that the header has a name too many; fewer are bad rows."""
EXTRA: Final = "column"
LEAST_COMPACT: Final = 12
"""Characters of a date and time without marks, at least."""

_SEP: Final = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
_START: Final = re.compile(
    r"(?:start[ _-]?time|start[ _-]?date|started|start|begin|created|date|session start|recorded|logged)"
    r"(?: ?(?:time|at|on))?\s*[:=,;\t]\s*(.+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dialect:
    """``columns``: the names, each of its own; ``places``: the cell of each column in a row of ``width`` cells.

    ``header``: the text of the header's first line, which may come again. ``first_row``: lines before the first row.
    ``units``: by column. ``start``: when the log began, in microseconds since 1970, where the preamble says it.
    """

    delimiter: str
    columns: tuple[str, ...]
    places: tuple[int, ...]
    width: int
    header: str
    first_row: int
    units: dict[str, str] = field(default_factory=dict)
    start: int | None = None
    notes: tuple[str, ...] = ()


def dialect_of(lines: Sequence[str], layout: LogLayout, name: str) -> Dialect:
    """The dialect of a log's first lines (without line ends); LogError when they are no table."""
    separator = next((match[1] for line in lines[:1] if (match := _SEP.fullmatch(line))), "")
    kept = _kept(lines, int(separator != ""))
    comments = [line.lstrip("# \t") for line in lines[:LOOK_LINES] if line.lstrip().startswith(COMMENT)]
    if not kept:
        raise LogError(f"{name}: expected a header and rows, got {'only comments' if comments else 'an empty file'}")
    look = max(16, min(LOOK_LINES, MOST_LOOK_CELLS // (kept[-1].text.count(",") + 1)))
    texts = [line.text for line in kept[:look]]
    delimiter = layout.delimiter or separator or delimiter_of(texts)
    blank = frozenset(number for number, line in enumerate(lines) if not line.strip())
    table = _Table.of(texts, delimiter, [line.first for line in kept], [line.after for line in kept], blank, name)
    return _laid_out(table, comments, lines, name)


class _Line(NamedTuple):
    """A record of the log: its text, the number of its first line, from 0, and of the line after it."""

    text: str
    first: int
    after: int


def _kept(lines: Sequence[str], first: int) -> list[_Line]:
    """The records that are no comments, rules or blank."""
    kept, number = [], first
    for text, count in records(lines[first:]):
        if text.strip() and not text.lstrip().startswith(COMMENT) and not is_rule(text):
            kept.append(_Line(text, number, number + count))
        number += count
    return kept


@dataclass(frozen=True)
class _Table:
    """The first lines as cells; ``typed``: cells of a usual row that are numbers or times; ``moments``: times."""

    delimiter: str
    rows: list[list[str]]
    texts: list[str]
    numbers: list[int]
    after: list[int]
    width: int
    typed: tuple[bool, ...]
    moments: tuple[bool, ...]
    blank: frozenset[int]

    @classmethod
    def of(
        cls,
        texts: list[str],
        delimiter: str,
        numbers: list[int],
        after: list[int],
        blank: frozenset[int],
        name: str,
    ) -> "_Table":
        rows = []
        for text, number in zip(texts, numbers, strict=False):
            try:
                rows.append([cell.strip() for cell in split_cells(text.rstrip("\r"), delimiter)])
            except BadCellsError as error:
                if not rows:
                    raise LogError(f"{name}:{number + 1}: {error}") from None
                rows.append([])
        body = rows[len(rows) // 2 :] if len(rows) > SHORT_ROWS else rows[1:]
        widths = Counter(len(row) for row in body if len(row) > 0)
        # Rows may or may not end in empty cells: the width is that of the most rows without them.
        width, count = widths.most_common(1)[0] if widths else (len(rows[0]), len(rows))
        if 2 * count <= len(body) and widths[len(trimmed(rows[0]))]:
            width = len(trimmed(rows[0]))
        usual = [row for row in body if len(row) == width]
        typed = tuple(_typed([row[place] for row in usual]) for place in range(width)) if usual else (False,) * width
        moments = tuple(_typed([row[place] for row in usual], _is_moment) for place in range(width)) if usual else ()
        return cls(delimiter, rows, texts, numbers, after, width, typed, moments, blank)

    def blank_after(self, index: int) -> bool:
        """Whether a blank line follows this one."""
        return self.after[index] in self.blank

    def is_data(self, row: Sequence[str]) -> bool:
        """Whether the cells of the columns of numbers and times mostly hold such, or nothing."""
        if len(row) != self.width:
            return False
        times_of_row = [cell for cell, moment in zip(row, self.moments, strict=False) if moment]
        if times_of_row and not any(_is_moment(cell) or cell.lower() in MISSING for cell in times_of_row):
            return False
        cells = [cell for cell, typed in zip(row, self.typed, strict=True) if typed]
        held = [cell for cell in cells if cell.lower() not in MISSING]
        return bool(held) and 2 * sum(is_value(cell) for cell in held) >= len(held)

    def is_short_row(self, row: Sequence[str]) -> bool:
        """Whether a row is data that has lost cells, or has some too many."""
        if len(row) == self.width or len(row) < 2:
            return False
        timed = [cell for cell, moment in zip(row, self.moments, strict=False) if moment]
        if any(self.moments) and not any(_is_moment(cell) for cell in timed):
            return False
        cells = [cell for cell, typed in zip(row, self.typed, strict=False) if typed and cell.lower() not in MISSING]
        return len(cells) > 1 and all(is_value(cell) for cell in cells)


def _laid_out(table: _Table, comments: list[str], lines: Sequence[str], name: str) -> Dialect:
    first = next((index for index, row in enumerate(table.rows) if table.is_data(row)), None)
    if first is None:
        first = min(1, len(table.rows))
    while 1 < first < len(table.rows) and table.is_short_row(table.rows[first - 1]):
        first -= 1
    header = _header_lines(table, first)
    later = _later_header(table, first, header)
    if later is not None:
        first = later + 1
        header = _header_lines(table, first)
    if not header and first == 0:
        named = next((line for line in reversed(comments) if _fits(line, table)), None)
        if named is None:
            raise LogError(
                f"{name}:{table.numbers[0] + 1}: expected a header that names the columns, got a row of values: "
                f"{shown(table.texts[0])}; put a line with the names before it"
            )
        header_rows, header_text = [[cell.strip() for cell in split_cells(named, table.delimiter)]], ""
        before: list[str] = []
    else:
        header_rows = [trimmed(table.rows[index]) for index in header]
        header_text = table.texts[header[0]] if header else ""
        before = table.texts[: header[0]] if header else table.texts[:first]
    if not header_rows:
        _refuse(table, first, name)
    columns, units = _joined(header_rows)
    places, columns = _places(columns, table, first, name)
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise LogError(f"{name}:1: expected a header of 1 to {MAX_COLUMNS} columns, got {len(columns)}")
    named_units = {column: unit for column, unit in zip(columns, units, strict=False) if unit}
    notes = [f"{len(before)} lines before the header are skipped"] if before else []
    above = sum(line.lstrip().startswith(COMMENT) for line in lines[: table.numbers[header[0]]]) if header else 0
    notes += [f"{above} comment lines ('#') before the header are skipped"] if above else []
    first_row = table.numbers[first] if first < len(table.numbers) else len(lines)
    # Lines between the header and the first row that are no header lines are rows, and bad ones.
    after_header = table.after[header[-1]] if header else first_row
    return Dialect(
        table.delimiter,
        tuple(columns),
        tuple(places),
        max(table.width, max(places) + 1),
        header_text,
        after_header,
        named_units,
        _start_of([*comments, *before]),
        tuple(notes),
    )


def _header_lines(table: _Table, first: int) -> list[int]:
    """The lines right before the first row of data that are laid out as a header, in order."""
    found: list[int] = []
    for index in range(first - 1, max(-1, first - 1 - HEADER_LINES), -1):
        row = trimmed(table.rows[index])
        held = [cell for cell in row if cell]
        data_like = 2 * sum(is_value(cell) for cell in held) > len(held) if held else True
        apart = bool(found) and table.blank_after(index)
        few = len(row) < max(2, table.width // 2) if table.width > 1 else len(row) != 1
        if (
            not held
            or apart
            or any(_is_moment(cell) for cell in held)
            or (few and (found or table.width > 1))
            or (data_like and len(row) == table.width)
        ):
            break
        if found and len(row) > max(table.width, len(trimmed(table.rows[found[-1]]))):
            break
        found.append(index)
    found.reverse()
    # A preamble in the same shape: the header begins after the last line that has too few names for the columns.
    while len(found) > 1 and sum(1 for cell in table.rows[found[0]] if cell) < sum(
        1 for cell in table.rows[found[1]] if cell and not is_unit(cell)
    ):
        found.pop(0)
    return found


def _later_header(table: _Table, first: int, header: Sequence[int]) -> int | None:
    """A line of names for every column below what looked like rows: those were a summary before the header."""
    if header and len([cell for cell in table.rows[header[0]] if cell]) >= table.width:
        return None
    for index in range(first + 1, min(len(table.rows), LOOK_LINES) - LEAST_AGREEING):
        row = table.rows[index]
        names = len(row) == table.width and all(cell and not is_value(cell) for cell in row)
        if names and all(table.is_data(after) for after in table.rows[index + 1 : index + 1 + LEAST_AGREEING]):
            return index
    return None


def _refuse(table: _Table, first: int, name: str) -> None:
    line = table.numbers[0] + 1
    raise LogError(
        f"{name}:{line}: expected a header that names the {table.width} cells of the rows, got "
        f"{shown(table.texts[0])} before {shown(table.texts[min(first, len(table.texts) - 1)])}"
    )


def _joined(rows: list[list[str]]) -> tuple[list[str], list[str]]:
    """Names and units from the lines of a header. Lines of units are units; other lines go on with the name."""
    names = [clean_column(cell) for cell in rows[0]]
    units = [""] * len(names)
    sources: list[list[str]] = []
    for row in rows[1:]:
        held = [cell for cell in row if cell]
        cells = [clean_column(row[place]) if place < len(row) else "" for place in range(len(names))]
        if 2 * sum(is_unit(cell) for cell in held) > len(held):
            units = [bare(cell) if cell else unit for cell, unit in zip(cells, units, strict=True)]
        else:
            sources.append(cells)
    for cells in sources:
        # A line that only tells equal names apart (a source) is joined where it has to; one of its own everywhere.
        whole = len(set(cells) - {""}) > 0.5 * sum(1 for cell in cells if cell)
        names = [
            f"{name} {cell}".strip() if cell and (whole or names.count(name) > 1) else name
            for name, cell in zip(names, cells, strict=True)
        ]
    units = ["" if unit.lower() in ("-", ".", "none", "[]") else unit for unit in units]
    return names, units


def _places(columns: list[str], table: _Table, first: int, name: str) -> tuple[list[int], list[str]]:
    """The cell of each column, and the columns' own names."""
    body = [row for row in table.rows[first:] if row]
    width, rows_agree = table.width, all(len(row) == table.width for row in body[:-1])
    empty = (
        [place for place in range(width) if all(len(row) <= place or not row[place] for row in body)] if body else []
    )
    if len(columns) == width or not body:
        return list(range(len(columns))), _own_names(columns)
    if len(columns) < width:
        filled = [place for place in range(width) if place not in set(empty)]
        trailing = [place for place in range(len(columns), width) if place not in set(empty)]
        if not trailing:
            return list(range(len(columns))), _own_names(columns)
        if len(filled) == len(columns) and rows_agree:  # doubled separators
            return filled, _own_names(columns)
        if rows_agree and width == len(columns) + 1 and _are_row_names(body):
            return list(range(1, width)), _own_names(columns)
        if rows_agree and table.delimiter != SPACES:
            return list(range(width)), _own_names([*columns, *[""] * (width - len(columns))])
    elif not rows_agree or len(body) < LEAST_AGREEING:  # some rows are short, and bad
        return list(range(len(columns))), _own_names(columns)
    raise LogError(
        f"{name}:{table.numbers[first] + 1}: expected {len(columns)} cells as in the header, got {width}: header "
        f"{listed(columns)}; row {shown(table.texts[first])}; put quotes around a name that holds '{table.delimiter}'"
    )


def _are_row_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first cells count the rows and the second are times: names of rows, for which R writes no header."""
    first = [row[0] for row in rows]
    if not all(cell.isdigit() for cell in first):
        return False
    counts = all(int(later) - int(earlier) == 1 for earlier, later in pairwise(first))
    return counts and all(_is_moment(row[1]) or times.detect_kind(row[1]) in times.EPOCHS for row in rows)


def _own_names(columns: Sequence[str]) -> list[str]:
    """Every column under a name of its own: one without gets its number, a repeated one its count."""
    taken = set(columns)
    seen: Counter[str] = Counter()
    names = []
    for place, column in enumerate(columns, start=1):
        column = column or f"{EXTRA} {place}"
        seen[column] += 1
        count, name = seen[column], column
        while count > 1 and (name == column or name in taken):
            name, count = f"{column}.{count}", count + 1
        taken.add(name)
        names.append(name)
    return names


def _fits(line: str, table: _Table) -> bool:
    try:
        cells = split_cells(line, table.delimiter)
    except BadCellsError:
        return False
    return len(cells) == table.width and not any(is_value(cell.strip()) for cell in cells)


def _start_of(texts: Sequence[str]) -> int | None:
    """When a log began, from a line such as ``StartTime = 10/25/2023 01:15:00 PM`` before the rows."""
    for text in texts:
        match = _START.fullmatch(text.strip().lstrip("# "))
        if match:
            words = match[1].replace(",", " ").replace(";", " ").replace('"', " ").strip()
            moment = dates.parse_date(words)
            stamp = moment.utc if moment else times.parse_stamp(words, "iso")
            if stamp is not None:
                return stamp
    return None


def _typed(cells: Sequence[str], is_one: Callable[[str], bool] | None = None) -> bool:
    """Whether most cells that hold something are values (or what ``is_one`` says)."""
    held = [cell for cell in cells if cell.lower() not in MISSING]
    test = is_one or is_value
    return bool(held) and sum(test(cell) for cell in held) >= TYPED_SHARE * len(held)


def _is_moment(cell: str) -> bool:
    """Whether a cell is a date or a time of day, which no name of a column is."""
    if len(cell) < LEAST_COMPACT and cell.replace(".", "", 1).isdigit():
        return False  # a plain number, which most cells are
    return any(character.isdigit() for character in cell) and times.detect_kind(cell) in ("iso", "date", "time_of_day")
