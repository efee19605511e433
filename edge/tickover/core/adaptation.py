"""Limits that follow a vehicle whose signals drifted: slowly, bounded, and never because of what nobody can know.

A chart's limit is the trained one times a *factor* from 1 to ``MOST``. When an episode has ended, no person has called
it real or known, and the vehicle raises more of them than its budget allows, the charts that opened it get a factor
``STEP`` times higher; each time in which the budget allows ``RETURN`` episodes lowers every factor by as much. That is
stochastic approximation (Robbins and Monro 1951) of the limit that a chart passes as often as it may, with one number a
chart. An open episode moves nothing until a person says that it is false; that raises the charts that opened it by
``FALSE_STEPS`` at once. Any other verdict, or taking one back, undoes what the episode had moved.
"""

import math
from typing import Final

from tickover.core.ledger import Entry, Verdict
from tickover.core.manifest import Manifest
from tickover.core.once import once

STEP: Final = math.log(1.1)
"""The logarithm of a step."""
MOST: Final = 2.0
"""The largest factor: a deviation of twice the trained limit always alarms."""
RETURN: Final = 4
FALSE_STEPS: Final = 2
LEAST_EPISODES: Final = 3
"""Fewer say nothing about how often there are any."""
NOTHING: Final = 1e-9


_NONE: Final[dict[str, float]] = {}


class Adaptation:
    """The factors of one vehicle's charts, by name; those not in ``logs`` (natural logarithms) are 1. Both tables are
    replaced, never written to: vehicles without any share one."""

    __slots__ = ("_signals", "logs", "since", "told")

    def __init__(self, manifest: Manifest) -> None:
        self._signals = once(_signals_of, manifest)
        self.logs = self.told = _NONE
        self.since = 0

    def factor(self, chart: str) -> float:
        """By how much a chart's limit is above the trained one."""
        return math.exp(self.logs.get(chart, 0.0))

    def ended(self, entry: Entry, *, too_often: bool) -> bool:
        """An episode ended; whether limits moved."""
        if entry.verdict is not Verdict.NONE or not too_often:
            return False
        entry.automatic = True
        return self._set(entry, STEP)

    def judged(self, entry: Entry) -> bool:
        """An entry has another verdict; whether limits moved."""
        wanted = {Verdict.FALSE: FALSE_STEPS * STEP, Verdict.NONE: STEP * entry.automatic}
        return self._set(entry, wanted.get(entry.verdict, 0.0))

    def relax(self, number: int) -> bool:
        """The promise meter fills its part ``number`` now; whether limits moved."""
        parts, self.since = number - self.since, number
        if not self.logs or parts <= 0:
            return False
        lower = {chart: log - parts * STEP / RETURN for chart, log in self.logs.items()}
        self.logs = {chart: log for chart, log in lower.items() if log > NOTHING}
        return True

    def news(self) -> list[tuple[str, tuple[str, ...], float, float]]:
        """Chart, signals, from which factor to which: those that moved by a step, or are back, since it was told."""
        found = []
        for chart in sorted(self.logs.keys() | self.told.keys()):
            before, now = self.told.get(chart, 0.0), self.logs.get(chart, 0.0)
            if abs(now - before) >= STEP - NOTHING or (before and not now):
                found.append((chart, self._signals.get(chart, ()), math.exp(before), math.exp(now)))
                self.told = {**self.told, chart: now}
        self.told = {chart: log for chart, log in self.told.items() if log}
        return found

    def _set(self, entry: Entry, wanted: float) -> bool:
        """Have an entry raise each of its charts by ``wanted``, as far as ``MOST`` allows."""
        moved = False
        for chart in entry.charts:
            if chart not in self._signals:
                continue
            before, own = self.logs.get(chart, 0.0), entry.raised.get(chart, 0.0)
            after = min(max(before - own + wanted, 0.0), math.log(MOST))
            if after == before:
                continue
            moved = True
            entry.raised = {**entry.raised, chart: max(own + after - before, 0.0)}
            self.logs = {**self.logs, chart: after}
        self.logs = {chart: log for chart, log in self.logs.items() if log > NOTHING}
        return moved


def _signals_of(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Each chart's signals."""
    return {chart.name: chart.signals for chart in manifest.charts}
