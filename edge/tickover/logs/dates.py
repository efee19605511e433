"""Dates and times as people and loggers write them: month names, AM and PM, day or month first, zones in words.

`parse_date` reads one text under a known order of day and month; `order_of` finds that order from many texts, because
one text such as ``03/04/2023`` does not tell it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from tickover.core.time_format import EARLIEST, LATEST
from tickover.core.values import SECOND

Order = Literal["dmy", "mdy", "ymd"]
ORDERS: Final[tuple[Order, ...]] = ("dmy", "mdy", "ymd")
DAY: Final = 86_400 * SECOND

MONTHS: Final = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
    "mär": 3,
    "mrz": 3,
    "mai": 5,
    "okt": 10,
    "dez": 12,
    "ene": 1,
    "abr": 4,
    "ago": 8,
    "dic": 12,
    "set": 9,
    "out": 10,
    "fév": 2,
    "avr": 4,
    "jui": 6,
    "aoû": 8,
    "déc": 12,
    "gen": 1,
    "mag": 5,
    "giu": 6,
    "lug": 7,
    "ott": 10,
    "maj": 5,
    "mei": 5,
    "fev": 2,
}
"""The first three letters of months in English, German, Spanish, French, Italian, Portuguese and Dutch."""
ZONES: Final = {
    **dict.fromkeys(("z", "utc", "gmt", "wet"), 0),
    "cet": 60,
    "mez": 60,
    "cest": 120,
    "mesz": 120,
    "bst": 60,
    "ist": 330,
    "eet": 120,
    "eest": 180,
    "msk": 180,
    "est": -300,
    "edt": -240,
    "cst": -360,
    "cdt": -300,
    "mst": -420,
    "mdt": -360,
    "pst": -480,
    "pdt": -420,
    "akst": -540,
    "akdt": -480,
    "hst": -600,
    "jst": 540,
    "aest": 600,
    "aedt": 660,
}
"""Minutes east of UTC of zones by their abbreviation, in lower case."""

_CLOCK: Final = re.compile(
    r"(?<![\d:.])(\d{1,2})[:h](\d\d)(?:[:m](\d\d)(?:[.,:](\d{1,9}))?s?)?\s*([ap]\.?\s?m\.?(?![a-z]))?", re.ASCII | re.I
)
_NUMBERS: Final = re.compile(r"(?<![\d.])(\d{1,4})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})(?![\d])", re.ASCII)
_DAY_MONTH: Final = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.)?[-/. ,]*([^\W\d_]{3,12})\.?[-/. ,]*(\d{4}|\d{2})(?![\d:])", re.I
)
_MONTH_DAY: Final = re.compile(
    r"([^\W\d_]{3,12})\.?[-/. ]*(\d{1,2})(?:st|nd|rd|th)?(?![\d:])(?:[-/. ,]+(\d{4})(?![\d:]))?", re.I
)
_YEAR_MONTH_NAME: Final = re.compile(r"(?<!\d)(\d{4})[-/. ]([^\W\d_]{3,12})[-/. ](\d{1,2})(?!\d)", re.I)
_YEAR: Final = re.compile(r"(?<![\d:.])(\d{4})(?![\d:.])", re.ASCII)
_OFFSET: Final = re.compile(r"(?:(?:utc|gmt)\s*)?([+-])(\d{1,2}):?(\d\d)?$", re.ASCII | re.I)
_WEEKDAY: Final = re.compile(r"^([^\W\d_]{2,12})([.,]*)\s+(?=(?:[^\W\d_]{3,12}[. ]*)?\d)")
_COMPACT: Final = re.compile(
    r"((?:19|20)\d\d)(\d\d)(\d\d)(?:[ _T-]?(\d\d)(\d\d)(\d\d)?(?:[.,](\d{1,6})\d*)?)?", re.ASCII
)
_SHORT: Final = re.compile(r"(\d\d)(\d\d)(\d\d)(?:[ _T-](\d{1,2})(\d\d)(\d\d)(?:[.,](\d{1,6})\d*)?)?", re.ASCII)
"""Dates and times without marks: ``20231025131500``, and as GPS receivers write them, ``251023 131500.00``."""
_SPELLINGS: Final = (
    (re.compile(r"\[([A-Za-z_+/-]+)\]$", re.ASCII), r" \1"),  # Java: 2023-10-25T13:15:00Z[UTC]
    (re.compile(r"((?:GMT|UTC)[+-]\d{4})\s*\([^()]*\)$", re.ASCII), r"\1"),  # JavaScript
    (re.compile(r"^(\d{4}):(\d\d):(\d\d)(?=[ T_])", re.ASCII), r"\1-\2-\3"),  # Exif
    (re.compile(r"(?<=\d{4}-\d\d-\d\d)[ T_-](\d\d)[-_.](\d\d)[-_.](\d\d)(?!\d)", re.ASCII), r" \1:\2:\3"),
    (re.compile(r"(?<=[A-Za-z/]\d{4}):(?=\d\d:)", re.ASCII), " "),  # web servers, SAS: 25/Oct/2023:13:15:00 +0000
    (re.compile(r"(?<=\d{4})( \D{0,6})(\d\d)\.(\d\d)\.(\d\d)(?!\d)", re.ASCII), r"\1\2:\3:\4"),
    (re.compile(r"(\d{4})年(\d\d?)月(\d\d?)日"), r"\1-\2-\3 "),
    (re.compile(r"\bde(?:l)?\b|\b(?:o'clock|uhr|um|at|à|kl\.?)(?![^\W\d_])", re.I), " "),
)
"""Other ways to write what `_date_part` reads."""
_TWO_ZONES: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)\s+[A-Za-z_+/-]+$", re.ASCII)
_TICKS: Final = re.compile(r"\\?/Date\((-?\d{1,15})(?:[+-]\d{4})?\)\\?/", re.ASCII)
"""Milliseconds since 1970 as .NET writes them in JSON."""
_ZONE_NAME: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z_+/-]+", re.ASCII)


class Moment(NamedTuple):
    """A date and time: microseconds since 1970 on its clock, and how far east of UTC that is, where it says so."""

    clock: int
    offset: int | None = None

    @property
    def utc(self) -> int:
        """Microseconds since the epoch; without an offset, the clock is UTC."""
        return self.clock - (self.offset or 0)


def parse_date(text: str, order: str = "") -> Moment | None:
    """The moment in a text with a date; None when it is none, or when day and month need an ``order`` to tell.

    ``order``: ``dmy``, ``mdy`` or ``ymd`` for dates in numbers, or a pattern of strptime.
    """
    if "%" in order:
        return _by_pattern(text, order)
    text = text.strip()
    plain = _without_marks(text, order)
    if plain:
        return plain
    found = _date_part(_respelt(text), order)
    if found is None:
        return None
    days, rest = found
    clock = _CLOCK.search(rest)
    if clock is None:
        return Moment(days * DAY) if not rest.strip(" ,;T") else None
    micros = _micros(clock)
    left = (rest[: clock.start()].rstrip(" ,;T") + " " + rest[clock.end() :]).strip(" ,;")
    offset = _offset_of(left)
    if offset is False and micros is not None and _ZONE_NAME.fullmatch(left):
        offset = offset_in(left, days * DAY + micros)
    moment = None if micros is None or offset is False else days * DAY + micros
    return None if moment is None or not EARLIEST <= moment <= LATEST else Moment(moment, offset)


def _respelt(text: str) -> str:
    """The text in the spelling that `_date_part` reads."""
    for shape, spelling in _SPELLINGS:
        text = shape.sub(spelling, text)
    # An offset and the zone that it is of: the offset tells more.
    return _TWO_ZONES.sub(r"\1", text)


def _without_marks(text: str, order: str) -> Moment | None:
    """Dates that are digits alone; None for others."""
    if not text[-1:].isdigit():
        ticks = _TICKS.fullmatch(text)
        return Moment(int(ticks[1]) * 1_000) if ticks else None
    compact = _COMPACT.fullmatch(text)
    if compact:
        return _of_compact(compact)
    short = _SHORT.fullmatch(text)
    day = _short_day(short, order) if short else None
    clock = _clock_of([int(short[group] or 0) for group in (4, 5, 6)], short[7] or "") if short else None
    return None if day is None or clock is None else Moment(day * DAY + clock)


def _short_day(match: re.Match[str], order: str) -> int | None:
    """The day of ``251023``; None without an order where several fit."""
    return _days(f"{match[1]}-{match[2]}-{match[3]}", order)


def _clock_of(parts: Sequence[int], fraction: str) -> int | None:
    hour, minute, second = parts
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * SECOND + int((fraction or "0").ljust(6, "0"))


def _of_compact(match: re.Match[str]) -> Moment | None:
    """``20231025131500``: a date and time without marks."""
    day = _day_number(int(match[1]), int(match[2]), int(match[3]))
    clock = _clock_of([int(match[group] or 0) for group in (4, 5, 6)], match[7] or "")
    return None if day is None or clock is None else Moment(day * DAY + clock)


def order_of(texts: Iterable[str]) -> Order | None:
    """The one order under which all dates in numbers are dates; None when several orders fit.

    Dates a day apart or less under one order only settle it too: a log goes on from one day to the next.
    """
    dates = list(dict.fromkeys(date for text in texts if (date := _numbers_in(text))))
    fitting = [order for order in ORDERS if all(_days(date, order) is not None for date in dates)]
    if len(fitting) > 1 and len(dates) > 1:
        near = [order for order in fitting if _near(dates, order)]
        fitting = near if len(near) == 1 else fitting
    return fitting[0] if len(fitting) == 1 else None


def _numbers_in(text: str) -> str:
    """The date in numbers in a text, with marks; empty for none."""
    short = _SHORT.fullmatch(text.strip())
    if short:
        return f"{short[1]}-{short[2]}-{short[3]}"
    match = _NUMBERS.search(text)
    return match.group(0) if match else ""


def _near(dates: list[str], order: Order) -> bool:
    days = [_days(date, order) or 0 for date in dates]
    return all(0 <= later - earlier <= 3 for earlier, later in pairwise(days))


def readings_of(text: str) -> list[str]:
    """A date in numbers under each order that fits, for a message: ``dmy: 2023-04-03``."""
    date = _numbers_in(text)
    fits = [(order, _days(date, order)) for order in ORDERS if date]
    return [
        f"{order}: {datetime(1970, 1, 1) + timedelta(days=days):%Y-%m-%d}" for order, days in fits if days is not None
    ]


def _by_pattern(text: str, pattern: str) -> Moment | None:
    try:
        moment = datetime.strptime(text.strip(), pattern)
    except ValueError:
        return None
    shift = moment.utcoffset()
    plain = moment.replace(tzinfo=None) - datetime(1970, 1, 1)
    offset = None if shift is None else round(shift.total_seconds()) * SECOND
    return Moment((plain.days * 86_400 + plain.seconds) * SECOND + plain.microseconds, offset)


def _date_part(text: str, order: str) -> tuple[int, str] | None:
    """The day's number since 1970, and the text without the date."""
    text = _without_weekday(text)
    for shape, place in ((_NUMBERS, None), (_YEAR_MONTH_NAME, (1, 2, 3)), (_DAY_MONTH, (3, 2, 1))):
        match = shape.search(text)
        if match is None:
            continue
        day = _days(match.group(0), order) if place is None else _named(match, place)
        if day is not None:
            return day, text[: match.start()] + " " + text[match.end() :]
        if place is None:
            return None
    for match in _MONTH_DAY.finditer(text):
        rest = text[: match.start()] + " " + text[match.end() :]
        year = match[3] or (found[1] if (found := _YEAR.search(rest)) else "")
        day = _day_number(_year(year), _month(match[1]), int(match[2])) if year else None
        if day is not None:
            return day, rest if match[3] else _YEAR.sub(" ", rest, count=1)
    return None


