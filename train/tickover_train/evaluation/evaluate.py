"""The protocol: inject faults into clean trips, and count what is caught and what is cried for nothing.

Two figures, always both. *Kept*: the scorer's own limit and its own episodes. *Ranked*: the level is swept on the
clean trips until no more than the budget of onsets an hour is left, and faults are judged at that level. The decision
at a tick uses data up to that tick. Shares are averaged over magnitudes within a kind, and then over kinds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.manifest import Signal
from tickover.core.values import FloatArray
from tickover_train.calibration.rates import Rate, poisson_rate
from tickover_train.evaluation.faults import Habits, Injection, inject
from tickover_train.evaluation.metrics import (
    MERGE_S,
    Bools,
    Floats,
    Ints,
    caught_at,
    onsets,
    vus_pr,
)
from tickover_train.evaluation.scorers import Scorer, Span, Track

GRACE_S: Final = 60.0
"""An event is caught when an alarm begins no later than this after its end."""
LEVELS: Final = 300
"""Levels that the sweep tries."""
CURVE_RATES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""False onsets an hour at which the caught share is drawn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One injection judged; delays in seconds from the onset, None = missed. ``chance``: so is its clean twin."""

    kept: float | None
    ranked: float | None
    chance: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind at one magnitude: events, shares caught, median delays in seconds, and the ranking's VUS-PR."""

    kind: str
    magnitude: float | None
    events: int
    kept: float
    ranked: float
    kept_delay_s: float | None
    ranked_delay_s: float | None
    vus_pr: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The ranked share caught at the lowest level with no more than ``allowed`` false onsets an hour."""

    allowed: float
    per_hour: float
    caught: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scorer judged on one set of trips.

    ``chance`` is the share of events whose clean twin, without any fault, had an episode begin in the same time;
    ``in_alarm`` the share of the clean ticks during which one was open (few false alarms may be very long ones).
    """

    name: str
    kept: float
    ranked: float
    chance: float
    in_alarm: float
    kept_delay_s: float | None
    ranked_delay_s: float | None
    false_alarms: Rate
    ranked_level: float
    ranked_false_alarms: Rate
    vus_pr: float
    cells: list[Cell]
    curve: list[CurvePoint]


@dataclass(frozen=True, slots=True)
class Bench:
    """The trips with their planned faults: what every scorer is judged on."""

    trips: list[FloatArray]
    injections: list[Injection]
    spans: list[Span]
    period_s: float

    @property
    def merge(self) -> int:
        """Ticks within which onsets are one."""
        return max(round(MERGE_S / self.period_s), 1)

    @property
    def hours(self) -> float:
        """Hours of clean ticks."""
        return sum(len(trip) for trip in self.trips) * self.period_s / 3600.0

    @property
    def marks(self) -> list[list[int]]:
        """Per trip, the ticks at which its spans start."""
        marks: list[list[int]] = [[] for _ in self.trips]
        for span in self.spans:
            marks[span.trip].append(span.start)
        return marks


def set_up(
    trips: Sequence[FloatArray],
    planned: Iterable[Injection],
    signals: Sequence[Signal],
    habits: Habits,
    period_s: float,
    counts: Counter[str],
) -> Bench:
    """Make the faulty spans, each with its grace behind it; faults that change nothing are counted as ``no_effect``."""
    injections, spans = [], []
    grace = round(GRACE_S / period_s)
    for injection in planned:
        trip = trips[injection.trip]
        faulty = inject(injection, trip, signals, habits, period_s)
        if faulty is None:
            counts["no_effect"] += 1
            continue
        end = injection.onset + injection.duration
        values = np.concatenate((faulty, trip[end : end + grace]))
        injections.append(injection)
        spans.append(Span(injection.trip, injection.onset, values))
    return Bench(list(trips), injections, spans, period_s)


def judge(scorer: Scorer, bench: Bench, per_hour: float, advance: Callable[[str], None] = lambda _: None) -> Verdict:
    """Judge one scorer; ``per_hour`` is the budget of the ranked figure. ``advance`` hears of finished steps."""
    clean = scorer.clean(bench.trips, bench.marks)
    advance(f"{scorer.name}: clean trips")
    faulty = scorer.spans(bench.spans)
    advance(f"{scorer.name}: faults")
    sweep = Sweep([track.score for track in clean], bench.merge, bench.hours)
    level = sweep.level(per_hour)
    outcomes = [_outcome(bench, clean, n, track, level) for n, track in enumerate(faulty)]
    cells = _cells(bench, clean, faulty, outcomes)
    curve = [_curve_point(bench, clean, faulty, sweep, allowed) for allowed in CURVE_RATES]
    advance(f"{scorer.name}: figures")
    alarms = sum(len(onsets(track.open, bench.merge)) for track in clean)
    return Verdict(
        name=scorer.name,
        kept=_mean_over_kinds(cells, "kept"),
        ranked=_mean_over_kinds(cells, "ranked"),
        chance=_share([outcome.chance for outcome in outcomes]),
        in_alarm=float(np.concatenate([track.open for track in clean]).mean()),
        kept_delay_s=_median([outcome.kept for outcome in outcomes]),
        ranked_delay_s=_median([outcome.ranked for outcome in outcomes]),
        false_alarms=poisson_rate(alarms, bench.hours),
        ranked_level=level,
        ranked_false_alarms=poisson_rate(sweep.count(level), bench.hours),
        vus_pr=_mean_over_kinds(cells, "vus_pr"),
        cells=cells,
        curve=curve,
    )


