"""Whether a signal that deviates no more has been back where it deviated.

A fault may show only where the signal is large (a wrong gain: at idle a speed is 0 either way) or only in some part of
its range. So that the charts have cleared, and that the signal is as it was before, proves nothing while the vehicle is
driven elsewhere. Of each signal it is followed *where* it deviated: what the model expected of it just before the
episode, when it was first over a limit, and whenever its deviation was larger than ever before. (All of these, as a
network comes to expect what it is shown.) Each tick at which as much is expected speaks for the signal when it does not
deviate, and against it when it does. The sum, which is never below 0, proves that the signal is back once it reaches
``LONG_S``, or sooner where episodes are to close sooner.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.values import SECOND, DoubleArray

Numbers = npt.NDArray[np.int64]

LONG_S: Final = 5.0
"""No longer: the running mean of a deviation (``standing.SPAN_S``) halves in 7 s, and then the episode may end."""
NEAR: Final = 1.0
"""Spreads of the residual that what is expected may lie outside of where the signal deviated."""
ANEW: Final = -(2**32)
"""Takes any sum to 0."""


class Seen(NamedTuple):
    """What a `Proof` would be after each of some ticks, ``[T, F]``."""

    low: DoubleArray
    high: DoubleArray
    ticks: Numbers
    rises: BoolArray


class Proof:
    """That of one episode, each ``[F]``: where a signal deviated, from ``low`` to ``high`` (infinities: nowhere, and
    each tick counts), and by how many ``ticks`` it was there as expected rather than not. It ``rises`` where the newest
    tick spoke for a signal of which it is not proven yet. ``spread``: of the signals' residuals; ticks of ``period``
    microseconds; ``long_s``: what is to be reached, seconds."""

    __slots__ = ("_least", "_near", "high", "low", "rises", "ticks")

    def __init__(self, spread: DoubleArray, period: int, long_s: float = LONG_S) -> None:
        self._near, self._least = NEAR * spread, max(1, round(long_s * SECOND / period))
        self.low: DoubleArray = np.full(len(spread), np.inf)
        self.high: DoubleArray = np.full(len(spread), -np.inf)
        self.ticks: Numbers = np.zeros(len(spread), np.int64)
        self.rises: BoolArray = np.zeros(len(spread), np.bool_)

    def widen(self, expected: DoubleArray, where: BoolArray) -> None:
        """Signals deviate ``where`` so much is ``expected`` of them, ``[F]``."""
        self.low = np.fmin(self.low, np.where(where, expected, np.inf))
        self.high = np.fmax(self.high, np.where(where, expected, -np.inf))

    def follow(self, expected: DoubleArray, grew: BoolArray, deviates: BoolArray) -> None:
        """The next tick past the warm-up: what is ``expected`` of each signal ``[F]`` (NaN: it is missing), whether its
        largest deviation ``grew``, whether it ``deviates`` now."""
        self.widen(expected, grew)
        speaks = self._speaks(expected, self.low, self.high, grew, deviates)
        self.ticks = np.maximum(0, self.ticks + speaks)
        self.rises = (speaks > 0) & (self.ticks < self._least)

    def rest(self) -> None:
        """The next tick is not past the warm-up."""
        self.rises = np.zeros(len(self.ticks), np.bool_)

    def ahead(self, expected: DoubleArray, grew: BoolArray, deviates: BoolArray, warm: BoolArray) -> Seen:
        """What `follow` would make of each of the next ticks ``[T, F]``, of which it follows the ``warm`` ``[T, 1]``;
        none ``grew`` in another."""
        low = np.fmin(np.fmin.accumulate(np.where(grew, expected, np.inf)), self.low)
        high = np.fmax(np.fmax.accumulate(np.where(grew, expected, -np.inf)), self.high)
        speaks = self._speaks(expected, low, high, grew, deviates) * warm
        total = np.cumsum(speaks, axis=0)
        # A sum that is never below 0 is the plain one less the least that this was.
        ticks = total - np.minimum(np.minimum.accumulate(total), -self.ticks)
        return Seen(low, high, ticks, (speaks > 0) & (ticks < self._least))

    def go_to(self, seen: Seen, at: int) -> None:
        """Follow the ticks that were looked ahead at, up to number ``at``."""
        self.low, self.high, self.ticks = seen.low[at].copy(), seen.high[at].copy(), seen.ticks[at].copy()
        self.rises = seen.rises[at].copy()

    @property
    def proven(self) -> BoolArray:
        """Which signals are ``[F]``."""
        return np.asarray(self.ticks >= self._least)

    def _speaks(
        self, expected: DoubleArray, low: DoubleArray, high: DoubleArray, grew: BoolArray, deviates: BoolArray
    ) -> Numbers:
        """What a tick adds, ``[..., F]``."""
        inside: BoolArray = (expected >= low - self._near) & (expected <= high + self._near)
        inside |= np.isfinite(expected) & (low > high)
        return np.where(grew, ANEW, np.where(inside, np.where(deviates, -1, 1), 0))
