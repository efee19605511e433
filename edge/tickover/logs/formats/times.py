"""Times of log rows: their kinds, their text, and the clock that makes them absolute.

A *stamp* is the time of one row as written, in microseconds: since the epoch (``iso``, ``date``, ``epoch_…``,
``excel``), since midnight (``time_of_day``) or since the start of the log (the others). ``Clock`` makes times
of stamps.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.time_format import EARLIEST, LATEST, parse_iso
from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.logs import dates
from tickover.logs.formats.cells import number_of
from tickover.logs.formats.durations import parse_duration
from tickover.logs.mapping import RELATIVE_KINDS, TimeKind

TIME_NAMES: Final = (
    *("time", "timestamp", "datetime", "_time", "date_time", "date_and_time", "zeitstempel", "fix_time", "fixtime"),
    *("device_time", "devicetime", "utc_time", "time_utc", "timestamp_utc", "utc_timestamp", "utc", "event_time"),
    *("recorded_at", "sample_time", "log_time", "local_time", "time_local", "measured_at", "reading_time", "logged_at"),
    *("zeit", "uhrzeit", "date", "datum", "ts", "t", "t_s", "time_s", "seconds", "time_sec", "epoch", "epoch_s"),
    *("epoch_ms", "t_ms", "ts_ms", "time_ms", "timestamp_ms", "timestamp_s", "unix_time", "unixtime", "unix_timestamp"),
    *("epoch_time", "elapsed_time", "elapsed", "elapsed_s", "horodatage", "heure", "hora", "fecha", "fecha_hora"),
    *("data_ora", "gps_time", "gps_timestamp", "created_at", "createdat", "server_time", "servertime", "received_at"),
    *("offset", "minutes", "time_min", "hours", "x_value", "tijd", "tijdstip", "datum_tijd", "czas", "ora", "tid"),
    *("datetime_utc", "datumzeit", "datum_uhrzeit", "zeitpunkt", "date_heure", "fecha_y_hora", "data_hora", "tidpunkt"),
)
"""Columns that hold the time when the mapping names none; compared in lower case, first match wins."""
_SUFFIX: Final = re.compile(
    r"_(s|sec|secs|seconds|ms|msec|millis|us|usec|micros|ns|nanos|utc|gmt|local|iso|unix|epoch)$"
)
"""What may follow such a name without brackets."""
_UNIT: Final = re.compile(
    r"\s*[\[(]\s*(s|sec|secs|seconds|ms|msec|milliseconds|us|ns|utc|gmt|local|min|mins|minutes|h|hr|hours|"
    r"hh:mm:ss|mm:ss|iso|unix|epoch)\s*[\])]$"
)
"""A unit that may follow such a name, in lower case."""
_NAMED_UNITS: Final[tuple[tuple[re.Pattern[str], TimeKind], ...]] = (
    (re.compile(r".*(_ms|_millis|[\[(]\s*(ms|msec|milliseconds)\s*[\])])"), "epoch_ms"),
    (re.compile(r".*(_us|_micros|[\[(]\s*(us|µs|microseconds)\s*[\])])"), "epoch_us"),
    (re.compile(r".*(_ns|_nanos|[\[(]\s*(ns|nanoseconds)\s*[\])])"), "epoch_ns"),
    (re.compile(r".*([_ ]min|minutes|[\[(]\s*(min|mins|minutes)\s*[\])])"), "minutes"),
    (re.compile(r".*([_ ]h|hours|[\[(]\s*(h|hr|hrs|hours)\s*[\])])"), "hours"),
)
"""Column names with a unit of time; such a column counts it, however small its numbers are."""
_ELAPSED: Final = re.compile(r"elapsed|duration|since|laufzeit")
_SECONDS: Final = re.compile(r".*(_s|_sec|seconds|[\[(]\s*(s|sec|secs|seconds)\s*[\])])")

UNITS: Final[dict[TimeKind, float]] = {
    "epoch_s": SECOND,
    "epoch_ms": 1_000,
    "epoch_us": 1,
    "epoch_ns": 0.001,
    "excel": 86_400 * SECOND,
    "seconds": SECOND,
    "minutes": 60 * SECOND,
    "hours": 3_600 * SECOND,
}
"""Microseconds in one unit of a numeric time."""
ORIGINS: Final[dict[TimeKind, int]] = {"excel": -25_569 * 86_400 * SECOND}
"""Where a numeric time counts from, microseconds since the epoch: Excel's day 0 is the end of 1899."""
LOCAL: Final[tuple[TimeKind, ...]] = ("iso", "date", "excel", "time_of_day")
"""Kinds that show a local clock when ``time.zone`` says so."""

