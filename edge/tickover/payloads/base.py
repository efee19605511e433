"""MQTT payloads to rows of readings: one decoder per format, one registry, one contract.

A decoder never raises anything but `PayloadError`, never returns a value that is not a finite float32, and counts
every value it leaves out. It takes bytes and the fields of the topic; it knows no broker and no clock.
"""

import functools
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NamedTuple, Protocol

from msgspec import Meta, Struct

from tickover.payloads.topic_template import FIELD_NAMES, TopicTemplate

MAX_BYTES: Final = 65_536
"""A larger payload is refused unread; the broker is told the same number."""
MAX_ROWS: Final = 4096
"""The most rows in one batch."""
MAX_VEHICLE: Final = 128
NAMES_REMEMBERED: Final = 16_384
"""Vehicle names that need no second check."""
FLOAT32_MAX: Final = 3.4028234663852886e38
LATEST: Final = 7_258_118_400_000_000
"""2200-01-01 in microseconds: a later time, or one before 1970, is refused as ``bad_time``."""
TOPIC: Final = "topic"
BESIDE: Final = "beside"
"""Fields that no template names: the message's own topic, and that it carries nothing to read for this input."""
MICROSECONDS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0}


class PayloadError(Exception):
    """A payload was refused; ``reason`` is a fixed word that is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Input(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One subscription and how to read it (a table of the config file).

    ``topic`` is a template: ``{vehicle}`` and ``{signal}`` name levels, ``+`` is any level. ``time`` names the
    payload's key that holds the time (absent: time of arrival); ``values`` the key under which the signals lie
    (absent: beside the time); ``rows`` the key that holds the list of a batch (absent: the payload is the list);
    ``value`` the number's key in a per-signal JSON object. ``signals`` renames payload names to the model's.
    ``rebirth_s``: a Sparkplug B node is asked for its births no more often than this; 0 = never.
    """

    topic: Annotated[str, Meta(min_length=1, max_length=1024)]
    format: Literal["json", "json_batch", "value", "sparkplug_b"] = "json"
    vehicle: Annotated[str, Meta(min_length=1, max_length=MAX_VEHICLE)] | None = None
    vehicle_field: str | None = None
    time: str | None = None
    time_unit: Literal["iso", "s", "ms", "us"] = "s"
    values: str | None = None
    rows: str | None = None
    value: str = "value"
    signals: dict[str, str] = {}
    rebirth_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 60.0

    def problem(self) -> str | None:
        """What types alone cannot say, or None."""
        template = TopicTemplate(self.topic)
        if template.problem:
            return f"topic: {template.problem}"
        if not (self.vehicle or self.vehicle_field or "vehicle" in template.fields):
            return "expected a vehicle: {vehicle} in the topic, vehicle_field, or vehicle"
        if self.format == "sparkplug_b" and not {"kind", "vehicle"} <= set(template.fields):
            return "format sparkplug_b: expected a topic like spBv1.0/+/{kind}/{vehicle} or …/{kind}/{vehicle}/{device}"
        if self.format == "value" and "signal" not in template.fields:
            return "format value: expected {signal} in the topic"
        unused = sorted(set(template.fields) - FIELD_NAMES)
        return f"topic: unknown field {{{unused[0]}}}; known: {', '.join(sorted(FIELD_NAMES))}" if unused else None


class Row(NamedTuple):
    """One row of one vehicle: ``time`` in microseconds, None = time of arrival; ``values`` in the order of the
    decoder's columns, NaN = no reading."""

    vehicle: str
    time: int | None
    values: list[float]


class Decoder(Protocol):
    """What every format promises; the suite in ``tests/edge/payloads/test_payloads.py`` holds all of them to it."""

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """Rows of one message; raises `PayloadError`; counts single values that were left out."""
        ...

    def state(self) -> bytes:
        """What the decoder has learnt and must not forget over a restart (most have nothing)."""
        ...

    def restore(self, state: bytes) -> None:
        """Take a `state` back; a damaged one is ignored."""
        ...


class Stateless:
    """The two methods of a decoder that has nothing to remember."""

    def state(self) -> bytes:
        """Nothing."""
        return b""

    def restore(self, state: bytes) -> None:
        """Nothing to take back."""


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
            parsed = datetime.fromisoformat(value)
            parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
            return _in_range(round(parsed.timestamp() * 1e6))
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
