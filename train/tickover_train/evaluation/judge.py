"""One scorer judged on a bench: how many faults it detects, and how many false alarms it raises.

Two figures of recall, always both. *At the limit*: the scorer's own limit and its own episodes. *At a false-alarm
rate*: the level is swept on the clean trips until no more than so many onsets an hour are left, and faults are judged
at that level. The decision at a tick uses data up to that tick. Recall is averaged over the magnitudes of a kind, and
then over kinds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover_train.calibration.rates import Rate, poisson_rate
from tickover_train.evaluation.bench import Bench
from tickover_train.evaluation.metrics import Bools, detected_at, false_onsets, false_time
from tickover_train.evaluation.scorers import Scorer, Track
from tickover_train.evaluation.sweep import Sweep
from tickover_train.evaluation.vus_pr import vus_pr

CURVE_RATES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""False onsets an hour at which recall is drawn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One injection judged: delays in seconds from the onset at the limit and at the rate, None = missed.

    ``chance``: an episode begins in its clean twin, too.
    """

    at_limit: float | None
    at_rate: float | None
    chance: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of fault at one magnitude: events, recall, median delays in seconds of those detected, and VUS-PR."""

    kind: str
    magnitude: float | None
    events: int
    recall_at_limit: float
    recall_at_rate: float
    delay_at_limit_s: float | None
    delay_at_rate_s: float | None
    vus_pr: float


@dataclass(frozen=True, slots=True)
class SignalCell:
    """The faults of one signal (of two, they count for the first), every kind and magnitude: events and recall."""

    signal: str
    events: int
    recall_at_limit: float
    recall_at_rate: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Recall at the lowest level with no more than ``allowed`` false onsets an hour; ``per_hour`` are left there."""

    allowed: float
    per_hour: float
    recall: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scorer judged on one set of trips.

    ``recall_at_limit`` comes with ``false_alarms``; ``recall_at_rate`` with ``false_alarms_at_rate``, at
    ``level_at_rate`` (1.0 is the scorer's limit). ``chance`` is the share of events in whose clean twin, without any
    fault, an episode begins in the same time; ``in_alarm`` the share of the clean ticks during which a false one is
    open: few false alarms may be very long ones.
    """

    name: str
    recall_at_limit: float
    recall_at_rate: float
    chance: float
    in_alarm: float
    delay_at_limit_s: float | None
    delay_at_rate_s: float | None
    false_alarms: Rate
    level_at_rate: float
    false_alarms_at_rate: Rate
    vus_pr: float
    cells: list[Cell]
    curve: list[CurvePoint]
    signals: list[SignalCell]


def judge(scorer: Scorer, bench: Bench, per_hour: float, advance: Callable[[str], None] = lambda _: None) -> Verdict:
    """Judge one scorer; ``per_hour`` is the rate of false alarms for ``recall_at_rate``.

    ``advance`` is called with the name of each finished step.
    """
    clean = scorer.clean(bench.trips, bench.marks, bench.outside)
    advance(f"{scorer.name}: clean trips")
    faulty = scorer.spans(bench.spans)
    advance(f"{scorer.name}: faults")
    sweep = Sweep([track.score for track in clean], bench.merge, bench.hours, bench.natural)
    level = sweep.level(per_hour)
    outcomes = [_outcome(bench, clean, n, track, level) for n, track in enumerate(faulty)]
    cells = _cells(bench, clean, faulty, outcomes)
    curve = [_curve_point(bench, clean, faulty, sweep, allowed) for allowed in CURVE_RATES]
    advance(f"{scorer.name}: figures")
    pairs = zip(clean, bench.natural, strict=True)
    alarms = sum(len(false_onsets(track.open, bench.merge, natural)) for track, natural in pairs)
    return Verdict(
        name=scorer.name,
        recall_at_limit=_over_kinds((cell.kind, cell.recall_at_limit) for cell in cells),
        recall_at_rate=_over_kinds((cell.kind, cell.recall_at_rate) for cell in cells),
        chance=_share([outcome.chance for outcome in outcomes]),
        in_alarm=_false_share(clean, bench),
        delay_at_limit_s=_median([outcome.at_limit for outcome in outcomes]),
        delay_at_rate_s=_median([outcome.at_rate for outcome in outcomes]),
        false_alarms=poisson_rate(alarms, bench.hours),
        level_at_rate=level,
        false_alarms_at_rate=poisson_rate(sweep.count(level), bench.hours),
        vus_pr=_over_kinds((cell.kind, cell.vus_pr) for cell in cells),
        cells=cells,
        curve=curve,
        signals=_by_signal(bench, outcomes),
    )


def _false_share(clean: Sequence[Track], bench: Bench) -> float:
    """The share of the clean ticks, natural defects left out, in which a false alarm is on."""
    pairs = list(zip(clean, bench.natural, strict=True))
    on = sum(int((false_time(track.open, natural) & ~natural).sum()) for track, natural in pairs)
    return on / max(sum(int((~natural).sum()) for _, natural in pairs), 1)


def _window(bench: Bench, number: int) -> tuple[int, int]:
    """First and last tick of its trip at which an alarm may begin that detects a span's fault."""
    span = bench.spans[number]
    return span.start, span.start + len(span.values) - 1


def _delay(bench: Bench, before: Bools, over: Bools) -> float | None:
    """Seconds from a span's start to the first onset in it; ``before`` is the alarm on the clean ticks just before."""
    # The clean ticks before say whether an alarm was on already, and which onset is the tail of an older one.
    found = detected_at(np.concatenate((before, over)), len(before), len(before) + len(over) - 1, bench.merge)
    return None if found is None else (found - len(before)) * bench.period_s


def _outcome(bench: Bench, clean: Sequence[Track], number: int, track: Track, level: float) -> Outcome:
    first, last = _window(bench, number)
    past = clean[bench.spans[number].trip]
    lead = slice(max(first - bench.merge, 0), first)
    return Outcome(
        at_limit=_delay(bench, past.open[lead], track.open),
        at_rate=_delay_at(bench, clean, number, track, level),
        chance=_delay(bench, past.open[lead], past.open[first : last + 1]) is not None,
    )


def _delay_at(bench: Bench, clean: Sequence[Track], number: int, track: Track, level: float) -> float | None:
    """The delay when a score at or over ``level`` is the alarm."""
    span = bench.spans[number]
    before = clean[span.trip].score[max(span.start - bench.merge, 0) : span.start]
    return _delay(bench, before >= level, track.score >= level)


def _curve_point(
    bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], sweep: Sweep, allowed: float
) -> CurvePoint:
    level = sweep.level(allowed)
    reached = [_delay_at(bench, clean, number, track, level) is not None for number, track in enumerate(faulty)]
    recall = _over_kinds((name, _share([reached[n] for n in ns])) for (name, _), ns in _grouped(bench).items())
    return CurvePoint(allowed, sweep.count(level) / bench.hours, recall)


