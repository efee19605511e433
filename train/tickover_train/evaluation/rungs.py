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
from tickover_train.evaluation.bench import Bench, bench_of
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import Habits, habits_of
from tickover_train.evaluation.held import side_by_side
from tickover_train.evaluation.metrics import detected_at
from tickover_train.evaluation.scorers import BATCH

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
    habits = habits_of([trip for _, trips in judged for trip in trips])
    found: list[dict[tuple[str, float | None], list[bool]]] = [{} for _ in limits]
    for detector, trips in judged:
        bench = _bench(detector, trips, habits)
        for number, before, during in _charts(detector, bench, stopped):
            injection = bench.injections[number]
            for one, results in zip(limits, found, strict=True):
                over = score(np.concatenate((before, during)), one) >= 1.0
                hit = detected_at(over, len(before), len(over) - 1, bench.merge) is not None
                results.setdefault((injection.kind, injection.magnitude), []).append(hit)
        if stopped():
            return [{} for _ in limits]
    return [_by_kind(results) for results in found]


def _bench(detector: Detector, trips: Sequence[FloatArray], habits: Habits) -> Bench:
    manifest = detector.manifest
    return bench_of(trips, manifest.signals, habits, manifest.tick_period_s, SEED, list(KINDS), Counter())


def _by_kind(results: dict[tuple[str, float | None], list[bool]]) -> dict[str, float]:
    kinds: dict[str, list[float]] = {}
    for (kind, _), hits in results.items():
        kinds.setdefault(kind, []).append(sum(hits) / len(hits))
    return {kind: float(np.mean(shares)) for kind, shares in kinds.items()}


def _charts(
    detector: Detector, bench: Bench, stopped: Callable[[], bool]
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Each span's number, the charts ``[N, C]`` of the clean ticks just before it, and its own; the trips are one
    vehicle's, one after the other. Ends early once ``stopped()`` is true.
    """
    past, clean = _clean(detector, bench, stopped)
    order = sorted(range(len(bench.spans)), key=lambda number: len(bench.spans[number].values))
    for first in range(0, len(order), BATCH):
        if stopped():
            return
        chosen = order[first : first + BATCH]
        spans = [bench.spans[number] for number in chosen]
        _, scores = detector.run_batch(
            np.stack([past[span.trip, span.start] for span in spans]), side_by_side([span.values for span in spans])
        )
        for place, (number, span) in enumerate(zip(chosen, spans, strict=True)):
            before = clean[span.trip][max(span.start - bench.merge, 0) : span.start]
            yield number, before, scores.chart[: len(span.values), place]


def _clean(
    detector: Detector, bench: Bench, stopped: Callable[[], bool]
) -> tuple[dict[tuple[int, int], FloatArray], list[FloatArray]]:
    """The state before each span, and the charts ``[T, C]`` of each clean trip; a part of them once ``stopped()``."""
    state, past, clean = detector.new_state(), {}, []
    for number, (trip, marks) in enumerate(zip(bench.trips, bench.marks, strict=True)):
        if stopped():
            break
        state = detector.reset_trip(state)
        parts = []
        for first, last in pairwise(sorted({0, *marks, len(trip)})):
            past[number, first] = state
            states, scores = detector.run_batch(state[None], trip[first:last, None])
            state = states[0]
            parts.append(scores.chart[:, 0])
        clean.append(np.concatenate(parts))
    return past, clean
