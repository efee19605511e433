"""InfluxDB line protocol: what is particular to it; the contract of all formats is in test_payloads.py."""

import time
from collections import Counter

import pytest

from tickover.payloads.base import Input, PayloadError, open_decoder

SPEC = Input(
    topic="t/{vehicle}",
    format="influx_line",
    vehicle_field="tags.host",
    time="timestamp",
    time_unit="ns",
    optional=("time",),
    signals={"engine.rpm": "engine_speed"},
)
COLUMNS = {"rpm": 0, "engine_speed": 1, "my, field": 2}
AT = 1_700_000_000_000_000


def read(text: str) -> tuple[list, Counter[str]]:
    counts: Counter[str] = Counter()
    rows = open_decoder(SPEC, COLUMNS).decode({"vehicle": "v"}, text.encode(), counts)
    return [(row.vehicle, row.time, [value for value in row.values if value == value]) for row in rows], counts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("m,host=a rpm=1.5 1700000000000000000", ("a", AT, [1.5])),
        ("m,host=a rpm=-1e3", ("a", None, [-1000.0])),
        ("m,host=a rpm=7i 1700000000000000000\r", ("a", AT, [7.0])),
        ("m,host=a rpm=7u", ("a", None, [7.0])),
        ("m,host=a rpm=T", ("a", None, [1.0])),
        ("m,host=a rpm=false", ("a", None, [0.0])),
        ('m,host=a,b=c\\ d note="x=1, y \\" 2",rpm=2', ("a", None, [2.0])),
        ("m\\,n,host=a\\,b my\\,\\ field=3", ("a,b", None, [3.0])),
        ("engine,host=a rpm=4", ("a", None, [4.0])),
    ],
)
def test_a_line_is_read(line: str, expected: tuple) -> None:
    rows, counts = read(line)
    assert rows == [expected]
    assert set(counts) <= {"unknown_signal"}


def test_a_measurement_may_tell_two_fields_of_one_name_apart() -> None:
    decoder = open_decoder(SPEC, COLUMNS)
    text = b"engine,host=a rpm=1\nfan,host=a rpm=2"
    rows = decoder.decode({}, text, Counter())
    named = [{name for name, column in COLUMNS.items() if row.values[column] == row.values[column]} for row in rows]
    assert named == [{"engine_speed"}, {"rpm"}]


@pytest.mark.parametrize(
    "bad", ["", "# a comment", "m", "m rpm", "m rpm=", "m,host rpm=1", "m rpm=1 noon", "{}", "=,= ="]
)
def test_a_line_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(PayloadError) as refusal:
        read(bad)
    assert refusal.value.reason == "bad_line"


def test_a_bad_line_costs_itself() -> None:
    rows, counts = read("m,host=a rpm=1\nbroken\nm,host=b rpm=2")
    assert [vehicle for vehicle, _, _ in rows] == ["a", "b"]
    assert counts == Counter(bad_line=1)


@pytest.mark.parametrize(
    "body", ["m," + "a=b," * 16_000, "m " + "a=1," * 16_000, "m " + "\\" * 65_000, "a" * 65_000, "m a=" + '"' * 65_000]
)
def test_time_grows_with_the_length_alone(body: str) -> None:
    def cost(text: str) -> float:
        began = time.perf_counter()
        with pytest.raises(PayloadError):
            read(text)
        return time.perf_counter() - began

    assert cost(body[:65_000]) < 100 * max(cost(body[:6_500]), 1e-4)
