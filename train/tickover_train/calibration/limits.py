"""Limits of the charts for a stated budget of false episodes, from trips without faults. No torch.

Three steps, all from the charts of the exported graph with its limits at 1:

1. *Shares.* Every chart may be over its limit in an equal share of the budget. Its limit is read from the peaks of
   blocks of ``BLOCK_S``; shares are mostly rarer than the trips are long, so beyond the highest peaks an exponential
   tail is fitted, the generalised Pareto tail (Pickands 1975) of shape 0. Tried and worse on unseen trips: a shape for
   each chart, and fewer peaks; what a limit gains in fit it loses in noise.
2. *Cross-validation over trips.* What varies is the trip, so the limits of each group of trips are set without it.
3. *The total.* One factor on all limits makes the out-of-group trips' episodes, counted as the device counts them, meet
   the budget.

The trips count twice: whole, and cut into legs, where the network starts anew every few minutes. Shares come from the
peaks of both; the factor is the larger of what whole trips need and what legs need, so that either kind of day keeps
the budget.

What the manifest states as realised is honest: all three steps are done again without each group of trips, and the
episodes of that group are counted under the limits so set. Nothing was fitted to the trips that are counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import structs
from scipy.stats import chi2, genpareto

from tickover.core.manifest import Budget, EpisodePolicy, Legs
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.calibration.legs import LEG_S

BLOCK_S: Final = 300.0
"""Peaks of one chart closer than this may belong together."""
TAIL_SHARE: Final = 0.2
"""The tail is fitted to this share of the block peaks ..."""
TAIL_LEAST: Final = 8
"""... but to no fewer peaks than this, where there are so many."""
SHAPES: Final = (0.0, 0.5)
"""The total's tail has its shape kept here: a few peaks cannot tell of a lighter one, nor of infinite variance."""
GROUPS: Final = 5
CONFIDENCE: Final = 0.95
LEAST_FACTOR: Final = 1e-3
"""Limits are not lowered beyond this."""
DESCENT: Final = 1.05
"""By which the level falls at each step until there are too many episodes."""
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
    """``limits`` float32 ``[C]`` (inf = the chart cannot be trusted with its share and is off), the budget with what
    was realised, and each whole trip's scores, in the order given, under limits that were set without its group.
    """

    limits: FloatArray
    budget: Budget
    scores: tuple[FloatArray, ...]


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
        if self.shape < 1e-6:
            return self.threshold + self.scale * float(np.log(fewer))
        return self.threshold + self.scale / self.shape * float(fewer**self.shape - 1.0)


def calibrate(
    trips: Sequence[ScoredTrip],
    budget: Budget,
    policy: EpisodePolicy,
    bounds: FloatArray,
    period_s: float,
    floor: float = 0.0,
) -> Limits:
    """Limits for ``budget``; ``bounds`` ``[C]`` is what each chart can reach: a limit beyond it turns the chart off."""
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
    """The budget with the rate of ``count`` episodes in ``hours`` and its exact Poisson interval (Garwood 1936)."""
    return structs.replace(budget, hours=hours, legs=None, **_rates(count, hours))


def with_legs(budget: Budget, count: int, hours: float) -> Budget:
    """The budget with what came of legs."""
    return structs.replace(
        budget, legs=Legs(shortest_s=LEG_S[0], longest_s=LEG_S[1], hours=hours, **_rates(count, hours))
    )


def _rates(count: int, hours: float) -> dict[str, float]:
    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(chi2.ppf(tail, 2 * count)) / 2.0 if count else 0.0
    high = float(chi2.ppf(1.0 - tail, 2 * count + 2)) / 2.0
    return {"realised": count / hours, "low": low / hours, "high": high / hours}


