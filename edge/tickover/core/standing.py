"""Whether what opened an episode still stands once the charts have cleared.

A chart of changes sees a step for seconds: afterwards it clears, though the signal stays where the step took it. So
while an episode is open each signal's *deviation* is followed: observed less expected, less what that was on average
over the older half of the ticks ahead of the episode (the freeze-frame), in spreads of the signal's residual, as a
running mean over ``SPAN_S``. What the model follows slowly holds meanwhile, so this is the deviation before any slow
adaptation.

A signal that was over a limit *stands* while its deviation is more than ``FLOOR`` and than ``BACK`` of the largest that
it had, and as long as it repeats the value that it had ahead of the episode: a sensor that is stuck comes near to what
is expected now and then, and is no sounder for it. Nor is one that stands where it deviated: a network comes to expect
what it is shown (a coolant that reads 40 C is that of a cold engine), so a signal that usually moves on
(``MOVES_ON_S``) is back once it has moved and does not deviate. Where a level chart opened the episode the ticks ahead
show the fault, too: such a signal stands while that chart is above ``LEVEL_BACK`` of its own highest. A model that does
not say how its residuals spread leaves all of it to its charts.

Whether the end that follows is a recovery is asked of the signal that was off the most: ``core.proven``.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.freeze_frame import Rows
from tickover.core.frozen_limits import from_training
from tickover.core.manifest import Manifest
from tickover.core.proven import LONG_S, Proof, Seen
from tickover.core.values import SECOND, DoubleArray, FloatArray

SPAN_S: Final = 20.0
"""Of the running mean; the default level chart's."""
FLOOR: Final = 1.5
"""Spreads of the residual: smaller means are usual."""
BACK: Final = 0.5
"""Of the largest deviation: a signal that is further off is not back."""
LEVEL_BACK: Final = 0.6
"""The same of a level chart, which by itself falls with what is usual at the moment."""
GONE: Final = 0.25
"""Of the largest deviation, or of the level chart's highest: a tick with more says that it is not gone."""
CLIP: Final = 16.0
"""Spreads up to which one tick counts, so that one wild reading does not hide what stays."""

MOVES_ON_S: Final = 1200.0
"""A signal that is called frozen later than this where it stands says nothing by that: the outside temperature."""

State = list[list[float]]
"""What :meth:`Standing.state` gives: ``PARTS`` lists ``[F]``."""
PARTS: Final = 12
FIRST_PARTS: Final = 7
OLDER_PARTS: Final = (FIRST_PARTS, 9)
"""Those of before: they did not tell what stands where it deviated, nor where that was."""


