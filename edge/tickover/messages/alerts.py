"""Alerts in their envelope, and as one readable line.

docs/alerts.md explains every key; docs/alert.schema.json is :func:`schema`. Decoding is strict: it refuses bytes that
this module did not write.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from tickover.core.manifest import SENSOR_PREFIX, Name
from tickover.core.time_format import clock, iso, parse_iso
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FreezeFrame,
    Phase,
    Severity,
)
from tickover.errors import TickoverError
from tickover.messages.envelope import Envelope, Id, Moment, encode, json_schema

SCHEMA_VERSION: Final = 1
SCHEMA_URN: Final = "urn:tickover:alert:v1"
MAX_ALERT_BYTES: Final = 16 << 20
LINE_SHARE: Final = 0.1
"""Signals with a smaller share are left out of a line."""

ERRATIC_FMI: Final = 2
NO_UPDATE_FMI: Final = 9
"""Abnormal update rate: a signal that is no longer sent."""
FMI: Final[dict[tuple[str, Severity], int]] = {
    ("high", Severity.CRITICAL): 0,
    ("low", Severity.CRITICAL): 1,
    ("high", Severity.MAJOR): 16,
    ("low", Severity.MAJOR): 18,
    ("high", Severity.WARNING): 15,
    ("low", Severity.WARNING): 17,
}
"""SAE J1939-73 failure mode: above or below normal, most, moderately or least severe; unsteady is erratic data (2)."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Meta(ge=0, le=1)]


