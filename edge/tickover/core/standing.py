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
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.freeze_frame import Rows
from tickover.core.frozen_limits import from_training
from tickover.core.manifest import Manifest
from tickover.core.values import SECOND, DoubleArray, FloatArray

SPAN_S: Final = 20.0
"""Of the running mean; the default level chart's."""
FLOOR: Final = 1.5
"""Spreads of the residual: smaller means are usual."""
BACK: Final = 0.5
"""Of the largest deviation: a signal that is further off is not back."""
LEVEL_BACK: Final = 0.6
"""The same of a level chart, which by itself falls with what is usual at the moment."""
CLIP: Final = 16.0
"""Spreads up to which one tick counts, so that one wild reading does not hide what stays."""

MOVES_ON_S: Final = 1200.0
"""A signal that is called frozen later than this where it stands says nothing by that: the outside temperature."""

State = list[list[float]]
"""What :meth:`Standing.state` gives: ``PARTS`` lists ``[F]``."""
PARTS: Final = 9
FIRST_PARTS: Final = 7
"""Those of before: they did not tell what stands where it deviated."""


class Spreads:
    """What is the same for all vehicles of a model: each signal's ``spread`` ``[F]`` (None: not known), the ``share``
    of a tick in the running mean, and for each chart that looks at one signal its place, its signal, and whether a
    residual that stays off keeps it up. ``all`` ``[F]`` names every signal.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.spread: DoubleArray | None = np.array(manifest.spreads, np.float64) if manifest.spreads else None
        self.all: BoolArray = np.ones(len(manifest.names), np.bool_)
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
    """What a standing would be after each of some ticks, ``[T, F]``, and whether a signal ``stands`` then."""

    mean: DoubleArray
    most: DoubleArray
    last: DoubleArray
    level: DoubleArray
    peak: DoubleArray
    over: BoolArray
    value: DoubleArray
    stood: BoolArray
    stands: list[bool]


class Standing:
    """That of one episode, from the ticks ``ahead`` of it and its ``first``, which is followed, too."""

    def __init__(self, model: Spreads, ahead: Rows, first: Tick) -> None:
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

    def follow(self, tick: Tick) -> None:
        """The next tick."""
        model, chart, fresh = self._model, tick.chart[self._model.charts], tick.fresh[self._model.charts]
        self._over[model.signal[fresh & (chart >= ALARM_LEVEL)]] = True
        self._last[np.abs(tick.observed - self._last) > 0.0] = np.nan  # false where one of them is missing
        moved: BoolArray = np.abs(tick.observed - self._value) > 0.0
        self._value = np.where(np.isfinite(tick.observed), tick.observed, self._value)
        if not tick.warm:
            return
        off = np.clip((tick.observed.astype(np.float64) - tick.expected) / self._spread, -CLIP, CLIP) - self._before
        self._mean = np.where(np.isfinite(off), self._mean + model.share * (off - self._mean), self._mean)
        self._most = np.maximum(self._most, np.abs(self._mean))
        if self._peak.any():
            self._level = self._levels(tick, self._level)
            self._peak = np.where(self._peak > 0.0, np.maximum(self._peak, self._level), 0.0)
        self._stood = self._off_now() | (self._stood & ~moved)

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
        is_off = self._is_off(mean, most, level, peak)
        last, over = np.where(moved, np.nan, self._last), self._overs(fresh & (chart >= ALARM_LEVEL))
        value = _newest(np.isfinite(ticks.observed), ticks.observed.astype(np.float64), self._value)
        before = np.concatenate([self._value[None], value[:-1]])
        stood = self._stoods(is_off & driven, (np.abs(ticks.observed - before) > 0.0) & driven)
        stands: BoolArray = np.any(self._stand(last, over, is_off, stood, value), axis=1)
        return Followed(mean, most, last, level, peak, over, value, stood, stands.tolist())

    def go_to(self, followed: Followed, count: int) -> None:
        """Follow the first ``count`` of the ticks that were looked ahead at, at least one."""
        at = count - 1
        self._mean, self._most, self._last = followed.mean[at], followed.most[at], followed.last[at].copy()
        self._level, self._peak, self._over = followed.level[at], followed.peak[at], followed.over[at].copy()
        self._value, self._stood = followed.value[at].copy(), followed.stood[at].copy()

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

    @property
    def over(self) -> BoolArray:
        """Which signals were over a limit since the episode opened ``[F]``."""
        return self._over.copy()

    def state(self) -> State:
        """All that the next tick's answer depends on."""
        numbers = (self._before, self._mean, self._most, self._last, self._level, self._peak)
        flags = (self._over.astype(np.float64), self._value, self._stood.astype(np.float64))
        return [one.tolist() for one in (*numbers, *flags)]

    @classmethod
    def of(cls, model: Spreads, state: State) -> "Standing":
        """From :meth:`state`; ValueError when it is of another number of signals."""
        assert model.spread is not None
        if len(state) not in (FIRST_PARTS, PARTS) or {len(part) for part in state} != {len(model.spread)}:
            raise ValueError(f"expected {PARTS} lists of {len(model.spread)} signals")
        made = cls.__new__(cls)
        made._model, made._spread = model, model.spread
        numbers = [np.array(part, np.float64) for part in state]
        unknown = [np.full(len(model.spread), np.nan), np.zeros(len(model.spread))]
        made._before, made._mean, made._most, made._last, made._level, made._peak, over = numbers[:FIRST_PARTS]
        made._value, stood = numbers[FIRST_PARTS:] or unknown
        made._over, made._stood = over > 0.0, stood > 0.0
        return made

    def _levels(self, tick: Tick, held: DoubleArray) -> DoubleArray:
        """Each signal's highest fresh level chart ``[F]``; ``held`` where there is none."""
        model = self._model
        at = model.level & tick.fresh[model.charts]
        found = np.full(len(held), -np.inf)
        np.maximum.at(found, model.signal[at], tick.chart[model.charts[at]])
        return np.where(np.isfinite(found), found, held)


def spreads_of(manifest: Manifest) -> Spreads:
    """`Spreads`, a function of its own for `tickover.core.once`."""
    return Spreads(manifest)


def _newest_place(where: BoolArray) -> npt.NDArray[np.int64]:
    """The newest tick so far at which something was so ``[T, F]``; -1: none."""
    return np.maximum.accumulate(np.where(where, np.arange(len(where))[:, None], -1))


def _newest(where: BoolArray, values: DoubleArray, held: DoubleArray) -> DoubleArray:
    """The newest value so far that counts ``[T, F]``; ``held`` ``[F]`` before the first."""
    place = _newest_place(where)
    there: DoubleArray = np.take_along_axis(values, np.maximum(place, 0), axis=0)
    return np.where(place >= 0, there, held)
