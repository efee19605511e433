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
from tickover_train.cleaning.clean import Finding, find_defects, findings_of, natural_ticks
from tickover_train.cleaning.glitches import Glitch, GlitchCount, count_glitches
from tickover_train.evaluation.baselines import beside
from tickover_train.evaluation.bench import Bench, bench_of
from tickover_train.evaluation.false_alarms import FalseAlarm, false_alarms_of
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.judge import Verdict, judge
from tickover_train.evaluation.label_verdict import LabelVerdict, judge_labels
from tickover_train.evaluation.labels import LabelledTrip
from tickover_train.evaluation.scorers import ModelScorer, Scorer
from tickover_train.trips import Trip

WORST: Final = 6
"""False alarms that are shown."""

Advance = Callable[[str], None]
"""Called with the name of each finished step."""


@dataclass(frozen=True, slots=True)
class Study:
    """All that ``evaluate`` found. ``whole`` and ``legs`` hold the model first, then the baselines and the floors.

    In ``whole`` the model comes twice: the trips as one vehicle's, then each as that of a vehicle never seen before.

    ``legs`` is empty when no trip is long enough to be cut. ``defects``: what is wrong with the recordings themselves;
    alarms that begin there are right, and ``near_glitch`` says how many do.
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
    defects: list[Finding]
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
    values, outside = [trip.values for trip in trips], [trip.outside for trip in trips]
    habits, period = habits_of(values), manifest.tick_period_s
    defects = find_defects(trips, period)
    natural = natural_ticks(defects, [len(trip) for trip in values], period)
    names = list(KINDS if kinds is None else kinds)
    model = ModelScorer(detector)
    legs = [leg for cut in cut_legs(values, period, seed) for leg in cut]
    outside_legs = _legs_of(outside, values, period, seed)
    natural_legs = [leg for cut in cut_legs(natural, period, seed) for leg in cut]
    # What could not be injected is counted for the whole trips only; habits are those of the whole trips for both.
    legs_bench = bench_of(legs, manifest.signals, habits, period, seed, names, Counter(), natural_legs, outside_legs)
    bench = bench_of(values, manifest.signals, habits, period, seed, names, counts, natural, outside)
    in_legs = _judge_all(model, legs_bench, budget_of(manifest), seed, advance) if legs else []
    # The whole trips come last: the false alarms are read from what the model then holds.
    whole = _judge_all(model, bench, budget_of(manifest), seed, advance)
    alarms = false_alarms_of(model, trips, natural)
    fresh = judge(ModelScorer(detector, fresh=True), bench, budget_of(manifest), advance)
    return Study(
        model=manifest.name,
        digest=detector.digest,
        seed=seed,
        budget_per_hour=budget_of(manifest),
        trips=len(trips),
        hours=bench.hours,
        injections=len(bench.injections),
        whole=[whole[0], fresh, *whole[1:]],
        legs=in_legs,
        glitches=count_glitches([one for one in defects if isinstance(one, Glitch)], manifest.names),
        defects=findings_of(defects, trips, manifest.names, period),
        worst=sorted((alarm for alarm in alarms if not alarm.glitch), key=lambda alarm: -alarm.peak)[:WORST],
        near_glitch=sum(alarm.glitch for alarm in alarms),
        labelled=judge_labels(ModelScorer(detector), labelled, whole[0].level_at_rate) if labelled else None,
        counts=dict(counts),
    )


def _legs_of(
    outside: Sequence[FloatArray | None], values: Sequence[FloatArray], period: float, seed: int
) -> list[FloatArray | None] | None:
    """Readings out of range of each leg; None when there are none at all."""
    if all(one is None for one in outside):
        return None
    whole = [np.full_like(trip, np.nan) if one is None else one for one, trip in zip(outside, values, strict=True)]
    return [leg for cut in cut_legs(whole, period, seed) for leg in cut]


def _judge_all(model: Scorer, bench: Bench, budget: float, seed: int, advance: Advance) -> list[Verdict]:
    return [judge(scorer, bench, budget, advance) for scorer in (model, *beside(bench, budget, seed))]


def budget_of(manifest: Manifest) -> float:
    """False episodes an hour that the limits were set for: ``recall_at_rate`` uses the same rate."""
    return manifest.false_alarms.per_hour