DAY: Final = 86_400 * SECOND
PAST_MIDNIGHT: Final = DAY // 2
"""A time of day that falls by more than this has passed midnight."""
BEFORE_MIDNIGHT: Final = 23 * 3_600 * SECOND
"""A time of day that rises by more than this, after a midnight, is a late row from before it."""

MAGNITUDES: Final[tuple[tuple[float, TimeKind], ...]] = (
    (1e17, "epoch_ns"),
    (1e14, "epoch_us"),
    (1e11, "epoch_ms"),
    (1e8, "epoch_s"),
)
"""A number from here on counts this since 1970 (from 1973 on); below, it is seconds from the start."""
EPOCHS: Final = tuple(kind for _, kind in MAGNITUDES)
COMPACT_FROM: Final = 190_001_010_000.0
COMPACT_TO: Final = 1e14
"""Numbers of 12 or 14 digits that may be a date and time without marks: as milliseconds they are no year of a log."""
EPOCH_S_FROM: Final = MAGNITUDES[-1][0]
EXCEL_DAYS: Final = (25_569.0, 73_050.0)
"""Excel's days from 1970 to 2099,"""
EXCEL_STEP: Final = 0.02
"""in which the usual step from row to row is less than this (half an hour)."""
EXCEL_DIGITS: Final = 5
"""Digits after the mark without which a day has no seconds."""

QUARTER: Final = 900 * SECOND
"""Offsets from UTC change on a quarter of an hour."""
BACK: Final = 1_200 * SECOND
"""A local clock that falls by more than this in the hour that comes twice shows it for the second time."""

_TIME_OF_DAY: Final = re.compile(r"(\d{1,3}):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?", re.ASCII)
_MINUTES: Final = re.compile(r"(\d{1,4}):(\d\d)(?:[.,](\d{1,6})\d*)?", re.ASCII)
_CLOCK_DIGITS: Final = re.compile(r"(\d{1,2})(\d\d)(\d\d)(?:\.(\d{1,6})\d*)?", re.ASCII)
"""A time of day without marks: ``131500``."""
_DIGIT_STEPS: Final = (41, 4_041)
"""Steps of such numbers from one minute, or one hour, to the next."""
_ISO_START: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{8}T\d\d", re.ASCII)
_ISO_OFFSET: Final = re.compile(r".*\d\s?(?:Z|[+-]\d\d(?::?\d\d)?)", re.ASCII)

EXPECTED: Final[dict[TimeKind, str]] = {
    "iso": "an ISO 8601 time such as 2024-05-01T12:00:00Z",
    "date": "a date and time such as 25/10/2023 13:15:00",
    "epoch_s": "seconds since 1970",
    "epoch_ms": "milliseconds since 1970",
    "epoch_us": "microseconds since 1970",
    "epoch_ns": "nanoseconds since 1970",
    "excel": "Excel days such as 45224.552083",
    "time_of_day": "a time of day such as 13:05:59.123",
    "seconds": "seconds from the start of the log",
    "minutes": "minutes from the start of the log",
    "hours": "hours from the start of the log",
    "elapsed": "the time since the start of the log, such as 59:59 or 26:05:59.1",
}


def parse_stamp(text: str, kind: TimeKind, decimal: str = ".", order: str = "") -> int | None:
    """The stamp in ``text``, in microseconds; None when it is not a time of this kind.

    ``order``: of day and month in a ``date``, or its pattern. A stamp of a text with an offset is UTC, one without is
    what the clock showed.
    """
    if kind == "iso":
        return _parse_iso(text)
    if kind == "date":
        moment = dates.parse_date(text, order)
        return moment.utc if moment else None
    if kind == "time_of_day":
        return _parse_time_of_day(text)
    if kind == "elapsed":
        return _parse_elapsed(text)
    number = number_of(text, decimal)
    return None if number is None else stamp_of_number(number, kind)


def stamp_of_number(number: float, kind: TimeKind) -> int | None:
    """The stamp of a numeric time; None when it is not finite or out of range."""
    micros = number * UNITS[kind] + ORIGINS.get(kind, 0)
    return round(micros) if EARLIEST <= micros <= LATEST else None


def stamps_of_numbers(numbers: DoubleArray, kind: TimeKind) -> TimeArray | None:
    """``stamp_of_number`` over an array; None when any of them is refused."""
    micros = numbers * UNITS[kind] + ORIGINS.get(kind, 0)
    inside = (micros >= EARLIEST) & (micros <= LATEST)
    return np.rint(micros).astype(np.int64) if inside.all() else None


def plain_name(column: str) -> str:
    """A column's name as TIME_NAMES has it: lower case, without a unit, words joined by ``_``."""
    return re.sub(r"[\s/.-]+", "_", _UNIT.sub("", column.strip().lower())).strip(":")


