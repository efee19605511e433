"""A batch of JSON objects in one message."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tickover.payloads.base import MAX_ROWS, PayloadError, Row
from tickover.payloads.json_object import JsonDecoder
from tickover.payloads.strict_json import parse_json


class JsonBatch(JsonDecoder):
    """``[{"time": 1, "engine_speed": 812}, …]``, or that list under the key ``rows``.

    A bad row is counted and left out; its neighbours stay.
    """

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """The rows that can be read."""
        return list(self._good_rows(fields, self._items(payload), counts))

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The keys with a number, of all objects."""
        return self._names(self._items(payload))

    def _items(self, payload: bytes) -> list[Any]:
        items = parse_json(payload)
        if self._spec.rows is not None:
            items = items.get(self._spec.rows) if isinstance(items, dict) else None
        if not isinstance(items, list):
            raise PayloadError("not_a_list")
        if len(items) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        return items

    def _good_rows(self, fields: Mapping[str, str], items: list[Any], counts: Counter[str]) -> Iterable[Row]:
        for item in items:
            try:
                yield self._row(fields, item, counts)
            except PayloadError as error:
                counts[error.reason] += 1
