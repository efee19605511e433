"""Times (microseconds since the epoch) and durations as text, and back."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from tickover.core.values import SECOND

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RELATIVE_BEFORE: Final = 365 * 86_400 * SECOND
"""A time in the first year of the epoch is taken for time since a log's start."""
MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86_400
EARLIEST: Final = -62_135_596_800 * SECOND
LATEST: Final = 253_402_300_799 * SECOND
"""0001-01-01 and 9999-12-31T23:59:59: what ISO 8601 can write."""
_MICROSECOND: Final = timedelta(microseconds=1)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMPACT_DATE: Final = re.compile(r"\d{8}", re.ASCII)


def iso(time: int) -> str:
    """``2026-03-02T06:15:00.000000Z``; OverflowError beyond the years 1 to 9999."""
    return _utc(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def iso_seconds(time: int) -> str:
    """``2026-03-02T06:15:00Z``: :func:`iso` without the fraction."""
    return _utc(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_day(time: int) -> str:
    """``2026-03-02`` (UTC); a time before the year 1 or after 9999 as the nearest day."""
    return iso(min(max(time, EARLIEST), LATEST))[:10]


def iso_local(time: int, zone: tzinfo) -> str:
    """``2026-03-02T07:15:00+01:00``: the clock of a zone, whole seconds, with its offset."""
    return _utc(time).astimezone(zone).isoformat(timespec="seconds")


def iso_basic(time: int) -> str:
    """``20260302T061500Z``: the basic format of ISO 8601, which file names can hold."""
    return _utc(time).strftime("%Y%m%dT%H%M%SZ")


def parse_iso(text: str) -> int:
    """Microseconds of an ISO 8601 time; without an offset it is UTC. ValueError when it is none.

    The arithmetic is in whole microseconds: a float of seconds since the epoch cannot hold them all.
    """
    return _since_epoch(datetime.fromisoformat(text))


def parse_mail(text: str) -> int:
    """Microseconds of a date of e-mail or HTTP (RFC 5322), as ``Tue, 14 Nov 2023 22:13:20 GMT``; ValueError if not."""
    from email.utils import parsedate_to_datetime  # half a megabyte, and few payloads have such dates

    return _since_epoch(parsedate_to_datetime(text))


def parse_time(text: str) -> int:
    """Microseconds of a time that a person writes: ISO 8601, or a number of seconds; ValueError when it is neither.

    Eight digits are a date, as ISO 8601 allows: ``20240501`` is 2024-05-01T00:00:00Z and no day of 1970. Who means
    seconds writes ``20240501.0``.
    """
    text = text.strip()
    # Numbers are told apart first: Python takes 20240501.12 for noon of that day, the point for the mark before a time.
    if _COMPACT_DATE.fullmatch(text) or not _NUMBER.fullmatch(text):
        return parse_iso(text)
    micros = float(text) * SECOND
    if not EARLIEST <= micros <= LATEST:
        raise ValueError(f"expected a time in the years 1 to 9999, got {text} s")
    return round(micros)


def is_relative(time: int) -> bool:
    """Whether a time counts from a log's start rather than from the epoch."""
    return 0 <= time < RELATIVE_BEFORE


def clock(time: int, relative: bool) -> str:
    """``2026-03-02 06:15:00`` (UTC), or ``0:15:00`` since the log's start; an impossible date as seconds."""
    if relative:
        hours, minutes, seconds = _parts(time)
        return f"{hours}:{minutes:02}:{seconds:02}"
    try:
        return _utc(time).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{time / SECOND:.0f} s"


def day_clock(time: int) -> str:
    """``03-02 06:15:00`` (UTC): :func:`clock` without the year, where room is short."""
    return _utc(time).strftime("%m-%d %H:%M:%S")


def stopwatch(length: int) -> str:
    """``2:05`` or ``1:02:05``: minutes and seconds, with hours once there are any; a negative duration is 0."""
    hours, minutes, seconds = _parts(max(0, length))
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def duration(length: int) -> str:
    """The two largest parts of a duration: ``3 d 4 h``, ``2 h 35 min``, ``8 min 20 s``, ``12.5 s``."""
    seconds = length / SECOND
    if seconds < MINUTE_S:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole // MINUTE_S % 60} min"
    return f"{whole // DAY_S} d {whole // HOUR_S % 24} h"


def span(seconds: float) -> str:
    """A duration to three figures in one unit, for settings: ``90 s`` is ``1.5 min``, ``0.5 s`` stays."""
    for unit, size in (("h", HOUR_S), ("min", MINUTE_S)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _since_epoch(moment: datetime) -> int:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // _MICROSECOND


def _utc(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def _parts(length: int) -> tuple[int, int, int]:
    """Hours, minutes and whole seconds of a duration in microseconds."""
    minutes, seconds = divmod(length // SECOND, 60)
    return minutes // 60, minutes % 60, seconds
