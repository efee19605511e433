"""A model judged on real anomalies: the labelled trips by the rules of the injected faults."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tickover_train.calibration.rates import Rate, poisson_rate
from tickover_train.evaluation.bench import GRACE_S
from tickover_train.evaluation.labels import LabelledTrip
from tickover_train.evaluation.metrics import MERGE_S, Points, detected_at, label_ranges, onsets, points
from tickover_train.evaluation.scorers import ModelScorer
from tickover_train.evaluation.vus_pr import vus_pr


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """The model on labelled logs: how many of ``events`` it detected; false alarms are those outside the labels."""

    events: int
    detected_at_limit: int
    detected_at_rate: int
    delay_at_limit_s: float | None
    points: Points
    vus_pr: float
    false_alarms: Rate


def judge_labels(model: ModelScorer, trips: Sequence[LabelledTrip], level: float) -> LabelVerdict:
    """Real anomalies by the same rules; ``level`` is that of ``recall_at_rate``, found on the clean trips."""
    period = model.manifest.tick_period_s
    merge, grace = max(round(MERGE_S / period), 1), round(GRACE_S / period)
    tracks = model.clean([trip.values for trip in trips], [[] for _ in trips])
    at_limit: list[int | None] = []
    at_rate: list[int | None] = []
    false = 0
    for trip, track in zip(trips, tracks, strict=True):
        allowed = trip.labels.copy()
        for first, end in label_ranges(trip.labels).tolist():
            # An alarm within an event's grace belongs to the event, detected or not: it is no false alarm.
            allowed[first : end + grace] = True
            begun = detected_at(track.open, first, end - 1 + grace, merge)
            over = detected_at(track.score >= level, first, end - 1 + grace, merge)
            at_limit.append(None if begun is None else begun - first)
            at_rate.append(None if over is None else over - first)
        false += int((~allowed[onsets(track.open, merge)]).sum())
    hours = sum(int((~trip.labels).sum()) for trip in trips) * period / 3600.0
    delays = [delay * period for delay in at_limit if delay is not None]
    labels = [trip.labels for trip in trips]
    return LabelVerdict(
        events=len(at_limit),
        detected_at_limit=len(delays),
        detected_at_rate=sum(delay is not None for delay in at_rate),
        delay_at_limit_s=float(np.median(delays)) if delays else None,
        points=points(labels, [track.open for track in tracks]),
        vus_pr=vus_pr(labels, [track.score for track in tracks]),
        false_alarms=poisson_rate(false, hours),
    )
