"""Limits of the charts for a stated budget of false episodes, from trips without faults. No torch.

Three steps, all from the charts of the exported graph with its limits at 1:

1. *Shares.* Every chart may exceed its limit in an equal share of the budget, or in the part of one that it is given
   (next to nothing for a level that wanders from trip to trip). Its limit is read from the peaks of
   blocks of ``BLOCK_S``. A share is mostly rarer than the trips are long, so an exponential tail is fitted beyond the
   highest peaks: the generalised Pareto tail (Pickands 1975) of shape 0. Tried and worse on unseen trips: a shape for
   each chart, and fewer peaks.
2. *Cross-validation over trips.* Trips differ more than the ticks of one trip do, so the limits that score a group of
   trips are set without that group.
3. *The total.* One factor on all limits makes the out-of-group trips' episodes, counted as the device counts them, meet
   the budget.

No single trip decides, where they are enough (``ROBUST_FROM``, ``ROBUST_HOURS``): each chart's share is set without the
trip that would raise its limit most, and in the total the worst trip counts as the next worst does. How far the worst
trip would have moved the limits is stated (``Influence``).

The trips count twice: whole, and cut into legs, where the network starts anew every few minutes. Shares come from the
peaks of both; the factor is the larger of what whole trips need and what legs need, so that both kinds of trips keep
the budget.

Where a model has limits already, from many more trips of another season or truck, these are drawn towards them as far
as they are uncertain (``shrink``).

The realised rate in the manifest is out of sample: all three steps are done again without each group of trips, and the
episodes of that group are counted under the limits so set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from msgspec import structs

from tickover.core.manifest import Budget, EpisodePolicy, Legs
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.calibration.episode_count import count_episodes
from tickover_train.calibration.legs import LEG_S
from tickover_train.calibration.rates import poisson_rate
from tickover_train.calibration.scored import LEAST_PEAK, ScoredTrip, ScoreKeeper, TripScores
from tickover_train.calibration.shares import REACH, Known, ShareLimits, known_of
from tickover_train.calibration.shrink import shrunk, uncertainty
from tickover_train.calibration.tails import block_peaks, fit_tail
from tickover_train.stored.room import Memory, Room

GROUPS: Final = 5
"""Groups of trips in the cross-validation."""
DESCENT: Final = 1.05
"""By which the level falls at each step until there are too many episodes."""
PRECISION: Final = 1.001
"""The level is then bisected until it is known to this factor."""
ENOUGH: Final = 5.0
"""Episodes in the budget over all trips from which on counting is better than a tail fit."""
ROBUST_FROM: Final = 4
"""Trips from which on the worst is told from the rest ..."""
ROBUST_HOURS: Final = 0.5
"""... when they last so long together: of minutes, the highest peaks are most of what is known of the tail, and limits
without them are too low (SKAB, 400 s in four parts: 24 % of normal rows in alarm instead of 19 %)."""

Pieces = Sequence[TripScores]
"""Scores of each trip: of the whole, or of its legs."""


@dataclass(frozen=True, slots=True)
class Influence:
    """The ``trip`` that would raise the charts' shares most, and by what factor (the median chart's, and the most)."""

    trip: str
    usual: float
    most: float


@dataclass(frozen=True, slots=True)
class Limits:
    """``limits`` float32 ``[C]`` (inf = the chart is off: it cannot reach a limit that keeps its share), the budget
    with the realised rate, and each whole trip's scores, in order, under limits that were set without its group.

    ``influence``: what was kept from deciding them; None with too few trips or hours.
    """

    limits: FloatArray
    budget: Budget
    scores: Sequence[FloatArray]
    influence: Influence | None = None


def calibrate(
    trips: Sequence[ScoredTrip],
    budget: Budget,
    policy: EpisodePolicy,
    bounds: FloatArray,
    period_s: float,
    floor: float = 0.0,
    parts: FloatArray | None = None,
    trained: FloatArray | None = None,
    room: Room | None = None,
) -> Limits:
    """Limits for ``budget``; ``bounds`` ``[C]`` is the largest value of each chart: a limit beyond it turns it off.

    ``floor`` is the lowest limit, in units of the chart, after step 1 and after step 3. ``parts`` ``[C]``: of an equal
    share of the budget, how much each chart takes (default: 1 each). ``trained`` ``[C]``: limits that a model has for
    this budget from other trips, towards which these are drawn (see ``shrink``).
    """
    given = np.ones(len(bounds)) if parts is None else parts.astype(np.float64)
    known = known_of(trips if len(trips) > 1 else _cut(trips[0]), period_s)
    hours = sum(trip.ticks for trip in known) * period_s / 3600.0
    # Decided once: a part of the trips must be treated as all of them are, or the factor that keeps the budget out of
    # group would belong to other shares than the final ones (four trips, of which three at a time: 3 an hour for 1).
    robust = len(trips) >= ROBUST_FROM and hours >= ROBUST_HOURS
    room = room or Memory()
    rule = _Rule(budget.per_hour, policy, bounds, period_s, floor, given / given.sum(), robust, room, trained)
    whole, legs = _out_of_group(known, rule.limits, room)
    stated = realised(budget, rule.count(whole), rule.hours(whole))
    if any(trip.peaks for trip in legs):
        stated = with_legs(stated, rule.count(legs), rule.hours(legs))
    influence = rule.influence(known)
    return Limits(rule.limits(known), stated, _kept(whole, len(trips) == 1, room), influence)


def _kept(whole: Pieces, lone: bool, room: Room) -> Sequence[FloatArray]:
    """The scores of the whole trips, kept until somebody looks at them; a lone trip's parts are one again."""
    kept = room.arrays()
    if lone:
        kept.append(np.concatenate([scores for trip in whole for scores in trip.pieces]))
    else:
        for trip in whole:
            kept.append(trip.pieces[0])
    return kept


