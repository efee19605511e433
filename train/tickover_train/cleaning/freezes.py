"""Recording freezes: stretches in which no signal moves, though at such values they do.

An engine that is off is as still as a dead logger. They are told apart by the values at which the signals stand: near
them, what share of the ticks of the *other* trips repeats the value before? Near 0 revolutions nearly all do, near
1,500 hardly any. A stretch of ``n`` ticks is a freeze when for some signal that share to the power of ``n`` is less
than ``CHANCE``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

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


@dataclass(frozen=True, slots=True)
class Freeze:
    """``ticks`` ticks of trip number ``trip``, from ``tick`` on, repeat the tick before them."""

    trip: int
    tick: int
    ticks: int


def find_freezes(trips: Sequence[FloatArray], spread: DoubleArray, period_s: float) -> list[Freeze]:
    """All freezes of the trips, float32 ``[T, F]`` each; ``spread`` ``[F]`` in the signals' units."""
    least = max(round(LEAST_S / period_s), LEAST_TICKS)
    found = [
        Freeze(number, first, last - first)
        for number, trip in enumerate(trips)
        for first, last in still_runs(trip)
        if last - first >= least
    ]
    return [freeze for freeze in found if _is_unlikely(freeze, trips, spread)]


def still_runs(trip: FloatArray) -> list[tuple[int, int]]:
    """First and one-past-last tick of each run of ticks that repeat the tick before, missing values too; with at least
    one signal present.
    """
    same = (trip[1:] == trip[:-1]) | (np.isnan(trip[1:]) & np.isnan(trip[:-1]))
    still = np.concatenate(([False], same.all(axis=1) & np.isfinite(trip[1:]).any(axis=1), [False]))
    edges = np.flatnonzero(np.diff(still.astype(np.int8))) + 1
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _is_unlikely(freeze: Freeze, trips: Sequence[FloatArray], spread: DoubleArray) -> bool:
    values = trips[freeze.trip][freeze.tick]
    others = [trip for number, trip in enumerate(trips) if number != freeze.trip]
    return any(
        freeze.ticks * math.log(repeated) < math.log(CHANCE)
        for signal, value in enumerate(values)
        if spread[signal] > 0 and np.isfinite(value)
        for repeated in _repeated([trip[:, signal] for trip in others], float(value), NEAR * float(spread[signal]))
    )


def _repeated(columns: Sequence[FloatArray], value: float, near: float) -> list[float]:
    """The share of ticks near ``value`` that repeat the tick before: the median over trips; empty when none was near.

    The median, so that a freeze in one of the other trips does not make this one usual.
    """
    shares = []
    for column in columns:
        here = np.abs(column[:-1] - value) <= near
        if here.sum() >= ENOUGH:
            shares.append(float((column[1:][here] == column[:-1][here]).mean()))
    return [min(max(float(np.median(shares)), 1e-3), SURE)] if shares else []