class SignalData(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One signal's part in the alert. ``spn`` and ``fmi`` only when the model knows the signal's SPN."""

    signal: Name
    unit: str
    chart: Name
    level: float
    share: Share
    direction: Literal["high", "low", "unsteady"]
    observed: float | None
    expected: float | None
    spn: Annotated[int, Meta(ge=0, le=524_287)] | None = None
    fmi: Annotated[int, Meta(ge=0, le=31)] | None = None


class FrameData(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The last ticks: a time and a score per tick, observed and expected a row per tick in the order of ``signals``."""

    signals: tuple[Name, ...]
    time: tuple[Moment, ...]
    score: tuple[float | None, ...]
    observed: tuple[tuple[float | None, ...], ...]
    expected: tuple[tuple[float | None, ...], ...]


class QualityData(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How good the data behind the alert are: the share of missing values in the freeze-frame."""

    missing: Share


class AlertData(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The alert itself."""

    schema_version: Literal[1]
    episode_id: Id
    vehicle: str
    detector: str
    phase: Phase
    sequence: Annotated[int, Meta(ge=0)]
    severity: Severity
    reason: EndReason | None
    start: Moment
    end: Moment | None
    score: float | None
    peak: float
    signals: tuple[SignalData, ...]
    freeze_frame: FrameData
    model_digest: Digest
    data_quality: QualityData


class AlertEvent(Envelope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alert in its envelope; ``subject`` is the episode's id, ``time`` that of the tick that caused the alert."""

    type: Annotated[str, Meta(pattern=r"^tickover\.alert\.(start|update|end)\.v1$")]
    subject: Id
    dataschema: Literal["urn:tickover:alert:v1"]
    data: AlertData


class AlertError(TickoverError):
    """The bytes are not an alert."""


class Outline(NamedTuple):
    """An alert without its freeze-frame; ``signals``: the names of its top signals. The rest as in ``values.Alert``."""

    alert_id: str
    episode_id: str
    vehicle: str
    detector: str
    phase: Phase
    sequence: int
    severity: Severity
    reason: EndReason | None
    start: int
    time: int
    end: int | None
    score: float | None
    peak: float
    signals: tuple[str, ...]
    missing: float
    model_digest: str


def encode_alert(alert: Alert) -> bytes:
    """One alert as a JSON object without line breaks."""
    frame = alert.freeze_frame
    data = AlertData(
        schema_version=SCHEMA_VERSION,
        episode_id=alert.episode_id,
        vehicle=alert.vehicle,
        detector=alert.detector,
        phase=alert.phase,
        sequence=alert.sequence,
        severity=alert.severity,
        reason=alert.reason,
        start=iso(alert.start),
        end=None if alert.end is None else iso(alert.end),
        score=alert.score,
        peak=alert.peak,
        signals=tuple(_signal(part, fmi_of(alert, part)) for part in alert.signals),
        freeze_frame=FrameData(
            signals=frame.signals,
            time=tuple(iso(time) for time in frame.time),
            score=frame.score,
            observed=frame.observed,
            expected=frame.expected,
        ),
        model_digest=alert.model_digest,
        data_quality=QualityData(missing=alert.missing),
    )
    return encode(
        AlertEvent,
        id=alert.alert_id,
        vehicle=alert.vehicle,
        type=f"tickover.alert.{alert.phase.value}.v{SCHEMA_VERSION}",
        subject=alert.episode_id,
        time=alert.time,
        dataschema=SCHEMA_URN,
        data=data,
    )


def decode_alert(data: bytes) -> Alert:
    """The alert in an event that :func:`encode_alert` wrote; AlertError names the key that is wrong."""
    if len(data) > MAX_ALERT_BYTES:
        raise AlertError(f"alert: expected at most {MAX_ALERT_BYTES} bytes, got {len(data)}")
    try:
        event = msgspec.json.decode(data, type=AlertEvent)
        return _alert(event)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise AlertError(f"alert: {error}") from error


class _Part(Struct, frozen=True):
    signal: str


class _Outline(Struct, frozen=True):
    episode_id: str
    vehicle: str
    detector: str
    phase: Phase
    sequence: int
    severity: Severity
    reason: EndReason | None
    start: str
    end: str | None
    score: float | None
    peak: float
    signals: tuple[_Part, ...]
    model_digest: str
    data_quality: QualityData


class _OutlineEvent(Struct, frozen=True):
    id: str
    time: str
    data: _Outline


def decode_outline(data: bytes) -> Outline:
    """As `decode_alert`, without the freeze-frame and the signals' numbers, in a tenth of the time."""
    try:
        event = msgspec.json.decode(data, type=_OutlineEvent)
        found = event.data
        return Outline(
            alert_id=event.id,
            episode_id=found.episode_id,
            vehicle=found.vehicle,
            detector=found.detector,
            phase=found.phase,
            sequence=found.sequence,
            severity=found.severity,
            reason=found.reason,
            start=parse_iso(found.start),
            time=parse_iso(event.time),
            end=None if found.end is None else parse_iso(found.end),
            score=found.score,
            peak=found.peak,
            signals=tuple(part.signal for part in found.signals),
            missing=found.data_quality.missing,
            model_digest=found.model_digest,
        )
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise AlertError(f"alert: {error}") from error


def alert_line(alert: Alert) -> str:
    """One line for people: time (UTC), phase, severity, vehicle, score and the signals with their shares.

    A sensor's detector is named, which says what is wrong with it; that of the charts goes without saying.
    """
    moment = f"{clock(alert.time, relative=False)}  {alert.phase.value.upper():<6}  {alert.severity.value:<8}"
    if alert.phase is Phase.END:
        lasted = (alert.time - alert.start) / SECOND
        outcome = f"peak {alert.peak:.1f}  {alert.reason.value if alert.reason else ''} after {lasted:.0f} s"
    else:
        outcome = "score -" if alert.score is None else f"score {alert.score:.1f}"
    signals = ", ".join(_attribution(part) for part in alert.signals if part.share >= LINE_SHARE)
    kind = f"{alert.detector}  " if alert.detector.startswith(SENSOR_PREFIX) else ""
    return f"{moment}  {alert.vehicle}  {outcome}  {kind}{signals}".rstrip()


def schema() -> dict[str, Any]:
    """The JSON Schema of an alert event."""
    return json_schema(AlertEvent, SCHEMA_URN)


def fmi_of(alert: Alert, part: Contribution) -> int:
    """The SAE J1939 failure mode indicator of a signal's part in an alert."""
    if alert.detector.startswith(f"{SENSOR_PREFIX}no_data."):
        return NO_UPDATE_FMI
    return fmi(part.direction, alert.severity)


def fmi(direction: str, severity: Severity) -> int:
    """The SAE J1939-73 failure mode indicator of a deviation."""
    return FMI.get((direction, severity), ERRATIC_FMI)


def _attribution(part: Contribution) -> str:
    """``thr 19.2 % (expected 88.1, low, 71 %)``."""
    observed = "missing" if part.observed is None else f"{part.observed:.5g} {part.unit}".rstrip()
    expected = "unknown" if part.expected is None else f"{part.expected:.5g}"
    return f"{part.signal} {observed} (expected {expected}, {part.direction}, {100 * part.share:.0f} %)"


def _signal(part: Contribution, indicator: int) -> SignalData:
    return SignalData(
        signal=part.signal,
        unit=part.unit,
        chart=part.chart,
        level=part.level,
        share=part.share,
        direction=part.direction,  # type: ignore[arg-type]
        observed=part.observed,
        expected=part.expected,
        spn=part.spn,
        fmi=None if part.spn is None else indicator,
    )


def _alert(event: AlertEvent) -> Alert:
    data, frame = event.data, event.data.freeze_frame
    return Alert(
        alert_id=event.id,
        episode_id=data.episode_id,
        vehicle=data.vehicle,
        detector=data.detector,
        model_digest=data.model_digest,
        phase=data.phase,
        sequence=data.sequence,
        severity=data.severity,
        reason=data.reason,
        start=parse_iso(data.start),
        time=parse_iso(event.time),
        end=None if data.end is None else parse_iso(data.end),
        score=data.score,
        peak=data.peak,
        signals=tuple(_contribution(part) for part in data.signals),
        freeze_frame=FreezeFrame(
            signals=frame.signals,
            time=tuple(parse_iso(text) for text in frame.time),
            score=frame.score,
            observed=frame.observed,
            expected=frame.expected,
        ),
        missing=data.data_quality.missing,
    )


def _contribution(part: SignalData) -> Contribution:
    return Contribution(
        signal=part.signal,
        unit=part.unit,
        chart=part.chart,
        level=part.level,
        share=part.share,
        direction=part.direction,
        observed=part.observed,
        expected=part.expected,
        spn=part.spn,
    )
