"""Alerts on the wire: CloudEvents, the schema, strict decoding, the readable line."""

import json
import uuid
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FreezeFrame,
    Phase,
    Severity,
)
from tickover.messages.alerts import (
    AlertError,
    alert_line,
    decode_alert,
    encode_alert,
    fmi,
    schema,
)

ALERT = Alert(
    alert_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "alert")),
    episode_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "episode")),
    vehicle="Lkw 7/ü",
    detector="anomaly",
    model_digest="ab" * 32,
    phase=Phase.START,
    sequence=0,
    severity=Severity.MAJOR,
    reason=None,
    start=1_499_933_523_000_000,
    time=1_499_933_523_250_000,
    end=None,
    score=2.3,
    peak=2.3,
    signals=(
        Contribution("thr", "%", "thr.slow", 2.3, 0.71, "low", 19.2, 88.1, 51),
        Contribution("map", "kPa", "map.energy", 0.9, 0.29, "unsteady", None, 101.0),
    ),
    freeze_frame=FreezeFrame(
        ("thr", "map"),
        (1_499_933_522_250_000, 1_499_933_523_250_000),
        (None, 2.3),
        ((None, 99.0), (19.2, None)),
        ((88.0, 1.0),) * 2,
    ),
    missing=0.5,
)
END = replace(
    ALERT,
    phase=Phase.END,
    reason=EndReason.NO_DATA,
    sequence=3,
    time=ALERT.start + 90 * SECOND,
    end=ALERT.start + 60 * SECOND,
)

FLOATS = st.floats(-1e9, 1e9)
MAYBE = st.none() | FLOATS
TIMES = st.integers(-1_000 * 10**13, 10**16)


@st.composite
def alerts(draw):
    """Any alert that the episodes could make, and some that they could not."""
    signals = draw(st.lists(st.sampled_from(["oil", "fuel", "rpm"]), min_size=1, max_size=3, unique=True))
    ticks = draw(st.integers(0, 3))
    row = st.tuples(*[MAYBE] * len(signals))
    rows = st.tuples(*[row] * ticks)
    named = [
        Contribution(
            name,
            draw(st.text(max_size=5)),
            f"{name}.slow",
            draw(FLOATS),
            draw(st.floats(0, 1)),
            draw(st.sampled_from(["high", "low", "unsteady"])),
            draw(MAYBE),
            draw(MAYBE),
            draw(st.none() | st.integers(0, 524_287)),
        )
        for name in signals
    ]
    frame = FreezeFrame(
        tuple(signals), draw(st.tuples(*[TIMES] * ticks)), draw(st.tuples(*[MAYBE] * ticks)), draw(rows), draw(rows)
    )
    return replace(
        ALERT,
        vehicle=draw(st.text(min_size=1, max_size=9)),
        phase=draw(st.sampled_from(Phase)),
        severity=draw(st.sampled_from(Severity)),
        reason=draw(st.none() | st.sampled_from(EndReason)),
        sequence=draw(st.integers(0, 9)),
        start=draw(TIMES),
        time=draw(TIMES),
        end=draw(st.none() | TIMES),
        score=draw(MAYBE),
        peak=draw(FLOATS),
        signals=tuple(named),
        freeze_frame=frame,
        missing=draw(st.floats(0, 1)),
    )


@given(alerts())
def test_decoding_gives_back_what_was_encoded(alert):
    encoded = encode_alert(alert)
    assert decode_alert(encoded) == alert
    assert b"\n" not in encoded
    assert "\n" not in alert_line(replace(alert, vehicle="truck", signals=ALERT.signals))


def test_the_envelope_is_cloudevents_1_0():
    event = json.loads(encode_alert(ALERT))
    assert event["specversion"] == "1.0"
    assert (event["id"], event["subject"]) == (ALERT.alert_id, ALERT.episode_id)
    assert event["source"] == "/tickover/Lkw%207%2F%C3%BC"
    assert event["type"] == "tickover.alert.start.v1"
    assert event["time"] == "2017-07-13T08:12:03.250000Z"
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event["datacontenttype"] == "application/json"
    assert event["dataschema"] == schema()["$id"]


def test_spn_and_fmi_stand_only_where_the_signal_has_an_spn():
    thr, map_ = json.loads(encode_alert(ALERT))["data"]["signals"]
    assert (thr["spn"], thr["fmi"]) == (51, 18)
    assert not {"spn", "fmi"} & map_.keys()


@pytest.mark.parametrize(
    ("direction", "severity", "expected"),
    [("high", "critical", 0), ("low", "critical", 1), ("high", "warning", 15), ("unsteady", "critical", 2)],
)
def test_failure_modes_are_those_of_j1939_73(direction, severity, expected):
    assert fmi(direction, Severity(severity)) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda event: event.update(specversion="0.3"), "Invalid enum value '0.3' - at `$.specversion`"),
        (lambda event: event.update(extra=1), "unknown field `extra`"),
        (lambda event: event["data"].update(phase="begin"), "$.data.phase"),
        (lambda event: event["data"].update(start="2017-07-13"), "$.data.start"),
        (lambda event: event.update(time="2017-13-13T08:12:03.250000Z"), "month must be in 1..12"),
        (lambda event: event["data"].pop("peak"), "missing required field `peak`"),
        (lambda event: event["data"]["signals"][0].update(share=1.5), "$.data.signals[0].share"),
    ],
)
def test_other_events_are_refused_naming_the_key(change, message):
    event = json.loads(encode_alert(ALERT))
    change(event)
    with pytest.raises(AlertError) as refused:
        decode_alert(json.dumps(event).encode())
    assert message in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff", b"null"])
def test_what_is_no_json_event_is_refused(data):
    with pytest.raises(AlertError):
        decode_alert(data)


def test_the_struct_forbids_unknown_keys_everywhere():
    made = schema()
    assert all(
        part.get("additionalProperties") is False for part in made["$defs"].values() if part.get("type") == "object"
    )


def test_lines_say_when_what_and_who():
    assert alert_line(ALERT) == (
        "2017-07-13 08:12:03  START   major     Lkw 7/ü  score 2.3  "
        "thr 19.2 % (expected 88.1, low, 71 %), map missing (expected 101, unsteady, 29 %)"
    )
    assert alert_line(END).startswith(
        "2017-07-13 08:13:33  END     major     Lkw 7/ü  peak 2.3  no_data after 90 s  thr"
    )
