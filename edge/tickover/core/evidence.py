"""What each tick says for or against an alarm, from the charts of one vehicle. Pure arithmetic over blocks of ticks.

Charts whose signals are all present in a tick, once the trip is past its warm-up, are *fresh*; the others are held by
the graph. An episode's *witnesses* are the charts that were fresh and at or over the level while it lasted. Against a
level each tick is

- ``HIGH``: a fresh chart is at or over the level;
- ``BLIND``: none is, and a witness that is held stands at or over the level, or nothing is fresh: nobody can know;
- ``LOW``: the rest.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.carried import Carried
from tickover.core.chart_signals import BoolArray, looks_of
from tickover.core.manifest import Manifest
from tickover.core.once import once
from tickover.core.sensor_bins import IntArray
from tickover.core.values import FloatArray, Scores, TickBlock

ALARM_LEVEL: Final = 1.0
"""The score at which an episode opens."""


class Evidence(IntEnum):
    """What one tick says against a level."""

    LOW = 0
    BLIND = 1
    HIGH = 2


class BlockEvidence:
    """A block of ticks: ``chart`` ``[T, C]``, which are ``fresh`` ``[T, C]``, and the ``highest`` fresh ``[T]``.

    ``opening`` ``[T, C]`` are the fresh charts that may open an episode: those not carried over from the trip before.
    ``warm`` ``[T]``: where the trip is past its warm-up. ``whole``: no value is missing.
    """

    def __init__(
        self, chart: FloatArray, fresh: BoolArray, opening: BoolArray, warm: BoolArray, *, whole: bool = False
    ) -> None:
        self.chart, self.fresh, self.opening, self.warm = chart, fresh, opening, warm
        if whole:
            self.highest: FloatArray = np.where(warm, chart.max(axis=1), np.float32(-np.inf))
        else:
            self.highest = np.where(fresh, chart, -np.inf).max(axis=1)

    def opens(self, level: float) -> BoolArray:
        """Which ticks can open an episode, ``[T]``."""
        if self.opening is self.fresh and not np.isnan(self.highest).any():
            return self.highest >= level
        over: BoolArray = self.opening & (self.chart >= level)
        return np.asarray(over.any(axis=1))

    def judge(
        self, start: int, end: int, level: float, witness: BoolArray, *, waiting: bool
    ) -> tuple[list[int], BoolArray]:
        """Each tick's :class:`Evidence`, and the witnesses after it ``[ticks, C]``; ``witness`` ``[C]``: those before.

        A held chart counts only when it has been a witness: a sensor that died in another episode, with its chart high,
        would else keep every later one open. ``waiting``: the episode has not opened yet.
        """
        fresh, chart = (self.opening if waiting else self.fresh)[start:end], self.chart[start:end]
        # Once a witness, always one: at each tick those of all ticks up to it.
        witnesses = np.logical_or.accumulate(np.concatenate([witness[None], fresh & (chart >= level)]))[1:]
        held = np.where(~fresh & witnesses, chart, -np.inf).max(axis=1) >= level
        blind = held | ~fresh.any(axis=1)
        high = (fresh & (chart >= level)).any(axis=1)
        evidence = np.where(high, Evidence.HIGH, np.where(blind, Evidence.BLIND, Evidence.LOW))
        return evidence.tolist(), witnesses


class ChartEvidence:
    """Turns one vehicle's ticks and scores into evidence.

    ``sensitivity`` multiplies the charts of a signal (default 1.0). Without ``skip_carried`` a chart may open an
    episode although its trip began with it over the limit. ``trip`` and ``age`` (that of the newest tick, and how many
    of its trip came so far) and ``carried`` are all of its state.
    """

    __slots__ = ("_looks", "_skip_carried", "_trained", "_warm_up", "_weights", "age", "carried", "trip")

    def __init__(
        self, manifest: Manifest, sensitivity: Mapping[str, float] | None = None, skip_carried: bool = True
    ) -> None:
        self._looks = once(looks_of, manifest)
        self._warm_up = manifest.warm_up_ticks
        self._trained = once(_weights_of, manifest, sensitivity)
        self._weights: FloatArray | None = None
        self.raise_limits(None)
        self._skip_carried = skip_carried
        self.trip, self.age = -1, 0
        self.carried = Carried(manifest, ALARM_LEVEL)

    @property
    def charts(self) -> int:
        """How many charts there are."""
        return self._looks.charts

    def raise_limits(self, factors: FloatArray | None) -> None:
        """From now on limits are so many times the trained ones ``[C]``; None: the trained ones."""
        weights = self._trained if factors is None else self._trained / factors
        self._weights = None if (weights == 1.0).all() else weights

    def weigh(self, scores: Scores) -> Scores:
        """Scores with each signal's sensitivity and raised limits applied; unchanged, and not copied, without."""
        if self._weights is None:
            return scores
        chart = scores.chart * self._weights
        highest = chart.max(axis=-1, initial=0.0)
        return Scores(np.where(np.isnan(scores.score), np.float32(np.nan), highest), chart, scores.expected)

    def of(self, ticks: TickBlock, scores: Scores, back: BoolArray) -> BlockEvidence:
        """The evidence of the next ticks, with their weighed scores; the trip's age stays until :meth:`passed`.

        ``back`` ``[T]``: where the clock was put back, which is no stop, though another trip begins.
        """
        warm = self._ages(ticks) >= self._warm_up
        missing = np.isnan(ticks.values)
        whole = not missing.any()
        fresh = self._looks.all_at(warm) if whole else self._looks.fresh(~missing & warm[:, None])
        starts = np.diff(ticks.trip, prepend=self.trip) != 0
        starts[0] &= self.trip >= 0  # a vehicle's first trip follows none
        carried = self.carried.mask(starts & ~back, scores.chart, fresh) if self._skip_carried else None
        opening = fresh if carried is None else fresh & ~carried
        return BlockEvidence(scores.chart, fresh, opening, warm, whole=whole)

    def passed(self, ticks: TickBlock) -> None:
        """These ticks are the past."""
        self.age = int(self._ages(ticks)[-1]) + 1
        self.trip = int(ticks.trip[-1])

    def _ages(self, ticks: TickBlock) -> npt.NDArray[np.int64]:
        """How many ticks of its trip came before each tick, [T]."""
        place = np.arange(len(ticks.trip))
        first = np.diff(ticks.trip, prepend=self.trip) != 0
        # Where a trip starts inside the block, its age counts from there; before the first such place the trip is the
        # one that the block before ended in.
        start = np.maximum.accumulate(np.where(first, place, -1))
        return np.where(start < 0, place + self.age, place - start)


def groups_of(manifest: Manifest) -> IntArray:
    """Of each chart ``[C]`` the signal that it alone looks at, or, over several, a number of its own."""
    matrix = once(looks_of, manifest).matrix
    alone, signals = matrix.sum(axis=1) == 1, matrix.shape[1]
    groups: IntArray = np.where(alone, matrix.argmax(axis=1), signals + np.arange(len(alone)))
    return groups


def _weights_of(manifest: Manifest, sensitivity: Mapping[str, float] | None) -> FloatArray:
    """What each chart ``[C]`` is multiplied by."""
    factors = np.array([(sensitivity or {}).get(name, 1.0) for name in manifest.names], np.float32)
    return once(looks_of, manifest).least(factors)
