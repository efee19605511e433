"""JSON payloads: an object of signals, a batch of such, or one signal's value a topic."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tickover.payloads.base import (
    FLOAT32_MAX,
    MAX_BYTES,
    MAX_ROWS,
    Input,
    PayloadError,
    Row,
    Stateless,
    event_time,
    finite,
    vehicle_name,
)

MAX_DEPTH: Final = 8
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


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
