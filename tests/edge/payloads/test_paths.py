"""Where things stand: paths, nested signals, name/value rows, vehicles as keys, topic levels of any depth."""

import json
from collections import Counter

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.payloads.base import Input, PayloadError, Row, open_decoder
from tickover.payloads.paths import MISSING, Path
from tickover.payloads.topic_template import TopicTemplate

COLUMNS = {"rpm": 0, "coolant": 1, "engine.oil.temp": 2, "cell[1]": 3}
T = 1_700_000_000
AT = T * 10**6


def read(payload: object, on: str = "t/v", counts: Counter[str] | None = None, **keys: object) -> list[Row]:
    spec = Input(**{"topic": "t/{vehicle}", **keys})
    assert spec.problem() is None
    fields = TopicTemplate(spec.topic).match(on)
    assert fields is not None, on
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return open_decoder(spec, COLUMNS).decode(fields, body, Counter() if counts is None else counts)


def values(row: Row) -> dict[str, float]:
    return {name: x for name, x in zip(COLUMNS, row.values, strict=True) if x == x}


KEY = st.text("abc_", min_size=1, max_size=2)
TREE = st.recursive(st.integers(), lambda inner: st.dictionaries(KEY, inner, max_size=3), max_leaves=12)


@given(item=st.dictionaries(KEY, TREE, max_size=3), keys=st.lists(KEY, min_size=1, max_size=3))
def test_keys_with_dots_between_them_are_what_jmespath_finds(item: dict, keys: list[str]) -> None:
    path = ".".join(keys)
    found = Path(path).find(item)
    assert (None if found is MISSING else found) == jmespath.search(path, item)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("a.dotted.key", 2),
        ("odd key!", 3),
        ("list[0].v", 4),
        ("list[-1].v", 5),
        ("list[?n=='y'].v | [0]", 5),
        ('a."b"', 1),
        ("a.c", MISSING),
        ("a.b.c", MISSING),
        ("list.v", MISSING),
        ("a..b", MISSING),
        ("sort_by(a, &b)", MISSING),
        ("abs(`[]`)", MISSING),
    ],
)
def test_paths(path: str, found: object) -> None:
    item = {"a": {"b": 1}, "a.dotted.key": 2, "odd key!": 3, "list": [{"n": "x", "v": 4}, {"n": "y", "v": 5}]}
    assert Path(path).find(item) == found


def test_what_is_no_object_holds_nothing() -> None:
    assert all(Path("a.b").find(item) is MISSING for item in (None, 1, "a", [], True))


def test_nested_objects_and_lists_are_signals() -> None:
    (row,) = read({"rpm": 1, "engine": {"oil": {"temp": 90, "level": 1}}, "cell": [3.9, 4.0]})
    assert values(row) == {"rpm": 1, "engine.oil.temp": 90, "cell[1]": 4.0}


def test_nested_values_are_bounded_in_number_and_their_names_in_length() -> None:
    with pytest.raises(PayloadError, match="too_many_values"):
        read({"rpm": 1, "x": [[1] * 100] * 100})
    counts: Counter[str] = Counter()
    assert len(read([{"rpm": 1, "x": [1] * 2000}] * 4, format="json_batch", counts=counts)) == 2
    assert counts["too_many_values"] == 2, "the bound is the message's"
    counts.clear()
    (row,) = read({"rpm": 1, "k" * 20_000: {"a": {"b": 1}}}, counts=counts)
    assert (values(row), counts) == ({"rpm": 1}, {"unknown_signal": 1})


def test_every_place_may_be_a_path() -> None:
    body = {"meta": {"id": "v7", "at": {"ms": T * 1000}}, "d": {"obd": {"N": {"v": 812}, "deep": {"x": [5, 6]}}}}
    (row,) = read(
        body,
        on="in",
        topic="in",
        vehicle_field="meta.id",
        time="meta.at.ms",
        time_unit="ms",
        values="d.obd",
        signals={"N.v": "rpm", "deep.x[-1]": "coolant"},
    )
    assert (row.vehicle, row.time, values(row)) == ("v7", AT, {"rpm": 812, "coolant": 6})


def test_time_and_vehicle_inside_the_values_are_no_signals() -> None:
    counts: Counter[str] = Counter()
    body = {"state": {"reported": {"ts": T, "id": "v9", "rpm": 5}}}
    (row,) = read(
        body, counts=counts, values="state.reported", time="state.reported.ts", vehicle_field="state.reported.id"
    )
    assert (row.vehicle, row.time, counts) == ("v9", AT, Counter())


def test_rows_of_names_and_values_are_gathered_by_time() -> None:
    body = [
        {"n": "rpm", "v": 1, "t": T},
        {"n": "coolant", "v": "88 °C", "t": T},
        {"n": "rpm", "v": 2, "t": T + 1},
        {"n": "rpm", "v": 3, "t": T + 1},
        {"n": "driver", "v": "Bob", "t": T},
        {"n": "rpm", "t": T},
        {"v": 1, "t": T},
        {"n": "rpm", "v": 4},
        7,
    ]
    counts: Counter[str] = Counter()
    rows = read(body, format="json_batch", name="n", value="v", time="t", counts=counts)
    found = sorted((row.time, values(row)["rpm"]) for row in rows)
    assert found == [(AT, 1), (AT + 10**6, 2), (AT + 10**6, 3)], "two values at one time are both kept, to be compared"
    assert counts == {"unknown_signal": 1, "no_value": 1, "no_name": 1, "bad_time": 1, "not_an_object": 1}


