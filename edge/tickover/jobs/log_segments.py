"""Logs that each count from their own start: which ticks and alerts of a replay are of which log."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tickover.core.values import (
    Alert,
    Phase,
    ScoredTicks,
    TickBlock,
    TimeArray,
)


class Segment(NamedTuple):
    """Part of a log: some of its ticks (possibly none) and the alerts of its episodes."""

    log: str
    scored: ScoredTicks
    alerts: list[Alert]

    def under_its_name(self) -> "Segment":
        """The same with the log's name as the vehicle, for a report that draws vehicles apart."""
        ticks = replace(self.scored.ticks, vehicle=self.log)
        named = [replace(alert, vehicle=self.log) for alert in self.alerts]
        return Segment(self.log, replace(self.scored, ticks=ticks), named)


class Segments:
    """Cuts the outputs of a replay where one log ends and the next begins.

    A log is over where time falls back: the pipeline closes a tick late, so the last ticks of a log may be in one
    block with the first of the next. An episode belongs to the log in which it began, even when it ends in the next.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._name: dict[str, str] = {}
        self._home: dict[str, str] = {}

    def cut(self, scored: ScoredTicks, alerts: list[Alert], name: str) -> Iterator[Segment]:
        """A block of one vehicle's ticks and its alerts, in order, as segments; ``name`` is the log being read."""
        falls = self._falls(scored.ticks)
        before = self._name.setdefault(scored.ticks.vehicle, name)
        names = [before, *(name for _ in falls)]
        self._name[scored.ticks.vehicle] = names[-1]
        by_log = self._by_log(alerts, _parts_of(alerts, scored.ticks.time, falls), names)
        segments = [
            Segment(home, scored.at(slice(first, end)), by_log.pop(home, []))
            for home, first, end in zip(names, [0, *falls], [*falls, len(scored.ticks.time)], strict=True)
        ]
        yield from (Segment(home, scored.at(slice(0)), left) for home, left in by_log.items())
        yield from segments

    def _by_log(self, alerts: list[Alert], parts: Iterator[int], names: list[str]) -> dict[str, list[Alert]]:
        """The alerts of each log."""
        by_log: defaultdict[str, list[Alert]] = defaultdict(list)
        for alert, part in zip(alerts, parts, strict=True):
            home = self._home.setdefault(alert.episode_id, names[part])
            by_log[home].append(alert)
            if alert.phase is Phase.END:
                del self._home[alert.episode_id]
        return by_log

    def _falls(self, ticks: TickBlock) -> list[int]:
        """The rows at which time falls back."""
        if not len(ticks.time):
            return []
        last = self._last.get(ticks.vehicle, int(ticks.time[0]) - 1)
        self._last[ticks.vehicle] = int(ticks.time[-1])
        return [int(row) for row in np.flatnonzero(np.diff(ticks.time, prepend=last) <= 0)]


def _parts_of(alerts: list[Alert], time: TimeArray, falls: list[int]) -> Iterator[int]:
    """How many falls come at or before each alert's tick; alerts are in the order of their ticks."""
    row = 0
    for alert in alerts:
        found = np.flatnonzero(time[row:] == alert.time)
        row += int(found[0]) if len(found) else 0
        yield bisect_right(falls, row)
