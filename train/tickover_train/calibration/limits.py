"""Limits of the charts for a stated budget of false episodes, from trips without faults. No torch.

Three steps, all from the charts of the exported graph with its limits at 1:

1. *Shares.* Every chart may exceed its limit in an equal share of the budget. Its limit is read from the peaks of
   blocks of ``BLOCK_S``. A share is mostly rarer than the trips are long, so an exponential tail is fitted beyond the
   highest peaks: the generalised Pareto tail (Pickands 1975) of shape 0. Tried and worse on unseen trips: a shape for
   each chart, and fewer peaks.
2. *Cross-validation over trips.* Trips differ more than the ticks of one trip do, so the limits that score a group of
   trips are set without that group.
3. *The total.* One factor on all limits makes the out-of-group trips' episodes, counted as the device counts them, meet
   the budget.

The trips count twice: whole, and cut into legs, where the network starts anew every few minutes. Shares come from the
peaks of both; the factor is the larger of what whole trips need and what legs need, so that both kinds of trips keep
the budget.

The realised rate in the manifest is out of sample: all three steps are done again without each group of trips, and the
episodes of that group are counted under the limits so set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import structs

from tickover.core.manifest import Budget, EpisodePolicy, Legs
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.calibration.episode_count import count_episodes
from tickover_train.calibration.legs import LEG_S
from tickover_train.calibration.rates import poisson_rate
from tickover_train.calibration.tails import block_peaks, fit_tail

GROUPS: Final = 5
"""Groups of trips in the cross-validation."""
LEAST_FACTOR: Final = 1e-3
"""Limits are not lowered beyond this."""
DESCENT: Final = 1.05
"""By which the level falls at each step until there are too many episodes."""
PRECISION: Final = 1.001
"""The level is then bisected until it is known to this factor."""
ENOUGH: Final = 5.0
"""Episodes in the budget over all trips from which on counting is better than a tail fit."""


@dataclass(frozen=True, slots=True)
class ScoredTrip:
    """One clean trip: ``charts`` float32 ``[T, C]`` over limits of 1, ``source`` names it; ``legs`` the same of its
    legs.
    """

    source: str
    charts: FloatArray
    legs: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """``limits`` float32 ``[C]`` (inf = the chart is off: it cannot reach a limit that keeps its share), the budget
    with the realised rate, and each whole trip's scores, in order, under limits that were set without its group.
    """

    limits: FloatArray
    budget: Budget
    scores: tuple[FloatArray, ...]


def calibrate(
    trips: Sequence[ScoredTrip],
    budget: Budget,
    policy: EpisodePolicy,
    bounds: FloatArray,
    period_s: float,
    floor: float = 0.0,
) -> Limits:
    """Limits for ``budget``; ``bounds`` ``[C]`` is the largest value of each chart: a limit beyond it turns it off.

    ``floor`` is the lowest limit of step 1, in units of the chart.
    """
    rule = _Rule(budget.per_hour, policy, bounds, period_s, floor)
    known = [_Known.of(trip, period_s) for trip in trips]
    whole, legs = _out_of_group(known, rule.limits)
    stated = realised(budget, rule.count(whole), rule.hours(whole))
    if legs:
        stated = with_legs(stated, rule.count(legs), rule.hours(legs))
    return Limits(rule.limits(known), stated, tuple(whole))


@dataclass(frozen=True, slots=True)
class _Known:
    """A trip's charts ``[T, C]``, its legs', and the block peaks of all of them ``[blocks, C]``."""

    whole: FloatArray
    legs: tuple[FloatArray, ...]
    peaks: DoubleArray

    @classmethod
    def of(cls, trip: ScoredTrip, period_s: float) -> "_Known":
        peaks = [block_peaks(charts, period_s) for charts in (trip.charts, *trip.legs)]
        return cls(trip.charts, trip.legs, np.concatenate(peaks))


@dataclass(frozen=True, slots=True)
class _Rule:
    """How limits come from trips; ``rate`` episodes an hour are allowed."""

    rate: float
    policy: EpisodePolicy
    bounds: FloatArray
    period_s: float
    floor: float

    def limits(self, trips: Sequence[_Known]) -> FloatArray:
        """All three steps."""
        # Whole trips and legs keep the budget each for itself: the larger factor keeps both.
        factor = max(self.factor(scores) for scores in _out_of_group(trips, self.shares) if scores)
        limits = self.shares(trips) * np.float32(factor)
        limits[limits >= self.bounds] = np.inf
        return limits

    def shares(self, trips: Sequence[_Known]) -> FloatArray:
        """Step 1: each chart's limit for its share."""
        hours = self.hours([charts for trip in trips for charts in (trip.whole, *trip.legs)])
        return _share_limits(np.concatenate([trip.peaks for trip in trips]), hours, self.rate, self.bounds, self.floor)

    def factor(self, scores: Sequence[FloatArray]) -> float:
        """Step 3: what all limits must be multiplied by for ``rate`` episodes an hour over these scores."""
        hours = self.hours(scores)
        # With enough episodes in the budget they are counted by the device's rules, which merge and hold off. With
        # fewer, no level can be told from the next by counting: the tail of the score's own peaks extrapolates.
        if self.rate * hours >= ENOUGH:
            peak = max(float(np.nanmax(one, initial=LEAST_FACTOR)) for one in scores)
            return _descend(lambda level: self.count(scores, level) <= self.rate * hours, peak)
        peaks = np.concatenate([block_peaks(one[:, None], self.period_s)[:, 0] for one in scores])
        return max(fit_tail(peaks, hours, shaped=True).level(self.rate), LEAST_FACTOR)

    def count(self, scores: Sequence[FloatArray], level: float = 1.0) -> int:
        """Episodes at a level."""
        return sum(count_episodes(one / np.float32(level), self.policy, self.period_s) for one in scores)

    def hours(self, ticks: Sequence[FloatArray]) -> float:
        """Hours of some trips' ticks."""
        return sum(map(len, ticks)) * self.period_s / 3600.0


