"""Lines to records: a quoted cell of a table may go on over several lines."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

MOST_LINES: Final = 32
"""Lines that a record has at most: a quote that nothing closes must not swallow the log."""
_OPEN: Final = re.compile(r'(?:^|[,;\t|])[ \t]*"(?:[^"]|"")*$')
"""A line whose last cell begins with a quote that is not closed."""


class Records:
    """Joins the lines that an open quote holds together; what is never closed comes out line by line.

    ``is_row`` says whether a text has the cells of a row. A line that is one by itself ends a record that has not
    closed: the quote before it was a damaged one, and costs its own line alone.
    """

    def __init__(self, is_row: Callable[[str], bool] | None = None) -> None:
        self._is_row = is_row
        self._held: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether a record has begun and not ended."""
        return bool(self._held)

    def add(self, line: str) -> Iterator[tuple[str, int]]:
        """The records that this line completes, each with its number of lines."""
        if not self._held:
            if '"' in line and line.count('"') % 2 and _OPEN.search(line.rstrip("\r")):
                self._held = [line]
            else:
                yield line, 1
            return
        closes = line.count('"') % 2 == 1
        if self._is_row and not closes and self._is_row(line):
            yield from self._apart()
            yield from self.add(line)
            return
        self._held.append(line)
        if closes:
            whole = "\n".join(self._held)
            if self._is_row and not self._is_row(whole):
                yield from self._apart()
                return
            count, self._held = len(self._held), []
            yield whole, count
        elif len(self._held) >= MOST_LINES:
            yield from self._apart()

    def end(self) -> Iterator[tuple[str, int]]:
        """What is still held when there are no more lines."""
        while self._held:
            yield from self._apart()

    def _apart(self) -> Iterator[tuple[str, int]]:
        """The first held line alone, and the others anew."""
        held, self._held = self._held, []
        yield held[0], 1
        for line in held[1:]:
            yield from self.add(line)


def records(lines: Iterable[str], is_row: Callable[[str], bool] | None = None) -> Iterator[tuple[str, int]]:
    """All records of lines, with their numbers of lines."""
    joined = Records(is_row)
    for line in lines:
        yield from joined.add(line)
    yield from joined.end()
