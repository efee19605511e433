"""What share of injected faults each rung of a ladder of budgets detects, by kind of fault.

All rungs look at the same charts, which are run once, with limits of 1. What depends on the limits is left out: slow
means go on while an episode is open, and sensors' own episodes do not count. ``evaluate`` judges a finished model as
the device runs it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover.model.detector import Detector
from tickover_train.calibration.limits import score
from tickover_train.evaluation.bench import grace_ticks, merge_ticks, thinned
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import Habits, habits_of
from tickover_train.evaluation.held import side_by_side
from tickover_train.evaluation.injection import Injection, inject, plan
from tickover_train.evaluation.metrics import Bools, detected_at
from tickover_train.evaluation.scorers import BATCH
from tickover_train.stored.arrays import Joined, lengths

Hits = dict[tuple[str, float | None], list[bool]]
"""Of each kind and magnitude, whether each fault was detected."""
Judged = tuple[Detector, Sequence[FloatArray]]
"""A detector whose limits are all 1, and clean trips ``[T, F]`` that its network has not seen."""

SEED: Final = 0
"""Every model meets the same faults."""


def recalls(
    judged: Sequence[Judged], limits: Sequence[FloatArray], stopped: Callable[[], bool] = lambda: False
) -> list[dict[str, float]]:
    """For each of the ``limits`` ``[C]`` the recall by kind of fault, over the trips of all ``judged``.

    A fault is detected as in ``judge``: an alarm begins in it, or shortly after. Every magnitude weighs the same.
    Empty once ``stopped()`` is true: a part of the faults would say something else.
    """
    habits = habits_of(Joined([trips for _, trips in judged]))
    found: list[Hits] = [{} for _ in limits]
    for detector, trips in judged:
        bench = _Spans(detector, trips, habits, limits)
        for injection, before, during in bench.run(stopped):
            for one, calm, results in zip(limits, before, found, strict=True):
                over = np.concatenate((calm, score(during, one) >= 1.0))
                hit = detected_at(over, len(calm), len(over) - 1, bench.merge) is not None
                results.setdefault((injection.kind, injection.magnitude), []).append(hit)
        if stopped():
            return [{} for _ in limits]
    return [_by_kind(results) for results in found]


def _by_kind(results: Hits) -> dict[str, float]:
    kinds: dict[str, list[float]] = {}
    for (kind, _), hits in results.items():
        kinds.setdefault(kind, []).append(sum(hits) / len(hits))
    return {kind: float(np.mean(shares)) for kind, shares in kinds.items()}


class _Spans:
    """The faulty spans of one detector's trips, which are one vehicle's, one after the other.

    A span is made when its batch is run: thousands of them at once would be most of the memory.
    """

    def __init__(
        self, detector: Detector, trips: Sequence[FloatArray], habits: Habits, limits: Sequence[FloatArray]
    ) -> None:
        self._detector, self._trips, self._habits, self._limits = detector, trips, habits, limits
        period = detector.manifest.tick_period_s
        self._ticks = lengths(trips)
        self._planned = thinned(plan(self._ticks, habits, period, SEED, list(KINDS), Counter()), SEED)
        self.merge = merge_ticks(period)

    def run(self, stopped: Callable[[], bool]) -> Iterator[tuple[Injection, list[Bools], FloatArray]]:
        """Each fault, at which of the clean ticks just before it each of the limits is exceeded, and the charts
        ``[N, C]`` of its span. Ends early once ``stopped()`` is true.
        """
        past = self._clean(stopped)
        order = sorted(self._planned, key=self._length)
        for first in range(0, len(order), BATCH):
            if stopped():
                return
            made = [(one, self._values(one)) for one in order[first : first + BATCH]]
            spans = [(one, values) for one, values in made if values is not None]
            if not spans:
                continue
            begun = [past[one.trip, one.onset] for one, _ in spans]
            _, scores = self._detector.run_batch(
                np.stack([state for state, _ in begun]), side_by_side([values for _, values in spans])
            )
            for place, ((one, values), (_, before)) in enumerate(zip(spans, begun, strict=True)):
                yield one, before, scores.chart[: len(values), place]

    def _length(self, one: Injection) -> int:
        """Ticks of a span: the fault, and its grace behind it."""
        return min(one.duration + grace_ticks(self._detector.manifest.tick_period_s), self._ticks[one.trip] - one.onset)

    def _values(self, one: Injection) -> FloatArray | None:
        """A span's ticks ``[N, F]``; None where the fault changes nothing."""
        manifest, trip = self._detector.manifest, self._trips[one.trip]
        faulty = inject(one, trip, manifest.signals, self._habits, manifest.tick_period_s)
        end = one.onset + one.duration
        return None if faulty is None else np.concatenate((faulty.values, trip[end : one.onset + self._length(one)]))

    def _clean(self, stopped: Callable[[], bool]) -> dict[tuple[int, int], tuple[FloatArray, list[Bools]]]:
        """What each span begins with: the detector's state, and which of the limits the ticks just before exceed."""
        state, past = self._detector.new_state(), {}
        for number, trip in enumerate(self._trips):
            if stopped():
                break
            state = self._detector.reset_trip(state)
            starts, charts = dict[int, FloatArray](), []
            marks = {one.onset for one in self._planned if one.trip == number}
            for first, last in pairwise(sorted({0, *marks, len(trip)})):
                starts[first] = state
                states, scores = self._detector.run_batch(state[None], trip[first:last, None])
                state = states[0]
                charts.append(scores.chart[:, 0])
            whole = np.concatenate(charts)
            over = [score(whole, one) >= 1.0 for one in self._limits]
            for mark in marks:
                before = [one[max(mark - self.merge, 0) : mark].copy() for one in over]
                past[number, mark] = (starts[mark].copy(), before)
        return past