def test_time_and_vehicle_may_stand_beside_the_list() -> None:
    body = {"device": "v3", "timestamp": T, "readings": [{"resource": "rpm", "value": "812"}]}
    keys = {"name": "resource", "time": "timestamp", "vehicle_field": "device"}
    for row in (
        *read(body, format="json", values="readings", **keys),
        *read(body, format="json_batch", rows="readings", **keys),
    ):
        assert (row.vehicle, row.time, values(row)) == ("v3", AT, {"rpm": 812})
    body = {"vin": "v4", "rows": [{"t": T, "rpm": 1}, {"t": T + 1, "rpm": 2}]}
    rows = read(body, format="json_batch", rows="rows", time="t", vehicle_field="vin")
    assert [(row.vehicle, values(row)["rpm"]) for row in rows] == [("v4", 1), ("v4", 2)]


def test_a_batch_of_names_and_values_per_update() -> None:
    body = {"updates": [{"timestamp": "2023-11-14T22:13:20Z", "values": [{"path": "engine.oil.temp", "value": 90}]}]}
    keys = {"rows": "updates", "values": "values", "name": "path", "time": "timestamp", "time_unit": "iso"}
    (row,) = read(body, format="json_batch", **keys)
    assert (row.time, values(row)) == (AT, {"engine.oil.temp": 90})


def test_vehicles_as_keys_a_bad_one_leaves_the_others() -> None:
    counts: Counter[str] = Counter()
    body = {"a": [{"rpm": 1}, {"rpm": 2}], "b": {"rpm": 3}, "x/y": {"rpm": 4}, "c": 5, "d": []}
    rows = read(body, on="gw", topic="gw", format="json_by_vehicle", counts=counts)
    assert [(row.vehicle, values(row)["rpm"]) for row in rows] == [("a", 1), ("a", 2), ("b", 3)]
    assert counts == {"bad_vehicle": 1, "not_an_object": 1}
    rows = read({"data": body}, on="gw", topic="gw", format="json_by_vehicle", rows="data")
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("template", "topic", "fields"),
    [
        ("vss/{vehicle}/{signal+}", "vss/v/A/B/C", {"vehicle": "v", "signal": "A.B.C"}),
        ("vss/{vehicle}/{signal+}", "vss/v/A", {"vehicle": "v", "signal": "A"}),
        ("vss/{vehicle}/{signal+}", "vss/v", None),
        ("vss/{signal+}/value", "vss/A/B/value", {"signal": "A.B"}),
        ("vss/{signal+}/value", "vss/value", None),
        ("vss/{signal+}/value", "vss/A/B", None),
        ("{signal+}", "A/B", {"signal": "A.B"}),
        ("t/{vehicle}/#", "t/v", {"vehicle": "v"}),
        ("t/{vehicle}/#", "t/v/a/b", {"vehicle": "v"}),
        ("t/{vehicle}/#", "t", None),
    ],
)
def test_topics_of_any_depth(template: str, topic: str, fields: dict[str, str] | None) -> None:
    assert TopicTemplate(template).problem is None
    assert TopicTemplate(template).match(topic) == fields


def test_their_subscriptions() -> None:
    filters = [TopicTemplate(text).filter for text in ("v/{vehicle}/{signal+}", "v/{signal+}/x", "{signal+}", "t/+/#")]
    assert filters == ["v/+/#", "v/#", "#", "t/+/#"]


def test_a_topic_may_be_a_signal_and_levels_may_be_named_with_slashes() -> None:
    (row,) = read(
        b"812 rpm",
        on="truck/engine/speed",
        topic="truck/engine/speed",
        format="value",
        signal="rpm",
        vehicle="v",
    )
    assert values(row) == {"rpm": 812}
    for name in ("m/rpm", "m.rpm"):
        keys = {"topic": "o/{vehicle}/{signal+}", "format": "value", "signals": {name: "rpm"}}
        (row,) = read(b"812", on="o/v/m/rpm", **keys)
        assert values(row) == {"rpm": 812}


def test_the_topics_signal_comes_before_the_names_of_an_object() -> None:
    keys = {"topic": "z/{vehicle}/{signal}"}
    (row,) = read({"oil": {"temp": 90}, "rpm": 5}, on="z/v/engine", **keys)
    assert values(row) == {"engine.oil.temp": 90, "rpm": 5}


def test_a_value_that_is_not_where_it_should_be_is_refused() -> None:
    with pytest.raises(PayloadError, match="no_value"):
        read({"payload": 5}, format="value", signal="rpm")
    (row,) = read({"payload": {"x": 5}}, format="value", signal="rpm", value="payload.x")
    assert values(row) == {"rpm": 5}


def test_keys_without_effect_are_named() -> None:
    spec = Input(topic="t/{vehicle}", rows="r", values="v")
    assert spec.without_effect() == ["rows"]
    assert Input(topic="t/{vehicle}/{signal}", format="value", values="v", name="n").without_effect() == [
        "values",
        "name",
    ]
