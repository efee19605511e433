"""Each chart's limit for its share of the budget, with all trips and without each of them. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.calibration.scored import ScoredTrip
from tickover_train.calibration.tails import block_peaks, highest_of, tail_of

REACH: Final = 0.9
"""Of its bound: a chart with less than an equal share of the budget gets no limit beyond this for the small share's
sake. It may alarm at gross faults only, but at these it must."""


@dataclass(frozen=True, slots=True)
class Known:
    """What of a trip is at hand while its charts ``trips[place]`` are not: how many ``ticks`` it and its legs have,
    and the block peaks of all of them ``[blocks, C]``.
    """

    trips: Sequence[ScoredTrip]
    place: int
    source: str
    ticks: int
    leg_ticks: int
    peaks: DoubleArray


def known_of(trips: Sequence[ScoredTrip], period_s: float) -> list[Known]:
    """Of each trip."""
    found = []
    for place, trip in enumerate(trips):
        peaks = np.concatenate([block_peaks(charts, period_s) for charts in (trip.charts, *trip.legs)])
        found.append(Known(trips, place, trip.source, len(trip.charts), sum(map(len, trip.legs)), peaks))
    return found


class ShareLimits:
    """The limits that some trips give; ``shares`` ``[C]`` in times an hour, ``bounds`` and ``floor`` as in
    ``calibrate``.

    The peaks of each chart are sorted once, and not anew without each trip: of a year's trips that would take hours.
    """

    def __init__(
        self, trips: Sequence[Known], period_s: float, shares: DoubleArray, bounds: FloatArray, floor: float
    ) -> None:
        peaks = np.concatenate([trip.peaks for trip in trips])
        owner = np.repeat(np.arange(len(trips)), [len(trip.peaks) for trip in trips])
        order = np.argsort(peaks, axis=0)
        self._sorted = np.ascontiguousarray(np.take_along_axis(peaks, order, axis=0).T)
        self._owner = np.ascontiguousarray(owner[order].T)
        self._blocks = [len(trip.peaks) for trip in trips]
        self._ticks = [trip.ticks + trip.leg_ticks for trip in trips]
        self._period_s, self._shares, self._bounds, self._floor = period_s, shares.tolist(), bounds, floor
        self._equal = max(self._shares, default=0.0)

    def of_all(self) -> FloatArray:
        """With all trips, ``[C]``."""
        return self._limits(None)

    def without_each(self) -> FloatArray:
        """Without each of the trips, ``[trips, C]``."""
        return np.stack([self._limits(trip) for trip in range(len(self._ticks))])

    def _limits(self, without: int | None) -> FloatArray:
        """In float32, never under the floor; infinity for a chart that cannot reach its limit."""
        gone = 0 if without is None else self._blocks[without]
        ticks = sum(self._ticks) - (0 if without is None else self._ticks[without])
        hours = ticks * self._period_s / 3600.0
        levels = [self._reached(chart, share, hours, without, gone) for chart, share in enumerate(self._shares)]
        limits: FloatArray = np.maximum(np.asarray(levels), self._floor).astype(np.float32)
        limits[limits >= self._bounds] = np.inf
        return limits

    def _reached(self, chart: int, share: float, hours: float, without: int | None, gone: int) -> float:
        """The chart's level for its share; one that it can reach, where it could with an equal share."""
        level, reach = self._level(chart, share, hours, without, gone), REACH * float(self._bounds[chart])
        if level <= reach or share >= self._equal:
            return level
        return max(reach, self._level(chart, self._equal, hours, without, gone))

    def _level(self, chart: int, share: float, hours: float, without: int | None, gone: int) -> float:
        count = self._sorted.shape[1] - gone
        tail = tail_of(self._highest(chart, highest_of(count) + gone, without), count, hours)
        # A share that is more frequent than the tail's threshold lies within the observed peaks: read it off there.
        if share >= tail.rate:
            place = min(int(share * hours), count - 1)
            return float(self._highest(chart, place + 1 + gone, without)[place])
        return tail.level(share)

    def _highest(self, chart: int, number: int, without: int | None) -> DoubleArray:
        """The highest ``number`` peaks of a chart from the highest down, less those of one trip."""
        first = max(self._sorted.shape[1] - number, 0)
        peaks = self._sorted[chart, first:]
        return (peaks if without is None else peaks[self._owner[chart, first:] != without])[::-1]
