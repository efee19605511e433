"""A whole study of one model: clean trips, whole and in legs, labelled logs, and the false alarms themselves."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray
from tickover.model.detector import Detector
from tickover_train.calibration.legs import cut_legs
from tickover_train.calibration.rates import Rate, poisson_rate
from tickover_train.data import Trip
from tickover_train.evaluation.baselines import FLOORS, FloorScorer, PcaScorer
from tickover_train.evaluation.evaluate import (
    GRACE_S,
    Bench,
    Sweep,
    Verdict,
    judge,
    label_ranges,
    set_up,
)
from tickover_train.evaluation.faults import (
    KINDS,
    Habits,
    habits_of,
    plan,
)
from tickover_train.evaluation.glitches import Glitch, find_glitches
from tickover_train.evaluation.labels import LabelledTrip
from tickover_train.evaluation.metrics import (
    MERGE_S,
    Floats,
    Points,
    caught_at,
    onsets,
    points,
    vus_pr,
)
from tickover_train.evaluation.scorers import ModelScorer, Scorer

WORST: Final = 6
"""False alarms that are shown."""
SIDE_S: Final = 120.0
"""How much is shown before and after a false alarm's begin."""

Advance = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trace:
    """One signal around a false alarm; NaN = missing."""

    signal: str
    unit: str
    observed: FloatArray
    expected: FloatArray


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """An episode on a clean trip. ``seconds`` ``[N]`` count from its opening; ``glitch``: one was near."""

    trip: str
    at_s: float
    peak: float
    glitch: bool
    seconds: Floats
    score: Floats
    traces: list[Trace]


@dataclass(frozen=True, slots=True)
class GlitchCount:
    """Natural glitches of one signal; ``trips`` is in how many trips, ``largest`` the largest jump, in its unit."""

    signal: str
    glitches: int
    trips: int
    largest: float


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """The model on labelled logs: events caught, points, VUS-PR and false alarms outside the labels."""

    events: int
    kept: int
    ranked: int
    kept_delay_s: float | None
    points: Points
    vus_pr: float
    false_alarms: Rate


@dataclass(frozen=True, slots=True)
class Study:
    """All that ``evaluate`` found. ``whole`` and ``legs`` hold the model first, then the baseline and the floors.

    ``legs`` is empty when no trip is long enough to be cut.
    """

    model: str
    digest: str
    seed: int
    budget_per_hour: float
    trips: int
    hours: float
    injections: int
    whole: list[Verdict]
    legs: list[Verdict]
    glitches: list[GlitchCount]
    worst: list[FalseAlarm]
    near_glitch: int
    labelled: LabelVerdict | None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def tables(self) -> list[tuple[str, list[Verdict]]]:
        """The verdicts under their titles."""
        titled = (("whole trips", self.whole), ("legs of 3 to 8 minutes", self.legs))
        return [(title, verdicts) for title, verdicts in titled if verdicts]


def run(
    detector: Detector,
    trips: Sequence[Trip],
    seed: int,
    labelled: Sequence[LabelledTrip] = (),
    kinds: Iterable[str] | None = None,
    advance: Advance = lambda _: None,
) -> Study:
    """Judge a model on clean trips, and on labelled ones if there are any."""
    manifest, counts = detector.manifest, Counter[str]()
    values = [trip.values for trip in trips]
    habits = habits_of(values)
    glitches = find_glitches(values, habits.spread.astype(np.float32), manifest.tick_period_s)
    names = list(KINDS if kinds is None else kinds)
    model = ModelScorer(detector)
    legs = [leg for cut in cut_legs(values, manifest.tick_period_s, seed) for leg in cut]
    legs_bench = _bench(legs, manifest, habits, seed, names, Counter())
    bench = _bench(values, manifest, habits, seed, names, counts)
    in_legs = _judge_all(model, legs_bench, budget_of(manifest), seed, advance) if legs else []
    whole = _judge_all(model, bench, budget_of(manifest), seed, advance)
    alarms = _false_alarms(model, trips, glitches)
    return Study(
        model=manifest.name,
        digest=detector.digest,
        seed=seed,
        budget_per_hour=budget_of(manifest),
        trips=len(trips),
        hours=bench.hours,
        injections=len(bench.injections),
        whole=whole,
        legs=in_legs,
        glitches=_glitch_counts(glitches, manifest),
        worst=sorted(alarms, key=lambda alarm: -alarm.peak)[:WORST],
        near_glitch=sum(alarm.glitch for alarm in alarms),
        labelled=judge_labels(ModelScorer(detector), labelled, whole[0].ranked_level) if labelled else None,
        counts=dict(counts),
    )


