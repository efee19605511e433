"""A block of ticks while a vehicle's episodes are worked through."""

from typing import Literal, NamedTuple

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.episode_alerts import Told
from tickover.core.evidence import ALARM_LEVEL, BlockEvidence
from tickover.core.sensor_bins import IntArray
from tickover.core.standing import Tick
from tickover.core.values import Contribution, Scores, TickBlock


class Walked(NamedTuple):
    """What a block gave: ``open`` bool ``[T]``, the alerts, and the ``suspects`` bool ``[T, F]``: signals that were
    over a limit in the episode that is open after each tick (None: no tick has any)."""

    open: BoolArray
    told: list[Told]
    suspects: BoolArray | None


Stops = Literal["", "limits", "held"]
"""Behind which tick a block ends early: none; one at which limits may move, since an episode ended; or, besides, one
that changes whether slow means hold and which, since an episode opened, or a signal joined it."""


class Block:
    """One block while it is worked through: its ticks, their evidence, and what came of them so far; ``upto``: where it
    ends."""

    def __init__(
        self,
        ticks: TickBlock,
        scores: Scores,
        evidence: BlockEvidence,
        back: BoolArray,
        rewinds: int,
        stops: Stops = "",
    ) -> None:
        self.ticks, self.scores, self.evidence, self.stops = ticks, scores, evidence, stops
        self.upto = len(ticks.time)
        self.over = np.flatnonzero(evidence.opens(ALARM_LEVEL))
        # Plain lists: one number at a time is read from them, which is slow from an array.
        self.time: list[int] = ticks.time.tolist()
        was_back = back.any()
        self.rewinds: list[int] = (rewinds + np.cumsum(back)).tolist() if was_back else [rewinds] * len(self.time)
        self.highest: list[float] = evidence.highest.tolist()
        self.open = np.zeros(len(self.time), np.bool_)
        self.suspects: BoolArray | None = None
        self.told: list[Told] = []
        self.peak_at: int | None = None
        self.named: dict[int, tuple[Contribution, ...]] = {}

    def begins_trip(self, at: int, trip_before: int) -> bool:
        """Whether another trip begins at a tick; ``trip_before``: that of the tick before the block."""
        trip = self.ticks.trip
        return bool(trip[at] != (trip[at - 1] if at else trip_before))

    def tick(self, at: int) -> Tick:
        """One tick, for those who follow its signals."""
        evidence = self.evidence
        chart, fresh, warm = evidence.chart[at], evidence.fresh[at], bool(evidence.warm[at])
        return Tick(self.ticks.values[at], self.scores.expected[at], chart, fresh, warm)

    def rows(self, start: int, end: int) -> Tick:
        """Some ticks side by side."""
        span, evidence = slice(start, end), self.evidence
        return Tick(
            self.ticks.values[span], self.scores.expected[span], evidence.chart[span], evidence.fresh[span], True
        )

    def suspect(self, span: slice, over: BoolArray) -> None:
        """Which signals were over a limit in the episode that is open in these ticks."""
        if self.suspects is None:
            self.suspects = np.zeros(self.ticks.values.shape, np.bool_)
        self.suspects[span] = over

    def walked(self) -> Walked:
        """What it gave, up to where it ends."""
        suspects = None if self.suspects is None else self.suspects[: self.upto]
        return Walked(self.open[: self.upto], self.told, suspects)

    def joined(self, span: slice, groups: IntArray | None, known: list[int] | None) -> list[bool]:
        """At which ticks something of ``groups`` ``[C]`` (None: nothing counts) is over its limit that is not among
        those ``known``; all of them while these are None."""
        if groups is None or not (self.evidence.highest[span] >= ALARM_LEVEL).any():
            return [False] * (span.stop - span.start)
        if known is None:
            return [True] * (span.stop - span.start)
        new = ~np.isin(groups, known)
        over = self.evidence.fresh[span, new] & (self.evidence.chart[span, new] >= ALARM_LEVEL)
        return [bool(one) for one in np.any(over, axis=1)]
