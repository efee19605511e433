"""Ruuvi tags behind a Ruuvi Gateway: JSON with the tag's Bluetooth advertisement in hexadecimal.

Data format 5 (RAWv2): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-5-rawv2
Data format 3 (RAWv1): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-3-rawv1
"""

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from tickover.payloads.base import Row
from tickover.payloads.json_object import JsonDecoder

MANUFACTURER: Final = bytes.fromhex("ff9904")
"""An advertisement's field of manufacturer data, and Ruuvi's number; the data format follows."""
RAW_V1, RAW_V2 = 3, 5
_FIELDS: Final = struct.Struct(">hHHhhhHBH")
_FIELDS_V1: Final = struct.Struct(">BBBHhhhH")
SIGN: Final = 0x80
"""Of the whole degrees in data format 3, which are no two's complement."""
LARGEST: Final = 1024
"""Hexadecimal digits; an advertisement has at most 510."""


class Ruuvi(JsonDecoder):
    """``{"gw_mac": …, "ts": "1653668027", "data": "0201061BFF9904…"}``, or the gateway's decoded values."""

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row."""
        item = _opened(self._parsed(payload))
        return self._rows(fields, item, item, counts)

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The quantities of the tag."""
        return self._names(fields, [_opened(self._parsed(payload))])


def _opened(item: Any) -> Any:
    """The object with what its ``data`` says in place of it."""
    data = item.get("data") if type(item) is dict else None
    if type(data) is not str or len(data) > LARGEST:
        return item
    try:
        advertisement = bytes.fromhex(data)
    except ValueError:
        return item
    _, found, fields = advertisement.partition(MANUFACTURER)
    measure, size = _MEASURED.get(fields[0] if found and fields else -1, (None, 0))
    if measure is None or len(fields) <= size:
        return item
    return {**{key: value for key, value in item.items() if key != "data"}, **measure(fields[1:])}


def _measured(fields: bytes) -> dict[str, float]:
    """The quantities in their units (°C, %, Pa, g, V, dBm); NaN where the tag has no value."""
    temperature, humidity, pressure, x, y, z, power, movement, sequence = _FIELDS.unpack_from(fields)
    no_power, no_tx = power >> 5 == 0x7FF, power & 0x1F == 0x1F
    acceleration = {
        f"accel{axis}": math.nan if value == -0x8000 else value / 1000
        for axis, value in zip("XYZ", (x, y, z), strict=True)
    }
    return {
        "temperature": math.nan if temperature == -0x8000 else temperature * 0.005,
        "humidity": math.nan if humidity == 0xFFFF else humidity * 0.0025,
        "pressure": math.nan if pressure == 0xFFFF else pressure + 50_000.0,
        **acceleration,
        "voltage": math.nan if no_power else (1600 + (power >> 5)) / 1000,
        "txPower": math.nan if no_tx else -40.0 + 2 * (power & 0x1F),
        "movementCounter": math.nan if movement == 0xFF else float(movement),
        "measurementSequenceNumber": math.nan if sequence == 0xFFFF else float(sequence),
    }


def _measured_v1(fields: bytes) -> dict[str, float]:
    """The same of data format 3, which has a value for each."""
    humidity, whole, hundredths, pressure, x, y, z, battery = _FIELDS_V1.unpack_from(fields)
    degrees = (whole & ~SIGN) + hundredths / 100
    acceleration = {f"accel{axis}": value / 1000 for axis, value in zip("XYZ", (x, y, z), strict=True)}
    return {
        "temperature": -degrees if whole & SIGN else degrees,
        "humidity": humidity / 2,
        "pressure": pressure + 50_000.0,
        **acceleration,
        "voltage": battery / 1000,
    }


_MEASURED: Final[dict[int, tuple[Callable[[bytes], dict[str, float]], int]]] = {
    RAW_V1: (_measured_v1, _FIELDS_V1.size),
    RAW_V2: (_measured, _FIELDS.size),
}
"""Data format to what reads it, and its bytes."""
