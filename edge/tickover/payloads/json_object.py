"""One JSON object of signals, and what all JSON payloads share."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tickover.payloads.base import Decoder, Input, PayloadError, Row
from tickover.payloads.strict_json import parse_json
from tickover.payloads.values import FLOAT32_MAX, event_time, finite, vehicle_name


class JsonDecoder(Decoder):
    """What the JSON formats share: where time, vehicle and signals are in an object."""

    def __init__(self, spec: Input, columns: Mapping[str, int]) -> None:
        super().__init__(spec, columns)
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
                # The common case, a plain float, is decided here: this loop runs for every value of every message.
                plain = type(value) is float and -FLOAT32_MAX <= value <= FLOAT32_MAX
                values[column] = value if plain else finite(value, counts)
                known = True
            elif name not in self._about:
                counts["unknown_signal"] += 1
        if not known:
            raise PayloadError("no_signals")
        return values

    def _names(self, items: Iterable[object]) -> list[str]:
        """The keys with a number in the signals of these objects; what is no object names nothing."""
        names: list[str] = []
        under = self._spec.values
        for item in items:
            signals = item.get(under) if under is not None and isinstance(item, dict) else item
            if isinstance(signals, dict):
                names += [name for name, value in signals.items() if type(value) in (int, float)]
        return self._renamed(name for name in names if name not in self._about)


class JsonObject(JsonDecoder):
    """``{"time": 1500000000.0, "engine_speed": 812, "coolant": 88.5}``."""

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row."""
        return [self._row(fields, parse_json(payload), counts)]

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The object's keys with a number."""
        return self._names([parse_json(payload)])
