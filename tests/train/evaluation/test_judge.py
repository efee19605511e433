"""The protocol: spans equal whole runs, floors and oracles get the figures they deserve."""

from collections import Counter

import numpy as np
import pytest

from tickover.model.detector import Detector
from tickover_train.calibration.limits import score
from tickover_train.calibration.scoring import chart_trips
from tickover_train.evaluation.baselines import FloorScorer, PcaScorer
from tickover_train.evaluation.bench import set_up
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.injection import inject, plan
from tickover_train.evaluation.judge import judge
from tickover_train.evaluation.scorers import ModelScorer, Track
from tickover_train.trips import Trip


@pytest.fixture(scope="module")
def bench(model_file, trips):
    signals = Detector.load(model_file).manifest.signals
    habits = habits_of(trips)
    planned = plan([len(trip) for trip in trips], habits, 1.0, 0, KINDS, Counter())
    return set_up(trips, planned, signals, habits, 1.0, Counter())


def test_a_span_scores_and_alarms_as_the_whole_faulty_trip_would(model_file, bench, trips):
    scorer = ModelScorer(Detector.load(model_file))
    scorer.clean(bench.trips, bench.marks)
    tracks = scorer.spans(bench.spans)
    for number in range(0, len(bench.spans), 9):
        span = bench.spans[number]
        whole = [trip.copy() for trip in trips]
        part = slice(span.start, span.start + len(span.values))
        whole[span.trip][part] = span.values
        outside = [None] * len(whole)
        if span.outside is not None:
            outside[span.trip] = np.full_like(trips[span.trip], np.nan)
            outside[span.trip][part] = span.outside
        expected = ModelScorer(Detector.load(model_file)).clean(whole, [[] for _ in whole], outside)[span.trip]
        np.testing.assert_array_equal(tracks[number].score, expected.score[part].astype(np.float64))
        np.testing.assert_array_equal(tracks[number].open, expected.open[part])
    assert any(track.open.any() for track in tracks)


def test_the_baselines_span_continues_its_filter(bench, trips):
    scorer = PcaScorer(1.0, lambda scores: 1.0)
    scorer.clean(bench.trips, bench.marks)
    span, track = bench.spans[5], scorer.spans(bench.spans)[5]
    whole = [trip.copy() for trip in trips]
    whole[span.trip][span.start : span.start + len(span.values)] = span.values
    raw = scorer._filter(scorer._fit(span.trip).residual(whole[span.trip]))
    np.testing.assert_allclose(track.score, raw[span.start : span.start + len(span.values)], rtol=1e-9)


def test_limits_are_set_on_the_scores_that_are_judged(model_file, trips):
    detector = Detector.load(model_file)
    limits = np.array([chart.limit for chart in detector.manifest.charts], np.float32)
    charts = chart_trips(detector, [Trip(str(number), trip) for number, trip in enumerate(trips)])
    judged = ModelScorer(detector).clean(trips, [[] for _ in trips])
    carried = 0
    for one, track in zip(charts, judged, strict=True):
        set_on = score(one.charts, limits)
        # What a trip begins with over its limit is left out where it is judged, and counts where limits are set.
        if set_on[0] >= 1.0:
            carried += 1
            assert (track.score <= set_on * 1.00001).all()
        else:
            np.testing.assert_allclose(set_on, track.score, rtol=1e-5)
    assert 0 < carried < len(charts)


class Oracle:
    """Knows where the faults are; ``late`` ticks late."""

    name = "oracle"

    def __init__(self, bench, late=0):
        self.bench, self.late = bench, late

    def clean(self, trips, marks, outside=None):
        return [Track(np.zeros(len(trip)), np.zeros(len(trip), dtype=bool)) for trip in trips]

    def spans(self, spans):
        return [Track(on * 2.0, on) for span in spans for on in [np.arange(len(span.values)) >= self.late]]


def test_an_oracle_catches_everything_and_cries_never(bench):
    verdict = judge(Oracle(bench, late=7), bench, per_hour=1.0)
    assert (verdict.recall_at_limit, verdict.recall_at_rate, verdict.false_alarms.count) == (1.0, 1.0, 0)
    assert verdict.delay_at_limit_s == verdict.delay_at_rate_s == 7.0
    assert verdict.chance == 0.0


def test_an_alarm_that_is_always_on_catches_nothing(bench):
    verdict = judge(FloorScorer("always on", 1.0, 0, 1.0), bench, per_hour=1.0)
    assert (verdict.recall_at_limit, verdict.recall_at_rate, verdict.in_alarm) == (0.0, 0.0, 1.0)


def test_random_catches_what_chance_gives(bench):
    verdict = judge(FloorScorer("random", 1.0, 0, 60.0), bench, per_hour=60.0)
    assert verdict.recall_at_limit == pytest.approx(verdict.chance, abs=0.1)
    assert verdict.false_alarms_at_rate.per_hour <= 60.0


def test_no_effect_is_counted(trips, model_file):
    signals = Detector.load(model_file).manifest.signals
    still = [np.full_like(trips[0], 5.0)]
    habits = habits_of(trips)
    planned = plan([len(still[0])], habits, 1.0, 0, ["stuck", "frozen_bus"], Counter())
    counts = Counter()
    assert set_up(still, planned, signals, habits, 1.0, counts).injections == []
    assert counts["no_effect"] == 2
    assert inject(planned[0], still[0], signals, habits, 1.0) is None
