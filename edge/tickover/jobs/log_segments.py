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


class Lap(NamedTuple):
    """A part of a log: some of its ticks (perhaps none) and the alerts of its episodes."""

    log: str
    scored: ScoredTicks
    alerts: list[Alert]

    def under_its_name(self) -> "Lap":
        """The same with the log in the vehicle's place, for what tells vehicles apart."""
        ticks = replace(self.scored.ticks, vehicle=self.log)
        named = [replace(alert, vehicle=self.log) for alert in self.alerts]
        return Lap(self.log, replace(self.scored, ticks=ticks), named)


class Laps:
    """Cuts the outputs of a replay where one log follows another.

    A log is over where time falls back: its last ticks may come out together with the next one's first. An episode
    stays with the log in which it began.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._name: dict[str, str] = {}
        self._home: dict[str, str] = {}

    def cut(self, scored: ScoredTicks, alerts: list[Alert], name: str) -> Iterator[Lap]:
        """A block of one vehicle's ticks and its alerts, in order, as laps; ``name`` is the log being read."""
        falls = self._falls(scored.ticks)
        before = self._name.setdefault(scored.ticks.vehicle, name)
        names = [before, *(name for _ in falls)]
        self._name[scored.ticks.vehicle] = names[-1]
        told = self._told(alerts, _parts_of(alerts, scored.ticks.time, falls), names)
        laps = [
            Lap(home, scored.at(slice(first, end)), told.pop(home, []))
            for home, first, end in zip(names, [0, *falls], [*falls, len(scored.ticks.time)], strict=True)
        ]
        yield from (Lap(home, scored.at(slice(0)), left) for home, left in told.items())
        yield from laps

    def _told(self, alerts: list[Alert], parts: Iterator[int], names: list[str]) -> dict[str, list[Alert]]:
        """The alerts of each log."""
        told: defaultdict[str, list[Alert]] = defaultdict(list)
        for alert, part in zip(alerts, parts, strict=True):
            home = self._home.setdefault(alert.episode_id, names[part])
            told[home].append(alert)
            if alert.phase is Phase.END:
                del self._home[alert.episode_id]
        return told

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