def _cut(trip: ScoredTrip) -> list[ScoredTrip]:
    """A lone trip in ``GROUPS`` parts, its legs dealt out in order.

    Limits that were set on the very ticks that they are counted on realised 4 to 6 an hour for a budget of 1 on other
    trips (``kit-obd``), those of its parts 0.8 and 1.8.
    """
    edges = np.linspace(0, len(trip.legs), GROUPS + 1).astype(int).tolist()
    return [
        ScoredTrip(trip.source, charts, trip.legs[first:last])
        for charts, (first, last) in zip(np.array_split(trip.charts, GROUPS), pairwise(edges), strict=True)
        if len(charts)
    ]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How limits come from trips; ``rate`` episodes an hour are allowed."""

    rate: float
    policy: EpisodePolicy
    bounds: FloatArray
    period_s: float
    floor: float
    parts: DoubleArray
    """How much of the budget each chart takes, ``[C]``; in all 1."""
    robust: bool
    """Whether the worst trip is told from what trips are like."""
    room: Room
    """Where scores are kept while they are counted."""
    trained: FloatArray | None = None
    """Limits from other trips ``[C]``."""

    def limits(self, trips: Sequence[Known]) -> FloatArray:
        """All three steps, and what the trained limits add to them."""
        own = self.own(trips)
        if self.trained is None:
            return own
        hours = sum(trip.ticks for trip in trips) * self.period_s / 3600.0
        variance = uncertainty(self.shares_without(trips), self.bounds, hours)
        return np.maximum(shrunk(own, variance, self.trained, self.bounds), np.float32(self.floor))

    def own(self, trips: Sequence[Known]) -> FloatArray:
        """All three steps."""
        # Whole trips and legs keep the budget each for itself: the larger factor keeps both.
        scored = _out_of_group(trips, self.shares, self.room)
        factor = max(self.factor(scores) for scores in scored if any(trip.peaks for trip in scores))
        shares = self.shares(trips)
        limits: FloatArray = np.maximum(shares * np.float32(factor), np.float32(self.floor))
        # What the factor may not do either: see REACH.
        rare, reach = self.parts < self.parts.max(), np.float32(REACH) * self.bounds
        limits = np.where(rare & (shares <= reach), np.minimum(limits, np.maximum(shares, reach)), limits)
        limits[limits >= self.bounds] = np.inf
        return limits

    def shares(self, trips: Sequence[Known]) -> FloatArray:
        """Step 1: each chart's limit for its share, without the trip that would raise it most."""
        without = self.shares_without(trips)
        limits: FloatArray = without.min(axis=0) if len(without) else self.plain_shares(trips)
        return limits

    def shares_without(self, trips: Sequence[Known]) -> FloatArray:
        """Each chart's limit without each of the trips, ``[trips, C]``; no rows where they are too few."""
        if not self.robust or len(trips) < 2:
            return np.empty((0, len(self.bounds)), np.float32)
        return ShareLimits(trips, self.period_s, self.rate * self.parts, self.bounds, self.floor).without_each()

    def plain_shares(self, trips: Sequence[Known]) -> FloatArray:
        """Each chart's limit for its share, with all of the trips."""
        return ShareLimits(trips, self.period_s, self.rate * self.parts, self.bounds, self.floor).of_all()

    def influence(self, trips: Sequence[Known]) -> Influence | None:
        """What the trips would do to the shares, the worst of them."""
        without = self.shares_without(trips)
        if not len(without):
            return None
        # A chart that is off with the trip and on without it counts as raised to its bound.
        finite = [np.minimum(limits, self.bounds) for limits in (self.plain_shares(trips), without)]
        raised = finite[0] / finite[1]
        worst = int(np.argmax(np.median(raised, axis=1)))
        return Influence(trips[worst].source, float(np.median(raised[worst])), float(raised[worst].max()))

    def factor(self, scores: Pieces) -> float:
        """Step 3: what all limits must be multiplied by for ``rate`` episodes an hour over these scores."""
        allowed = self.rate * self.hours(scores)
        # With enough episodes in the budget they are counted by the device's rules, which merge and hold off. With
        # fewer, no level can be told from the next by counting: the tail of the score's own peaks extrapolates.
        if allowed >= ENOUGH:
            peak = max(trip.peak for trip in scores)
            return _descend(lambda level: self.robust_count(scores, level) <= allowed, peak)
        rest = sorted(scores, key=lambda trip: trip.peak)[: -1 if self.robust and len(scores) > 1 else None]
        peaks = np.concatenate([block_peaks(one[:, None], self.period_s)[:, 0] for trip in rest for one in trip.pieces])
        return max(fit_tail(peaks, self.hours(rest), shaped=True).level(self.rate), LEAST_PEAK)

    def count(self, scores: Pieces, level: float = 1.0) -> int:
        """Episodes at a level."""
        return sum(self.counts(scores, level))

    def robust_count(self, scores: Pieces, level: float) -> int:
        """Episodes at a level; the trip with the most counts as the next one does."""
        counts = sorted(self.counts(scores, level))
        return sum(counts) - (counts[-1] - counts[-2] if self.robust and len(counts) > 1 else 0)

    def counts(self, scores: Pieces, level: float) -> list[int]:
        """Episodes of each trip at a level."""
        at = np.float32(level)
        return [
            sum(
                count_episodes(trip.pieces[place] / at, self.policy, self.period_s)
                for place, peak in enumerate(trip.peaks)
                if np.float32(peak) / at >= 1.0  # no episode opens below it, and most legs are quiet
            )
            for trip in scores
        ]

    def hours(self, scores: Pieces) -> float:
        """Hours of some trips' ticks."""
        return sum(trip.ticks for trip in scores) * self.period_s / 3600.0


