"""What a value, a time and a vehicle's name in a payload must be, whatever the format."""

import functools
import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, Final, NamedTuple

from tickover.core.time_format import iso, parse_iso
from tickover.core.units import converted
from tickover.core.values import SECOND
from tickover.payloads import odd_times
from tickover.payloads.base import MAX_VEHICLE, PayloadError

NAMES_REMEMBERED: Final = 16_384
"""Vehicle names that need no second check."""
FLOAT32_MAX: Final = 3.4028234663852886e38
EARLIEST: Final = 946_684_800 * SECOND
LATEST: Final = 4_102_444_800 * SECOND
"""2000-01-01 and 2100-01-01 in microseconds: a time outside is one of a wrong unit, or of a clock that was never set,
and is refused as ``bad_time``. Age alone is no reason."""
EARLIEST_S: Final = EARLIEST / SECOND
LATEST_S: Final = LATEST / SECOND
IN_A_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each unit of time."""
MAX_TEXT: Final = 64
"""A longer text is no number."""
MAX_TIME_TEXT: Final = 96
"""A longer text is no time; JavaScript's have the zone's name."""

NO_NUMBER: Final = "not_a_number"
NOT_FINITE: Final = "not_finite"
WRONG_UNIT: Final = "wrong_unit"
SEVERAL: Final = "several_numbers"
UNIT_KEYS: Final = ("unit", "units", "uom", "unit_of_measurement")
"""Where senders write the unit of a value."""
MISSING_WORDS: Final = frozenset(
    {"", "-", "--", "n/a", "na", "none", "null", "nil", "unavailable", "undefined", "unknown"}
)
"""Texts that senders use for "no value", as null is used."""
SWITCH_WORDS: Final = {"true": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "off": 0.0, "no": 0.0}
"""Texts that senders use for 1 and 0."""
_AROUND: Final = " \t\r\n\0"
_NUMBER: Final = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_UNIT_ATOM: Final = r"(?![eExX](?!\w))[^\W\d_]{1,12}[23²³]?"
_QUANTITY: Final = re.compile(
    rf"({_NUMBER})\s*"
    rf"([°%‰'\"]|°?\s?{_UNIT_ATOM}(?:[/·*.^-]\s?(?:100\s?)?{_UNIT_ATOM}){{0,3}}|deg(?:rees)? [CFcf]|1/min)?"
)
"""A number and perhaps its unit: ``60 km/h``, ``88 °C``, ``8.1 l/100km``, ``9.8 m/s2``; no date, no clock, no list."""
_HEX: Final = re.compile(r"0[xX][0-9A-Fa-f]{1,16}")
_NOT_FINITE_WORD: Final = re.compile(r"[+-]?(?:nan|inf(?:inity)?|1\.#[a-z]+\d*)(?:\(.*\))?", re.IGNORECASE)
"""As C, Python and Windows print what is no number."""
_PLAIN: Final = re.compile(_NUMBER)
_BETWEEN: Final = re.compile(r"\s*[,;]\s*|\s+")
_BRACKETS: Final = (("[", "]"), ("(", ")"), ("{", "}"), ("", ""))
MAX_ELEMENTS: Final = 1024
"""The longest text of several numbers, characters."""


def number_of(value: object) -> tuple[float, str]:
    """A payload's value as a float that fits float32; else NaN and the reason, which is empty for "no value".

    Takes numbers, booleans (1 and 0), and texts of a number, with or without a unit; `in_unit` converts it. An object
    whose only member is such a value is that value: protobuf's ``{"float": 61.2}``, DynamoDB's ``{"N": "812"}``.
    """
    if type(value) is float or type(value) is int:
        return (float(value), "") if -FLOAT32_MAX <= value <= FLOAT32_MAX else (math.nan, NOT_FINITE)
    if value is None:
        return math.nan, ""
    if type(value) is bool:
        return float(value), ""
    if type(value) is Quantity:
        return number_of(value.number)
    if type(value) is bytes and len(value) <= MAX_TEXT:
        value = value.decode("utf-8", "replace")
    if type(value) is str:
        return _number_in(value) if len(value) <= MAX_TEXT else (math.nan, NO_NUMBER)
    if type(value) is dict and (only := only_member(value)) is not None:
        return number_of(only)
    return math.nan, SEVERAL if type(value) is list else NO_NUMBER


def only_member(value: dict[str, Any]) -> Any:
    """The value in an object of one member; None when that is an object or a list, and for every other object."""
    only = next(iter(value.values())) if len(value) == 1 else None
    return None if type(only) is dict or type(only) is list else only


def elements(text: str) -> list[str]:
    """The numbers in a text of several: ``220,221``, ``[1; 2]``, ``3 4``; empty when it is something else."""
    if len(text) > MAX_ELEMENTS:
        return []
    text = text.strip(_AROUND)
    first, last = next((first, last) for first, last in _BRACKETS if text.startswith(first) and text.endswith(last))
    parts = _BETWEEN.split(text[len(first) : len(text) - len(last)].strip())
    return parts if len(parts) > 1 and all(map(_PLAIN.fullmatch, parts)) else []


def with_point(text: str) -> str:
    """A number written with a comma before its fraction (``1.234,5``), with a point."""
    return text.replace(".", "").replace(",", ".")


class Quantity(NamedTuple):
    """A number whose unit stands beside it."""

    number: float
    unit: str


def in_unit(value: object, number: float, wanted: str) -> tuple[float, str]:
    """The ``number`` of a value in the unit ``wanted``; NaN and ``wrong_unit`` when the value's is of another quantity.

    A value without a unit, or with one that is not known, is taken to be in the unit ``wanted``.
    """
    given = value.unit if type(value) is Quantity else ""
    if type(value) is str and (found := _QUANTITY.fullmatch(value.strip(_AROUND))):
        given = found[2] or ""
    if not given:
        return number, ""
    result = converted(number, given, wanted)
    if result is None:
        return math.nan, WRONG_UNIT
    return (result, "") if abs(result) <= FLOAT32_MAX else (math.nan, NOT_FINITE)


def with_unit(value: Any, beside: Mapping[str, Any]) -> Any:
    """A number with the unit that stands beside it in its object, when it names one."""
    if type(value) is not float and type(value) is not int:
        return value
    unit = next((beside[key] for key in UNIT_KEYS if key in beside), None)
    return Quantity(value, unit) if type(unit) is str else value


def finite(value: object, counts: Counter[str]) -> float:
    """`number_of` with the reason counted."""
    number, reason = number_of(value)
    if reason:
        counts[reason] += 1
    return number


def _number_in(text: str) -> tuple[float, str]:
    text = text.strip(_AROUND)
    word = text.lower()
    if word in MISSING_WORDS:
        return math.nan, ""
    if word in SWITCH_WORDS:
        return SWITCH_WORDS[word], ""
    if _HEX.fullmatch(text):
        return float(int(text, 16)), ""
    if found := _QUANTITY.fullmatch(text):
        number = float(found[1])
        return (number, "") if abs(number) <= FLOAT32_MAX else (math.nan, NOT_FINITE)
    if _NOT_FINITE_WORD.fullmatch(text):
        return math.nan, NOT_FINITE
    return math.nan, SEVERAL if elements(text) else NO_NUMBER


def event_time(value: object, unit: str) -> int:
    """Microseconds since the epoch of a payload's time, a number or a text; PayloadError ``bad_time`` says why not.

    An ISO 8601 text, or one of `odd_times`, is one whatever the ``unit``; without an offset it is UTC.
    """
    if type(value) is float and EARLIEST_S < value < LATEST_S and unit == "s":  # the common case
        return round(value * SECOND)
    if type(value) is int and unit == "s" and EARLIEST_S < value < LATEST_S:
        return value * SECOND
    time = microseconds(value, unit)
    if time is None:
        likely = likely_unit(value)
        cure = f'; set inputs.time_unit = "{likely}"' if likely else ""
        raise PayloadError("bad_time", f"expected {_expected(unit)}, got {_shown(value)}{cure}")
    if not EARLIEST <= time <= LATEST:
        raise PayloadError("bad_time", _impossible(value, unit, time))
    return time


def microseconds(value: object, unit: str) -> int | None:
    """The same without a look at the range; None when the value is no time."""
    if type(value) is str:
        return _time_in(value, unit)
    if type(value) is dict:
        try:
            return odd_times.in_object(value)
        except (ValueError, OverflowError):
            return None
    if unit == "iso" or not (type(value) is int or type(value) is float):
        return None
    return _scaled(value, unit)


def likely_unit(value: object) -> str | None:
    """The unit of time in which a value is a time of our years, or None."""
    for unit in (*IN_A_SECOND, "iso"):
        time = microseconds(value, unit)
        if time is not None and EARLIEST <= time <= LATEST:
            return "iso" if type(value) is str and not _PLAIN.fullmatch(value.strip()) else unit
    return None


def _scaled(value: float, unit: str) -> int | None:
    try:
        if type(value) is int:  # exact: a float holds no nanoseconds of today
            return value * SECOND // IN_A_SECOND[unit]
        return round(value * (SECOND / IN_A_SECOND[unit]))
    except (ValueError, OverflowError):  # NaN and infinity
        return None


def _time_in(text: str, unit: str) -> int | None:
    text = text.strip(" \t\r\n\0")
    if not text or len(text) > MAX_TIME_TEXT:
        return None
    try:
        number = odd_times.with_point(text)
        if unit != "iso" and _PLAIN.fullmatch(number):
            return _scaled(int(number) if number.isdecimal() else float(number), unit)
        return parse_iso(text.removesuffix("UTC").rstrip())
    except (ValueError, OverflowError):
        pass
    try:
        return odd_times.in_text(text)
    except (ValueError, OverflowError, TypeError):
        return None


def _expected(unit: str) -> str:
    return "an ISO 8601 time" if unit == "iso" else f"a number of {unit} since 1970, or an ISO 8601 time"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _impossible(value: object, unit: str, time: int) -> str:
    """What is wrong with a time that is out of range, and the unit in which it is not."""
    try:
        where = f"is {iso(time)[:10]}"
    except (OverflowError, ValueError):
        where = "is beyond the year 9999"
    likely = likely_unit(value)
    cure = f'; set inputs.time_unit = "{likely}"' if likely else ", before 2000 or after 2099: set the sender's clock"
    return f"{_shown(value)} in {unit} {where}{cure}"


@functools.lru_cache(maxsize=NAMES_REMEMBERED, typed=True)
def vehicle_name(value: Hashable) -> str:
    """A vehicle's name that is safe as one level of a topic; PayloadError ``bad_vehicle``."""
    if type(value) is int:
        value = str(value)
    if (
        isinstance(value, str)
        and 1 <= len(value) <= MAX_VEHICLE
        and value.isprintable()
        and not any(mark in value for mark in "+#/")
        and not value.startswith("$")
    ):
        return value
    raise PayloadError("bad_vehicle", f"got {_shown(value)}")
