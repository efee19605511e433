"""The input drift correction: the slow mean of how far each signal is outside its usual range. No torch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from scipy.signal import lfilter

from tickover.core.values import FloatArray
from tickover_export.charts.base import decay
from tickover_export.spec import InputDrift
from tickover_train.stored.columns import Blocks, quantiles

USUAL: Final = (0.01, 0.99)
"""Quantiles of the training ticks between which a signal is usual."""


def usual_ranges(trips: Sequence[FloatArray], span_s: float) -> InputDrift:
    """The usual range of each signal of normalised trips ``[T, F]``; one that is never seen gets -1 to 1."""
    found = quantiles(Blocks.of(trips), USUAL).T
    ranges = [(-1.0, 1.0) if np.isnan(low) else (float(low), float(high)) for low, high in found]
    return InputDrift(low=tuple(low for low, _ in ranges), high=tuple(high for _, high in ranges), span_s=span_s)


def drift_taken(trips: Sequence[FloatArray], drift: InputDrift | None, period_s: float) -> list[FloatArray]:
    """What is subtracted from each tick of one vehicle's normalised trips in order, ``[T, F]``: see ``InputDrift``."""
    return list(drift_by_trip(trips, drift, period_s))


def drift_by_trip(trips: Iterable[FloatArray], drift: InputDrift | None, period_s: float) -> Iterator[FloatArray]:
    """The same, trip by trip."""
    if drift is None:
        yield from (np.zeros_like(trip) for trip in trips)
        return
    kept = decay(drift.span_s, period_s)
    means = [_Mean(low, high, kept) for low, high in zip(drift.low, drift.high, strict=True)]
    for trip in trips:
        yield np.stack([mean.before(column) for mean, column in zip(means, trip.T, strict=True)], axis=1)


class _Mean:
    """The running mean of how far one signal is outside its usual range."""

    def __init__(self, low: float, high: float, kept: float) -> None:
        self._low, self._high, self._kept = low, high, kept
        self._last, self._filter = 0.0, np.zeros(1)

    def before(self, column: FloatArray) -> FloatArray:
        """Of what was seen up to the tick before each of the next ticks, ``[T]``."""
        outside = column - np.clip(column, self._low, self._high)
        seen = np.isfinite(outside)
        means = np.empty(0)
        if seen.any():  # of nothing lfilter would return an undefined state
            means, self._filter = lfilter(
                [1.0 - self._kept], [1.0, -self._kept], outside[seen].astype(np.float64), zi=self._filter
            )
        known = np.concatenate(([self._last], means))
        self._last = float(known[-1])
        before: FloatArray = known.astype(np.float32)[np.cumsum(seen) - seen]
        return before