class Sweep:
    """Clean scores, and how many false onsets each level would give."""

    def __init__(self, scores: Sequence[Floats], merge: int, hours: float) -> None:
        self._scores = scores
        self._merge = merge
        self._hours = hours
        pooled = np.concatenate(scores)
        pooled = -np.sort(-pooled[np.isfinite(pooled)])
        ranks = np.unique(np.geomspace(1, max(len(pooled), 1), LEVELS).astype(int)) - 1
        above = [np.nextafter(pooled[0], np.inf)] if len(pooled) else [1.0]
        self.levels = np.unique(np.concatenate((above, pooled[ranks[ranks < len(pooled)]])))[::-1]
        self._counts: dict[float, int] = {}

    def count(self, level: float) -> int:
        """False onsets at a level."""
        if level not in self._counts:
            self._counts[level] = sum(len(onsets(score >= level, self._merge)) for score in self._scores)
        return self._counts[level]

    def level(self, per_hour: float) -> float:
        """The lowest level, coming down from above all scores, that keeps to ``per_hour``."""
        best = float(self.levels[0])
        for level in self.levels:
            if self.count(float(level)) > per_hour * self._hours:
                break
            best = float(level)
        return best


def _window(bench: Bench, number: int) -> tuple[int, int]:
    """First and last tick at which an alarm's begin counts, in its trip."""
    span = bench.spans[number]
    return span.start, span.start + len(span.values) - 1


def _delay(bench: Bench, before: Bools, over: Bools) -> float | None:
    """Seconds from a span's start to the first onset in it; ``before`` is the alarm on the clean ticks just before."""
    found = caught_at(np.concatenate((before, over)), len(before), len(before) + len(over) - 1, bench.merge)
    return None if found is None else (found - len(before)) * bench.period_s


def _outcome(bench: Bench, clean: Sequence[Track], number: int, track: Track, level: float) -> Outcome:
    first, last = _window(bench, number)
    past = clean[bench.spans[number].trip]
    lead = slice(max(first - bench.merge, 0), first)
    return Outcome(
        kept=_delay(bench, past.open[lead], track.open),
        ranked=_ranked(bench, clean, number, track, level),
        chance=_delay(bench, past.open[lead], past.open[first : last + 1]) is not None,
    )


def _ranked(bench: Bench, clean: Sequence[Track], number: int, track: Track, level: float) -> float | None:
    span = bench.spans[number]
    before = clean[span.trip].score[max(span.start - bench.merge, 0) : span.start]
    return _delay(bench, before >= level, track.score >= level)


def _curve_point(
    bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], sweep: Sweep, allowed: float
) -> CurvePoint:
    level = sweep.level(allowed)
    reached = [_ranked(bench, clean, number, track, level) is not None for number, track in enumerate(faulty)]
    shares: dict[str, list[float]] = {}
    for (name, _), members in _grouped(bench).items():
        shares.setdefault(name, []).append(_share([reached[n] for n in members]))
    caught = float(np.mean([np.mean(values) for values in shares.values()])) if shares else float("nan")
    return CurvePoint(allowed, sweep.count(level) / bench.hours, caught)


def _grouped(bench: Bench) -> dict[tuple[str, float | None], list[int]]:
    """Injection numbers by kind and magnitude."""
    groups: dict[tuple[str, float | None], list[int]] = {}
    for number, injection in enumerate(bench.injections):
        groups.setdefault((injection.kind, injection.magnitude), []).append(number)
    return groups


def _cells(bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], outcomes: Sequence[Outcome]) -> list[Cell]:
    cells = []
    for (name, magnitude), members in _grouped(bench).items():
        kept = [outcomes[n].kept for n in members]
        ranked = [outcomes[n].ranked for n in members]
        cells.append(
            Cell(
                kind=name,
                magnitude=magnitude,
                events=len(members),
                kept=_share([delay is not None for delay in kept]),
                ranked=_share([delay is not None for delay in ranked]),
                kept_delay_s=_median(kept),
                ranked_delay_s=_median(ranked),
                vus_pr=_cell_vus(bench, clean, faulty, members),
            )
        )
    return cells


def _cell_vus(bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], members: Iterable[int]) -> float:
    """VUS-PR over all trips, each with its one fault of this cell put in place of the clean scores."""
    scores = [track.score.copy() for track in clean]
    labels = [np.zeros(len(track.score), dtype=bool) for track in clean]
    for number in members:
        injection, (first, last) = bench.injections[number], _window(bench, number)
        scores[injection.trip][first : last + 1] = faulty[number].score
        labels[injection.trip][injection.onset : injection.onset + injection.duration] = True
    return vus_pr(labels, scores)


def _mean_over_kinds(cells: Sequence[Cell], figure: str) -> float:
    """The mean of a cell's figure over magnitudes, then over kinds, so that every kind weighs the same."""
    kinds: dict[str, list[float]] = {}
    for cell in cells:
        kinds.setdefault(cell.kind, []).append(getattr(cell, figure))
    return float(np.mean([np.mean(values) for values in kinds.values()])) if kinds else float("nan")


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else float("nan")


def _median(delays: Sequence[float | None]) -> float | None:
    known = [delay for delay in delays if delay is not None]
    return float(np.median(known)) if known else None


def label_ranges(labels: Bools) -> Ints:
    """First and one-past-last tick of each labelled range, ``[K, 2]``."""
    steps = np.diff(np.concatenate(([0], labels.astype(np.int8), [0])))
    return np.stack((np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)), axis=1)
