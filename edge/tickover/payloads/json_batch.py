"""A batch of JSON objects in one message."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tickover.payloads.base import FORMAT_KEYS, MAX_ROWS, PayloadError, Row, unless_all
from tickover.payloads.json_object import JsonDecoder
from tickover.payloads.paths import MISSING
from tickover.payloads.paths import Path as PayloadPath
from tickover.payloads.strict_json import as_text, opened, parse_json


class JsonBatch(JsonDecoder):
    """``[{"time": 1, "engine_speed": 812}, …]``, or that list under the key ``rows``.

    An object a line (https://jsonlines.org) is a batch as well. A bad row is counted and left out; its neighbours stay.
    One object alone is a batch of one: senders that gather rows send a lone one without the list, or the list without
    what is around it. Time and vehicle may stand beside the list, for all its rows.
    """

    KEYS = frozenset(FORMAT_KEYS) - {"signal"}

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """The rows that can be read."""
        whole = self._parsed(payload)
        items = self._items(whole)
        if self._name_path is not None and self._values_path is None:
            return self._pairs(fields, items, (whole,), counts)
        return self._good_rows(((fields, item) for item in items), whole, counts)

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The keys with a number, of all objects."""
        return self._names(fields, self._items(self._parsed(payload)))

    def _parsed(self, payload: bytes) -> Any:
        """The payload's value; of an object a line, the list of them, with a bad line as its text."""
        try:
            return super()._parsed(payload)
        except PayloadError as error:
            if error.reason != "bad_json" or not (lines := _lines(payload)):
                raise
        return [_parsed_line(line) for line in lines]

    def _items(self, whole: Any) -> list[Any]:
        items = whole
        if self._spec.rows is not None:
            items = PayloadPath(self._spec.rows).find(whole)
            if items is MISSING and type(whole) in (dict, list):
                items = whole
        if type(items) is str:
            items = opened(items)
        if type(items) is dict:
            items = [items]
        if type(items) is not list:
            raise PayloadError("not_a_list")
        if len(items) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        return items

    def _good_rows(self, items: Any, whole: object, counts: Counter[str]) -> list[Row]:
        """The rows of objects, each with the topic's fields that hold for it."""
        rows: list[Row] = []
        refused: list[PayloadError] = []
        for fields, item in items:
            try:
                rows += self._rows(fields, item, whole, counts)
            except PayloadError as error:
                refused.append(error)
        return unless_all(rows, refused, counts)


def _lines(payload: bytes) -> list[str]:
    """The lines of a payload that holds an object, or a list, in each of several; else none."""
    lines = [line for line in as_text(payload).split("\n", MAX_ROWS + 1) if line.strip()]
    return lines if len(lines) > 1 and lines[0].lstrip()[0] in "{[" and lines[0].rstrip()[-1] in "}]" else []


def _parsed_line(line: str) -> Any:
    try:
        return parse_json(line.encode())
    except PayloadError:
        return line
