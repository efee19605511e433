"""InfluxDB line protocol, as Telegraf sends it by default: a measurement a line.

``engine,host=truck-1 rpm=812.5,state="idle" 1700000000000000000``
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from tickover.payloads.base import FORMAT_KEYS, MAX_BYTES, MAX_ROWS, Input, PayloadError, Row
from tickover.payloads.json_batch import JsonBatch
from tickover.payloads.strict_json import as_text

FIELDS, TAGS, NAME, TIMESTAMP = "fields", "tags", "name", "timestamp"
"""The keys of a measurement; they are those of Telegraf's JSON."""
_KEY: Final = r"(?:\\.|[^\\ ,=])+"
_VALUE: Final = r"\"(?:\\.|[^\\\"])*\"|[^ ,\"]+"
_HEAD: Final = re.compile(rf"((?:\\.|[^\\ ,])+)((?:,{_KEY}=(?:\\.|[^\\ ,=])*)*) +")
_TAG: Final = re.compile(rf",({_KEY})=((?:\\.|[^\\ ,=])*)")
_FIELD: Final = re.compile(rf"({_KEY})=({_VALUE})(,|$| )")
_TIME: Final = re.compile(r" *(-?\d{1,19})? *")
_ESCAPED: Final = re.compile(r"\\([,= \"\\])")
_INTEGER: Final = re.compile(r"[+-]?\d+[iu]", re.ASCII)
_BOOLEANS: Final = {"t": True, "T": True, "f": False, "F": False}


class LineProtocol(JsonBatch):
    """A measurement is read as ``{"name", "tags", "fields", "timestamp"}``: ``vehicle_field = "tags.host"``, ``time =
    "timestamp"`` with ``time_unit = "ns"``. A field is the signal of its own name, or ``measurement.field`` when that
    is known."""

    KEYS = frozenset(FORMAT_KEYS) - {"signal", "rows", "name", "value"}

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        super().__init__(spec if spec.values else replace(spec, values=FIELDS), columns, units)

    def _parsed(self, payload: bytes) -> Any:
        if len(payload) > MAX_BYTES:
            raise PayloadError("too_large")
        lines = [line for line in as_text(payload).split("\n") if line.strip() and not line.startswith("#")]
        if len(lines) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        found = [self._measurement(line.strip()) for line in lines]
        good = [item for item in found if item is not None]
        if not good:
            raise PayloadError("bad_line", "expected a line of the InfluxDB line protocol")
        self._bad_lines = len(found) - len(good)
        return good

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """A row for each line; bad lines are counted."""
        rows = super().decode(fields, payload, counts)
        if self._bad_lines:
            counts["bad_line"] += self._bad_lines
        return rows

    def _measurement(self, line: str) -> dict[str, Any] | None:
        head = _HEAD.match(line)
        if head is None:
            return None
        name, at = _plain(head[1]), head.end()
        tags = {_plain(key): _plain(value) for key, value in _TAG.findall(head[2])}
        fields: dict[str, Any] = {}
        while (found := _FIELD.match(line, at)) is not None:
            key = _plain(found[1])
            whole = f"{name}.{key}"
            fields[whole if whole in self._columns else key] = _value(found[2])
            at = found.end()
            if found[3] != ",":
                break
        time = _TIME.fullmatch(line, at)
        if not fields or time is None:
            return None
        item: dict[str, Any] = {NAME: name, TAGS: tags, FIELDS: fields}
        return item | {TIMESTAMP: int(time[1])} if time[1] else item


def _value(text: str) -> Any:
    if text.startswith('"'):
        return _plain(text[1:-1])
    return _BOOLEANS.get(text, text[:-1] if _INTEGER.fullmatch(text) else text)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