def _without_weekday(text: str) -> str:
    """The text without a first word that is no month, or that a day and a month follow."""
    match = _WEEKDAY.match(text)
    rest = text[match.end() :] if match else ""
    if match and (not _month(match[1]) or match[2].endswith(",") or _DAY_MONTH.match(rest)):
        return rest
    return text


def _named(match: re.Match[str], place: tuple[int, int, int]) -> int | None:
    year, month, day = (match[group] for group in place)
    return _day_number(_year(year), _month(month), int(day))


def _month(name: str) -> int:
    return MONTHS.get(name[:3].lower(), 0)


def _year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year < 70 else 1900)


@lru_cache(maxsize=4096)
def _days(date: str, order: str) -> int | None:
    """The day's number of a date in numbers; without an order only where one order fits or the text shows it."""
    match = _NUMBERS.fullmatch(date.strip())
    if match is None:
        return None
    first, mark, middle, last = match[1], match[2], match[3], match[4]
    if len(first) == 4:
        return _day_number(int(first), int(middle), int(last)) if order in ("", "ymd", "dmy", "mdy") else None
    if len(first) == 3 or (order == "ymd" and len(last) == 4):
        return None
    if not order and mark == "." and len(last) == 4:
        order = "dmy"  # dates with points are day first wherever they are used
    shapes = {"dmy": (last, middle, first), "mdy": (last, first, middle), "ymd": (first, middle, last)}
    if order:
        year, month, day = shapes[order]
        return _day_number(_year(year), int(month), int(day))
    usual = ("dmy", "mdy")
    found = {number for one in usual if (number := _days(date, one)) is not None}
    return found.pop() if len(found) == 1 else None


