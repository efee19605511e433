"""Times (microseconds since the epoch) and durations as text."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tickover.core.values import SECOND

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RELATIVE_BEFORE: Final = 365 * 86_400 * SECOND
"""A time in the first year of the epoch is taken for time since a log's start."""
DAY_S: Final = 86_400


def iso(time: int) -> str:
    """``2026-03-02T06:15:00.000000Z``; OverflowError beyond the years 1 to 9999."""
    return (EPOCH + timedelta(microseconds=time)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def is_relative(time: int) -> bool:
    """Whether a time counts from a log's start rather than from the epoch."""
    return 0 <= time < RELATIVE_BEFORE


def clock(time: int, relative: bool) -> str:
    """``2026-03-02 06:15:00`` (UTC), or ``0:15:00`` since the log's start; an impossible date as seconds."""
    if relative:
        seconds = time // SECOND
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    try:
        return (EPOCH + timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{time / SECOND:.0f} s"


def duration(length: int) -> str:
    """The two largest parts of a duration: ``3 d 4 h``, ``2 h 35 min``, ``8 min 20 s``, ``12.5 s``."""
    seconds = length / SECOND
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < DAY_S:
        return f"{whole // 3600} h {whole // 60 % 60} min"
    return f"{whole // DAY_S} d {whole // 3600 % 24} h"
