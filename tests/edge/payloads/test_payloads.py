"""The contract of every payload format, and what is particular to each."""

import contextlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover.payloads.base import (
    MAX_BYTES,
    MAX_ROWS,
    Input,
    PayloadError,
    open_decoder,
)
from tickover.payloads.registry import FORMATS
from tickover.payloads.sparkplug import Payload
from tickover.payloads.topic_template import TopicTemplate
from tickover.payloads.values import EARLIEST, FLOAT32_MAX, LATEST

COLUMNS = {"rpm": 0, "coolant": 1, "speed": 2}
TIME = 1_500_000_000_000_000


def sparkplug_bytes() -> bytes:
    message = Payload(timestamp=TIME // 1000)
    metric = message.metrics.add(name="rpm", datatype=10)
    metric.double_value = 812.5
    return message.SerializeToString()


@dataclass
class Case:
    """One format, a payload that says rpm = 812.5 at TIME, and the topic's fields."""

    spec: Input
    good: bytes
    fields: dict[str, str] = field(default_factory=lambda: {"vehicle": "t1", "signal": "rpm", "kind": "DDATA"})


CASES = {
    "json": Case(Input(topic="t/{vehicle}", time="t"), b'{"t": 1500000000, "rpm": 812.5}'),
    "json_batch": Case(
        Input(topic="t/{vehicle}", format="json_batch", time="t"), b'[{"t": 1500000000.0, "rpm": 812.5}]'
    ),
    "json_by_vehicle": Case(
        Input(topic="gw/telemetry", format="json_by_vehicle", time="ts", time_unit="ms", values="values"),
        b'{"t1": [{"ts": 1500000000000, "values": {"rpm": 812.5}}]}',
        {},
    ),
    "value": Case(
        Input(topic="t/{vehicle}/{signal}", format="value", time="t"), b'{"t": 1500000000.0, "value": 812.5}'
    ),
    "influx_line": Case(
        Input(topic="l/{vehicle}", format="influx_line", time="timestamp", time_unit="ns"),
        b"m rpm=812.5 1500000000000000000",
    ),
    "senml": Case(
        Input(topic="t/{vehicle}", format="senml"), b'[{"bn": "urn:dev:t1:", "bt": 1500000000, "n": "rpm", "v": 812.5}]'
    ),
    "csv": Case(Input(topic="t/{vehicle}", format="csv", time="t"), b"t,rpm\n1500000000,812.5\n"),
    "ruuvi": Case(
        Input(topic="r/{vehicle}", format="ruuvi", time="ts", signals={"temperature": "rpm"}),
        b'{"ts": "1500000000", "temperature": 812.5}',
    ),
    "sparkplug_b": Case(Input(topic="s/{kind}/{vehicle}", format="sparkplug_b"), sparkplug_bytes()),
}


@pytest.fixture(params=sorted(FORMATS))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def decode(case: Case, payload: bytes) -> tuple[list, Counter]:
    counts: Counter[str] = Counter()
    return open_decoder(case.spec, COLUMNS).decode(case.fields, payload, counts), counts


def reason(case: Case, payload: bytes) -> str:
    with pytest.raises(PayloadError) as caught:
        decode(case, payload)
    return caught.value.reason


def refusals(case: Case, payload: bytes) -> dict[str, int]:
    """Why nothing came of a payload, whether it was refused whole or row by row."""
    try:
        rows, counts = decode(case, payload)
    except PayloadError as error:
        return {error.reason: 1}
    assert not rows
    return dict(counts)


def test_a_good_payload_gives_vehicle_time_and_value(case: Case) -> None:
    (row,), counts = decode(case, case.good)
    assert (row.vehicle, row.time, row.values[0]) == ("t1", TIME, 812.5)
    assert all(math.isnan(value) for value in row.values[1:])
    assert not counts


def test_a_model_that_names_units_changes_nothing_for_values_without_one(case: Case) -> None:
    units = {"rpm": "1/min", "speed": "km/h", "stranger": "V"}
    (row,) = open_decoder(case.spec, COLUMNS, units).decode(case.fields, case.good, Counter())
    assert (row.vehicle, row.time, row.values[0]) == ("t1", TIME, 812.5)


def test_too_large_is_refused_unread(case: Case) -> None:
    assert reason(case, case.good + b" " * MAX_BYTES) == "too_large"


def test_a_vehicle_that_would_break_a_topic_is_refused(case: Case) -> None:
    for name in ("", "a/b", "a+", "#", "$SYS", "a\x00b", "x" * 200):
        bad = Case(case.spec, case.good, {**case.fields, "vehicle": name})
        in_payload = case.good.replace(b'"t1"', json.dumps(name).encode())
        assert refusals(bad, in_payload) == {"bad_vehicle": 1}


def test_a_payload_says_which_names_it_holds(case: Case) -> None:
    assert open_decoder(case.spec, {}).names(case.fields, case.good) == ["rpm"]
    name = next(iter(case.spec.signals), "rpm")
    renaming = msgspec.structs.replace(case.spec, signals={name: "engine_speed"})
    assert open_decoder(renaming, {}).names(case.fields, case.good) == ["engine_speed"]


def test_a_table_is_good_and_a_decoder_has_an_empty_state_to_begin_with(case: Case) -> None:
    assert case.spec.problem() is None
    decoder = open_decoder(case.spec, COLUMNS)
    before = decoder.state()
    decoder.restore(before)
    decoder.restore(b"\x00damaged")
    assert decoder.state() == before


@settings(max_examples=300, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_mutants_never_crash_and_never_let_a_non_finite_value_through(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    payload = bytearray(case.good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        cut = data.draw(st.integers(0, 4))
        payload[at : at + cut] = data.draw(st.binary(max_size=6))
    assert_safe(case, bytes(payload))


@settings(max_examples=200, deadline=None)
@given(item=st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
@pytest.mark.parametrize("name", ["json", "json_batch", "value"])
def test_any_json_value_in_any_place_is_safe(name: str, item: object) -> None:
    for shape in (
        {"t": 1500000000, "rpm": item},
        {"t": item, "rpm": 1},
        [{"t": 1500000000, "rpm": item}],
        {"t": 1500000000, "value": item},
        item,
    ):
        assert_safe(CASES[name], json.dumps(shape).encode())


def assert_safe(case: Case, payload: bytes) -> None:
    with contextlib.suppress(PayloadError):
        names = open_decoder(case.spec, {}).names(case.fields, payload)
        assert all(type(name) is str for name in names)
        assert len(set(names)) == len(names)
    try:
        rows, _ = decode(case, payload)
    except PayloadError:
        return
    for row in rows:
        assert row.time is None or EARLIEST <= row.time <= LATEST
        assert len(row.values) == len(COLUMNS)
        assert all(math.isnan(value) or abs(value) <= FLOAT32_MAX for value in row.values)


def test_depth_and_number_bombs_are_refused() -> None:
    for bomb in (b"[" * 30_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[" * 33 + b"]" * 33):
        assert reason(CASES["json"], bomb) == "too_deep"
    _, counts = decode(CASES["json"], b'{"t":1500000000,"rpm":' + b"9" * 60_000 + b"}")
    assert counts == {"not_finite": 1}


def test_values_that_are_no_float32_are_missing_and_counted() -> None:
    payload = b'{"t":1500000000,"rpm":1e300,"coolant":"hot","speed":null}'
    (row,), counts = decode(CASES["json"], payload)
    assert all(math.isnan(value) for value in row.values)
    assert counts == {"not_finite": 1, "not_a_number": 1}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "bad_json"),
        (b'{"t":1500000000,"rpm":', "bad_json"),
        (b"\x80\x04rpm", "bad_json"),
        (b"[]", "not_an_object"),
        (b'{"rpm":1}', "bad_time"),
        (b'{"t":-1,"rpm":1}', "bad_time"),
        (b'{"t":9e15,"rpm":1}', "bad_time"),
        (b'{"t":true,"rpm":1}', "bad_time"),
        (b'{"t":1500000000}', "no_signals"),
    ],
)
def test_json_reasons(payload: bytes, expected: str) -> None:
    assert reason(CASES["json"], payload) == expected


def test_unknown_signals_are_counted_and_the_rest_kept() -> None:
    (row,), counts = decode(CASES["json"], b'{"t":1500000000,"rpm":5,"oil":3}')
    assert row.values[0] == 5
    assert counts == {"unknown_signal": 1}


def test_signals_may_be_renamed_and_nested_and_the_vehicle_in_the_payload() -> None:
    spec = Input(topic="t/+", vehicle_field="id", time="t", time_unit="ms", values="data", signals={"N": "rpm"})
    (row,), counts = decode(Case(spec, b"", {}), b'{"id":7,"t":1500000000005,"data":{"N":9,"rpm":1}}')
    assert (row.vehicle, row.time, row.values[0]) == ("7", 1_500_000_000_005_000, 9)
    assert counts == {"unknown_signal": 1}, "a renamed signal's own name is no longer known"


def test_iso_times_are_utc_unless_they_say_otherwise() -> None:
    spec = Input(topic="t/{vehicle}", time="t", time_unit="iso")
    for text in ("2017-07-14T02:40:00", "2017-07-14T02:40:00Z", "2017-07-14T04:40:00+02:00"):
        (row,), _ = decode(Case(spec, b""), json.dumps({"t": text, "rpm": 1}).encode())
        assert row.time == TIME
    assert reason(Case(spec, b""), b'{"t":"yesterday","rpm":1}') == "bad_time"


def test_without_a_time_key_the_row_has_the_time_of_arrival() -> None:
    (row,), _ = decode(Case(Input(topic="t/{vehicle}"), b""), b'{"rpm":1}')
    assert row.time is None


def test_a_bad_row_of_a_batch_leaves_its_neighbours() -> None:
    rows, counts = decode(CASES["json_batch"], b'[{"t":1500000000,"rpm":1},{"rpm":2},7,{"t":1500000003,"rpm":3}]')
    assert [row.values[0] for row in rows] == [1, 3]
    assert counts == {"bad_time": 1, "not_an_object": 1}


def test_a_batch_may_be_under_a_key_and_is_bounded() -> None:
    case = Case(Input(topic="t/{vehicle}", format="json_batch", time="t", rows="rows"), b"")
    assert len(decode(case, b'{"rows":[{"t":1500000000,"rpm":1}]}')[0]) == 1
    assert reason(case, b'{"rows":3}') == "not_a_list"
    assert reason(case, json.dumps({"rows": [0] * (MAX_ROWS + 1)}).encode()) == "too_many_rows"


def test_a_plain_number_is_a_value() -> None:
    case = Case(Input(topic="t/{vehicle}/{signal}", format="value"), b"")
    assert decode(case, b"12.5")[0][0].values[0] == 12.5
    case.fields["signal"] = "oil"
    assert reason(case, b"12.5") == "unknown_signal"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Input(topic="t/x"), "expected a vehicle"),
        (Input(topic="t/#/{vehicle}"), "# as the last level only"),
        (Input(topic="t/{vehicle}/a#"), "# as the last level only"),
        (Input(topic="t/{vehicle+}"), "for each level, got '{vehicle+}'"),
        (Input(topic="t/{vehicle}/{signal+}/#"), "{signal+} without #"),
        (Input(topic="t/{vehicle}/{signal}", format="value", signal="rpm"), "got both"),
        (Input(topic="t/{vehicle}", format="json_by_vehicle"), "the keys are the vehicles"),
        (Input(topic="t/{vehicle}/{vehicle}"), "got a field twice"),
        (Input(topic="t/{vehicle}/a{signal}"), "for each level, got 'a{signal}'"),
        (Input(topic="t/{vehicle}/{wheel}"), "unknown field {wheel}"),
        (Input(topic="t/{vehicle}", format="value"), "expected {signal}"),
        (Input(topic="t/{vehicle}", format="sparkplug_b"), "{kind}"),
    ],
)
def test_a_wrong_input_says_what_was_expected(spec: Input, words: str) -> None:
    assert words in (spec.problem() or "")


