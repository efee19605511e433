"""MQTT payloads to rows of readings: one decoder per format, one registry, one contract.

A decoder never raises anything but `PayloadError`, never returns a value that is not a finite float32, and counts
every value it leaves out. It takes bytes and the fields of the topic; it knows no broker and no clock.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Meta, Struct

from tickover.formats.topics import FIELD_NAMES, TopicTemplate

MAX_BYTES: Final = 65_536
"""A larger payload is refused unread; the broker is told the same number."""
MAX_DEPTH: Final = 8
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

_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


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
    """What every format promises; the suite in ``tests/edge/test_payloads.py`` holds all of them to it."""

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


def parse_json(payload: bytes) -> Any:
    """Strict JSON; size and depth are checked before the parser sees it. PayloadError names the reason."""
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_large")
    if _too_deep(payload):
        raise PayloadError("too_deep")
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise PayloadError("bad_json") from None


def _too_deep(payload: bytes) -> bool:
    """True when brackets nest deeper than MAX_DEPTH; brackets inside strings count too (refusing is safe)."""
    brackets = payload.translate(None, _NOT_BRACKETS)
    if len(brackets) <= 2 * MAX_DEPTH:
        return False
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


class _Json(Stateless):
    """What the JSON formats share: where time, vehicle and signals are in an object."""

    def __init__(self, spec: Input, columns: Mapping[str, int]) -> None:
        self._spec = spec
        self._columns = {name: column for name, column in columns.items() if name not in spec.signals.values()}
        self._columns.update({name: columns[ours] for name, ours in spec.signals.items() if ours in columns})
        self._width = len(columns)
        self._about = {spec.time, spec.vehicle_field} - {None}

    def _vehicle(self, fields: Mapping[str, str], item: object) -> str:
        spec = self._spec
        if spec.vehicle_field and isinstance(item, dict):
            name = item.get(spec.vehicle_field)
            return vehicle_name(name if isinstance(name, str | int) else None)
        return vehicle_name(fields.get("vehicle", spec.vehicle))

    def _time(self, item: dict[str, Any]) -> int | None:
        spec = self._spec
        return None if spec.time is None else event_time(item.get(spec.time), spec.time_unit)

    def _row(self, fields: Mapping[str, str], item: object, counts: Counter[str]) -> Row:
        if not isinstance(item, dict):
            raise PayloadError("not_an_object")
        vehicle, time = self._vehicle(fields, item), self._time(item)
        signals = item if self._spec.values is None else item.get(self._spec.values)
        if not isinstance(signals, dict):
            raise PayloadError("no_signals")
        return Row(vehicle, time, self._values(signals, counts))

    def _values(self, signals: dict[str, Any], counts: Counter[str]) -> list[float]:
        values = [math.nan] * self._width
        columns, known = self._columns, False
        for name, value in signals.items():
            column = columns.get(name)
            if column is not None:
                plain = type(value) is float and -FLOAT32_MAX <= value <= FLOAT32_MAX
                values[column] = value if plain else finite(value, counts)
                known = True
            elif name not in self._about:
                counts["unknown_signal"] += 1
        if not known:
            raise PayloadError("no_signals")
        return values


class JsonObject(_Json):
    """``{"time": 1500000000.0, "engine_speed": 812, "coolant": 88.5}``."""

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row."""
        return [self._row(fields, parse_json(payload), counts)]


class JsonBatch(_Json):
    """``[{"time": 1, "engine_speed": 812}, …]``, or that list under the key ``rows``.

    A bad row is counted and left out; its neighbours stay.
    """

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """As many rows as are good."""
        items = parse_json(payload)
        if self._spec.rows is not None:
            items = items.get(self._spec.rows) if isinstance(items, dict) else None
        if not isinstance(items, list):
            raise PayloadError("not_a_list")
        if len(items) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        return list(self._good_rows(fields, items, counts))

    def _good_rows(self, fields: Mapping[str, str], items: list[Any], counts: Counter[str]) -> Iterable[Row]:
        for item in items:
            try:
                yield self._row(fields, item, counts)
            except PayloadError as error:
                counts[error.reason] += 1


class SingleValue(_Json):
    """One signal per topic: the payload is a plain number, or an object with ``value`` and perhaps a time."""

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row with one value."""
        column = self._columns.get(fields.get("signal", ""))
        if column is None:
            raise PayloadError("unknown_signal")
        item = parse_json(payload)
        vehicle, time = self._vehicle(fields, item), None
        if isinstance(item, dict):
            time = self._time(item)
            item = item.get(self._spec.value)
        elif self._spec.time is not None:
            raise PayloadError("bad_time")
        values = [math.nan] * self._width
        values[column] = finite(item, counts)
        return [Row(vehicle, time, values)]


def _sparkplug(spec: Input, columns: Mapping[str, int]) -> Decoder:
    """Loaded on demand: protobuf costs start-up time that most trucks need not pay."""
    from tickover.formats.sparkplug import SparkplugB

    return SparkplugB(spec, columns)


FORMATS: Final[dict[str, Callable[[Input, Mapping[str, int]], Decoder]]] = {
    "json": JsonObject,
    "json_batch": JsonBatch,
    "value": SingleValue,
    "sparkplug_b": _sparkplug,
}
"""Name in the config file to what builds the decoder from the input's table and signal name -> column."""


def open_decoder(spec: Input, columns: Mapping[str, int]) -> Decoder:
    """The decoder of one input; ``columns`` maps the models' signal names to columns."""
    return FORMATS[spec.format](spec, columns)
