"""Slow reads: stretches in which a recorder reads each signal only every several seconds, in turn.

Values are held and then jump, each signal at another time. So two pedals that move together seem to disagree, and a
speed seems to change by 20 km/h within a second: what charts show there is the recorder's, not the vehicle's. A signal
is *held* where it repeats a value for longer than it does at such values in usual driving, and then moves by more than
its usual step. Where several signals are held at a time, the recorder is slow; steady driving holds signals too, but
they do not jump afterwards.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray, FloatArray
from tickover_train.stored.arrays import each
from tickover_train.stored.columns import Blocks, medians

Logs = defaultdict[int, float]
"""By the number of a value."""

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
    usual, shares = _usual_steps(trips), _log_shares(trips, moving, spread)
    found = []
    for number, trip in enumerate(trips):
        held = _Held.none(len(trip))
        for signal in moving:
            bins = _alike(trip[:, signal], float(spread[signal]))
            held.add(_held_runs(trip[:, signal], bins, shares[signal], float(usual[signal]), period_s))
        found += [SlowRead(number, first, last - first) for first, last in _stretches(held, needed, period_s)]
    return found


def _usual_steps(trips: Sequence[FloatArray]) -> FloatArray:
    """How far each signal moves where it moves, the median ``[F]``; infinity for one that never does."""

    def steps(trip: FloatArray) -> FloatArray:
        step = np.abs(np.diff(trip, axis=0))
        return np.where(step > 0, step, np.float32(np.nan))

    usual: FloatArray = np.nan_to_num(medians(Blocks.of(each(steps, trips)), as_double=False), nan=np.inf)
    return usual


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


def _held_runs(
    column: FloatArray, bins: ShortArray, log_share: Logs, usual: float, period_s: float
) -> list[tuple[int, int]]:
    """The first and one-past-last tick of each run of a held value of one signal in one trip."""
    least, most = (max(round(s / period_s), HELD_TICKS) for s in HELD_S)
    edges = np.flatnonzero(column[1:] != column[:-1]) + 1
    first, last = np.concatenate(([0], edges[:-1])), edges
    lasts = last - first
    # The last run of a trip has no end that could be a jump.
    with np.errstate(invalid="ignore"):
        held = (lasts >= least) & (lasts <= most) & (np.abs(column[last] - column[last - 1]) >= usual)
    return [
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


def _log_shares(trips: Sequence[FloatArray], signals: Sequence[int], spread: DoubleArray) -> dict[int, Logs]:
    """For each of the signals the logarithm of the share of ticks near a value that are repeated by the next: the
    median over the trips, so that slow reads in one of them do not make those of another usual.
    """
    shares = {signal: defaultdict[int, "array[float]"](lambda: array("d")) for signal in signals}
    for trip in trips:
        for signal, of in shares.items():
            for place, share in _shares(trip[:, signal], _alike(trip[:, signal], float(spread[signal]))):
                of[place].append(share)
    found: dict[int, Logs] = {}
    for signal, of in shares.items():
        # Values that are hardly ever there say nothing: as if they were always repeated.
        found[signal] = defaultdict(lambda: float(np.log(SHARES[1])))
        found[signal].update({place: float(np.log(np.clip(np.median(one), *SHARES))) for place, one in of.items()})
    return found


def _shares(column: FloatArray, bins: ShortArray) -> Iterator[tuple[int, float]]:
    """Of one trip: each value that is there often enough, and the share of its ticks that the next one repeats."""
    there = np.isfinite(column[:-1])
    places, own = np.unique(bins[:-1][there], return_inverse=True)
    number = np.bincount(own, minlength=len(places))
    repeated = np.bincount(own, weights=(column[1:] == column[:-1])[there], minlength=len(places))
    for place in np.flatnonzero(number >= ENOUGH).tolist():
        yield int(places[place]), float(repeated[place] / number[place])


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