def test_only_numbers_give_names() -> None:
    payload = b'{"t":1500000000, "id": 7, "rpm": 812, "door": true, "driver": "Bob", "gone": null, "more": {"a": 1}}'
    spec = Input(topic="t/+", time="t", vehicle_field="id")
    assert open_decoder(spec, {}).names({}, payload) == ["rpm", "door", "more.a"]
    batch = Input(topic="t/{vehicle}", format="json_batch", time="t", rows="rows", values="v")
    rows = b'{"rows": [{"v": {"rpm": 1, "oil": 2}}, 7, {"t": 2}, {"t": 3, "v": {"oil": 3, "speed": 4}}]}'
    assert open_decoder(batch, {}).names({}, rows) == ["rpm", "oil", "speed"]


def test_the_schema_of_a_configuration_lists_the_formats() -> None:
    schema = msgspec.json.schema(Input)["$defs"]["Input"]["properties"]["format"]
    assert schema == {"type": "string", "enum": [*FORMATS], "default": "json"}


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    problem = Input(topic="t/{vehicle}", format="xml").problem()
    known = "json, json_batch, json_by_vehicle, value, influx_line, senml, csv, ruuvi, sparkplug_b"
    assert problem == f"format: expected {known}, got 'xml'"


def test_topic_template() -> None:
    template = TopicTemplate("fleet/{vehicle}/+/{signal}")
    assert template.filter == "fleet/+/+/+"
    assert template.match("fleet/t1/x/rpm") == {"vehicle": "t1", "signal": "rpm"}
    assert template.match("fleet/t1/rpm") is None
    assert template.match("other/t1/x/rpm") is None
