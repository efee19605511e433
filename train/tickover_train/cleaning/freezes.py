"""Recording freezes: stretches in which no signal moves, though at such values they do.

An engine that is off is as still as a dead logger. They are told apart by the values at which the signals stand: near
them, what share of the ticks of the *other* trips repeats the value before? Near 0 revolutions nearly all do, near
1,500 hardly any. A stretch of ``n`` ticks is a freeze when for some signal that share to the power of ``n`` is less
than ``CHANCE``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray, FloatArray

LEAST_S: Final = 30.0
"""Shorter stretches are no freeze, whatever the values."""
LEAST_TICKS: Final = 8
"""Nor are those of fewer ticks."""
CHANCE: Final = 1e-6
"""The largest chance of a stretch that is called a freeze."""
NEAR: Final = 0.1
"""Values that differ by less than this part of a signal's spread are near."""
ENOUGH: Final = 5
"""Ticks near a value that a trip must have to say how often it is repeated there."""
SURE: Final = 0.999
"""A share is never taken for larger: a few ticks cannot show more."""
MOST_SHARES: Final = 1_000_000
"""Shares that are held in memory, of all stretches, trips and signals."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """``ticks`` ticks of trip number ``trip``, from ``tick`` on, repeat the tick before them."""

    trip: int
    tick: int
    ticks: int


class Still(NamedTuple):
    """A stretch that may be a freeze, and the ``values`` ``[F]`` at which it stands."""

    freeze: Freeze
    values: FloatArray


def find_freezes(trips: Sequence[FloatArray], spread: DoubleArray, period_s: float) -> list[Freeze]:
    """All freezes of the trips, float32 ``[T, F]`` each; ``spread`` ``[F]`` in the signals' units."""
    least = max(round(LEAST_S / period_s), LEAST_TICKS)
    found = [
        Still(Freeze(number, first, last - first), trip[first].copy())
        for number, trip in enumerate(trips)
        for first, last in still_runs(trip)
        if last - first >= least
    ]
    # So many at a time that what the trips say of them is small; each time all trips are read once.
    many = max(MOST_SHARES // max(len(trips) * len(spread), 1), 1)
    parts = [found[first : first + many] for first in range(0, len(found), many)]
    return [freeze for part in parts for freeze in _unlikely(part, trips, spread)]


def still_runs(trip: FloatArray) -> list[tuple[int, int]]:
    """First and one-past-last tick of each run of ticks that repeat the tick before, missing values too; with at least
    one signal present.
    """
    same = (trip[1:] == trip[:-1]) | (np.isnan(trip[1:]) & np.isnan(trip[:-1]))
    still = np.concatenate(([False], same.all(axis=1) & np.isfinite(trip[1:]).any(axis=1), [False]))
    edges = np.flatnonzero(np.diff(still.astype(np.int8))) + 1
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _unlikely(found: Sequence[Still], trips: Sequence[FloatArray], spread: DoubleArray) -> list[Freeze]:
    """Those of the stretches that are unlikely at the values at which they stand."""
    shares: list[list[list[float]]] = [[[] for _ in spread] for _ in found]
    for number, trip in enumerate(trips):
        repeats = trip[1:] == trip[:-1]
        for still, own in zip(found, shares, strict=True):
            if still.freeze.trip != number:
                for signal in np.flatnonzero((spread > 0) & np.isfinite(still.values)):
                    near = NEAR * float(spread[signal])
                    own[signal] += _repeated(trip[:-1, signal], repeats[:, signal], float(still.values[signal]), near)
    return [
        still.freeze
        for still, own in zip(found, shares, strict=True)
        if any(still.freeze.ticks * math.log(_share(of)) < math.log(CHANCE) for of in own if of)
    ]


def _repeated(column: FloatArray, repeats: npt.NDArray[np.bool_], value: float, near: float) -> list[float]:
    """The share of a trip's ticks near ``value`` that the next one repeats; empty when hardly any is near."""
    here = np.abs(column - value) <= near
    return [float(repeats[here].mean())] if here.sum() >= ENOUGH else []


def _share(shares: Sequence[float]) -> float:
    """The median over trips, so that a freeze in one of the others does not make this one usual."""
    return min(max(float(np.median(shares)), 1e-3), SURE)
