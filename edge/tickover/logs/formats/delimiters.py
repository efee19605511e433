"""What separates the cells of a table of text, and a line's cells."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tickover.logs.formats import times
from tickover.logs.formats.cells import WORDS, number_of, split_unit
from tickover.logs.formats.units import is_unit

DELIMITERS: Final = (",", ";", "\t", "|")
RARE: Final = ("^", "~", "!", ":")
"""Marks that separate the cells of few logs: tried where no usual one does."""
SPACES: Final = " "
"""Any number of spaces: taken where no other mark separates the cells."""
DATED_SPACES: Final = "  "
"""The same, with a date and the time after it in one cell."""
SPACED_SHARE: Final = 0.9
"""Lines of the usual number of cells without which spaces separate none."""

_RULE: Final = re.compile(r"[\s|+:=-]*[-=]{3}[\s|+:=-]*")
"""A line that only separates the header from the rows, as databases and Markdown write it."""
_SPACED_QUOTE: Final = re.compile(r'"[ \t]+(?=[,;\t|]|$)')
_DATED: Final = re.compile(r"(\d{4}[-/.]\d\d[-/.]\d\d|\d\d[-/.]\d\d[-/.]\d{4}) +(?=\d\d?:\d\d)", re.ASCII)


class BadCellsError(Exception):
    """A line is not cells between delimiters."""


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of one record, quotes undone."""
    if delimiter in (SPACES, DATED_SPACES):
        line = _DATED.sub(r"\1T", line) if delimiter == DATED_SPACES else line
        return line.split() if '"' not in line else _quoted_cells(line.strip(), SPACES, spaces=True)
    if '"' not in line:
        return line.split(delimiter)
    return _quoted_cells(line, delimiter)


def _quoted_cells(line: str, delimiter: str, *, spaces: bool = False) -> list[str]:
    lines = io.StringIO(line, newline="")
    try:
        return next(csv.reader(lines, delimiter=delimiter, skipinitialspace=spaces, strict=True), [])
    except csv.Error as error:
        closed = _SPACED_QUOTE.sub('"', line)  # spaces between a closing quote and the delimiter
        if closed != line:
            return _quoted_cells(closed, delimiter, spaces=spaces)
        raise BadCellsError(f"expected cells between '{delimiter}', quoted by \" or not: {error}") from None


def is_rule(line: str) -> bool:
    """Whether a line is a rule between the header and the rows: ``---+---`` or ``|---|``."""
    return _RULE.fullmatch(line) is not None


def delimiter_of(texts: list[str]) -> str:
    """The mark that splits most lines into the same number of cells, the header's too."""

    def fit(delimiter: str) -> tuple[float, int, int, int]:
        counts = []
        for text in texts:
            try:
                counts.append(len(trimmed([cell.strip() for cell in split_cells(text.rstrip("\r"), delimiter)])))
            except BadCellsError:
                counts.append(0)
        usual, rows = Counter(counts[len(counts) // 2 :]).most_common(1)[0]
        share = rows / len(counts[len(counts) // 2 :])
        named = any(count == usual for count in counts[: len(counts) // 2]) if len(counts) > 1 else True
        first = sum(count >= 2 for count in counts[: len(counts) // 2 or 1])
        agree = sum(count == usual for count in counts)
        return (round(share, 1) if usual > 1 and named else 0.0, min(first, 1), agree, -DELIMITERS.index(delimiter))

    best = max((";", "\t", "|", ","), key=lambda mark: (*fit(mark)[:3], mark != ",", fit(mark)[3]))
    if fit(best)[0] > 0 and (best in texts[0] or not _rare(texts)):  # else decimal commas between rare marks
        return best
    return _rare(texts) or _spaces(texts) or max(DELIMITERS, key=texts[0].count)


def _spaces(texts: Sequence[str]) -> str:
    """Spaces as the delimiter, where lines of several cells agree and hold numbers; empty where they do not."""
    rows = [split_cells(text, SPACES) for text in texts if '"' not in text]
    counts = Counter(len(row) for row in rows[1:])
    if not counts:
        return ""
    usual, number = counts.most_common(1)[0]
    body = [row for row in rows[1:] if len(row) == usual]
    values = sum(is_value(cell) for row in body for cell in row)
    if usual < 2 or number < SPACED_SHARE * len(rows[1:]) or 2 * values < usual * len(body):
        return ""
    first = next(index for index, row in enumerate(rows) if len(row) == usual and any(map(is_value, row)))
    named = len(rows[max(0, first - 1)])
    return DATED_SPACES if all(_DATED.search(text) for text in texts[first:]) and named == usual - 1 else SPACES


def _rare(texts: Sequence[str]) -> str:
    """A rare mark as the delimiter, where the header and the rows agree and rows hold numbers; empty where none is.

    A clock time holds colons, and so does ``name: value``: three columns at least, and the header's own number of them.
    """
    for mark in RARE:
        rows = [[cell.strip() for cell in text.rstrip("\r").split(mark)] for text in texts if '"' not in text]
        usual, number = Counter(map(len, rows[1:])).most_common(1)[0] if rows[1:] else (0, 0)
        body = [row for row in rows[1:] if len(row) == usual]
        values = sum(is_value(cell) for row in body for cell in row)
        named = any(len(row) == usual and not any(map(is_value, row)) for row in rows)
        if usual > 2 and named and number >= SPACED_SHARE * len(rows[1:]) and 2 * values >= usual * len(body):
            return mark
    return ""


def trimmed(cells: list[str]) -> list[str]:
    """The cells without empty ones at the end."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


@lru_cache(maxsize=65_536)
def is_value(cell: str) -> bool:
    """Whether a cell holds a number, with a unit or without, a time, or a switch's word."""
    if number_of(cell) is not None or number_of(cell, ",") is not None or (cell.lower() in WORDS and len(cell) > 1):
        return True
    if not any(character.isdigit() for character in cell) or is_unit(cell):
        return False
    return (split_unit(cell) is not None and cell[:1] in "+-.0123456789") or times.detect_kind(cell) is not None