def _day_number(year: int, month: int, day: int) -> int | None:
    try:
        return datetime(year, month, day).toordinal() - 719_163
    except ValueError:
        return None


def _micros(clock: re.Match[str]) -> int | None:
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    if clock[5]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if clock[5][0] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * SECOND + int((clock[4] or "0").ljust(6, "0")[:6])


def parse_clock(text: str) -> int | None:
    """Microseconds since midnight of a time of day, perhaps with AM or PM, without a date; None for anything else."""
    match = _CLOCK.fullmatch(text.strip())
    return _micros(match) if match else None


def offset_in(zone: str, clock: int, fold: int = 0) -> int | Literal[False]:
    """Microseconds east of UTC of a zone (``Europe/Berlin``, ``+02:00``) when its clocks show ``clock``.

    ``fold`` 1: the second time that they show it. False when there is no such zone.
    """
    fixed = _offset_of(zone)
    if fixed is not False:
        return fixed or 0
    try:
        moment = datetime(1970, 1, 1, tzinfo=_zone(zone), fold=fold) + timedelta(seconds=clock // SECOND)
        shift = moment.replace(fold=fold).utcoffset()
    except (OverflowError, ValueError, OSError, KeyError):
        return False
    return round(shift.total_seconds()) * SECOND if shift is not None else False


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # costs start-up time that few logs need

    return ZoneInfo(name)


@lru_cache(maxsize=1024)
def _offset_of(text: str) -> int | Literal[False] | None:
    """Microseconds east of UTC in what is left of a text; None without a zone, False when it is something else."""
    text = text.strip("() ")
    if not text:
        return None
    match = _OFFSET.fullmatch(text)
    if match:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return (minutes if match[1] == "+" else -minutes) * 60 * SECOND
    if text.lower() in ZONES:
        return ZONES[text.lower()] * 60 * SECOND
    return False