def _judge_all(model: Scorer, bench: Bench, budget: float, seed: int, advance: Advance) -> list[Verdict]:
    return [judge(scorer, bench, budget, advance) for scorer in (model, *beside(bench, budget, seed))]


def budget_of(manifest: Manifest) -> float:
    """False episodes per hour that the limits were set for; the ranked figure uses the same budget."""
    return manifest.false_alarms.per_hour


def _bench(
    trips: Sequence[FloatArray],
    manifest: Manifest,
    habits: Habits,
    seed: int,
    kinds: Iterable[str],
    counts: Counter[str],
) -> Bench:
    planned = plan([len(trip) for trip in trips], habits, manifest.tick_period_s, seed, kinds, counts)
    return set_up(trips, planned, manifest.signals, habits, manifest.tick_period_s, counts)


def beside(bench: Bench, budget: float, seed: int, learnt: Sequence[FloatArray] = ()) -> list[Scorer]:
    """The baseline and the floors for ``budget`` false alarms an hour: what stands beside every result.

    The baseline learns from ``learnt``, or else from the trips that are judged (see ``PcaScorer``).
    """

    def limit(scores: Sequence[Floats]) -> float:
        hours = sum(map(len, scores)) * bench.period_s / 3600.0
        return Sweep(scores, bench.merge, hours).level(budget)

    floors = [FloorScorer(name, bench.period_s, seed, budget) for name in FLOORS]
    return [PcaScorer(bench.period_s, limit, learnt), *floors]


def judge_labels(model: ModelScorer, trips: Sequence[LabelledTrip], level: float) -> LabelVerdict:
    """Real anomalies by the same rules; ``level`` is the ranked figure's, found on the clean trips."""
    period = model.manifest.tick_period_s
    merge, grace = max(round(MERGE_S / period), 1), round(GRACE_S / period)
    tracks = model.clean([trip.values for trip in trips], [[] for _ in trips])
    kept: list[int | None] = []
    ranked: list[int | None] = []
    false = 0
    for trip, track in zip(trips, tracks, strict=True):
        allowed = trip.labels.copy()
        for first, end in label_ranges(trip.labels).tolist():
            allowed[first : end + grace] = True
            begun = caught_at(track.open, first, end - 1 + grace, merge)
            over = caught_at(track.score >= level, first, end - 1 + grace, merge)
            kept.append(None if begun is None else begun - first)
            ranked.append(None if over is None else over - first)
        false += int((~allowed[onsets(track.open, merge)]).sum())
    hours = sum(int((~trip.labels).sum()) for trip in trips) * period / 3600.0
    delays = [delay * period for delay in kept if delay is not None]
    labels = [trip.labels for trip in trips]
    return LabelVerdict(
        events=len(kept),
        kept=len(delays),
        ranked=sum(delay is not None for delay in ranked),
        kept_delay_s=float(np.median(delays)) if delays else None,
        points=points(labels, [track.open for track in tracks]),
        vus_pr=vus_pr(labels, [track.score for track in tracks]),
        false_alarms=poisson_rate(false, hours),
    )


def _glitch_counts(glitches: Sequence[Glitch], manifest: Manifest) -> list[GlitchCount]:
    found = []
    for place, signal in enumerate(manifest.signals):
        own = [glitch for glitch in glitches if glitch.signal == place]
        if own:
            largest = max((glitch.jump for glitch in own), key=abs)
            found.append(GlitchCount(signal.name, len(own), len({glitch.trip for glitch in own}), largest))
    return found


def _false_alarms(model: ModelScorer, trips: Sequence[Trip], glitches: Sequence[Glitch]) -> list[FalseAlarm]:
    """Every episode on the clean trips that ``model`` ran over last."""
    manifest = model.manifest
    period, side = manifest.tick_period_s, round(SIDE_S / manifest.tick_period_s)
    near = round(MERGE_S / period)
    alarms = []
    for number, trip in enumerate(trips):
        score = model.tracks[number].score
        spots = np.array([glitch.tick for glitch in glitches if glitch.trip == number])
        for tick, alert in model.starts(number):
            shown = slice(max(tick - side, 0), min(tick + side, len(score)))
            traces = [
                Trace(
                    part.signal,
                    part.unit,
                    trip.values[shown, place],
                    model.expected[number][shown, place],
                )
                for part in alert.signals
                for place in [manifest.names.index(part.signal)]
            ]
            alarms.append(
                FalseAlarm(
                    trip=trip.source,
                    at_s=tick * period,
                    peak=float(np.nanmax(score[tick : shown.stop])),
                    glitch=bool(len(spots) and (np.abs(spots - tick) <= near).any()),
                    seconds=np.arange(shown.start - tick, shown.stop - tick, dtype=np.float64) * period,
                    score=score[shown],
                    traces=traces,
                )
            )
    return alarms
