"""Several vehicles in one message, as the keys of a JSON object."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tickover.payloads.base import MAX_ROWS, Input, PayloadError, Row
from tickover.payloads.json_batch import JsonBatch
from tickover.payloads.paths import Path


class JsonByVehicle(JsonBatch):
    """``{"truck-1": [{"ts": 1500000000000, "values": {"engine_speed": 812}}, …], "truck-2": …}``.

    Each vehicle has a row or a list of rows. ``rows`` names the object when it is not the whole payload.
    """

    KEYS = JsonBatch.KEYS - {"vehicle_field"}
    NAMES_VEHICLE = True

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        """The vehicle is named once."""
        named = spec.vehicle or spec.vehicle_field or "vehicle" in fields
        return "expected no vehicle, vehicle_field or {vehicle}: the keys are the vehicles" if named else None

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """The rows that can be read."""
        whole = self._parsed(payload)
        rows = [({**fields, "vehicle": vehicle}, row) for vehicle, row in self._by_vehicle(whole)]
        if len(rows) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        return self._good_rows(rows, None, counts)

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The keys with a number, of all vehicles."""
        return self._names(fields, [row for _, row in self._by_vehicle(self._parsed(payload))])

    def _by_vehicle(self, whole: Any) -> Iterator[tuple[str, Any]]:
        vehicles = whole if self._spec.rows is None else Path(self._spec.rows).find(whole)
        if type(vehicles) is not dict:
            raise PayloadError("not_an_object")
        for vehicle, rows in vehicles.items():
            for row in rows if type(rows) is list else [rows]:
                yield vehicle, row
