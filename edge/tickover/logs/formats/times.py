"""Times of log rows: their kinds, their text, and the clock that makes them absolute.

A *stamp* is the time of one row as written, in microseconds: since the epoch (``iso``, ``epoch_s``, ``epoch_ms``),
since midnight (``time_of_day``) or since the start of the log (``seconds``). ``Clock`` turns stamps into times.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.time_format import EARLIEST, LATEST, parse_iso
from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.logs.mapping import TimeKind

TIME_NAMES: Final = (
    "time",
    "timestamp",
    "datetime",
    "date_time",
    "date",
    "utc",
    "ts",
    "t",
    "t_s",
    "time_s",
    "seconds",
    "epoch",
    "epoch_s",
    "epoch_ms",
    "t_ms",
    "ts_ms",
    "timestamp_ms",
    "zeit",
    "uhrzeit",
)
"""Columns that hold the time when the mapping names none; compared in lower case, first match wins."""
_UNIT: Final = re.compile(r"\s*[\[(]\s*(s|sec|seconds|ms|msec|milliseconds|utc)\s*[\])]$")
"""A unit that may follow such a name, in lower case."""
_MILLISECONDS: Final = re.compile(r".*(_ms|[\[(]\s*(ms|msec|milliseconds)\s*[\])])")
"""Column names with a unit of milliseconds; such a column counts milliseconds, however small its numbers are."""

UNITS: Final[dict[TimeKind, int]] = {"epoch_s": SECOND, "epoch_ms": 1_000, "seconds": SECOND}
"""Microseconds in one unit of a numeric time."""

DAY: Final = 86_400 * SECOND
PAST_MIDNIGHT: Final = DAY // 2
"""A time of day that falls by more than this has passed midnight."""
BEFORE_MIDNIGHT: Final = 23 * 3_600 * SECOND
"""A time of day that rises by more than this, after a midnight, is a late row from before it."""

EPOCH_S_FROM: Final = 1e8
EPOCH_MS_FROM: Final = 1e11
"""A number from here on is taken for epoch seconds (1973 on) or milliseconds; below, for seconds from the start."""

_TIME_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?", re.ASCII)
_ISO_START: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{8}T\d\d", re.ASCII)

EXPECTED: Final[dict[TimeKind, str]] = {
    "iso": "an ISO 8601 time such as 2024-05-01T12:00:00Z",
    "epoch_s": "seconds since 1970",
    "epoch_ms": "milliseconds since 1970",
    "time_of_day": "a time of day such as 13:05:59.123",
    "seconds": "seconds from the start of the log",
}


def parse_stamp(text: str, kind: TimeKind) -> int | None:
    """The stamp in ``text``, in microseconds; None when it is not a time of this kind."""
    if kind == "iso":
        return _parse_iso(text)
    if kind == "time_of_day":
        return _parse_time_of_day(text)
    number = parse_number(text)
    return None if number is None else stamp_of_number(number, kind)


def stamp_of_number(number: float, kind: TimeKind) -> int | None:
    """The stamp of a numeric time; None when it is not finite or out of range."""
    micros = number * UNITS[kind]
    return round(micros) if EARLIEST <= micros <= LATEST else None


def stamps_of_numbers(numbers: DoubleArray, kind: TimeKind) -> TimeArray | None:
    """``stamp_of_number`` over an array; None when any of them is refused."""
    micros = numbers * UNITS[kind]
    inside = (micros >= EARLIEST) & (micros <= LATEST)
    return np.rint(micros).astype(np.int64) if inside.all() else None


def parse_number(text: str) -> float | None:
    """A decimal number; None for anything else. Python's ``1_000`` and other scripts' digits are refused."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text.strip())
    except ValueError:
        return None


def called_time(columns: Sequence[str]) -> list[str]:
    """The columns with a name of TIME_NAMES, with or without a unit; the likeliest first."""
    plain = [_UNIT.sub("", column.lower()) for column in columns]
    return [column for known in TIME_NAMES for column, name in zip(columns, plain, strict=True) if name == known]


def kind_of(cells: Iterable[str], column: str) -> TimeKind | None:
    """What kind of time most cells of a column are; None when none is one."""
    kinds = Counter(kind for cell in cells if (kind := detect_kind(cell)))
    if not kinds:
        return None
    (kind, _), *_ = kinds.most_common(1)
    return "epoch_ms" if kind in UNITS and _MILLISECONDS.fullmatch(column.lower()) else kind


def detect_kind(text: str) -> TimeKind | None:
    """What kind of time a value is; None when it is none."""
    text = text.strip()
    if _ISO_START.match(text) and _parse_iso(text) is not None:
        return "iso"
    if _parse_time_of_day(text) is not None:
        return "time_of_day"
    number = parse_number(text)
    if number is None or not math.isfinite(number):
        return None
    if number >= EPOCH_MS_FROM:
        return "epoch_ms"
    return "epoch_s" if number >= EPOCH_S_FROM else "seconds"


def _parse_iso(text: str) -> int | None:
    try:
        return parse_iso(text.strip())
    except ValueError:
        return None


def _parse_time_of_day(text: str) -> int | None:
    match = _TIME_OF_DAY.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second, fraction = match.groups(default="0")
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return None
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * SECOND + int(fraction.ljust(6, "0"))


class Clock:
    """Makes one vehicle's stamps absolute, in order of arrival; ``start`` is microseconds since the epoch."""

    def __init__(self, kind: TimeKind, start: int) -> None:
        self._kind = kind
        self._start = start
        self._day = 0
        self._last: int | None = None

    def absolute(self, stamps: TimeArray) -> TimeArray:
        """Times in microseconds since the epoch, UTC; int64 ``[N]``."""
        if self._kind == "time_of_day":
            return self._start // DAY * DAY + self._days(stamps) * DAY + stamps
        return stamps + self._start if self._kind in ("seconds", "rate") else stamps

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


def _not_below_zero(turns: npt.NDArray[np.int64], day: int) -> TimeArray:
    """Running days that never fall below the first: before the first midnight a rise is a gap, not a late row."""
    days = np.empty(len(turns), np.int64)
    for row, turn in enumerate(turns):
        day = max(0, day + int(turn))
        days[row] = day
    return days