def realised_words(budget: Budget) -> str:
    """What was realised on unseen trips, and in legs, for people."""
    words = f"{budget.realised:.2f} an hour on unseen trips ({budget.low:.2f} to {budget.high:.2f}, 95 %, "
    words += f"{budget.hours:.1f} h)"
    if legs := budget.legs:
        words += f", {legs.realised:.2f} ({legs.low:.2f} to {legs.high:.2f}) in legs of "
        words += f"{legs.shortest_s / 60:g} to {legs.longest_s / 60:g} minutes"
    return words


def block_peaks(charts: FloatArray, period_s: float) -> DoubleArray:
    """The highest value of each chart in blocks of about ``BLOCK_S``: ``[blocks, C]``; missing counts as 0."""
    number = max(1, round(len(charts) * period_s / BLOCK_S))
    clean = np.nan_to_num(charts.astype(np.float64), nan=0.0)
    return np.stack([block.max(axis=0) for block in np.array_split(clean, number)])


def fit_tail(peaks: DoubleArray, hours: float, shaped: bool = False) -> Tail:
    """The tail of block peaks ``[N]``, from their highest ``TAIL_SHARE``; of shape 0 unless ``shaped``."""
    ordered = np.sort(peaks)[::-1]
    number = min(max(TAIL_LEAST, round(TAIL_SHARE * len(ordered))), len(ordered) - 1)
    if number < 1:
        return Tail(float(ordered[0]), len(ordered) / hours, 0.0, 0.0)
    threshold = float(ordered[number])
    over = ordered[:number] - threshold
    shape = float(np.clip(genpareto.fit(over, floc=0.0)[0], *SHAPES)) if shaped and over.any() else 0.0
    return Tail(threshold, number / hours, shape, float(over.mean()) * (1.0 - shape))


def _share_limits(peaks: DoubleArray, hours: float, rate: float, bounds: FloatArray, floor: float) -> FloatArray:
    """Each chart's limit for an equal share of ``rate`` an hour; never under ``floor``."""
    share = rate / peaks.shape[1]
    levels = []
    for column in peaks.T:
        tail = fit_tail(column, hours)
        frequent = share >= tail.rate
        levels.append(
            np.sort(column)[::-1][min(int(share * hours), len(column) - 1)] if frequent else tail.level(share)
        )
    limits: FloatArray = np.maximum(np.asarray(levels), floor).astype(np.float32)
    limits[limits >= bounds] = np.inf
    return limits


def _descend(enough: Callable[[float], bool], top: float) -> float:
    """The lowest level, coming down from ``top``, that is enough, to a thousandth.

    From above, because far below the scores one episode lasts a whole trip, and their number is small again.
    """
    high = np.nextafter(np.float32(top), np.float32(np.inf))
    while enough(high / DESCENT) and high > LEAST_FACTOR:
        high /= DESCENT
    low = high / DESCENT
    while high / low > 1.001:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)


def count_episodes(scores: FloatArray, policy: EpisodePolicy, period_s: float) -> int:
    """How many episodes the device would open over one trip's scores ``[T]``."""
    wait = _ticks(policy.open_after_s, period_s)
    with np.errstate(invalid="ignore"):
        opens = np.flatnonzero(_run(scores >= 1.0) >= wait)
        close = _run(scores < policy.close_level) >= _ticks(policy.close_after_s, period_s)
    gone = _run(np.isnan(scores)) >= _ticks(policy.no_data_s, period_s)
    closes = np.flatnonzero(close | gone)
    count, place = 0, 0
    while (first := np.searchsorted(opens, place + wait - 1)) < len(opens):
        count += 1
        last = np.searchsorted(closes, opens[first])
        if last == len(closes):
            break
        place = closes[last] + max(1, round(policy.cool_down_s / period_s))
    return count


def _ticks(seconds: float, period_s: float) -> int:
    """How many ticks in a row last ``seconds`` from the first to the last."""
    return round(seconds / period_s) + 1


def _run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How long each flag has been set without a break, ``[T]``."""
    place = np.arange(1, len(flags) + 1)
    broken = np.maximum.accumulate(np.where(flags, 0, place))
    return place - broken