def called_time(columns: Sequence[str]) -> list[str]:
    """The columns with a name of TIME_NAMES, with or without a unit; the likeliest first.

    Of nested names (``meta.ts``) the parts count, after those of whole names.
    """
    named: dict[str, list[str]] = {}
    further: dict[str, list[str]] = {}
    for column in columns:
        plain = plain_name(column)
        short = _SUFFIX.sub("", plain)
        named.setdefault(short if short in TIME_NAMES and plain not in TIME_NAMES else plain, []).append(column)
        if "." in column:
            for part in reversed(column.split(".")):
                further.setdefault(_SUFFIX.sub("", plain_name(part)), []).append(column)
    found = [column for known in TIME_NAMES for column in named.get(known, ())]
    nested = [column for known in TIME_NAMES for column in further.get(known, ())]
    return list(dict.fromkeys([*found, *nested]))


def kind_of(cells: Sequence[str], column: str, decimal: str = ".") -> TimeKind | None:
    """What kind of time most cells of a column are; None when none is one."""
    kinds = Counter(kind for cell in cells if (kind := detect_kind(cell, decimal)))
    if not kinds:
        return None
    (kind, _), *_ = kinds.most_common(1)
    if kind in UNITS:
        return _kind_of_numbers(cells, kind, column.lower(), decimal)
    if kind in ("time_of_day", "elapsed"):
        return "elapsed" if _ELAPSED.search(column.lower()) else _kind_of_clocks(cells)
    if kind == "iso" and kinds["date"]:
        return "date"
    return kind


def detect_kind(text: str, decimal: str = ".") -> TimeKind | None:
    """What kind of time a value is; None when it is none."""
    text = text.strip()
    if not text[:1].isdigit() and not text[:1].isalpha() and text[:1] not in ("+", "-", ".", "/", "\\"):
        return None
    if _ISO_START.match(text) and _parse_iso(text) is not None:
        return "iso"
    if not text.replace(".", "").isdigit() and _parse_time_of_day(text) is not None:
        return "time_of_day"
    if not text.replace(".", "").isdigit() and _parse_elapsed(text) is not None:
        return "elapsed"
    number = number_of(text, decimal)
    if number is not None:
        if not math.isfinite(number):
            return None
        if COMPACT_FROM <= number < COMPACT_TO and dates.parse_date(text):
            return "date"
        return next((kind for least, kind in MAGNITUDES if number >= least), "seconds")
    return "date" if any(dates.parse_date(text, order) for order in ("", "dmy", "mdy", "ymd")) else None


def has_offset(text: str, kind: TimeKind, order: str = "") -> bool:
    """Whether a time says its own offset from UTC."""
    if kind == "iso":
        return _ISO_OFFSET.fullmatch(text.strip()) is not None
    moment = dates.parse_date(text, order) if kind == "date" else None
    return moment is not None and moment.offset is not None


def _kind_of_numbers(cells: Sequence[str], kind: TimeKind, column: str, decimal: str) -> TimeKind:
    if kind == "seconds" and _SECONDS.fullmatch(column):
        return kind
    named = next((one for shape, one in _NAMED_UNITS if shape.fullmatch(column)), None)
    if named in ("minutes", "hours") and kind != "seconds":
        named = None
    if named or kind != "seconds":
        return named or kind
    numbers = np.array([number for cell in cells if (number := number_of(cell, decimal)) is not None])
    if are_clock_digits(cells) and (
        any(cell.startswith("0") and len(cell) > 5 for cell in cells)
        or np.isin(np.round(np.diff(numbers)), _DIGIT_STEPS).any()
    ):
        return "time_of_day"
    low, high = EXCEL_DAYS
    steps = np.abs(np.diff(numbers))
    fine = any(len(cell.strip().rpartition("." if "." in cell else ",")[2]) >= EXCEL_DIGITS for cell in cells)
    if fine and len(steps) and low <= numbers.min() and numbers.max() <= high and np.median(steps) < EXCEL_STEP:
        return "excel"
    return kind


def are_clock_digits(cells: Sequence[str]) -> bool:
    """Whether all cells may be times of day without marks, such as ``131500``."""
    return bool(cells) and all(_parse_clock_digits(cell) is not None for cell in cells)


def _parse_clock_digits(text: str) -> int | None:
    match = _CLOCK_DIGITS.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3])
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * SECOND + int((match[4] or "0").ljust(6, "0"))


