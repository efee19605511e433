"""What every scorer is judged on: clean trips, and the spans of them that hold an injected fault."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.manifest import Signal
from tickover.core.values import FloatArray
from tickover_train.evaluation.habits import Habits
from tickover_train.evaluation.injection import Faulty, Injection, inject, plan
from tickover_train.evaluation.metrics import MERGE_S, Bools
from tickover_train.evaluation.scorers import Span

MOST_FAULTS: Final = 4000
"""Recall of so many is known to 0.01 (standard error)."""
GRACE_S: Final = 60.0
"""An event is detected when an alarm begins no later than this after its end."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The trips with their planned faults: what every scorer is judged on.

    ``natural``: per trip, where an alarm that begins is right though nothing was injected (see ``cleaning``).
    ``outside``: per trip, the readings out of range, as in a ``TickBlock``. ``names``: the signals'.
    """

    trips: list[FloatArray]
    injections: list[Injection]
    spans: list[Span]
    period_s: float
    natural: list[Bools]
    outside: list[FloatArray | None]
    names: tuple[str, ...] = ()

    @property
    def merge(self) -> int:
        """Ticks within which onsets are one."""
        return merge_ticks(self.period_s)

    @property
    def hours(self) -> float:
        """Hours of clean ticks, those of natural defects left out."""
        return sum(int((~natural).sum()) for natural in self.natural) * self.period_s / 3600.0

    @property
    def marks(self) -> list[list[int]]:
        """Per trip, the ticks at which its spans start."""
        marks: list[list[int]] = [[] for _ in self.trips]
        for span in self.spans:
            marks[span.trip].append(span.start)
        return marks


def merge_ticks(period_s: float) -> int:
    """Ticks within which onsets are one."""
    return max(round(MERGE_S / period_s), 1)


def grace_ticks(period_s: float) -> int:
    """Ticks after a fault's end in which an alarm still detects it."""
    return round(GRACE_S / period_s)


def bench_of(
    trips: Sequence[FloatArray],
    signals: Sequence[Signal],
    habits: Habits,
    period_s: float,
    seed: int,
    kinds: Iterable[str],
    counts: Counter[str],
    natural: Sequence[Bools] | None = None,
    outside: Sequence[FloatArray | None] | None = None,
) -> Bench:
    """The trips with one seeded fault for each kind, magnitude and trip, at most ``MOST_FAULTS``; ``counts`` says what
    was not injected.
    """
    planned = plan([len(trip) for trip in trips], habits, period_s, seed, kinds, counts)
    return set_up(trips, thinned(planned, seed), signals, habits, period_s, counts, natural, outside)


def thinned(planned: Sequence[Injection], seed: int) -> list[Injection]:
    """``MOST_FAULTS`` of them, of every kind and magnitude alike: legs are many."""
    if len(planned) <= MOST_FAULTS:
        return list(planned)
    order = np.random.default_rng([seed, len(planned)]).permutation(len(planned))
    return [planned[place] for place in sorted(order[:MOST_FAULTS])]


def set_up(
    trips: Sequence[FloatArray],
    planned: Iterable[Injection],
    signals: Sequence[Signal],
    habits: Habits,
    period_s: float,
    counts: Counter[str],
    natural: Sequence[Bools] | None = None,
    outside: Sequence[FloatArray | None] | None = None,
) -> Bench:
    """Make the faulty spans, each with its grace behind it; faults that change nothing are counted as ``no_effect``."""
    injections, spans = [], []
    grace = grace_ticks(period_s)
    for injection in planned:
        trip = trips[injection.trip]
        faulty = inject(injection, trip, signals, habits, period_s)
        if faulty is None:
            counts["no_effect"] += 1
            continue
        # The grace is clean again: an alarm that comes late is still in the span, and is judged with it.
        end = injection.onset + injection.duration
        values = np.concatenate((faulty.values, trip[end : end + grace]))
        own = outside[injection.trip] if outside else None
        injections.append(injection)
        spans.append(Span(injection.trip, injection.onset, values, _outside(faulty, own, injection, len(values))))
    clean = [np.zeros(len(trip), np.bool_) for trip in trips]
    names = tuple(signal.name for signal in signals)
    beside = list(outside or [None] * len(trips))
    return Bench(list(trips), injections, spans, period_s, list(natural or clean), beside, names)


def _outside(faulty: Faulty, trip: FloatArray | None, injection: Injection, ticks: int) -> FloatArray | None:
    """Readings out of range in a span of ``ticks``: the fault's, and those that the trip has where the fault has not
    put a value in their place."""
    if trip is None and faulty.outside is None:
        return None
    found = np.full((ticks, faulty.values.shape[1]), np.nan, np.float32)
    if trip is not None:
        found[:] = trip[injection.onset : injection.onset + ticks]
    if faulty.outside is not None:
        own = found[: len(faulty.outside)]
        own[:] = np.where(np.isnan(faulty.outside), own, faulty.outside)
    found[: len(faulty.values)][np.isfinite(faulty.values)] = np.nan
    return found
