"""The level that charts exceed so many times an hour: peaks of blocks, and the tail fitted to the highest. No torch."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import genpareto

from tickover.core.values import DoubleArray, FloatArray

BLOCK_S: Final = 300.0
"""Peaks of one chart closer than this may belong together."""
TAIL_SHARE: Final = 0.2
"""The tail is fitted to this share of the block peaks ..."""
TAIL_LEAST: Final = 8
"""... but to no fewer peaks than this, where there are so many."""
SHAPES: Final = (0.0, 0.5)
"""A fitted shape is bounded so: a few peaks cannot show a lighter tail, nor infinite variance."""
NO_SHAPE: Final = 1e-6
"""Below this shape the tail is exponential; the formula of the general one would divide by almost nothing."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Peaks over ``threshold``: ``rate`` of them an hour, generalised Pareto with ``shape`` and ``scale``."""

    threshold: float
    rate: float
    shape: float
    scale: float

    def level(self, rate: float) -> float:
        """The level that is exceeded ``rate`` times an hour, for a rate of at most ``self.rate``."""
        fewer = max(self.rate / rate, 1.0)
        if self.shape < NO_SHAPE:
            return self.threshold + self.scale * float(np.log(fewer))
        return self.threshold + self.scale / self.shape * float(fewer**self.shape - 1.0)


def block_peaks(charts: FloatArray, period_s: float) -> DoubleArray:
    """The highest value of each chart in blocks of about ``BLOCK_S``: ``[blocks, C]``; missing counts as 0."""
    number = max(1, round(len(charts) * period_s / BLOCK_S))
    clean = np.nan_to_num(charts.astype(np.float64), nan=0.0)
    return np.stack([block.max(axis=0) for block in np.array_split(clean, number)])


def fit_tail(peaks: DoubleArray, hours: float, shaped: bool = False) -> Tail:
    """The tail of block peaks ``[N]``, from their highest ``TAIL_SHARE``; of shape 0 unless ``shaped``."""
    ordered = np.sort(peaks)[::-1]
    return tail_of(ordered, len(ordered), hours, shaped)


def tail_of(ordered: DoubleArray, count: int, hours: float, shaped: bool = False) -> Tail:
    """The same of ``count`` peaks of which the ``highest_of(count)`` are given, from the highest down."""
    number = highest_of(count) - 1
    if number < 1:
        return Tail(float(ordered[0]), count / hours, 0.0, 0.0)
    threshold = float(ordered[number])
    over = ordered[:number] - threshold
    # scipy cannot fit a shape to peaks that are all the same, and such peaks have none.
    shape = float(np.clip(genpareto.fit(over, floc=0.0)[0], *SHAPES)) if shaped and over.any() else 0.0
    # By moments, not by likelihood: the mean of a generalised Pareto distribution is scale / (1 - shape).
    return Tail(threshold, number / hours, shape, float(over.mean()) * (1.0 - shape))


def highest_of(count: int) -> int:
    """How many of so many peaks decide the tail: those over the threshold, and the threshold."""
    return min(max(TAIL_LEAST, round(TAIL_SHARE * count)), count - 1) + 1
