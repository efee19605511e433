"""What a fleet publishes, for tests of the page and measurements: daemons, scores, alerts, notices."""

import math
import uuid
from typing import Any

import msgspec

from tickover.core.values import SECOND, Alert, Contribution, EndReason, FreezeFrame, Phase, Severity
from tickover.messages.alerts import encode_alert

T0 = 1_772_431_200 * SECOND
SIGNALS = ("coolant_temp", "oil_temp", "engine_speed", "battery_voltage")
UNITS = {"coolant_temp": "C", "oil_temp": "C", "engine_speed": "rpm", "battery_voltage": "V"}
DIGEST = "ab" * 32
TICKS = 30


def alert(
    vehicle: str, phase: Phase, time: int, *, start: int = T0, peak: float = 2.5, signal: str = "coolant_temp",
    detector: str = "anomaly", spn: int | None = 110, sequence: int = 0, unit: str | None = None,
) -> Alert:  # fmt: skip
    """An alert of the episode that began at ``start``; times in microseconds."""
    episode = uuid.uuid5(uuid.NAMESPACE_URL, f"{vehicle}/{detector}/{start}")
    named = unit if unit is not None else UNITS.get(signal, "")
    others = [name for name in SIGNALS if name != signal]
    names = (signal, *others)
    times = tuple(time - (TICKS - 1 - n) * SECOND for n in range(TICKS))
    observed = tuple((92.0 + n, *(10.0 + math.sin(n / 3) for _ in others)) for n in range(TICKS))
    expected = tuple((92.0, *(10.0 for _ in others)) for _ in range(TICKS))
    severity = Severity.CRITICAL if peak >= 4 else Severity.MAJOR if peak >= 2 else Severity.WARNING
    return Alert(
        alert_id=str(uuid.uuid5(episode, f"{phase}:{sequence}")),
        episode_id=str(episode),
        vehicle=vehicle,
        detector=detector,
        model_digest=DIGEST,
        phase=phase,
        sequence=sequence,
        severity=severity,
        reason=EndReason.RECOVERED if phase is Phase.END else None,
        start=start,
        time=time,
        end=time if phase is Phase.END else None,
        score=peak,
        peak=peak,
        signals=(Contribution(signal, named, f"{signal}.slow", peak, 1.0, "high", 121.25, 92.0, spn=spn),),
        freeze_frame=FreezeFrame(names, times, tuple(peak * n / TICKS for n in range(TICKS)), observed, expected),
        missing=0.0,
    )


def event(*args: Any, **kwargs: Any) -> bytes:
    """The same, as it is published."""
    return encode_alert(alert(*args, **kwargs))


def health(now: int, *, rows: int = 1000, vehicles: int = 1, lag_s: float = 0.4, **more: Any) -> bytes:
    """A daemon's report, as far as the page reads it."""
    body = {"time": now, "rows": rows, "rows_per_s": 1.0, "ticks": rows, "last_tick": now, "lag_s": lag_s}
    dropped = {"late": 3, "missing": 40, "out_of_range": 12}
    return msgspec.json.encode({**body, "vehicles": vehicles, "dropped": dropped, "outbox": 0, "durable": True, **more})


def info(name: str = "van") -> bytes:
    """What a daemon runs."""
    model = {"detector": "anomaly", "name": name, "digest": DIGEST, "signals": list(SIGNALS)}
    return msgspec.json.encode({"version": "0.2.0", "models": [model]})


def status(state: str = "online") -> bytes:
    """A daemon's status."""
    return msgspec.json.encode({"state": state, "instance": "x", "time": T0})


def score(value: float | None) -> bytes:
    """A truck's score."""
    return msgspec.json.encode({"anomaly": value})
