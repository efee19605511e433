"""Slow reads: stretches in which a recorder reads each signal only every several seconds, in turn.

Values are held and then jump, each signal at another time. So two pedals that move together seem to disagree, and a
speed seems to change by 20 km/h within a second: what charts show there is the recorder's, not the vehicle's. A signal
is *held* where it repeats a value for longer than it does at such values in usual driving, and then moves by more than
its usual step. Where several signals are held at a time, the recorder is slow; steady driving holds signals too, but
they do not jump afterwards.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray, FloatArray

ShortArray = npt.NDArray[np.int16]
PlaceArray = npt.NDArray[np.int32]

HELD_S: Final = (5.0, 30.0)
"""A held value lasts so long: what is held for longer is a signal that rests, or a freeze."""
HELD_TICKS: Final = 5
"""And for so many ticks at least."""
CHANCE: Final = 1e-3
"""The largest chance of a run of repeated values that is called held."""
SIGNALS: Final = 4
"""So many signals are held at a time, at least ..."""
PART: Final = 0.4
"""... and this part of those that move."""
APART_S: Final = 60.0
"""Stretches that are closer together than this are one."""
LEAST_S: Final = 10.0
"""Signals are held for so long in it, all in all."""
NEAR: Final = 0.2
"""Values within this part of a signal's spread are taken for alike."""
FARTHEST: Final = 1000
"""All values further from 0 than so many of these parts are alike."""
ENOUGH: Final = 5
"""Ticks near a value that a trip must have to say how often it is repeated there."""
SHARES: Final = (1e-3, 0.999)
"""A share of repeats is taken to be no less and no more: a few ticks cannot show it."""


@dataclass(frozen=True, slots=True)
class SlowRead:
    """``ticks`` ticks of trip number ``trip``, from ``tick`` on, were read too seldom."""

    trip: int
    tick: int
    ticks: int


def find_slow_reads(trips: Sequence[FloatArray], spread: DoubleArray, period_s: float) -> list[SlowRead]:
    """All slow reads of the trips, float32 ``[T, F]`` each; ``spread`` ``[F]`` in the signals' units."""
    moving = [signal for signal, width in enumerate(spread) if width > 0]
    needed = max(SIGNALS, int(np.ceil(PART * len(moving))))
    if len(moving) < needed:
        return []
    held = [_Held.none(len(trip)) for trip in trips]
    for signal in moving:
        columns = [trip[:, signal] for trip in trips]
        for one, runs in zip(held, _held_runs(columns, float(spread[signal]), period_s), strict=True):
            one.add(runs)
    return [
        SlowRead(number, first, last - first)
        for number, one in enumerate(held)
        for first, last in _stretches(one, needed, period_s)
    ]


@dataclass(frozen=True, slots=True)
class _Held:
    """Of each tick of a trip ``[T]``: by how many signals a value is held, since when and until when at most."""

    signals: ShortArray
    since: PlaceArray
    until: PlaceArray

    @classmethod
    def none(cls, ticks: int) -> "_Held":
        places = np.arange(ticks, dtype=np.int32)
        return cls(np.zeros(ticks, np.int16), places, places + np.int32(1))

    def add(self, runs: Sequence[tuple[int, int]]) -> None:
        """One more signal's."""
        for first, last in runs:
            self.signals[first:last] += 1
            np.minimum(self.since[first:last], first, out=self.since[first:last])
            np.maximum(self.until[first:last], last, out=self.until[first:last])


def _held_runs(columns: Sequence[FloatArray], spread: float, period_s: float) -> Iterator[list[tuple[int, int]]]:
    """Trip by trip the first and one-past-last tick of each run of a held value of one signal."""
    least, most = (max(round(s / period_s), HELD_TICKS) for s in HELD_S)
    alike = [_alike(column, spread) for column in columns]
    log_share = _log_shares(columns, alike)
    steps = np.concatenate([np.abs(np.diff(column)) for column in columns])
    steps = steps[steps > 0]
    usual = float(np.median(steps)) if len(steps) else np.inf
    for column, bins in zip(columns, alike, strict=True):
        edges = np.flatnonzero(column[1:] != column[:-1]) + 1
        first, last = np.concatenate(([0], edges[:-1])), edges
        lasts = last - first
        # The last run of a trip has no end that could be a jump.
        with np.errstate(invalid="ignore"):
            held = (lasts >= least) & (lasts <= most) & (np.abs(column[last] - column[last - 1]) >= usual)
        yield [
            (int(a), int(b))
            for a, b in zip(first[held], last[held], strict=True)
            if (b - a - 1) * log_share[int(bins[a])] < np.log(CHANCE)
        ]


def _alike(column: FloatArray, spread: float) -> ShortArray:
    """A number for each tick, the same for values that are near each other; those of missing values mean nothing."""
    with np.errstate(over="ignore", invalid="ignore"):
        parts = np.round(column.astype(np.float64) / (NEAR * spread))
    bins: ShortArray = np.nan_to_num(np.clip(parts, -FARTHEST, FARTHEST)).astype(np.int16)
    return bins


def _log_shares(columns: Sequence[FloatArray], alike: Sequence[ShortArray]) -> "defaultdict[int, float]":
    """The logarithm of the share of ticks near a value that are repeated by the next: the median over the trips, so
    that slow reads in one of them do not make those of another usual.
    """
    shares: defaultdict[int, list[float]] = defaultdict(list)
    for column, bins in zip(columns, alike, strict=True):
        there = np.isfinite(column[:-1])
        places, own = np.unique(bins[:-1][there], return_inverse=True)
        number = np.bincount(own, minlength=len(places))
        repeated = np.bincount(own, weights=(column[1:] == column[:-1])[there], minlength=len(places))
        for place in np.flatnonzero(number >= ENOUGH).tolist():
            shares[int(places[place])].append(float(repeated[place] / number[place]))
    # Values that are hardly ever there say nothing: as if they were always repeated.
    logs: defaultdict[int, float] = defaultdict(lambda: float(np.log(SHARES[1])))
    logs.update({place: float(np.log(np.clip(np.median(found), *SHARES))) for place, found in shares.items()})
    return logs


def _stretches(held: _Held, needed: int, period_s: float) -> Iterator[tuple[int, int]]:
    """First and one-past-last tick of each stretch, from the first value held in it to the last."""
    slow = held.signals >= needed
    edges = np.flatnonzero(np.diff(np.concatenate(([False], slow, [False])).astype(np.int8)))
    joined: list[list[int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        if joined and (first - joined[-1][1]) * period_s < APART_S:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    for first, last in joined:
        if slow[first:last].sum() * period_s >= LEAST_S:
            yield int(held.since[first]), int(held.until[last - 1])
