"""What is usual on the clean trips: the level, spread and range of each signal, and which signals are redundant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.cleaning.spread import robust_spread

REDUNDANT: Final = 0.9
"""Two signals are redundant when their |correlation| over the clean trips is at least this."""
COARSE: Final = 1e-3
"""Steps smaller than this part of a signal's spread are no resolution that matters."""
ON_GRID: Final = 1e-3
"""Of a step: a value that is no further from the grid is on it."""
FLOAT_NOISE: Final = 1e-6
"""Steps smaller than this part of a signal's largest value are float32 rounding."""
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
    pooled = np.concatenate(trips).astype(np.float64)
    count = pooled.shape[1]
    median, low, high, resolution, origin = (np.zeros(count) for _ in range(5))
    spread = robust_spread(trips)
    for signal in range(count):
        column = pooled[np.isfinite(pooled[:, signal]), signal]
        if len(column):
            median[signal] = np.median(column)
            resolution[signal], origin[signal] = _resolution(column, spread[signal]), column.min()
            low[signal], high[signal] = np.quantile(column, (LOW_QUANTILE, 1.0 - LOW_QUANTILE))
    return Habits(median, spread, low, high, _twins(pooled, spread), resolution, origin)


def _resolution(column: DoubleArray, spread: float) -> float:
    """The smallest step between distinct values, in which float32 rounding is none; 0 where it is next to nothing."""
    values = np.unique(column)
    steps = np.diff(values)
    steps = steps[steps > FLOAT_NOISE * max(abs(float(values[0])), abs(float(values[-1])))]
    least = float(steps.min()) if len(steps) else 0.0
    return least if least >= COARSE * spread else 0.0


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