def _kind_of_clocks(cells: Sequence[str]) -> TimeKind:
    """A time of day, or a time since the start: over 24 h, or minutes and seconds."""
    texts = [cell.strip() for cell in cells]
    long = [match for text in texts if (match := _TIME_OF_DAY.fullmatch(text))]
    if long:
        return "elapsed" if any(int(match[1]) > 23 for match in long) else "time_of_day"
    short = [match for text in texts if (match := _MINUTES.fullmatch(text))]
    if any(int(match[1]) > 23 or match[3] for match in short) or (short and int(short[0][1]) == 0):
        return "elapsed"
    if not long and not short and any(parse_duration(text, _parse_time_of_day) is not None for text in texts):
        return "elapsed"
    return "time_of_day"


def _parse_iso(text: str) -> int | None:
    try:
        return parse_iso(text.strip())
    except ValueError:
        return None


def _parse_time_of_day(text: str) -> int | None:
    """A time of day; hours from 24 on are of the days after."""
    match = _TIME_OF_DAY.fullmatch(text.strip())
    if match is None:
        digits = _parse_clock_digits(text)
        return dates.parse_clock(text) if digits is None else digits
    hour, minute, second, fraction = match.groups(default="0")
    if int(minute) > 59 or int(second) > 59:
        return None
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * SECOND + int(fraction.ljust(6, "0"))


def _parse_elapsed(text: str) -> int | None:
    """``h:mm:ss`` over 24 h too, ``mm:ss``, or a duration such as ``0 days 01:02:03``, ``PT5S``, ``1200 ms``."""
    match = _MINUTES.fullmatch(text.strip())
    if match is None:
        clock = _parse_time_of_day(text)
        return parse_duration(text.strip(), _parse_time_of_day) if clock is None else clock
    minute, second, fraction = match.groups(default="0")
    if int(second) > 59:
        return None
    return (int(minute) * 60 + int(second)) * SECOND + int(fraction.ljust(6, "0"))


class Clock:
    """Makes one vehicle's stamps absolute, in order of arrival; ``start`` is microseconds since the epoch."""

    def __init__(self, kind: TimeKind, start: int, zone: str = "") -> None:
        self._kind = kind
        self._start = start
        self._zone = LocalZone(zone) if zone and kind in LOCAL else None
        self._day = 0
        self._last: int | None = None

    def absolute(self, stamps: TimeArray) -> TimeArray:
        """Times in microseconds since the epoch, UTC; int64 ``[N]``."""
        if self._kind == "time_of_day":
            stamps = self._start // DAY * DAY + self._days(stamps) * DAY + stamps
        if self._kind in RELATIVE_KINDS:
            stamps = stamps + self._start
        return self._zone.utc(stamps) if self._zone else stamps

    def _days(self, stamps: TimeArray) -> TimeArray:
        """Midnights passed before each stamp."""
        if not len(stamps):
            return stamps
        # A fall by half a day can only be midnight. A rise by nearly a day is a row from before midnight that was
        # written late; it belongs to the day before, and the next row falls back again.
        previous = np.concatenate(([stamps[0] if self._last is None else self._last], stamps[:-1]))
        step = stamps - previous
        turns = (step < -PAST_MIDNIGHT).astype(np.int64) - (step > BEFORE_MIDNIGHT)
        days = self._day + np.cumsum(turns)
        if days.min() < 0:
            days = _not_below_zero(turns, self._day)
        self._day, self._last = int(days[-1]), int(stamps[-1])
        return days


class LocalZone:
    """Turns what a local clock showed into UTC, in order of arrival: the hour that comes twice is told by the order."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._fold = 0
        self._last: int | None = None

    def utc(self, stamps: TimeArray) -> TimeArray:
        """Microseconds since the epoch; int64 ``[N]``."""
        quarters, place = np.unique(stamps // QUARTER, return_inverse=True)
        offsets = np.array(
            [[dates.offset_in(self._zone, int(q) * QUARTER, fold) for fold in (0, 1)] for q in quarters], np.int64
        ).reshape(-1, 2)
        first, second = offsets[place, 0], offsets[place, 1]
        # In spring the missing hour has two offsets too, the first the smaller; clocks do not show it.
        twice = first > second
        shift = first.copy()
        for row in np.flatnonzero(twice):
            before = self._last if row == 0 else int(stamps[row - 1])
            if before is not None and stamps[row] < before - BACK:
                self._fold = 1
            elif row and not twice[row - 1] and stamps[row] > before:
                self._fold = 0
            shift[row] = second[row] if self._fold else first[row]
        self._last = int(stamps[-1]) if len(stamps) else self._last
        utc: TimeArray = stamps - shift
        return utc


def _not_below_zero(turns: npt.NDArray[np.int64], day: int) -> TimeArray:
    """Running days that never fall below the first: before the first midnight a rise is a gap, not a late row."""
    days = np.empty(len(turns), np.int64)
    for row, turn in enumerate(turns):
        day = max(0, day + int(turn))
        days[row] = day
    return days
