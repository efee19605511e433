"""Durations in words: days and a clock, ISO 8601, or numbers with units."""

import re
from collections.abc import Callable
from typing import Final

from tickover.core.values import SECOND

_DAY: Final = 86_400 * SECOND
_DAYS: Final = re.compile(r"(-?\d{1,6}) ?(?:d|days?|tage?)\b,? *(?=\d|$)", re.ASCII | re.I)
_PARTS: Final = re.compile(r"(\d+(?:[.,]\d+)?) ?([^\W\d_]+) *", re.ASCII)
_ISO_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?)?", re.ASCII)
_PART_UNITS: Final = {
    **dict.fromkeys(("us", "usec", "µs"), 1),
    **dict.fromkeys(("ms", "msec", "msecs", "milliseconds"), 1_000),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek"), SECOND),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60 * SECOND),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "std"), 3_600 * SECOND),
    **dict.fromkeys(("d", "day", "days"), 86_400 * SECOND),
}
"""Microseconds in the units of a duration."""


def parse_duration(text: str, clock_of: Callable[[str], int | None]) -> int | None:
    """Microseconds of ``1 day, 2:03:04``, ``PT5S``, ``1200 ms``; None for anything else. ``clock_of`` reads clocks."""
    days = _DAYS.match(text)
    if days:
        rest = text[days.end() :]
        clock = clock_of(rest) if rest else 0
        if clock is not None:
            return int(days[1]) * _DAY + clock
    iso = _ISO_DURATION.fullmatch(text) if len(text) > 2 else None
    if iso:
        parts = [int(iso[group] or 0) for group in (1, 2, 3, 4)]
        fraction = int((iso[5] or "0").ljust(6, "0")[:6])
        return ((parts[0] * 24 + parts[1]) * 60 + parts[2]) * 60 * SECOND + parts[3] * SECOND + fraction
    parts_of_text = _PARTS.findall(text)
    if not parts_of_text or _PARTS.sub("", text).strip():
        return None
    if any(unit.lower() not in _PART_UNITS for _, unit in parts_of_text):
        return None
    return round(sum(float(number.replace(",", ".")) * _PART_UNITS[unit.lower()] for number, unit in parts_of_text))
