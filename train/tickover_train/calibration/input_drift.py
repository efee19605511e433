"""The input drift correction: the slow mean of how far each signal is outside its usual range. No torch."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.signal import lfilter

from tickover.core.values import FloatArray
from tickover_export.charts.base import decay
from tickover_export.spec import InputDrift

USUAL: Final = (0.01, 0.99)
"""Quantiles of the training ticks between which a signal is usual."""


def usual_ranges(trips: Sequence[FloatArray], span_s: float) -> InputDrift:
    """The usual range of each signal of normalised trips ``[T, F]``; one that is never seen gets -1 to 1."""
    pooled = np.concatenate(trips)
    ranges = [(-1.0, 1.0)] * pooled.shape[1]
    for signal, column in enumerate(pooled.T):
        seen = column[np.isfinite(column)]
        if len(seen):
            low, high = np.quantile(seen, USUAL)
            ranges[signal] = (float(low), float(high))
    return InputDrift(low=tuple(low for low, _ in ranges), high=tuple(high for _, high in ranges), span_s=span_s)


def drift_taken(trips: Sequence[FloatArray], drift: InputDrift | None, period_s: float) -> list[FloatArray]:
    """What is subtracted from each tick of one vehicle's normalised trips in order, ``[T, F]``: see ``InputDrift``."""
    if drift is None:
        return [np.zeros_like(trip) for trip in trips]
    values = np.concatenate(trips)
    kept = decay(drift.span_s, period_s)
    means = [
        _before(column - np.clip(column, low, high), kept)
        for column, low, high in zip(values.T, drift.low, drift.high, strict=True)
    ]
    return np.split(np.stack(means, axis=1), np.cumsum([len(trip) for trip in trips])[:-1])


def _before(outside: FloatArray, kept: float) -> FloatArray:
    """The running mean of what was seen, up to the tick before, ``[T]``."""
    seen = np.isfinite(outside)
    means = lfilter([1.0 - kept], [1.0, -kept], outside[seen].astype(np.float64))
    before: FloatArray = np.concatenate(([0.0], means)).astype(np.float32)[np.cumsum(seen) - seen]
    return before