def _out_of_group(
    trips: Sequence[Known], setter: Callable[[Sequence[Known]], FloatArray], room: Room
) -> tuple[list[TripScores], list[TripScores]]:
    """Scores of the whole trips, and of their legs, in order, under the limits that ``setter`` gives for the other
    groups' trips; a lone part's own.
    """
    keeper = ScoreKeeper(room)
    whole: list[TripScores] = [TripScores((), [])] * len(trips)
    legs = list(whole)
    for first in range(min(GROUPS, len(trips))):
        # Every fifth trip, not a run of trips: neighbours share a season, which would then be missing from the limits.
        group = range(first, len(trips), GROUPS)
        limits = setter([trip for i, trip in enumerate(trips) if i not in group] or trips)
        for i in group:
            trip = trips[i].trips[trips[i].place]
            whole[i] = keeper.keep([score(trip.charts, limits)])
            legs[i] = keeper.keep(score(charts, limits) for charts in trip.legs)
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


def _descend(enough: Callable[[float], bool], top: float) -> float:
    """The lowest level, coming down from ``top``, for which ``enough`` is true, to a factor of ``PRECISION``."""
    # From above and not by bisection from the start: the number of episodes is not monotone in the level. Far below the
    # scores one episode lasts a whole trip, and their number is small again.
    high = np.nextafter(np.float32(top), np.float32(np.inf))
    while enough(high / DESCENT) and high > LEAST_PEAK:
        high /= DESCENT
    low = high / DESCENT
    while high / low > PRECISION:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)
