"""What to take from a block of a regular CSV, and the stamps of its time column, character by character."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.values import SECOND, TimeArray
from tickover.logs.formats import times
from tickover.logs.formats.base import Job
from tickover.logs.formats.dialect import Dialect
from tickover.logs.formats.header import Keys, clean_column
from tickover.logs.mapping import TimeKind

Bytes = npt.NDArray[np.uint8]

_ZERO: Final = ord("0")
_SHAPE_ISO: Final = b"0000-00-00 00:00:00"
_SHAPE_TIME_OF_DAY: Final = b"00:00:00"


class Plan(NamedTuple):
    """What to take from a block: the number of columns, the time's and the signals' positions."""

    width: int
    delimiter: bytes
    decimal: bytes
    time: int | None
    kind: TimeKind
    signals: tuple[int, ...]


FAST_KINDS: Final = ("iso", "time_of_day", "rate", *times.UNITS)


def plan(job: Job, keys: Keys, dialect: Dialect) -> Plan | None:
    """The plan of a wide log of one vehicle with plain numbers; None for other logs and for one column (where a blank
    line looks like an empty cell): they are read as text."""
    evidence, mapping = job.evidence, job.mapping
    if keys.vehicle is not None or keys.date is not None or not keys.signals or dialect.width == 1:
        return None
    if not dialect.delimiter.strip(" "):
        return None
    if evidence.decimals or mapping.log.missing or mapping.time.kind not in FAST_KINDS:
        return None
    if not {clean_column(column) for column in mapping.columns}.isdisjoint(evidence.units):
        return None
    time = keys.time if isinstance(keys.time, int) else None
    signals = tuple(key for key in keys.signals if isinstance(key, int))
    decimal = evidence.decimal.encode()
    return Plan(dialect.width, dialect.delimiter.encode(), decimal, time, mapping.time.kind, signals)


def stamps_of_text(text: Bytes, kind: TimeKind) -> TimeArray | None:
    """Stamps of cells of one width, ``[N, characters]``; None when they are not of one shape."""
    # Cells of one width are the rows of a table of characters: digits are then read column by column.
    shape = _SHAPE_ISO if kind == "iso" else _SHAPE_TIME_OF_DAY
    width = text.shape[1]
    if width < len(shape):
        return None
    zone = width - 1 if kind == "iso" and (text[:, -1] == ord("Z")).all() else width
    micros = _fraction(text[:, len(shape) : zone])
    if micros is None or not _has_shape(text[:, : len(shape)], shape):
        return None
    fields = _clock_fields(text[:, len(shape) - 8 : len(shape)])
    if fields is None:
        return None
    return fields + micros if kind == "time_of_day" else _with_days(text[:, :10], fields + micros)


def _has_shape(text: Bytes, shape: bytes) -> bool:
    """Whether each text has digits where the shape has 0, and its mark elsewhere; a ``T`` may replace the space."""
    for position, mark in enumerate(shape):
        column = text[:, position]
        if mark == _ZERO:
            same = (column - _ZERO) < 10
        else:
            same = (column == mark) | (column == ord("T")) if mark == ord(" ") else column == mark
        if not same.all():
            return False
    return True


def _clock_fields(text: Bytes) -> TimeArray | None:
    """Microseconds since midnight of ``hh:mm:ss``; None when a field is out of range."""
    digits = (text - _ZERO).astype(np.int64)
    hour, minute, second = (digits[:, place] * 10 + digits[:, place + 1] for place in (0, 3, 6))
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any():
        return None
    micros: TimeArray = ((hour * 60 + minute) * 60 + second) * SECOND
    return micros


def _fraction(text: Bytes) -> TimeArray | None:
    """Microseconds of ``.ffffff`` with 1 to 6 digits, or of nothing."""
    digits = text.shape[1] - 1
    if digits < 0:
        return np.zeros(len(text), np.int64)
    if not 1 <= digits <= 6 or (text[:, 0] != ord(".")).any() or ((text[:, 1:] - _ZERO) > 9).any():
        return None
    powers = 10 ** np.arange(5, 5 - digits, -1)
    micros: TimeArray = (text[:, 1:] - _ZERO).astype(np.int64) @ powers
    return micros


def _with_days(text: Bytes, clock: TimeArray) -> TimeArray | None:
    """Adds the date ``yyyy-mm-dd`` to the clock; None when it is not a date."""
    # A log has few different days: each is converted once, by NumPy's own calendar.
    dates, place = np.unique(np.ascontiguousarray(text).view("S10").ravel(), return_inverse=True)
    try:
        days = dates.astype("datetime64[D]").astype(np.int64)
    except ValueError:
        return None
    if (dates < b"0001").any():
        return None
    stamps: TimeArray = days[place] * times.DAY + clock
    return stamps
