"""What is usual on the clean trips: the level, spread and range of each signal, and which signals are redundant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray

REDUNDANT: Final = 0.9
"""Two signals are redundant when their |correlation| over the clean trips is at least this."""
MAD_TO_SPREAD: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""
LOW_QUANTILE: Final = 0.001
"""The lowest and highest usual value are this quantile and its mirror image: a single glitch is not usual."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What is usual on the clean trips, each ``[F]``: median, robust spread, and the lowest and highest usual value.

    ``twins`` are the redundant pairs.
    """

    median: DoubleArray
    spread: DoubleArray
    low: DoubleArray
    high: DoubleArray
    twins: tuple[tuple[int, int], ...]


def habits_of(trips: Sequence[FloatArray]) -> Habits:
    """The signals' habits over clean trips, float32 ``[T, F]`` each; missing values are left out.

    The spread is ``MAD_TO_SPREAD`` times the median absolute deviation; the standard deviation where that is 0, as of a
    signal that rests for more than half of the time. A signal that never changes has spread 0.
    """
    pooled = np.concatenate(trips).astype(np.float64)
    count = pooled.shape[1]
    median, spread, low, high = (np.zeros(count) for _ in range(4))
    for signal in range(count):
        column = pooled[np.isfinite(pooled[:, signal]), signal]
        if len(column):
            median[signal] = np.median(column)
            spread[signal] = MAD_TO_SPREAD * np.median(np.abs(column - median[signal])) or column.std()
            low[signal], high[signal] = np.quantile(column, (LOW_QUANTILE, 1.0 - LOW_QUANTILE))
    return Habits(median, spread, low, high, _twins(pooled, spread))


def _twins(pooled: DoubleArray, spread: DoubleArray) -> tuple[tuple[int, int], ...]:
    """Pairs whose |correlation| reaches ``REDUNDANT``, over the ticks where both are there."""
    moving = np.flatnonzero(spread > 0)
    found = []
    for place, a in enumerate(moving):
        for b in moving[place + 1 :]:
            both = np.isfinite(pooled[:, a]) & np.isfinite(pooled[:, b])
            x, y = pooled[both, a], pooled[both, b]
            if len(x) > 2 and x.std() > 0 and y.std() > 0 and abs(np.corrcoef(x, y)[0, 1]) >= REDUNDANT:
                found.append((int(a), int(b)))
    return tuple(found)