class Spreads:
    """What is the same for all vehicles of a model: each signal's ``spread`` ``[F]`` (None: not known), the ``share``
    of a tick in the running mean, and for each chart that looks at one signal its place, its signal, and whether a
    residual that stays off keeps it up. ``all`` ``[F]`` names every signal.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.spread: DoubleArray | None = np.array(manifest.spreads, np.float64) if manifest.spreads else None
        self.all: BoolArray = np.ones(len(manifest.names), np.bool_)
        self.period = manifest.period
        self._frozen = from_training(manifest)
        self.share = min(1.0, 2.0 / (SPAN_S / manifest.tick_period_s + 1.0))
        alone = [(at, chart) for at, chart in enumerate(manifest.charts) if len(chart.signals) == 1]
        self.charts = np.array([at for at, _ in alone], np.int64)
        self.signal = np.array([manifest.names.index(chart.signals[0]) for _, chart in alone], np.int64)
        self.level: BoolArray = np.array([chart.level for _, chart in alone], np.bool_)

    def moves_on(self, value: DoubleArray) -> BoolArray:
        """Whether signals at these values ``[..., F]`` usually do not stand for long."""
        return np.asarray(self._frozen.at(value) <= MOVES_ON_S * SECOND)


class Tick(NamedTuple):
    """What is looked at in a tick: values ``observed`` and ``expected`` ``[F]``, the weighed ``chart`` ``[C]``, which
    of them are ``fresh`` ``[C]``, and whether the trip is ``warm``."""

    observed: FloatArray
    expected: FloatArray
    chart: FloatArray
    fresh: BoolArray
    warm: bool


class Followed(NamedTuple):
    """What a standing would be after each of some ticks, ``[T, F]``, and whether it ``holds`` the episode open then."""

    mean: DoubleArray
    most: DoubleArray
    last: DoubleArray
    level: DoubleArray
    peak: DoubleArray
    over: BoolArray
    value: DoubleArray
    stood: BoolArray
    seen: Seen
    holds: list[bool]


class Standing:
    """That of one episode, from the ticks ``ahead`` of it and its ``first``, which is followed, too.

    No proof takes longer than ``close_after_s``: an episode would stay open for it.
    """

    def __init__(self, model: Spreads, ahead: Rows, first: Tick, close_after_s: float = LONG_S) -> None:
        assert model.spread is not None
        self._model, self._spread = model, model.spread
        # The older half: the newest ticks may show what opens the episode.
        older = ahead.part(0, (len(ahead.time) + 1) // 2)
        off = (older.observed.astype(np.float64) - older.expected) / self._spread
        known = np.isfinite(off)
        count, total = known.sum(axis=0), np.where(known, np.clip(off, -CLIP, CLIP), 0.0).sum(axis=0)
        nothing = np.zeros(len(self._spread))
        self._before: DoubleArray = np.where(count == 0, np.nan, total / np.maximum(count, 1))
        self._mean: DoubleArray = nothing
        self._most: DoubleArray = nothing
        last = ahead.observed[-1:].astype(np.float64)
        self._last: DoubleArray = last[0] if len(last) else np.full(len(nothing), np.nan)
        self._value: DoubleArray = self._last.copy()
        self._stood: BoolArray = np.zeros(len(nothing), np.bool_)
        self._over: BoolArray = np.zeros(len(nothing), np.bool_)
        self._level: DoubleArray = self._levels(first, nothing)
        # Above 0 only where a level chart opened the episode.
        self._peak: DoubleArray = np.where(self._level >= ALARM_LEVEL, self._level, 0.0)
        self._proof = Proof(self._spread, model.period, min(LONG_S, close_after_s))
        self._begin_proof(ahead, first)

    def _begin_proof(self, ahead: Rows, first: Tick) -> None:
        """What opens the episode struck where the vehicle was the tick before: in the next one the network may already
        expect what it is shown."""
        if len(ahead.time):
            moved = np.abs(first.observed - self._last) > 0.0
            self._proof.widen(ahead.expected[-1].astype(np.float64), self._hit(first) & moved)

    def follow(self, tick: Tick) -> None:
        """The next tick."""
        model, joins = self._model, self._hit(tick) & ~self._over
        self._over = self._over | joins
        self._last[np.abs(tick.observed - self._last) > 0.0] = np.nan  # false where one of them is missing
        moved: BoolArray = np.abs(tick.observed - self._value) > 0.0
        self._value = np.where(np.isfinite(tick.observed), tick.observed, self._value)
        if not tick.warm:
            self._proof.rest()
            return
        off = np.clip((tick.observed.astype(np.float64) - tick.expected) / self._spread, -CLIP, CLIP) - self._before
        self._mean = np.where(np.isfinite(off), self._mean + model.share * (off - self._mean), self._mean)
        most, peak = self._most, self._peak
        self._most = np.maximum(self._most, np.abs(self._mean))
        if self._peak.any():
            self._level = self._levels(tick, self._level)
            self._peak = np.where(self._peak > 0.0, np.maximum(self._peak, self._level), 0.0)
        is_off = self._off_now()
        self._stood = is_off | (self._stood & ~moved)
        grew: BoolArray = np.where(self._peak > 0.0, self._peak > peak, self._most > most) & is_off
        # What repeats a value is stuck, wherever that is: it is sound again once it moves and does not deviate.
        grew = (grew | joins) & np.isnan(self._last)
        deviates = self._deviates(off, self._most, self._level, self._peak)
        self._proof.follow(_where_known(tick.expected, off), grew, deviates)

    def ahead(self, ticks: Tick, warm: BoolArray) -> Followed:
        """What `follow` would make of each of the next ``ticks`` (arrays of `Tick`, a row a tick; ``warm`` ``[T]``),
        without following them; `go_to` does."""
        model, by_level, driven = self._model, self._peak > 0.0, warm[:, None]
        chart, fresh = ticks.chart[:, model.charts], ticks.fresh[:, model.charts]
        moved = np.logical_or.accumulate(np.abs(ticks.observed - self._last) > 0.0)
        off = np.clip((ticks.observed.astype(np.float64) - ticks.expected) / self._spread, -CLIP, CLIP) - self._before
        mean = self._running(self._mean, off, np.isfinite(off) & driven)
        most = np.maximum(np.maximum.accumulate(np.abs(mean)), self._most)
        level, peak = np.tile(self._level, (len(warm), 1)), np.tile(self._peak, (len(warm), 1))
        if by_level.any():
            level = self._levels_ahead(chart, model.level & fresh, warm)
            peak = np.where(by_level, np.maximum(np.maximum.accumulate(level), self._peak), 0.0)
        is_off, over = self._is_off(mean, most, level, peak), self._overs(fresh & (chart >= ALARM_LEVEL))
        last = np.where(moved, np.nan, self._last)
        value = _newest(np.isfinite(ticks.observed), ticks.observed.astype(np.float64), self._value)
        before = np.concatenate([self._value[None], value[:-1]])
        stood = self._stoods(is_off & driven, (np.abs(ticks.observed - before) > 0.0) & driven)
        grew = np.where(by_level, _grew(peak, self._peak), _grew(most, self._most)) & is_off
        grew = (grew | np.diff(over, axis=0, prepend=self._over[None])) & np.isnan(last)
        deviates = self._deviates(off, most, level, peak)
        seen = self._proof.ahead(_where_known(ticks.expected, off), grew, deviates, driven)
        holds = np.any(self._stand(last, over, is_off, stood, value), axis=1) | _of_worst(seen.rises, over, most)
        return Followed(mean, most, last, level, peak, over, value, stood, seen, holds.tolist())

    def go_to(self, followed: Followed, count: int) -> None:
        """Follow the first ``count`` of the ticks that were looked ahead at, at least one."""
        at = count - 1
        self._mean, self._most, self._last = followed.mean[at], followed.most[at], followed.last[at].copy()
        self._level, self._peak, self._over = followed.level[at], followed.peak[at], followed.over[at].copy()
        self._value, self._stood = followed.value[at].copy(), followed.stood[at].copy()
        self._proof.go_to(followed.seen, at)

    def _running(self, mean: DoubleArray, values: npt.NDArray[Any], known: BoolArray) -> DoubleArray:
        """A running mean after each tick; one after another, as a sum in another order has other last digits."""
        means, share, whole = np.empty(values.shape), self._model.share, bool(known.all())
        for tick, one in enumerate(values):
            after = mean + share * (one - mean)
            mean = means[tick] = after if whole else np.where(known[tick], after, mean)
        return means

    def _levels_ahead(self, chart: FloatArray, at: BoolArray, warm: BoolArray) -> DoubleArray:
        """`_levels` after each tick."""
        found = np.full((len(chart), len(self._level)), -np.inf)
        for place in np.flatnonzero(self._model.level).tolist():
            column = found[:, self._model.signal[place]]
            np.maximum(column, np.where(at[:, place], chart[:, place], -np.inf), out=column)
        return _newest(np.isfinite(found) & warm[:, None], found, self._level)

    def _overs(self, hit: BoolArray) -> BoolArray:
        """Which signals were over a limit so far, after each tick; ``hit``: of the charts that look at one signal."""
        over = np.zeros((len(hit), len(self._over)), np.bool_)
        over[0] = self._over
        for place in np.flatnonzero(hit.any(axis=0)).tolist():
            over[:, self._model.signal[place]] |= hit[:, place]
        return np.logical_or.accumulate(over)

    def _stoods(self, is_off: BoolArray, moved: BoolArray) -> BoolArray:
        """Which signals have not moved since they deviated, after each tick ``[T, F]``."""
        off, on = _newest_place(is_off), _newest_place(moved & ~is_off)
        return np.where(off == on, self._stood, off > on)  # equal where there was neither

    @property
    def signals(self) -> BoolArray:
        """Which signals stand ``[F]``."""
        return self._stand(self._last, self._over, self._off_now(), self._stood, self._value)

    def _off_now(self) -> BoolArray:
        """Which signals deviate ``[F]``."""
        return self._is_off(self._mean, self._most, self._level, self._peak)

    def _stand(
        self, last: DoubleArray, over: BoolArray, is_off: BoolArray, stood: BoolArray, value: DoubleArray
    ) -> BoolArray:
        """Which signals stand ``[..., F]``."""
        stands: BoolArray = over & (np.isfinite(last) | is_off)
        if (stood := over & stood).any():
            stands |= stood & self._model.moves_on(value)
        return stands

    def _is_off(self, mean: DoubleArray, most: DoubleArray, level: DoubleArray, peak: DoubleArray) -> BoolArray:
        """Which signals deviate ``[..., F]``."""
        is_off = np.abs(mean) > np.maximum(FLOOR, BACK * most)
        # What deviated ahead of the episode, too, is back where the model expects it.
        is_off &= np.abs(mean + self._before) > FLOOR
        return np.where(peak > 0.0, level > LEVEL_BACK * peak, is_off)

    def _deviates(self, off: DoubleArray, most: DoubleArray, level: DoubleArray, peak: DoubleArray) -> BoolArray:
        """Which signals deviate in a tick ``[..., F]``, by itself."""
        is_off = np.abs(off) > np.maximum(FLOOR, GONE * most)
        is_off &= np.abs(off + self._before) > FLOOR
        return np.where(peak > 0.0, level > GONE * peak, is_off)

    @property
    def back(self) -> BoolArray:
        """Which of the signals that were over a limit are nearer to where they were than to where they went ``[F]``."""
        return is_back(self._over, self._mean, self._most)

    @property
    def over(self) -> BoolArray:
        """Which signals were over a limit since the episode opened ``[F]``."""
        return self._over.copy()

    @property
    def proven(self) -> bool:
        """Whether of these the one that was off the most has been back where it deviated (`tickover.core.proven`).

        Of one fault the network takes several signals to be off, and is sure of none where it has not seen the like.
        """
        return not self._over.any() or bool(_of_worst(self._proof.proven, self._over, self._most))

    @property
    def holds(self) -> bool:
        """Whether the episode goes on though its charts have cleared: one stands, or is about to be proven back."""
        return bool(self.signals.any()) or bool(_of_worst(self._proof.rises, self._over, self._most))

    def state(self) -> State:
        """All that the next tick's answer depends on."""
        numbers = (self._before, self._mean, self._most, self._last, self._level, self._peak)
        flags = (self._over.astype(np.float64), self._value, self._stood.astype(np.float64))
        proof = (self._proof.low, self._proof.high, self._proof.ticks.astype(np.float64))
        return [one.tolist() for one in (*numbers, *flags, *proof)]

    @classmethod
    def of(cls, model: Spreads, state: State, close_after_s: float = LONG_S) -> "Standing":
        """From :meth:`state`; ValueError when it is of another number of signals."""
        assert model.spread is not None
        if len(state) not in (*OLDER_PARTS, PARTS) or {len(part) for part in state} != {len(model.spread)}:
            raise ValueError(f"expected {PARTS} lists of {len(model.spread)} signals")
        made = cls.__new__(cls)
        made._model, made._spread = model, model.spread
        numbers = [np.array(part, np.float64) for part in state]
        nothing, unknown = np.zeros(len(model.spread)), np.full(len(model.spread), np.nan)
        numbers += [unknown, nothing, nothing + np.inf, nothing - np.inf, nothing][len(numbers) - FIRST_PARTS :]
        made._before, made._mean, made._most, made._last, made._level, made._peak, over, value, stood, *seen = numbers
        made._value, made._proof = value, Proof(model.spread, model.period, min(LONG_S, close_after_s))
        made._proof.low, made._proof.high, made._proof.ticks = seen[0], seen[1], seen[2].astype(np.int64)
        made._over, made._stood = over > 0.0, stood > 0.0
        return made

    def _hit(self, tick: Tick) -> BoolArray:
        """Which signals are over a limit in a tick ``[F]``."""
        model = self._model
        chart, fresh = tick.chart[model.charts], tick.fresh[model.charts]
        hit: BoolArray = np.zeros(len(self._spread), np.bool_)
        hit[model.signal[fresh & (chart >= ALARM_LEVEL)]] = True
        return hit

    def _levels(self, tick: Tick, held: DoubleArray) -> DoubleArray:
        """Each signal's highest fresh level chart ``[F]``; ``held`` where there is none."""
        model = self._model
        at = model.level & tick.fresh[model.charts]
        found = np.full(len(held), -np.inf)
        np.maximum.at(found, model.signal[at], tick.chart[model.charts[at]])
        return np.where(np.isfinite(found), found, held)


