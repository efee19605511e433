"""A block of ticks while a vehicle's sensors are judged: the bins that it closes, and what comes of it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.episode_alerts import Told
from tickover.core.sensor_bins import Bins, IntArray
from tickover.core.values import FloatArray


class Judged:
    """What came of a block: ``level`` float32 ``[T]`` of the highest sensor over its limit, NaN where none is, ``open``
    bool ``[T]`` whether an episode is open after the tick, and the alerts. None: nothing was, all along."""

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self.level: FloatArray | None = None
        self.open: BoolArray | None = None
        self.suspects: BoolArray | None = None
        self.told: list[Told] = []

    def is_suspect(self, tick: int, column: int) -> bool:
        """Whether the charts' open episode is about this signal."""
        return self.suspects is not None and bool(self.suspects[tick, column])

    def set(self, tick: int, level: float | None, is_open: bool) -> None:
        """From this tick on."""
        if self.level is None or self.open is None:
            if level is None and not is_open:
                return
            self.level, self.open = np.full(self._ticks, np.nan, np.float32), np.zeros(self._ticks, np.bool_)
        self.level[tick:] = np.nan if level is None else level
        self.open[tick:] = is_open


class Closed(NamedTuple):
    """Bins that a block closed ``[K]``: the tick ``at`` which each did, and the place of the tick behind its last."""

    bins: Bins
    at: IntArray
    upto: IntArray

    def part(self, start: int, end: int) -> "Closed":
        """Some of the bins."""
        rows = slice(start, end)
        return Closed(self.bins.part(rows), self.at[rows], self.upto[rows])


def by_trip(closed: Closed) -> Iterator[Closed]:
    """The bins of one trip after another."""
    edges = [0, *(np.flatnonzero(np.diff(closed.bins.trip)) + 1).tolist(), len(closed.at)]
    for start, end in pairwise(edges):
        if start < end:
            yield closed.part(start, end)
