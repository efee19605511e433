"""What is said of a message that is refused names keys that exist, and none that is already set as advised."""

import gzip
import json
import re
from collections import Counter

import msgspec
import pytest

from payload_samples import SAMPLES
from tickover.payloads.advice import advise, rename_advice
from tickover.payloads.base import Input, PayloadError, open_decoder
from tickover.payloads.topic_template import TopicTemplate

COLUMNS = {"rpm": 0, "coolant": 1, "speed": 2}
T = 1_700_000_000
ROW = {"ts": T * 1000, "values": {"rpm": 1}}
SPARKPLUG = {"format": "sparkplug_b", "topic": "{kind}/{vehicle}"}
METRICS = {"metrics": [{"fields": {"rpm": 1}, "timestamp": T}]}


def refused(payload: object, spec: Input) -> PayloadError | None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    fields = TopicTemplate(spec.topic).match(
        "NDATA/v" if "{kind}" in spec.topic else "t/v" if "{signal}" not in spec.topic else "t/v/rpm"
    )
    try:
        open_decoder(spec, COLUMNS).decode(fields or {"vehicle": "v"}, body, Counter())
    except PayloadError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("payload", "keys", "said"),
    [
        ({"ts": T, "data": {"rpm": 1}}, {}, 'set inputs.values = "data"'),
        ({"ts": T, "data": {"rpm": 1}}, {"values": "values"}, 'set inputs.values = "data"'),
        ({"a": {"b": {"c": {"rpm": 1}}}}, {}, 'set inputs.values = "a.b.c"'),
        ({"rpm": 1}, {"values": "values"}, "remove inputs.values"),
        ({"ts": T * 1000, "rpm": 1}, {"time": "time"}, 'set inputs.time = "ts" and inputs.time_unit = "ms"'),
        ({"meta": {"stamp": "2023-11-14T22:13:20Z"}, "rpm": 1}, {"time": "t"}, 'inputs.time = "meta.stamp"'),
        ({"rpm": 1}, {"time": "time"}, "remove inputs.time"),
        ({"t": T * 1000, "rpm": 1}, {"time": "t"}, 'set inputs.time_unit = "ms"'),
        (METRICS, {}, 'inputs.format = "json_batch" and inputs.rows = "metrics" and inputs.values = "fields"'),
        (METRICS, {"time": "timestamp"}, 'inputs.format = "json_batch" and inputs.rows = "metrics"'),
        ([{"rpm": 1}], {}, 'set inputs.format = "json_batch"'),
        ({"A": [ROW], "B": [ROW]}, {}, 'set inputs.format = "json_by_vehicle" and inputs.values = "values"'),
        ([{"name": "rpm", "value": 1}], {"format": "json_batch"}, 'set inputs.name = "name"'),
        ({"values": [{"id": "rpm", "v": 1}]}, {}, 'inputs.name = "id" and inputs.value = "v" and inputs.values'),
        ({"payload": 5}, {"format": "value", "topic": "t/{vehicle}/{signal}"}, 'set inputs.value = "payload"'),
        ({"tags": [{"id": "rpm", "value": 1}]}, {"format": "json_batch", "name": "id"}, 'set inputs.rows = "tags"'),
        ({"state": "online"}, {"time": "ts"}, "the payload holds no numbers"),
        ({"metrics": []}, SPARKPLUG, 'the payload is JSON; set inputs.format = "json_batch"'),
        (gzip.compress(b"x", mtime=0), SPARKPLUG, "the payload is compressed"),
        (b"\x08\x01\x22\x12SPBV1.0_COMPRESSED", SPARKPLUG, "the payload is compressed; switch compression off"),
        (b"812.5", {}, 'set inputs.format = "value"'),
        (b"on", {}, 'set inputs.format = "value"'),
        (b"<rpm>1</rpm>", {}, "XML"),
        (b"engine,host=a rpm=1,x=2 1700000000000", {}, 'set inputs.format = "influx_line"'),
        (b"\xa2\x01\x02\x18\x64", {}, "CBOR, MessagePack and compressed payloads are not read"),
        (b"", {}, "empty"),
        ({"RPM": 5, "coolant_temperature": 7}, {}, 'signals = { "RPM" = "rpm", "coolant_temperature" = "coolant" }'),
        ({"x": "y"}, {}, "holds no numbers"),
    ],
)
def test_the_advice_is_in_the_payload(payload: object, keys: dict, said: str) -> None:
    spec = Input(**{"topic": "t/{vehicle}", **keys})
    error = refused(payload, spec)
    assert error is not None
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    told = advise(spec, COLUMNS, error, body)
    assert said in told
    assert len(told) < 400


def settings(told: str) -> dict[str, str]:
    return dict(re.findall(r'inputs\.(\w+) = "([^"]*)"', told))


@pytest.mark.parametrize(
    ("payload", "keys"),
    [
        ({"ts": T * 1000, "data": {"rpm": 1}}, {"time": "time", "values": "values"}),
        (METRICS, {"time": "time"}),
        ([{"at": T, "d": {"rpm": 1}}], {"time": "time"}),
        ({"A": [ROW], "B": [ROW]}, {}),
        ([{"name": "rpm", "v": 1, "ts": T * 1000}], {"time": "t"}),
        ({"ts": T, "list": [{"id": "rpm", "v": 1}]}, {"time": "ts"}),
        ({"state": {"reported": {"rpm": 1, "when": "2023-11-14T22:13:20Z"}}}, {}),
    ],
)
def test_who_follows_the_advice_is_read_in_a_few_steps(payload: object, keys: dict) -> None:
    spec = Input(**{"topic": "t/{vehicle}", **keys})
    for _ in range(5):
        error = refused(payload, spec)
        if error is None:
            return
        told = advise(spec, COLUMNS, error, json.dumps(payload).encode())
        changes = settings(told)
        assert changes, told
        assert all(getattr(spec, key) != value for key, value in changes.items()), f"advised again: {told}"
        spec = msgspec.structs.replace(spec, **changes)
        if spec.format == "json_by_vehicle":
            spec = msgspec.structs.replace(spec, topic="t/v")
    raise AssertionError(f"not read after five steps: {spec}")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.family)
def test_it_is_short_and_safe_for_every_payload_and_every_wrong_input(sample: object) -> None:
    known = {field.name for field in msgspec.structs.fields(Input)}
    for keys in ({}, {"time": "nowhere"}, {"values": "no.where"}, {"format": "json_batch", "rows": "x", "name": "y"}):
        spec = Input(**{"topic": "t/{vehicle}", **keys})
        error = refused(sample.payload, spec)
        if error is not None:
            told = advise(spec, COLUMNS, error, sample.payload)
            assert set(re.findall(r"inputs\.(\w+)", told)) <= known
            assert len(told) < 600


def test_names_are_matched_to_the_signals_that_are_missing() -> None:
    told = rename_advice(["Engine/RPM", "driver"], ["rpm", "speed"])
    assert 'signals = { "Engine/RPM" = "rpm" }' in told
    assert "inputs.signals" in rename_advice(["driver"], ["rpm"])
