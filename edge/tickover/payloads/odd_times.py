"""Times that are no plain number and no ISO 8601 text: in two numbers, in an object, as other programs write them.

- protobuf's Timestamp in JSON without its own mapping (``seconds``, ``nanos``), ROS 1 (``secs``, ``nsecs``) and ROS 2
  (``sec``, ``nanosec``), ``timeval`` (``sec``, ``usec``), Java's Instant (``epochSecond``, ``nano``);
- MongoDB's Extended JSON: ``{"$date": …}``;
- .NET's old JSON (``/Date(1700000000000)/``), dates of e-mail and HTTP, of C's ctime and of JavaScript,
  ``2023/11/14 22:13:20``, ``14.11.2023 22:13:20``, ``20231114221320``, Java's zone in brackets, lower-case ISO 8601,
  a comma in a number of seconds. ``11/14/2023`` is refused: the same may be the 11th of a month elsewhere.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tickover.core.time_format import parse_iso, parse_mail
from tickover.core.values import SECOND

WHOLE: Final = ("seconds", "sec", "secs", "epochSecond", "_seconds")
"""Where the seconds since 1970 are."""
PARTS: Final = {
    **dict.fromkeys(
        ("nanos", "nano", "nanosec", "nanosecs", "nsec", "nsecs", "nanoseconds", "_nanoseconds"), 1_000_000_000
    ),
    **dict.fromkeys(("usec", "usecs", "micros", "microseconds"), 1_000_000),
    **dict.fromkeys(("msec", "msecs", "millis", "milliseconds"), 1_000),
}
"""Where the rest of a second is, and how many of it a second has."""
DATE: Final = "$date"
LONG: Final = "$numberLong"
_DOT_NET: Final = re.compile(r"/Date\((-?\d{1,17})(?:[+-]\d{4})?\)/")
_CLOCK: Final = r"(?P<clock>[ T]\d\d:\d\d.*)?"
_DATES: Final = (
    re.compile(rf"(?P<year>\d{{4}})/(?P<month>\d\d)/(?P<day>\d\d){_CLOCK}"),
    re.compile(rf"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{{4}}){_CLOCK}"),
    re.compile(rf"(?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d{{4}}){_CLOCK}"),
    re.compile(r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d\d?)(?P<clock> \d\d:\d\d:\d\d) (?P<year>\d{4})"),
    re.compile(
        r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>\d\d) (?P<year>\d{4})"
        r"(?P<clock> \d\d:\d\d:\d\d) GMT(?P<offset>[+-]\d{4})?(?: \(.*)?"
    ),
)
"""Dates whose day and month cannot be mistaken for each other, with the clock perhaps."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ALL_DIGITS: Final = re.compile(r"(\d{8})(\d{6})")
_ZONE: Final = re.compile(r"(.*(?:Z|[+-]\d\d:\d\d))\[[\w/+-]+\]")
_WEEKDAY: Final = re.compile(r"[A-Z][a-z]{2}, \d")
_COMMA: Final = re.compile(r"\d+,\d+")
_MILLISECOND: Final = SECOND // 1000


def in_object(value: Mapping[str, Any]) -> int | None:
    """Microseconds of a time in an object; None when it is none."""
    if DATE in value:
        return _mongo(value[DATE])
    whole = next((_integer(value[key]) for key in WHOLE if key in value), None)
    if whole is None:
        return None
    part, each = next(((_integer(value[key]), each) for key, each in PARTS.items() if key in value), (0, SECOND))
    return None if part is None else whole * SECOND + part * SECOND // each


def in_text(text: str) -> int | None:
    """Microseconds of a text that is no ISO 8601 time; None when it is no time. ValueError likewise."""
    if found := _DOT_NET.fullmatch(text):
        return int(found[1]) * _MILLISECOND
    if found := next(filter(None, (date.fullmatch(text) for date in _DATES)), None):
        return parse_iso(_as_iso(**found.groupdict()))
    if found := _ALL_DIGITS.fullmatch(text):
        return parse_iso("T".join(found.groups()))
    if found := _ZONE.fullmatch(text):
        return parse_iso(found[1])
    if _WEEKDAY.match(text):
        return parse_mail(text)
    return parse_iso(text.upper()) if text != text.upper() else None


def _as_iso(year: str, month: str, day: str, clock: str | None = None, offset: str | None = None) -> str:
    number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
    return f"{year}-{number:02}-{int(day):02}{clock or ''}{offset or ''}"


def with_point(text: str) -> str:
    """A number with a comma before its fraction, as one with a point."""
    return text.replace(",", ".") if _COMMA.fullmatch(text) else text


def _mongo(value: Any) -> int | None:
    if type(value) is dict:
        value = _integer(value.get(LONG))
    if type(value) is str:
        return parse_iso(value)
    return value * _MILLISECOND if type(value) is int else None


def _integer(value: Any) -> int | None:
    if type(value) is str and value.isdecimal() and len(value) <= 20:
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None
