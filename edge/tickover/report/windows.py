"""Full resolution around episodes, within a bounded number of ticks.

When there are too many, the longest windows lose their second half; when all are short, those of the lowest peaks go.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tickover.core.values import (
    Alert,
    FloatArray,
    Phase,
    ScoredTicks,
    TimeArray,
)

LEAD_TICKS: Final = 120
"""Ticks shown before an episode's start."""
LENGTH_TICKS: Final = 1080
"""Ticks shown from an episode's start on, at most."""
TAIL_TICKS: Final = 120
"""Ticks shown after an episode's end."""
SHORTEST_TICKS: Final = 300
"""A window is not cut below this length."""
MOST_PARTS: Final = 64
"""Pieces of a window before they are joined."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """Some ticks of one vehicle: int64 ``[T]``, float32 ``[T]``, ``[T, F]``, ``[T, F]``.

    ``outside``, see `TickBlock`: None where no reading was out of range.
    """

    time: TimeArray
    score: FloatArray
    observed: FloatArray
    expected: FloatArray
    outside: FloatArray | None = None

    def within(self, first: int, last: int) -> "Ticks":
        """The ticks at or after ``first`` and at or before ``last``, copied out of the larger arrays."""
        rows = np.flatnonzero((self.time >= first) & (self.time <= last))
        outside = None if self.outside is None else self.outside[rows]
        return Ticks(self.time[rows], self.score[rows], self.observed[rows], self.expected[rows], outside)


@dataclass(slots=True)
class Window:
    """The ticks around one episode, from ``first`` to ``last`` (microseconds)."""

    first: int
    last: int
    peak: float
    parts: list[Ticks] = field(default_factory=list)
    size: int = 0

    def take(self, ticks: Ticks) -> None:
        """Keep what falls into the window."""
        part = ticks.within(self.first, self.last)
        if len(part.time):
            self.parts.append(part)
            self.size += len(part.time)
        if len(self.parts) > MOST_PARTS:
            self.parts = [self.whole()]

    def halve(self) -> None:
        """Keep the first half, and take nothing more."""
        whole = self.whole()
        self.last = int(whole.time[len(whole.time) // 2])
        self.parts, self.size = [], 0
        self.take(whole)

    def whole(self) -> Ticks:
        """All ticks of the window, in the order in which they were added."""
        return Ticks(
            np.concatenate([part.time for part in self.parts]),
            np.concatenate([part.score for part in self.parts]),
            np.concatenate([part.observed for part in self.parts]),
            np.concatenate([part.expected for part in self.parts]),
            _together(self.parts),
        )


def _together(parts: list[Ticks]) -> FloatArray | None:
    """The readings out of range of all parts."""
    if all(part.outside is None for part in parts):
        return None
    return np.concatenate(
        [np.full_like(part.observed, np.nan) if part.outside is None else part.outside for part in parts]
    )


class Windows:
    """One vehicle's windows, together at most ``budget`` ticks."""

    def __init__(self, period: int, budget: int) -> None:
        self._period = period
        self._budget = budget
        self._recent: deque[Ticks] = deque()
        self._by_episode: dict[str, Window] = {}
        self.dropped = 0

    def add(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        """Take in a block of ticks and the alerts that it caused."""
        block = scored.ticks
        ticks = Ticks(block.time, scored.scores.score, block.values, scored.scores.expected, block.outside)
        opened = [self._open(alert) for alert in alerts if alert.phase is Phase.START]
        for window in opened:  # its lead, and often its start, are in blocks that have passed
            for recent in self._recent:
                window.take(recent)
        self._follow(alerts)
        for window in self._by_episode.values():
            if len(ticks.time) and window.last >= ticks.time[0]:
                window.take(ticks)
        self._remember(ticks)
        self.shrink(self._budget)

    def kept(self) -> list[Ticks]:
        """The windows, in order of time."""
        windows = sorted((window for window in self._by_episode.values() if window.parts), key=lambda w: w.first)
        return [window.whole() for window in windows]

    def shrink(self, budget: int) -> None:
        """Halve the longest windows, then drop those of the lowest peaks, until at most ``budget`` ticks are kept.

        The start of an episode is what explains it: halving keeps it for all, where dropping loses some entirely.
        """
        windows = self._by_episode
        while windows and sum(window.size for window in windows.values()) > budget:
            longest = max(windows.values(), key=lambda window: window.size)
            if longest.size > SHORTEST_TICKS:
                longest.halve()
                continue
            del windows[min(windows, key=lambda episode: windows[episode].peak)]
            self.dropped += 1

    def _open(self, alert: Alert) -> Window:
        first = alert.start - LEAD_TICKS * self._period
        window = Window(first, alert.start + LENGTH_TICKS * self._period, alert.peak)
        self._by_episode[alert.episode_id] = window
        return window

    def _follow(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            window = self._by_episode.get(alert.episode_id)
            if window is None:
                continue
            window.peak = alert.peak
            if alert.end is not None:
                window.last = min(window.last, alert.end + TAIL_TICKS * self._period)

    def _remember(self, ticks: Ticks) -> None:
        """Keep the last ticks: an episode may have started, and its lead lie, in an earlier block."""
        if not len(ticks.time):
            return
        newest = int(ticks.time[-1])
        oldest = newest - 2 * LEAD_TICKS * self._period
        self._recent.append(ticks.within(oldest, newest))
        while self._recent[0].time[-1] < oldest:
            self._recent.popleft()
