"""What arrives from the broker, checked and bounded: nothing here is trusted, and nothing raises."""

import math
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from tickover.core.time_format import parse_iso
from tickover.core.values import Alert, Severity
from tickover.jobs.fleet_view import LONGEST_STATUS, NoticeEvent, status_word
from tickover.messages.alerts import AlertError, decode_alert
from tickover.messages.notices import TYPE as NOTICE
from tickover.storage.history import AlertRow, NoticeRow

LARGEST: Final = 512 * 1024
"""Bytes of a message; an alert with a freeze-frame of 30 ticks has 11 kB with 18 signals, 200 kB with 300."""
LONGEST_NAME: Final = 128
LONGEST_TEXT: Final = 500
MOST_KEYS: Final = 64
"""Entries that are kept of each table in a health report."""
SEVERITIES: Final = tuple(Severity)


Reason = Literal[
    "topic",
    "too_large",
    "not_json",
    "not_an_object",
    "not_an_alert",
    "other_vehicle",
    "too_many_trucks",
    "too_many_open",
]  # fmt: skip
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Why a message may be left out."""


class LeftOutError(Exception):
    """The message is left out; the text is the reason that is counted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)


class Place(NamedTuple):
    """What a topic names: ``rest`` is the detector, the kind of notice or the command."""

    vehicle: str
    kind: str
    rest: str


def place_of(topic: str, levels: int) -> Place:
    """Vehicle, kind and the rest of a topic whose base has ``levels`` levels; LeftOutError when a name is too long."""
    parts = topic.split("/")[levels:]
    if len(parts) < 2 or not 0 < len(parts[0]) <= LONGEST_NAME or not parts[0].isprintable():
        raise LeftOutError("topic")
    return Place(parts[0], parts[1], "/".join(parts[2:]))


def alert_of(vehicle: str, payload: bytes, arrival: int) -> tuple[Alert, AlertRow]:
    """An alert and its row; LeftOutError when it is none, or of another truck than its topic."""
    try:
        alert = decode_alert(payload)
    except AlertError:
        raise LeftOutError("not_an_alert") from None
    if alert.vehicle != vehicle:
        raise LeftOutError("other_vehicle")
    severity = SEVERITIES.index(alert.severity)
    row = AlertRow(
        alert.alert_id, alert.episode_id, vehicle, alert.detector, kind_of(alert), severity, alert.phase.value,
        alert.start, alert.time, alert.end, alert.reason.value if alert.reason else None, _finite(alert.peak) or 0.0,
        _finite(alert.score), arrival, payload,
    )  # fmt: skip
    return alert, row


def kind_of(alert: Alert) -> str:
    """The same for episodes that are alike: detector, first signal, direction."""
    if not alert.signals:
        return alert.detector
    first = alert.signals[0]
    return f"{alert.detector} {first.signal} {first.direction}"


class _TimedNotice(NoticeEvent, frozen=True):
    time: str


def notice_of(vehicle: str, payload: bytes) -> NoticeRow | None:
    """A notice; None when the body is of another type. LeftOutError when it is no event at all."""
    try:
        event = msgspec.json.decode(payload, type=_TimedNotice)
        if event.type != NOTICE:
            return None
        time = parse_iso(event.time)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
        raise LeftOutError("not_an_alert") from None
    text = _shown(event.data.text, LONGEST_TEXT)
    return NoticeRow(event.id[:64], vehicle, _shown(event.data.kind, LONGEST_NAME), event.data.active, time, text)


def is_notice(payload: bytes) -> bool:
    """Whether to read the body as a notice: cheap, since alerts are long."""
    return NOTICE.encode() in payload[:LARGEST]


def status_of(payload: bytes) -> str:
    """online, stopped or offline; another word as it is, cut."""
    return status_word(payload[: 16 * LONGEST_STATUS])


def table_of(payload: bytes) -> dict[str, Any]:
    """A JSON object of numbers, texts and small tables; LeftOutError when it is none. Long parts are cut."""
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise LeftOutError("not_json") from None
    if not isinstance(body, dict):
        raise LeftOutError("not_an_object")
    return {_shown(key, LONGEST_NAME): _cut(value, 3) for key, value in list(body.items())[:MOST_KEYS]}


def scores_of(payload: bytes) -> float | None:
    """The largest score of a score message; None when every signal was missing. LeftOutError when it is none."""
    numbers = [v for v in table_of(payload).values() if isinstance(v, int | float) and not isinstance(v, bool)]
    return max(numbers, default=None)


def _cut(value: Any, depth: int) -> Any:
    """The value without what nobody reads: nesting, long lists and texts."""
    if isinstance(value, str):
        return _shown(value, LONGEST_TEXT)
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 63 else None
    if isinstance(value, dict):
        return (
            {_shown(k, LONGEST_NAME): _cut(v, depth - 1) for k, v in list(value.items())[:MOST_KEYS]} if depth else {}
        )
    if isinstance(value, list):
        return [_cut(one, depth - 1) for one in value[: 4 * MOST_KEYS]] if depth else []
    return value


def _shown(text: str, longest: int) -> str:
    """Text without control characters; the page shows it as text and never as HTML."""
    return "".join(mark if mark.isprintable() else "\ufffd" for mark in text[:longest])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
