"""A value that names its unit is converted into the model's; one of another quantity is left out and counted."""

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.core.units import UNITS, converted, unit_of
from tickover.payloads.base import Input, open_decoder

COLUMNS = {"speed": 0, "coolant": 1, "level": 2}
MODEL: Mapping[str, str] = {"speed": "km/h", "coolant": "°C", "level": ""}


def read(payload: str, **spec: object) -> tuple[list[float], Counter[str]]:
    counts: Counter[str] = Counter()
    decoder = open_decoder(Input(topic="t/{vehicle}", **spec), COLUMNS, MODEL)  # type: ignore[arg-type]
    (row,) = decoder.decode({"vehicle": "v", "signal": "speed"}, payload.encode(), counts)
    return row.values, counts


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ('"60 km/h"', 60.0),
        ('"60kph"', 60.0),
        ('"10 m/s"', 36.0),
        ('"100 mph"', 160.9344),
        ('"10 kn"', 18.52),
        ("60", 60.0),
        ('"60"', 60.0),
        ('"60 furlongs"', 60.0),
        ('{"value": 10, "unit": "m/s"}', 36.0),
        ('{"value": 10.0, "uom": "m/s", "source": 3}', 36.0),
        ('{"value": "10 m/s", "unit": "km/h"}', 36.0),
        ('{"value": 10, "unit": 7}', 10.0),
    ],
)
def test_a_speed_is_in_the_models_unit(member: str, expected: float) -> None:
    (speed, *_), counts = read(f'{{"speed": {member}}}')
    assert speed == pytest.approx(expected)
    assert not counts


@pytest.mark.parametrize(
    ("member", "expected"), [('"212 °F"', 100), ('"373.15 K"', 100), ('"-40 F"', -40), ('"88 degC"', 88), ('"88"', 88)]
)
def test_a_temperature_too(member: str, expected: float) -> None:
    assert read(f'{{"coolant": {member}}}')[0][1] == pytest.approx(expected)


def test_another_quantity_is_no_reading() -> None:
    (speed, coolant, level), counts = read('{"speed": "60 °C", "coolant": 80, "level": "7 bar"}')
    assert math.isnan(speed)
    assert (coolant, level, counts) == (80, 7, Counter(wrong_unit=1))


def test_rows_of_names_and_single_values_too() -> None:
    rows = '[{"name": "speed", "value": 10, "unit": "m/s"}, {"name": "coolant", "value": "212 F"}]'
    (speed, coolant, _), _ = read(rows, format="json_batch", name="name")
    assert (speed, coolant) == (pytest.approx(36), pytest.approx(100))
    (speed, *_), _ = read('{"value": 10, "unit": "m/s"}', format="value", signal="speed")
    assert speed == pytest.approx(36)
    (speed, *_), _ = read("10 m/s", format="value", signal="speed")
    assert speed == pytest.approx(36)


def test_what_float32_cannot_hold_afterwards_is_not_finite() -> None:
    (speed, *_), counts = read('{"speed": "3.4e38 m/s"}')
    assert math.isnan(speed)
    assert counts == Counter(not_finite=1)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_a_conversion_and_back_is_the_same(one: str, other: str, value: float) -> None:
    there = converted(value, one, other)
    assert (there is None) == (UNITS[one].quantity != UNITS[other].quantity)
    if there is not None:
        assert converted(there, other, one) == pytest.approx(value, abs=1e-3)


def test_the_own_spelling_of_a_unit_comes_first() -> None:
    assert unit_of("mW") != unit_of("MW")
    assert unit_of("KPH") == unit_of("km/h")
    assert unit_of("nonsense") is None
