"""What is usual on the clean trips: the level, spread and range of each signal, and which signals are redundant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.cleaning.spread import robust_spread
from tickover_train.stored.columns import Blocks, counts, extremes, medians, quantiles

REDUNDANT: Final = 0.9
"""Two signals are redundant when their |correlation| over the clean trips is at least this."""
COARSE: Final = 1e-3
"""Steps smaller than this part of a signal's spread are no resolution that matters."""
ON_GRID: Final = 1e-3
"""Of a step: a value that is no further from the grid is on it."""
FLOAT_NOISE: Final = 1e-6
"""Steps smaller than this part of a signal's largest value are float32 rounding."""
MANY_FINE: Final = 1000
"""A signal with so many steps that are next to nothing has no resolution that matters."""
ROUNDING: Final = 1e-12
"""Of the mean square: a variance that is no larger is what rounding leaves of a constant."""
LOW_QUANTILE: Final = 0.001
"""The lowest and highest usual value are this quantile and its mirror image: a single glitch is not usual."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What is usual on the clean trips, each ``[F]``: median, robust spread, and the lowest and highest usual value.

    ``twins`` are the redundant pairs. ``resolution``: the smallest step between two values that were seen; 0 for a
    signal that never changes, or whose steps are next to nothing. ``origin`` is one such value.
    """

    median: DoubleArray
    spread: DoubleArray
    low: DoubleArray
    high: DoubleArray
    twins: tuple[tuple[int, int], ...]
    resolution: DoubleArray
    origin: DoubleArray

    def rounded(self, values: DoubleArray) -> DoubleArray:
        """Values ``[N, F]`` as the signals' sensors or loggers would state them."""
        step = np.where(self.resolution > 0, self.resolution, 1.0)
        on_grid: DoubleArray = np.round((values - self.origin) / step) * step + self.origin
        # What is on the grid but for float32 rounding stays as it is, to the last bit.
        off = np.abs(on_grid - values) > ON_GRID * step
        return np.where((self.resolution > 0) & off, on_grid, values)


def habits_of(trips: Sequence[FloatArray]) -> Habits:
    """The signals' habits over clean trips, float32 ``[T, F]`` each; missing values are left out.

    The spread is ``robust_spread``: a signal that never changes has spread 0.
    """
    blocks = Blocks.of(trips)
    number, spread = counts(blocks), robust_spread(trips)
    seen = number > 0
    low, high = (np.where(seen, end, 0.0) for end in extremes(blocks))
    usual = np.nan_to_num(quantiles(blocks, (LOW_QUANTILE, 1.0 - LOW_QUANTILE), as_double=True), nan=0.0)
    return Habits(
        np.nan_to_num(medians(blocks), nan=0.0),
        spread,
        usual[0],
        usual[1],
        _twins(blocks, spread),
        _resolutions(blocks, low, high, spread),
        low,
    )


def _resolutions(blocks: Blocks, low: DoubleArray, high: DoubleArray, spread: DoubleArray) -> DoubleArray:
    """The smallest step between distinct values of each column, in which float32 rounding is none; 0 where it is next
    to nothing.
    """
    noise, coarse = FLOAT_NOISE * np.maximum(np.abs(low), np.abs(high)), COARSE * spread
    known = [np.empty(0) for _ in low]
    least, is_fine = np.zeros(len(low)), np.zeros(len(low), np.bool_)
    for block in blocks:
        for signal, column in enumerate(block.T):
            if is_fine[signal]:
                continue
            known[signal] = np.unique(np.concatenate((known[signal], column[np.isfinite(column)].astype(np.float64))))
            steps = np.diff(known[signal])
            steps = steps[steps > noise[signal]]
            least[signal] = steps.min() if len(steps) else 0.0
            # So many fine steps are not those of a sensor: what comes later only divides them.
            is_fine[signal] = (steps < coarse[signal]).sum() >= MANY_FINE
    return np.where(least >= coarse, least, 0.0)


def _twins(blocks: Blocks, spread: DoubleArray) -> tuple[tuple[int, int], ...]:
    """Pairs whose |correlation| reaches ``REDUNDANT``, over the ticks where both are there."""
    moving = np.flatnonzero(spread > 0)
    width = len(spread)
    number, first, second, product = (np.zeros((width, width)) for _ in range(4))
    # Around a value of each column, so that squares of large values do not swallow what varies.
    center = medians(blocks)
    for block in blocks:
        seen = np.isfinite(block)
        there, off = seen.astype(np.float64), np.where(seen, block - center, 0.0)
        number += there.T @ there
        first += off.T @ there
        second += (off**2).T @ there
        product += off.T @ off
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = first / number, second / number
        variance = square - mean**2
        variance[variance <= ROUNDING * square] = 0.0
        correlation = (product / number - mean * mean.T) / np.sqrt(variance * variance.T)
    found = (number > 2) & (np.abs(correlation) >= REDUNDANT)
    return tuple((int(a), int(b)) for place, a in enumerate(moving) for b in moving[place + 1 :] if found[a, b])
