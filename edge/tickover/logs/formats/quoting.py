"""Lines to records: a quoted cell of a table may go on over several lines."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

MOST_LINES: Final = 32
"""Lines that a record has at most: a quote that nothing closes must not swallow the log."""
_OPEN: Final = re.compile(r'(?:^|[,;\t|])[ \t]*"(?:[^"]|"")*$')
"""A line whose last cell begins with a quote that is not closed."""


class Records:
    """Joins the lines that an open quote holds together; what is never closed comes out line by line."""

    def __init__(self) -> None:
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
        self._held.append(line)
        if line.count('"') % 2:
            yield "\n".join(self._held), len(self._held)
            self._held = []
        elif len(self._held) >= MOST_LINES:
            yield from self.end()

    def end(self) -> Iterator[tuple[str, int]]:
        """What is still held, line by line: the first is no beginning of a record."""
        held, self._held = self._held, []
        if held:
            yield held[0], 1
            for line in held[1:]:
                yield from self.add(line)
            yield from self.end()


def records(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """All records of lines, with their numbers of lines."""
    joined = Records()
    for line in lines:
        yield from joined.add(line)
    yield from joined.end()
