"""One signal's value in a message; its topic names the signal."""

import math
from collections import Counter
from collections.abc import Mapping

from tickover.payloads.base import Input, PayloadError, Row
from tickover.payloads.json_object import JsonDecoder
from tickover.payloads.strict_json import parse_json
from tickover.payloads.values import finite


class SingleValue(JsonDecoder):
    """One signal per topic: the payload is a plain number, or an object with ``value`` and perhaps a time."""

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        """The topic must name the signal."""
        return None if "signal" in fields else "expected {signal} in the topic"

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

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The topic's signal."""
        return self._renamed([fields["signal"]])
