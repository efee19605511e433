"""What people said of alerts, given in a replay at the places of event time where it was said live.

Limits that follow a vehicle change by ticks and by verdicts alone (`core.adaptation`): a replay from the same state
with the same verdicts gives the same alerts. The file is what ``tickover state --verdicts`` writes.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tickover.core.ledger import Verdict
from tickover.core.manifest import Manifest
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Readings
from tickover.logs.verdict_file import verdict_lines


class _Line(msgspec.Struct, frozen=True):
    """What is read of a `messages.bodies.VerdictRecord`."""

    vehicle: str
    episode: str
    at: int
    verdict: Verdict


class Given(NamedTuple):
    """A verdict and the watermark from which on ticks close that it came before."""

    line: _Line
    due: int


class Verdicts:
    """Those of a file that are still to be given, by vehicle, in order; ``counts``: given, not_known, passed."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting: dict[str, list[Given]] = {}
        self._reached: dict[str, int] = {}
        # The tick behind the newest one closes when the watermark reaches its end and the lateness.
        ahead = 2 * manifest.period + round(manifest.lateness_s * SECOND)
        for _, line in verdict_lines(path, _Line):
            self._waiting.setdefault(line.vehicle, []).append(Given(line, line.at + ahead))

    def cut(self, block: Readings, pipeline: Pipeline) -> Iterator[Readings]:
        """The block in parts; between two of them, verdicts are given. Pump after each."""
        waiting = self._waiting.get(block.vehicle)
        if not waiting:
            yield block
            return
        if block.vehicle not in self._reached:
            self._begin(block.vehicle, pipeline)
        reached = np.maximum.accumulate(block.time)
        start = 0
        while waiting and reached[-1] >= waiting[0].due:
            end = int(np.searchsorted(reached, waiting[0].due))
            if end > start:
                yield _part(block, start, end)
                start = end
            self._give(waiting.pop(0).line, pipeline)
        yield _part(block, start, len(block.time))

    def rest(self, pipeline: Pipeline) -> None:
        """The logs are over: give those that were said behind their last tick."""
        for vehicle, waiting in self._waiting.items():
            while waiting and vehicle in pipeline:
                self._give(waiting.pop(0).line, pipeline)

    def _begin(self, vehicle: str, pipeline: Pipeline) -> None:
        """Those from before a saved state are in it."""
        reached = pipeline.reached(vehicle) if vehicle in pipeline else 0
        self._reached[vehicle] = reached
        waiting = self._waiting[vehicle]
        self.counts["passed"] += sum(given.line.at < reached for given in waiting)
        waiting[:] = [given for given in waiting if given.line.at >= reached]

    def _give(self, line: _Line, pipeline: Pipeline) -> None:
        judged = pipeline.judge(line.vehicle, line.episode, line.verdict)
        self.counts["given" if judged else "not_known"] += 1


def _part(block: Readings, start: int, end: int) -> Readings:
    return Readings(block.vehicle, block.signals, block.time[start:end], block.values[start:end])
