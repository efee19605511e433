"""The spread of each signal over some trips, which a few wrong values do not change."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray

MAD_TO_SPREAD: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""


def robust_spread(trips: Sequence[FloatArray]) -> DoubleArray:
    """Spread ``[F]`` over trips ``[T, F]``, missing values left out; 0 for a signal that never changes.

    ``MAD_TO_SPREAD`` times the median absolute deviation; the standard deviation where that is 0, as of a signal that
    rests for more than half of the time.
    """
    pooled = np.concatenate(trips).astype(np.float64)
    return np.array([_spread(column[np.isfinite(column)]) for column in pooled.T])


def _spread(seen: DoubleArray) -> float:
    if not len(seen):
        return 0.0
    return float(MAD_TO_SPREAD * np.median(np.abs(seen - np.median(seen))) or seen.std())
