"""One signal's value in a message; its topic names the signal."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tickover.payloads.base import MAX_NAME, Input, PayloadError, Row
from tickover.payloads.json_object import MAX_INNER, TIME, JsonDecoder
from tickover.payloads.paths import MISSING
from tickover.payloads.strict_json import as_text, parse_json
from tickover.payloads.values import NO_NUMBER, number_of, with_unit


class SingleValue(JsonDecoder):
    """One signal per topic: a plain number or word (``812``, ``88 °C``, ``on``), or an object with ``value`` and
    perhaps a time. Where a model knows ``tyre[0]``, the topic ``tyre`` may hold several numbers: a list, or a text."""

    KEYS = frozenset({"time", "vehicle_field", "value", "signal", "optional", "decimal"})

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        """The topic must name the signal, or be one."""
        if "signal" in fields and spec.signal:
            return "expected {signal} in the topic or signal, got both"
        return None if "signal" in fields or spec.signal else "expected {signal} in the topic, or signal"

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row with one value."""
        name = self._signal(fields)
        column = self._columns.get(name)
        if column is None and name not in self._lists:
            self.drops.add(name, "unknown_signal")
            raise PayloadError("unknown_signal", f"got {name[:MAX_NAME]!r}")
        item, self._inner_left = _parsed(payload), MAX_INNER
        vehicle, time = self._vehicle(fields, item), None
        if type(item) is dict:
            time = self._time(item)
            item = with_unit(self._value(item), item)
        elif self._time_path is not None and TIME not in self._optional:
            raise PayloadError("bad_time", "a plain value carries no time; remove inputs.time to use that of arrival")
        values = [math.nan] * self._width
        if column is None:
            self._inner(name, item, self._columns, values, counts)
        else:
            values[column] = self._number(name, column, item, counts)
        return [Row(vehicle, time, values)]

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The topic's signal, unless its value is plainly none."""
        item = _parsed(payload)
        value = self._value_path.find(item) if type(item) is dict else item
        is_text = number_of(value)[1] == NO_NUMBER and not isinstance(item, dict)
        return [] if is_text else self._renamed([self._signal(fields)])

    def _signal(self, fields: Mapping[str, str]) -> str:
        return self._spec.signal or fields.get("signal", "")

    def _value(self, item: dict[str, Any]) -> object:
        value = self._value_path.find(item)
        if value is MISSING:
            raise PayloadError("no_value", f"nothing at {self._spec.value!r}")
        return value


def _parsed(payload: bytes) -> Any:
    """A JSON value, or else the text itself."""
    try:
        return parse_json(payload)
    except PayloadError as error:
        text = as_text(payload)
        if error.reason != "bad_json" or not text or text[0] in "{[":
            raise
        return text
