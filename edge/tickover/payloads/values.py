"""What a value, a time and a vehicle's name in a payload must be, whatever the format."""

import functools
import math
from collections import Counter
from collections.abc import Hashable
from typing import Final

from tickover.core.time_format import parse_iso
from tickover.payloads.base import MAX_VEHICLE, PayloadError

NAMES_REMEMBERED: Final = 16_384
"""Vehicle names that need no second check."""
FLOAT32_MAX: Final = 3.4028234663852886e38
LATEST: Final = 7_258_118_400_000_000
"""2200-01-01 in microseconds: a later time, or one before 1970, is refused as ``bad_time``."""
MICROSECONDS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0}


def finite(value: object, counts: Counter[str]) -> float:
    """The value as a float that fits float32, or NaN with the reason counted. None is a silent NaN."""
    if type(value) is float or type(value) is int:
        if -FLOAT32_MAX <= value <= FLOAT32_MAX:
            return float(value)
        counts["not_finite"] += 1
    elif value is not None:
        counts["not_a_number"] += 1
    return math.nan


def event_time(value: object, unit: str) -> int:
    """Microseconds since the epoch of a payload's time; PayloadError ``bad_time``. Naive ISO times are UTC."""
    try:
        if unit == "iso" and type(value) is str:
            return _in_range(parse_iso(value))
        if unit != "iso" and (type(value) is float or type(value) is int):
            return _in_range(round(value * MICROSECONDS[unit]))
    except (ValueError, OverflowError):
        pass
    raise PayloadError("bad_time")


def _in_range(time: int) -> int:
    if 0 <= time <= LATEST:
        return time
    raise PayloadError("bad_time")


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
    raise PayloadError("bad_vehicle")
