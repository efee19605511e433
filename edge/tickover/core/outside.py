"""Readings out of the plausible range, kept beside the open ticks until these close. They never reach the network.

Of each tick and signal only the lowest and the highest count: order and repetition cannot matter, and memory is bounded
by the open ticks.
"""

from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray, TimeArray
from tickover.core.windows import group_starts

MOST_PARTS: Final = 64
"""Blocks that wait before they are joined into one row a tick."""


class OutsideReadings:
    """The extremes out of range by tick number; ``low`` and ``high`` ``[F]`` are the plausible range."""

    __slots__ = ("_high", "_low", "_parts")

    def __init__(self, low: DoubleArray, high: DoubleArray) -> None:
        self._low, self._high = low, high
        self.clear()

    def clear(self) -> None:
        """Forget them all."""
        self._parts: list[tuple[TimeArray, DoubleArray, DoubleArray]] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self._parts

    def add(self, tick: TimeArray, values: DoubleArray) -> None:
        """Readings ``[N, F]`` of ticks ``[N]``, NaN where there is none out of range."""
        any_ = ~np.isnan(values).all(axis=1)
        tick, values = tick[any_], values[any_]
        if not len(tick):
            return
        self._parts = self._parts or []
        self._parts.append((tick, values, values))
        if len(self._parts) > MOST_PARTS:
            self._join()

    def take(self, tick: TimeArray) -> FloatArray | None:
        """Those of the closed ticks ``[T]``, in order, all of one trip or of several: float32 ``[T, F]``, the one that
        is further out of the range; None when there is none. What lies before the last of the ticks is forgotten."""
        if not self._parts:
            return None
        number, lowest, highest = self._join()
        cut = int(np.searchsorted(number, tick[-1], side="right"))
        self.hold(number[cut:].copy(), lowest[cut:].copy(), highest[cut:].copy())
        if not cut:
            return None
        below, above = self._low - lowest[:cut], highest[:cut] - self._high
        furthest = np.where(np.fmax(below, 0.0) > np.fmax(above, 0.0), lowest[:cut], highest[:cut])
        place = np.searchsorted(tick, number[:cut])
        found = tick[place] == number[:cut]
        outside = np.full((len(tick), len(self._low)), np.nan, np.float32)
        largest = float(np.finfo(np.float32).max)
        outside[place[found]] = np.clip(furthest[found], -largest, largest)
        return outside

    def rows(self) -> tuple[TimeArray, DoubleArray, DoubleArray]:
        """Tick numbers ``[K]``, in order, and the lowest and the highest reading of each ``[K, F]``."""
        if not self._parts:
            nothing = np.empty((0, len(self._low)))
            return np.empty(0, np.int64), nothing, nothing
        return self._join()

    def hold(self, tick: TimeArray, lowest: DoubleArray, highest: DoubleArray) -> None:
        """Replace them by such rows."""
        self._parts = [(tick, lowest, highest)] if len(tick) else None

    def _join(self) -> tuple[TimeArray, DoubleArray, DoubleArray]:
        """Make one row of each tick; there must be a part."""
        assert self._parts
        tick, lowest, highest = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        order = np.argsort(tick, kind="stable")
        starts = group_starts(tick[order])
        lowest, highest = (
            extreme.reduceat(rows[order], starts, axis=0) for extreme, rows in ((np.fmin, lowest), (np.fmax, highest))
        )
        rows = tick[order][starts], lowest, highest
        self.hold(*rows)
        return rows
