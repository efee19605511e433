"""The spread of each signal over some trips, which a few wrong values do not change."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.stored.columns import Blocks, counts, medians, row_sum

MAD_TO_SPREAD: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""


def robust_spread(trips: Sequence[FloatArray]) -> DoubleArray:
    """Spread ``[F]`` over trips ``[T, F]``, missing values left out; 0 for a signal that never changes.

    ``MAD_TO_SPREAD`` times the median absolute deviation; the standard deviation where that is 0, as of a signal that
    rests for more than half of the time.
    """
    blocks = Blocks.of(trips)
    center = medians(blocks)
    spread = MAD_TO_SPREAD * medians(blocks.each(lambda block: np.abs(block.astype(np.float64) - center)))
    number = counts(blocks)
    rests = (number > 0) & (spread == 0)
    if rests.any():
        spread = np.where(rests, _deviation(blocks, np.maximum(number, 1)), spread)
    return np.where(number > 0, spread, 0.0)


def _deviation(blocks: Blocks, number: np.ndarray) -> DoubleArray:
    """The standard deviation of each column."""
    mean = row_sum(blocks.each(lambda block: np.where(np.isfinite(block), block, 0.0))) / number
    off = blocks.each(lambda block: np.where(np.isfinite(block), block - mean, 0.0) ** 2)
    deviation: DoubleArray = np.sqrt(row_sum(off) / number)
    return deviation
