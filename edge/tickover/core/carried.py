"""Charts that a trip begins with over their limit: what the trip before left, and no evidence of this one.

Charts outlive a trip, and hold until its network is warm. A glitch in the last seconds of a trip would so open an
episode at the start of the next, perhaps days later. A chart that is at or over the alarm level at a trip's first tick
is *carried*: it opens no episode until it has been under the level, or is clearly higher than it was then, or has had
as much time with its signals present as it takes to clear with nothing wrong.
"""

from itertools import pairwise
from typing import Final

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.manifest import Manifest
from tickover.core.once import once
from tickover.core.sensor_bins import IntArray
from tickover.core.values import FloatArray

CLEARLY: Final = np.float32(1.1)
"""Times the carried value: more than noise adds to a chart that falls."""


class Carried:
    """Those of one vehicle's C charts; ``value`` ``[C]`` (0: not carried; None: none is) and ``fresh`` ``[C]``, the
    ticks that each has been fresh since, are the whole state."""

    __slots__ = ("_clears", "_level", "fresh", "value")

    def __init__(self, manifest: Manifest, level: float) -> None:
        self._level = level
        self._clears = once(_clears, manifest)
        self.value: FloatArray | None = None
        self.fresh: IntArray | None = None

    @property
    def any(self) -> bool:
        """Whether a chart is carried."""
        return self.value is not None and bool(self.value.any())

    def clear(self) -> None:
        """No chart is."""
        self.value = self.fresh = None

    def copy(self) -> tuple[FloatArray | None, IntArray | None]:
        """What `put` goes back to."""
        return None if self.value is None else self.value.copy(), None if self.fresh is None else self.fresh.copy()

    def put(self, copy: tuple[FloatArray | None, IntArray | None]) -> None:
        """Go back to where `copy` was made."""
        self.value, self.fresh = copy

    def state(self) -> tuple[list[float], list[int]]:
        """Value and fresh as plain numbers; empty when no chart is carried."""
        if self.value is None or self.fresh is None or not self.any:
            return [], []
        return self.value.tolist(), self.fresh.tolist()

    def restore(self, value: list[float], fresh: list[int]) -> None:
        """Continue from `state`."""
        self.clear()
        if value and fresh:
            self.value, self.fresh = np.array(value, np.float32), np.array(fresh, np.int64)

    def mask(self, trip_starts: BoolArray, chart: FloatArray, fresh: BoolArray) -> BoolArray | None:
        """Where charts are carried, ``[T, C]``, None: nowhere; ``trip_starts`` ``[T]`` are those after a first trip."""
        found: BoolArray | None = None
        edges = sorted({0, *np.flatnonzero(trip_starts).tolist(), len(chart)})
        for start, end in pairwise(edges):
            if trip_starts[start]:
                self._begin_trip(chart[start])
            if self.value is None or self.fresh is None:
                continue
            value, passed = self.value, self.fresh
            for column in np.flatnonzero(value).tolist():
                upto = start + self._still(column, chart[start:end, column], fresh[start:end, column], value, passed)
                if upto > start:
                    found = np.zeros(chart.shape, np.bool_) if found is None else found
                    found[start:upto, column] = True
        return found

    def _begin_trip(self, chart: FloatArray) -> None:
        over = chart >= self._level
        self.clear()
        if over.any():
            self.value = np.where(over, chart, np.float32(0))
            self.fresh = np.zeros(len(chart), np.int64)

    def _still(self, column: int, chart: FloatArray, fresh: BoolArray, value: FloatArray, since: IntArray) -> int:
        """For how many of the next ticks of its trip a chart is still carried; writes to ``value`` and ``since``."""
        passed = since[column] + np.cumsum(fresh)
        told = (chart < self._level) | (chart > value[column] * CLEARLY)
        released = (fresh & told) | (passed > self._clears[column])
        if released.any():
            value[column] = 0
            return int(np.argmax(released))
        since[column] = passed[-1]
        return len(chart)


def _clears(manifest: Manifest) -> IntArray:
    """Ticks that each chart takes to clear, ``[C]``."""
    return np.array([round(chart.clears_s / manifest.tick_period_s) for chart in manifest.charts], np.int64)