def _grouped(bench: Bench) -> dict[tuple[str, float | None], list[int]]:
    """Injection numbers by kind and magnitude."""
    groups: dict[tuple[str, float | None], list[int]] = {}
    for number, injection in enumerate(bench.injections):
        groups.setdefault((injection.kind, injection.magnitude), []).append(number)
    return groups


def _cells(bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], outcomes: Sequence[Outcome]) -> list[Cell]:
    cells = []
    for (name, magnitude), members in _grouped(bench).items():
        at_limit = [outcomes[n].at_limit for n in members]
        at_rate = [outcomes[n].at_rate for n in members]
        cells.append(
            Cell(
                kind=name,
                magnitude=magnitude,
                events=len(members),
                recall_at_limit=_share([delay is not None for delay in at_limit]),
                recall_at_rate=_share([delay is not None for delay in at_rate]),
                delay_at_limit_s=_median(at_limit),
                delay_at_rate_s=_median(at_rate),
                vus_pr=_cell_vus(bench, clean, faulty, members),
            )
        )
    return cells


def _by_signal(bench: Bench, outcomes: Sequence[Outcome]) -> list[SignalCell]:
    """The signals that had a fault, in order; faults of the whole bus are left out."""
    found = []
    for place, name in enumerate(bench.names):
        own = [outcomes[n] for n, injection in enumerate(bench.injections) if injection.signal == place]
        if own:
            at_limit, at_rate = (
                _share([getattr(one, where) is not None for one in own]) for where in ("at_limit", "at_rate")
            )
            found.append(SignalCell(name, len(own), at_limit, at_rate))
    return found


def _cell_vus(bench: Bench, clean: Sequence[Track], faulty: Sequence[Track], members: Iterable[int]) -> float:
    """VUS-PR over all trips, each with its one fault of this cell put in place of the clean scores."""
    scores = [track.score.copy() for track in clean]
    labels = [np.zeros(len(track.score), dtype=bool) for track in clean]
    for number in members:
        injection, (first, last) = bench.injections[number], _window(bench, number)
        scores[injection.trip][first : last + 1] = faulty[number].score
        labels[injection.trip][injection.onset : injection.onset + injection.duration] = True
    return vus_pr(labels, scores)


def _over_kinds(figures: Iterable[tuple[str, float]]) -> float:
    """The mean over magnitudes, then over kinds, of (kind, figure): every kind weighs the same, graded or not."""
    kinds: dict[str, list[float]] = {}
    for kind, figure in figures:
        kinds.setdefault(kind, []).append(figure)
    return float(np.mean([np.mean(values) for values in kinds.values()])) if kinds else float("nan")


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else float("nan")


def _median(delays: Sequence[float | None]) -> float | None:
    known = [delay for delay in delays if delay is not None]
    return float(np.median(known)) if known else None