def _out_of_group(
    trips: Sequence[_Known], setter: Callable[[Sequence[_Known]], FloatArray]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Scores of whole trips, in order, and of all legs, under the limits that ``setter`` gives for the other groups'
    trips; a lone trip's own.
    """
    whole: list[FloatArray] = [np.empty(0, np.float32)] * len(trips)
    legs: list[FloatArray] = []
    for first in range(min(GROUPS, len(trips))):
        # Every fifth trip, not a run of trips: neighbours share a season, which would then be missing from the limits.
        group = range(first, len(trips), GROUPS)
        limits = setter([trip for i, trip in enumerate(trips) if i not in group] or trips)
        for i in group:
            whole[i] = score(trips[i].whole, limits)
            legs += [score(charts, limits) for charts in trips[i].legs]
    return whole, legs


def score(charts: FloatArray, limits: FloatArray) -> FloatArray:
    """The largest chart over its limit ``[T]``; NaN where all are missing."""
    highest: FloatArray = np.fmax.reduce(charts / limits, axis=1).astype(np.float32)
    return highest


def realised(budget: Budget, count: int, hours: float) -> Budget:
    """The budget with the rate of ``count`` episodes in ``hours`` and its exact Poisson interval."""
    return structs.replace(budget, hours=hours, legs=None, **_rates(count, hours))


def with_legs(budget: Budget, count: int, hours: float) -> Budget:
    """The budget with the rate of ``count`` episodes in ``hours`` of legs."""
    return structs.replace(
        budget, legs=Legs(shortest_s=LEG_S[0], longest_s=LEG_S[1], hours=hours, **_rates(count, hours))
    )


def _rates(count: int, hours: float) -> dict[str, float]:
    rate = poisson_rate(count, hours)
    return {"realised": rate.per_hour, "low": rate.low, "high": rate.high}


def _share_limits(peaks: DoubleArray, hours: float, rate: float, bounds: FloatArray, floor: float) -> FloatArray:
    """Each chart's limit for an equal share of ``rate`` an hour; never under ``floor``."""
    share = rate / peaks.shape[1]
    levels = []
    for column in peaks.T:
        tail = fit_tail(column, hours)
        # A share that is more frequent than the tail's threshold lies within the observed peaks: read it off there.
        frequent = share >= tail.rate
        levels.append(
            np.sort(column)[::-1][min(int(share * hours), len(column) - 1)] if frequent else tail.level(share)
        )
    limits: FloatArray = np.maximum(np.asarray(levels), floor).astype(np.float32)
    limits[limits >= bounds] = np.inf
    return limits


def _descend(enough: Callable[[float], bool], top: float) -> float:
    """The lowest level, coming down from ``top``, for which ``enough`` is true, to a factor of ``PRECISION``."""
    # From above and not by bisection from the start: the number of episodes is not monotone in the level. Far below the
    # scores one episode lasts a whole trip, and their number is small again.
    high = np.nextafter(np.float32(top), np.float32(np.inf))
    while enough(high / DESCENT) and high > LEAST_FACTOR:
        high /= DESCENT
    low = high / DESCENT
    while high / low > PRECISION:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)
