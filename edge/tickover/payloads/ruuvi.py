"""Ruuvi tags behind a Ruuvi Gateway: JSON with the tag's Bluetooth advertisement in hexadecimal.

Data format 5 (RAWv2): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-5-rawv2
Data format 3 (RAWv1): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-3-rawv1
Data format 6 and E1 (Ruuvi Air): https://docs.ruuvi.com/communication/bluetooth-advertisements/data-format-6 and -e1
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
RAW_V1, RAW_V2, AIR, AIR_EXTENDED = 3, 5, 6, 0xE1
_FIELDS: Final = struct.Struct(">hHHhhhHBH")
_FIELDS_V1: Final = struct.Struct(">BBBHhhhH")
_FIELDS_AIR: Final = struct.Struct(">hHHHHBBBxBB")
_FIELDS_EXTENDED: Final = struct.Struct(">hHHHHHHHBB")
LIGHT_AT, SEQUENCE_AT, FLAGS_AT = 18, 24, 27
"""Of data format E1, after its first byte: two numbers of 24 bits, and the flags."""
NO_INDEX: Final = 511
LUX_STEP: Final = math.log(65_536) / 254
"""Data format 6 has the logarithm of the light in so many steps."""
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
        **_climate(temperature, humidity, pressure),
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


def _climate(temperature: int, humidity: int, pressure: int) -> dict[str, float]:
    """What all tags but the oldest have, in °C, % and Pa."""
    return {
        "temperature": math.nan if temperature == -0x8000 else temperature * 0.005,
        "humidity": math.nan if humidity == 0xFFFF else humidity * 0.0025,
        "pressure": math.nan if pressure == 0xFFFF else pressure + 50_000.0,
    }


def _particles(size: str, value: int) -> dict[str, float]:
    return {f"PM{size}": math.nan if value == 0xFFFF else value / 10}


def _gases(co2: int, voc: int, nox: int, flags: int) -> dict[str, float]:
    """ppm, and two indices of nine bits: the lowest of each is in the flags."""
    voc, nox = voc << 1 | flags >> 6 & 1, nox << 1 | flags >> 7
    return {
        "CO2": math.nan if co2 == 0xFFFF else float(co2),
        "VOC": math.nan if voc == NO_INDEX else float(voc),
        "NOx": math.nan if nox == NO_INDEX else float(nox),
    }


def _measured_air(fields: bytes) -> dict[str, float]:
    """Data format 6: µg/m³, ppm, lux."""
    *climate, fine, co2, voc, nox, light, sequence, flags = _FIELDS_AIR.unpack_from(fields)
    return {
        **_climate(*climate),
        **_particles("2.5", fine),
        **_gases(co2, voc, nox, flags),
        "luminosity": math.nan if light == 0xFF else math.exp(light * LUX_STEP) - 1,
        "measurementSequenceNumber": float(sequence),
    }


def _measured_air_extended(fields: bytes) -> dict[str, float]:
    """Data format E1."""
    *climate, pm1, pm2, pm4, pm10, co2, voc, nox = _FIELDS_EXTENDED.unpack_from(fields)
    light, sequence = (int.from_bytes(fields[at : at + 3], "big") for at in (LIGHT_AT, SEQUENCE_AT))
    sizes = {"1.0": pm1, "2.5": pm2, "4.0": pm4, "10.0": pm10}
    particles = {name: value for size, raw in sizes.items() for name, value in _particles(size, raw).items()}
    return {
        **_climate(*climate),
        **particles,
        **_gases(co2, voc, nox, fields[FLAGS_AT]),
        "luminosity": math.nan if light == 0xFFFFFF else light / 100,
        "measurementSequenceNumber": math.nan if sequence == 0xFFFFFF else float(sequence),
    }


_MEASURED: Final[dict[int, tuple[Callable[[bytes], dict[str, float]], int]]] = {
    RAW_V1: (_measured_v1, _FIELDS_V1.size),
    RAW_V2: (_measured, _FIELDS.size),
    AIR: (_measured_air, _FIELDS_AIR.size),
    AIR_EXTENDED: (_measured_air_extended, FLAGS_AT + 1),
}
"""Data format to what reads it, and its bytes."""
