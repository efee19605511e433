"""Wall clocks of recorders: dates in several languages, without a zone, to microseconds since 1970."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickover.core.values import SECOND
from tickover.logs import dates

_MONTHS: Final = {
    name: month
    for month, names in enumerate(
        (
            "jan janv ene gen sty oca янв",
            "feb fév fev fevr févr lut şub фев",
            "mar mär mrz mars mrt мар",
            "apr avr abr kwi nis апр",
            "may mai mag mayo maj mei май мая",
            "jun juin giu cze haz июн",
            "jul juil lug lip tem июл",
            "aug août aout ago sie ağu авг",
            "sep sept set wrz eyl сен",
            "oct okt ott out paź eki окт",
            "nov lis kas ноя",
            "dec dez déc dic gru ara дек",
        ),
        start=1,
    )
    for name in names.split()
}
"""Months as Windows abbreviates them in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish,
Russian and the Scandinavian languages; Chinese, Japanese and Korean number them."""
_HALF: Final = r"(?:[ap]\.?\s?m\.?|[上下]午|午[前後]|오[전후])"
_AFTERNOON: Final = ("p", "下", "午後", "오후")
_INTRODUCTION: Final = re.compile(r"^\s*(?:date|begin\s+trigger\s*block)\s+", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"(?:[^\W\d]+\.?,?\s+)?(?P<month>[^\W\d]+|\d{1,2}\s?[月월])\.?\s+(?P<day>\d{1,2})[日일]?\s+(?P<before>"
    + _HALF
    + r"\s+)?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?:\s+(?P<half>" + _HALF + r"))?\s+(?P<year>\d{4})",
    re.IGNORECASE,
)
_NUMBERED: Final = re.compile(
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\s+(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?:\s+(?P<half>[ap]m))?",
    re.IGNORECASE,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OLE_EPOCH: Final = datetime(1899, 12, 30)
_NOON: Final = 12


def zone_of(name: str) -> tzinfo:
    """The zone of wall clocks that name none; empty is UTC. `mapping` has checked that it is known."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # A fixed offset such as +02:00, or an abbreviation of one.
        return timezone(timedelta(microseconds=int(dates.offset_in(name, 0))))


def micros(moment: datetime, zone: tzinfo) -> int:
    """A moment of a wall clock in a zone, microseconds since 1970."""
    return (moment.replace(tzinfo=zone) - _EPOCH) // timedelta(microseconds=1)


def parse(text: str, zone: tzinfo) -> int | None:
    """A date such as ``Sun Nov 30 05:20:00.000 am 2025`` or ``30.11.2025 05:20:00``; None when it is none."""
    match = _NAMED.search(text) or _NUMBERED.search(text)
    if match is None:
        return _other(_INTRODUCTION.sub("", text), zone)
    month = match["month"].rstrip("月월 ")
    number = int(month) if month.isdigit() else _MONTHS.get(month.lower()) or _MONTHS.get(month.lower()[:3])
    if number is None:
        return None
    hour = int(match["hour"])
    # Vector writes am and pm beside hours that count to 12; other tools write am beside hours that count to 24.
    half = (match["half"] or match.groupdict().get("before") or "").lower()
    if half.startswith(_AFTERNOON):
        hour += _NOON if hour < _NOON else 0
    elif half and hour == _NOON:
        hour = 0
    fraction = int((match["fraction"] or "0").ljust(6, "0")[:6])
    try:
        moment = datetime(
            int(match["year"]), number, int(match["day"]), hour, int(match["minute"]), int(match["second"]), fraction
        )
    except ValueError:
        return None
    return micros(moment, zone)


def _other(text: str, zone: tzinfo) -> int | None:
    """A date of another shape, such as ISO 8601, as rows of logs have them."""
    moment = dates.parse_date(text.strip())
    if moment is None:
        return None
    if moment.offset is not None:
        return moment.clock - moment.offset
    return micros(_EPOCH.replace(tzinfo=None) + timedelta(microseconds=moment.clock), zone)


def of_ole_days(days: float, zone: tzinfo) -> int | None:
    """Days since 1899-12-30, as PEAK writes them; None beyond the years 1900 to 9999."""
    try:
        return micros(_OLE_EPOCH + timedelta(microseconds=round(days * 86_400 * SECOND)), zone)
    except (OverflowError, ValueError):
        return None
