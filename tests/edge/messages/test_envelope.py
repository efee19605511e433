"""Alerts and notices share one envelope, which two libraries that are not ours accept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import paths
from tickover.core.values import Alert, Contribution, EndReason, FreezeFrame, Phase, Severity
from tickover.messages import alerts, notices
from tickover.messages.alerts import encode_alert
from tickover.messages.envelope import Envelope
from tickover.messages.notices import Kind, Notice, encode_notice

T0 = 1_772_431_200_000_000
"""2026-03-02 06:00:00 UTC."""
SCHEMAS = {name: json.loads((paths.DOCS / f"{name}.schema.json").read_text()) for name in ("alert", "notice")}
VALIDATORS = {
    name: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for name, schema in SCHEMAS.items()
}
OLD_NOTICE = (
    b'{"specversion":"1.0","id":"b62656ca-e288-5ad4-85e7-8d1ed6f003ca","source":"tickover/van 7%",'
    b'"type":"tickover.notice.v1","time":"2026-03-02T06:00:00Z","datacontenttype":"application/json",'
    b'"data":{"kind":"stale_signal","active":true,"text":"oil_temp has been silent for 60 s"}}'
)
"""As the release before wrote it."""


def alert(vehicle: str, phase: Phase = Phase.START) -> Alert:
    return Alert(
        alert_id="5f2c6d0e-5a0b-5f4e-8d3c-0a1b2c3d4e5f",
        episode_id="0a1b2c3d-4e5f-5061-8293-a4b5c6d7e8f9",
        vehicle=vehicle,
        detector="anomaly",
        model_digest="ab" * 32,
        phase=phase,
        sequence=0,
        severity=Severity.MAJOR,
        reason=EndReason.RECOVERED if phase is Phase.END else None,
        start=T0,
        time=T0,
        end=T0 if phase is Phase.END else None,
        score=None,
        peak=2.5,
        signals=(Contribution("oil", "C", "oil.slow", 2.5, 1.0, "low", None, 90.0, 175),),
        freeze_frame=FreezeFrame(("oil",), (T0,), (None,), ((None,),), ((90.0,),)),
        missing=1.0,
    )


def told(vehicle: str, text: str = "") -> Iterator[tuple[str, bytes]]:
    """Every kind of alert and of notice: which schema it is of, and its body."""
    yield from (("alert", encode_alert(alert(vehicle, phase))) for phase in Phase)
    yield from (
        ("notice", encode_notice(Notice(vehicle, kind, active, T0, text))) for kind in Kind for active in (True, False)
    )


def read(body: bytes) -> CloudEvent:
    """The event as the CloudEvents project's own SDK reads it; it raises when it is none."""
    return JSONFormat().read(CloudEvent, body)


def complaints(kind: str, event: object) -> list[str]:
    return [error.message for error in VALIDATORS[kind].iter_errors(event)]


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=12), st.text(max_size=20))
def test_the_cloudevents_sdk_and_the_shipped_schemas_accept_all_that_is_told(vehicle: str, text: str) -> None:
    for kind, body in told(vehicle, text):
        event = read(body)
        assert event.get_attributes().keys() == set(Envelope.__struct_fields__) - {"data"}
        assert event.get_dataschema() == SCHEMAS[kind]["$id"]
        assert complaints(kind, json.loads(body)) == []


def test_an_alert_and_a_notice_of_one_vehicle_at_one_time_say_so_in_the_same_words() -> None:
    events = [json.loads(body) for _, body in told("van 7%")]
    assert {event["source"] for event in events} == {"/tickover/van%207%25"}
    assert {event["time"] for event in events} == {"2026-03-02T06:00:00.000000Z"}
    assert {tuple(event) for event in events} == {Envelope.__struct_fields__}


def test_the_subject_is_the_episode_or_the_kind_of_notice() -> None:
    subjects = {(kind, read(body).get_subject()) for kind, body in told("van")}
    assert subjects == {("alert", alert("van").episode_id)} | {("notice", kind.value) for kind in Kind}


def test_the_ids_of_notices_are_those_of_the_release_before() -> None:
    notice = Notice("van 7%", Kind.STALE_SIGNAL, True, T0, "oil_temp has been silent for 60 s")
    assert json.loads(encode_notice(notice))["id"] == json.loads(OLD_NOTICE)["id"]


@pytest.mark.parametrize(("name", "schema"), [("alert", alerts.schema), ("notice", notices.schema)])
def test_the_shipped_schemas_are_the_generated_ones_and_are_schemas(
    name: str, schema: Callable[[], dict[str, Any]]
) -> None:
    written = (paths.DOCS / f"{name}.schema.json").read_text()
    assert written == json.dumps(schema(), indent=2) + "\n", f"write docs/{name}.schema.json anew from this text"
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize(
    "change",
    [
        {"source": "tickover/van 7%"},
        {"time": "2026-03-02T06:00:00Z"},
        {"dataschema": "urn:tickover:other:v1"},
        {"id": "7"},
        {"subject": "weather"},
        {"type": "tickover.notice.v2"},
        {"specversion": "0.3"},
        {"traceparent": "00"},
        {"data": {}},
    ],
)
def test_the_schemas_refuse_another_envelope(change: dict[str, object]) -> None:
    for kind, body in told("van"):
        assert complaints(kind, json.loads(body) | change), kind


def test_the_dialect_of_the_release_before_is_refused_by_the_schema() -> None:
    found = complaints("notice", json.loads(OLD_NOTICE))
    # Formats are checked only where packages for them happen to be installed; each has a pattern that says the same.
    told = [complaint for complaint in found if "is not a '" not in complaint]
    assert len(told) == 4, "no subject, no dataschema, source, time"


def test_the_sdk_refuses_what_is_no_event() -> None:
    event = json.loads(OLD_NOTICE)
    del event["source"]
    with pytest.raises(CloudEventValidationError):
        read(json.dumps(event).encode())
