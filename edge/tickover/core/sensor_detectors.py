"""One sensor's detector: its name, what a bin says for or against its open episode, and the signal as it is told."""

from collections.abc import Collection, Mapping

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.decimals import number
from tickover.core.evidence import Evidence
from tickover.core.manifest import SENSOR_PREFIX, Manifest, SensorKind
from tickover.core.sensor_bins import Bins
from tickover.core.sensor_counters import OUTWEIGH
from tickover.core.values import Contribution, FloatArray


def reported_of(
    manifest: Manifest, sensitivity: Mapping[str, float] | None, signals: Collection[str] | None
) -> BoolArray:
    """Which signals' sensors are reported on, ``[F]``."""
    factors = sensitivity or {}
    return np.array(
        [factors.get(name, 1.0) > 0 and (signals is None or name in signals) for name in manifest.names], np.bool_
    )


def no_values(manifest: Manifest) -> FloatArray:
    """The newest values ``[F]`` of a vehicle that has none; they are replaced, never written to."""
    return np.full(len(manifest.signals), np.nan, np.float32)


def detector_of(kind: SensorKind, signal: str) -> str:
    """The name of a sensor's detector."""
    return f"{SENSOR_PREFIX}{kind}.{signal}"


def evidence_of(kind: SensorKind, column: int, bins: Bins, row: int, over: bool) -> Evidence:
    """What a bin says of an open episode."""
    present, outside = int(bins.present[row, column]), int(bins.outside[row, column])
    if kind in ("out_of_range", "departed_constant"):
        bad, good = outside, int(bins.plausible[row, column])
        if kind == "departed_constant":
            bad = int(bins.departed[row, column])
            good = present - bad
        if not bad + good:
            return Evidence.BLIND
        return Evidence.HIGH if OUTWEIGH * bad >= good else Evidence.LOW
    if over:
        return Evidence.HIGH
    sound = present > 0 or (kind == "no_data" and outside > 0)
    return Evidence.LOW if sound else Evidence.BLIND


def place_of(manifest: Manifest, name: str) -> tuple[SensorKind, int]:
    """Kind and column of a detector."""
    kind, signal = name.removeprefix(SENSOR_PREFIX).split(".", 1)
    return kind, manifest.names.index(signal)  # type: ignore[return-value]


def named(
    manifest: Manifest, expected: np.float32, kind: SensorKind, column: int, level: float, bins: Bins, row: int
) -> tuple[Contribution, ...]:
    """The signal, as its readings in a bin show it; ``expected`` is what the model expected at the bin's last tick."""
    signal, value, worst = manifest.signals[column], bins.value[row, column], bins.worst[row, column]
    direction, observed = "unsteady", value
    if kind == "out_of_range":
        direction, observed = "high" if worst > signal.high else "low", worst
    elif kind == "departed_constant":
        direction, expected = "high" if value > (signal.constant or 0.0) else "low", np.float32(signal.constant)
    elif kind == "no_data":
        observed = np.float32(np.nan)
    return (
        Contribution(
            signal=signal.name,
            unit=signal.unit,
            chart=f"{SENSOR_PREFIX}{kind}",
            level=number(np.float32(level)) or 0.0,
            share=1.0,
            direction=direction,
            observed=number(observed),
            expected=number(expected),
            spn=signal.spn,
        ),
    )
