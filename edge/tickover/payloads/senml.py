"""SenML (RFC 8428) in JSON: a pack of records, whose base fields hold for the records after them.

``[{"bn": "urn:dev:truck-1:", "bt": 1700000000, "bu": "Cel", "n": "coolant", "v": 88}, {"n": "oil", "v": 95}]``

https://www.rfc-editor.org/rfc/rfc8428
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from tickover.payloads.base import Input
from tickover.payloads.json_batch import JsonBatch

BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE = "bn", "bt", "bu", "bv"
NAME, TIME, UNIT, VALUE = "n", "t", "u", "v"
OTHERS: Final = ("vb", "vs")
"""A boolean and a text as value."""
SEPARATORS: Final = ":/._-"
"""Between a device and its sensors in a base name."""
UNITS: Final = {"Cel": "°C", "km/h": "km/h", "m/s": "m/s", "%": "%", "/": "1", "beat/min": "1/min"}
"""SenML's units that are written otherwise elsewhere."""


class SenMl(JsonBatch):
    """A signal is called as its whole name (``bn`` and ``n``), or as ``n`` alone. ``vehicle_field = "bn"`` takes the
    vehicle from the base name. A record without a time is of the time of arrival; one that counts from now (``"t": -5``
    without ``bt``) is refused as ``bad_time``: send ``bt``."""

    KEYS = frozenset({"vehicle_field", "decimal"})

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        spec = replace(spec, name=NAME, value=VALUE, time=TIME, time_unit="s", optional=("time",))
        super().__init__(spec, columns, units)

    def _items(self, whole: Any) -> list[Any]:
        base: dict[str, Any] = {}
        return [self._resolved(record, base) for record in super()._items(whole)]

    def _resolved(self, record: Any, base: dict[str, Any]) -> Any:
        """The record with what the base fields of those before it say; ``base`` takes its own."""
        if type(record) is not dict:
            return record
        base.update({key: record[key] for key in (BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE) if key in record})
        device, name = str(base.get(BASE_NAME, "")), str(record.get(NAME, ""))
        whole = device + name
        found = {
            BASE_NAME: device.rstrip(SEPARATORS).rpartition(":")[2],
            NAME: whole if whole in self._columns or whole in self._renames or not name else name,
            VALUE: value_of(record, base.get(BASE_VALUE)),
            TIME: time_of(base.get(BASE_TIME, 0), record.get(TIME, 0)),
        }
        unit = record.get(UNIT, base.get(BASE_UNIT))
        return found | {"unit": UNITS.get(unit, unit)} if type(unit) is str else found


def value_of(record: Mapping[str, Any], base: Any) -> Any:
    """A record's value: with the base value ``base`` added, where there is one."""
    value = record.get(VALUE, next((record[key] for key in OTHERS if key in record), None))
    if type(base) in (int, float) and (type(value) in (int, float) or (value is None and "s" not in record)):
        return base + (value or 0)
    return value


def time_of(base: Any, time: Any) -> Any:
    """Seconds since 1970; None for the time of arrival. What is no time is left to be refused with its record."""
    if type(base) not in (int, float) or type(time) not in (int, float):
        return f"{base} and {time}"
    return (base + time) or None
