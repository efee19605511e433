"""Counts and tables as text."""

from collections.abc import Iterable, Iterator, Sequence


def many(count: int, what: str) -> str:
    """``1 tick``, ``9,298 ticks``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The rows as lines, each column padded to one width."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
