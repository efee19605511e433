"""Logs that each count from their own start: a track per log in the report, instead of one on top of another."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tickover.records import Alert, Phase, ScoredTicks, Scores, TickBlock, TimeArray
from tickover.report.report import Report


class Laps:
    """Passes a vehicle's ticks and alerts on to a report, under the name of the log that they are of.

    A log is over where time falls back: its last ticks may come out together with the next one's first. An episode
    stays with the log in which it began.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: dict[str, int] = {}
        self._name: dict[str, str] = {}
        self._home: dict[str, str] = {}

    def add(self, scored: ScoredTicks, alerts: list[Alert], name: str) -> None:
        """Take in a block of one vehicle's ticks and its alerts, in order; ``name`` is the log being read."""
        falls = self._falls(scored.ticks)
        before = self._name.setdefault(scored.ticks.vehicle, name)
        names = [before, *(name for _ in falls)]
        self._name[scored.ticks.vehicle] = names[-1]
        told: defaultdict[str, list[Alert]] = defaultdict(list)
        for alert, part in zip(alerts, _parts_of(alerts, scored.ticks.time, falls), strict=True):
            home = self._home.setdefault(alert.episode_id, names[part])
            told[home].append(replace(alert, vehicle=home))
            if alert.phase is Phase.END:
                del self._home[alert.episode_id]
        for home, first, end in zip(names, [0, *falls], [*falls, len(scored.ticks.time)], strict=True):
            self._report.add(_rows(scored, slice(first, end), home), told.pop(home, []))
        for home, left in told.items():
            self._report.add(_rows(scored, slice(0), home), left)

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


def _rows(scored: ScoredTicks, rows: slice, vehicle: str) -> ScoredTicks:
    ticks, scores = scored.ticks, scored.scores
    return ScoredTicks(
        TickBlock(vehicle, ticks.time[rows], ticks.trip[rows], ticks.values[rows]),
        Scores(scores.score[rows], scores.chart[rows], scores.expected[rows]),
        scored.open[rows],
    )
