"""A stream of ticks in a bounded number of buckets, which double their width when there are too many.

A bucket covers [k * width, (k + 1) * width) of event time. The width is the smallest ``period * 2**n`` that needs at
most ``capacity`` buckets, so the pyramid depends only on the ticks, not on how they were cut into blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from tickover.core.chart_signals import ChartSignals
from tickover.core.values import (
    DoubleArray,
    FloatArray,
    ScoredTicks,
    TimeArray,
)

SLACK: Final = 2
"""Buckets are gathered up to this many times the capacity before they are merged."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """N buckets in order of time; NaN where a bucket holds no value.

    ``index`` int64 ``[N]``: the bucket's start over its width. ``score`` float32 ``[N]`` (largest). Per signal
    float32 ``[N, F]``: smallest and largest observed value (``low``, ``high``), largest chart (``level``); float64
    ``[N, F]``: ``expected_sum`` over ``expected_count`` ticks. What was not used, float32 ``[N, F]``: the number of
    ticks without a value (``missing``), and the lowest and highest reading out of the plausible range.
    """

    index: TimeArray
    score: FloatArray
    low: FloatArray
    high: FloatArray
    level: FloatArray
    expected_sum: DoubleArray
    expected_count: DoubleArray
    missing: FloatArray
    outside_low: FloatArray
    outside_high: FloatArray

    @property
    def expected(self) -> FloatArray:
        """Mean expected value per bucket and signal, float32 ``[N, F]``."""
        count = np.where(self.expected_count > 0, self.expected_count, np.nan)
        return (self.expected_sum / count).astype(np.float32)


REDUCTIONS: Final[dict[str, np.ufunc]] = {
    "index": np.minimum,
    "score": np.fmax,
    "low": np.fmin,
    "high": np.fmax,
    "level": np.fmax,
    "expected_sum": np.add,
    "expected_count": np.add,
    "missing": np.add,
    "outside_low": np.fmin,
    "outside_high": np.fmax,
}
"""How two buckets become one, by field."""


class Pyramid:
    """One vehicle's ticks in at most ``capacity`` buckets (``SLACK`` times as many while they gather).

    ``charts`` says which signals each chart looks at. Ticks may come in any order.
    """

    def __init__(self, period: int, charts: ChartSignals, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"pyramid: expected a capacity of at least 1 bucket, got {capacity}")
        self.width = period
        self._charts = charts
        self._capacity = capacity
        self._parts: list[Buckets] = []
        self._gathered = 0

    def add(self, scored: ScoredTicks) -> None:
        """Take in a block of ticks."""
        if len(scored.ticks.time) == 0:
            return
        part = _merged(_of_ticks(scored, self._charts, self.width))
        self._parts.append(part)
        self._gathered += len(part.index)
        if self._gathered > SLACK * self._capacity:
            self._compact()

    def shrink(self, capacity: int) -> None:
        """Allow only this many buckets from now on."""
        self._capacity = capacity

    def buckets(self) -> Buckets:
        """All buckets so far, in order of time, of equal ``width`` (microseconds)."""
        if not self._parts:
            return _empty(self._charts.signals)
        self._compact()
        return self._parts[0]

    def _compact(self) -> None:
        parts = self._parts
        whole = _merged(_each(lambda name: np.concatenate([getattr(part, name) for part in parts])))
        # Doubling keeps every edge of a wider bucket an edge of the narrower ones: merging in another order, or blocks
        # cut elsewhere, gives the same buckets. That makes the page a function of the ticks alone.
        while len(whole.index) > self._capacity:
            self.width *= 2
            whole = _merged(_coarser(whole))
        self._parts = [whole]
        self._gathered = len(whole.index)


def _of_ticks(scored: ScoredTicks, charts: ChartSignals, width: int) -> Buckets:
    """Each tick as a bucket of its own, numbered for ``width``."""
    ticks, scores = scored.ticks, scored.scores
    present = ~np.isnan(scores.expected)
    outside = np.full(ticks.values.shape, np.nan, np.float32) if ticks.outside is None else ticks.outside
    return Buckets(
        index=ticks.time // width,
        score=scores.score,
        low=ticks.values,
        high=ticks.values,
        level=charts.highest(scores.chart),
        expected_sum=np.where(present, scores.expected, 0.0).astype(np.float64),
        expected_count=present.astype(np.float64),
        missing=np.isnan(ticks.values).astype(np.float32),
        outside_low=outside,
        outside_high=outside,
    )


def _each(make: Callable[[str], Any]) -> Buckets:
    return Buckets(**{field.name: make(field.name) for field in fields(Buckets)})


def _coarser(buckets: Buckets) -> Buckets:
    """The same buckets, numbered for twice the width."""
    return _each(lambda name: buckets.index // 2 if name == "index" else getattr(buckets, name))


def _merged(buckets: Buckets) -> Buckets:
    """One bucket per index, in order."""
    unsorted = buckets
    if (np.diff(buckets.index) < 0).any():
        order = np.argsort(buckets.index, kind="stable")
        buckets = _each(lambda name: getattr(unsorted, name)[order])
    # Each run of one index becomes one bucket; sorted above when blocks overlap, as logs after one another may.
    first = np.flatnonzero(np.diff(buckets.index, prepend=buckets.index[0] - 1))
    if len(first) == len(buckets.index):
        return buckets
    return _each(lambda name: REDUCTIONS[name].reduceat(getattr(buckets, name), first, axis=0))


def _empty(signals: int) -> Buckets:
    flat, wide, double = np.empty(0, np.float32), np.empty((0, signals), np.float32), np.empty((0, signals))
    return Buckets(np.empty(0, np.int64), flat, wide, wide, wide, double, double, wide, wide, wide)