def is_back(over: BoolArray, mean: DoubleArray, most: DoubleArray) -> BoolArray:
    """Which signals ``over`` a limit deviate by no more than ``BACK`` of their most ``[..., F]``."""
    back: BoolArray = over & (most > 0.0) & (np.abs(mean) <= BACK * most)
    return back


def spreads_of(manifest: Manifest) -> Spreads:
    """`Spreads`, a function of its own for `tickover.core.once`."""
    return Spreads(manifest)


def _of_worst(what: BoolArray, over: BoolArray, most: DoubleArray) -> BoolArray:
    """``what`` ``[..., F]`` of the signal that was off the most of those ``over`` a limit; False where none is."""
    worst = np.where(over, most, -1.0).argmax(axis=-1)
    return np.asarray(np.take_along_axis(what & over, worst[..., None], axis=-1)[..., 0])


def _where_known(expected: FloatArray, off: DoubleArray) -> DoubleArray:
    """What is expected ``[..., F]``, where a signal is there to be compared with it."""
    return np.where(np.isfinite(off), expected, np.nan)


def _grew(values: DoubleArray, before: DoubleArray) -> BoolArray:
    """Where a largest value so far ``[T, F]`` is a new one; ``before`` ``[F]``: that ahead of the first."""
    return np.asarray(np.diff(values, axis=0, prepend=before[None]) > 0.0)


def _newest_place(where: BoolArray) -> npt.NDArray[np.int64]:
    """The newest tick so far at which something was so ``[T, F]``; -1: none."""
    return np.maximum.accumulate(np.where(where, np.arange(len(where))[:, None], -1))


def _newest(where: BoolArray, values: DoubleArray, held: DoubleArray) -> DoubleArray:
    """The newest value so far that counts ``[T, F]``; ``held`` ``[F]`` before the first."""
    place = _newest_place(where)
    there: DoubleArray = np.take_along_axis(values, np.maximum(place, 0), axis=0)
    return np.where(place >= 0, there, held)
