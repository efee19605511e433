"""The judged detector is the shipped one: the same scores, alarms and sensor episodes as the device's own pipeline."""

import numpy as np
import pytest
from msgspec import structs

from tickover.core import record
from tickover.core.manifest import Budget, EpisodePolicy
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Readings
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.graph import build, weight_shapes
from tickover_export.package import manifest_of, package
from tickover_export.spec import InputDrift
from tickover_train.evaluation.scorers import ModelScorer, Span
from train.conftest import make_spec, make_trip


@pytest.fixture(autouse=True, params=[0.0, 600.0], ids=["known", "new"])
def new_s(request, monkeypatch):
    """Vehicles are new for so long; slow means hold in no episode that opens then."""
    monkeypatch.setattr(record, "NEW_S", request.param)
    return request.param


APART_S = 121
"""Between two trips: just over `no_data_s`, as the judge places them. Sensors count in bins of absolute time."""


def slow_detector(policy: EpisodePolicy) -> Detector:
    """Random weights, slow means that move fast, and limits that a fault passes for minutes."""
    drift = InputDrift(low=(-1.0,) * 3, high=(1.0,) * 3, span_s=120.0)
    spec = structs.replace(make_spec(), baseline_span_s=90.0, input_drift=drift)
    spec = structs.replace(spec, signals=tuple(structs.replace(one, low=-30.0, high=90.0) for one in spec.signals))
    random = np.random.default_rng(1)
    weights = {name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in weight_shapes(spec).items()}
    weights |= {"scaler.center": np.array([20, 0, 40], np.float32), "scaler.scale": np.array([4, 2, 8], np.float32)}
    weights |= {"residual.center": np.zeros(3, np.float32), "residual.scale": np.ones(3, np.float32)}
    limits = np.full(9, 1.8, np.float32)
    limits[-3:] *= 20
    manifest = manifest_of(spec, limits, budget=Budget(episodes=1.0, per_s=3600.0), episodes=policy)
    return Detector(open_bytes(package(build(weights, spec, limits), manifest)))


def faulty_trips() -> list[np.ndarray]:
    """Trips with an offset for four minutes, a reading out of range for one, and a signal that is missing."""
    trips = [make_trip(seed) for seed in range(3)]
    trips[0][300:540, 0] += 30.0
    trips[1][200:260, 2] = 200.0
    trips[2][500:700, 1] = np.nan
    trips[2][100:130, 0] -= 30.0
    return trips


def shipped(detector: Detector, trips: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and open episodes of each trip, by the device's pipeline, fed readings."""
    pipeline = Pipeline(detector)
    found, start = [], 0
    for number, trip in enumerate(trips):
        time = (start + np.arange(len(trip))) * SECOND
        start += len(trip) + APART_S
        pipeline.feed(Readings("van", detector.manifest.names, time, trip.astype(np.float64)))
        outputs = [*pipeline.pump(), *pipeline.flush("van")] if number == len(trips) - 1 else pipeline.pump()
        found += [(out.scored.ticks.trip, out.scored.scores.score, out.scored.open) for out in outputs]
    trip, score, open_ = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return [(score[trip == number], open_[trip == number]) for number in range(len(trips))]


def split(trip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A trip's ticks as the device makes them: what is out of range stands beside them."""
    out = (trip < -30.0) | (trip > 90.0)
    return np.where(out, np.float32(np.nan), trip), np.where(out, trip, np.float32(np.nan))


@pytest.mark.parametrize(
    "policy",
    [
        EpisodePolicy(close_after_s=10.0, hold_off_s=20.0),
        EpisodePolicy(close_after_s=3.0, hold_off_s=0.0),
        EpisodePolicy(open_after_s=4.0, close_after_s=10.0),
        EpisodePolicy(hold_slow_means=False),
        EpisodePolicy(close_after_s=10.0, hold_off_s=20.0, follow_back=4.0),
    ],
)
def test_scores_and_alarms_are_the_pipelines(policy):
    detector = slow_detector(policy)
    trips = faulty_trips()
    # Held values would fill what the judge's ticks leave missing: this pipeline holds none.
    signals = tuple(structs.replace(one, hold_s=0.0) for one in detector.manifest.signals)
    detector.manifest = structs.replace(detector.manifest, signals=signals)
    wanted = shipped(detector, trips)
    values, outside = zip(*(split(trip) for trip in trips), strict=True)
    scorer = ModelScorer(detector)
    marks = [[250, 310, 333], [220], []]
    for given in ([[], [], []], marks):
        tracks = scorer.clean(values, given, outside)
        for number, track in enumerate(tracks):
            score = wanted[number][0].astype(np.float64)
            # Charts that a trip begins with over their limit are no score of the judge's.
            carried = (track.score != score) & (score[0] >= 1.0)
            np.testing.assert_array_equal(track.score[~carried], score[~carried])
            assert (track.score[carried] < score[carried]).all()
            np.testing.assert_array_equal(track.open, wanted[number][1])
    assert wanted[0][1].any(), "the offset alarms"
    assert wanted[1][1].any(), "the sensor out of range does"
    starts = ((0, 310), (0, 250), (1, 220))
    spans = [Span(trip, start, values[trip][start:], outside[trip][start:]) for trip, start in starts]
    for span, track in zip(spans, scorer.spans(spans), strict=True):
        np.testing.assert_array_equal(track.score, tracks[span.trip].score[span.start :])
        np.testing.assert_array_equal(track.open, tracks[span.trip].open[span.start :])


def test_pieces_may_end_with_an_episode_or_within_one():
    """Whatever length: an episode closes at the very end of some of them."""
    detector = slow_detector(EpisodePolicy(close_after_s=5.0, hold_off_s=0.0))
    values = faulty_trips()[0]
    whole = ModelScorer(detector).clean([values], [[]])[0]
    ends = np.flatnonzero(whole.open[:-1] & ~whole.open[1:])[:3] + 1
    assert len(ends)
    marks = sorted({int(end) + more for end in ends for more in (-1, 0, 1)})
    cut = ModelScorer(detector).clean([values], [marks])[0]
    np.testing.assert_array_equal(cut.score, whole.score)
    np.testing.assert_array_equal(cut.open, whole.open)


def test_holding_matters_here(new_s):
    """Without it the fault is taken for usual and the episode ends before the fault; so it is on a new vehicle."""
    values = faulty_trips()[:1]
    held, free = (
        ModelScorer(slow_detector(EpisodePolicy(close_after_s=10.0, hold_slow_means=hold))).clean(values, [[]])[0].open
        for hold in (True, False)
    )
    if new_s:
        np.testing.assert_array_equal(held, free)
    else:
        assert held[300:540].sum() > 1.5 * free[300:540].sum()


def test_fresh_vehicles_know_nothing_of_the_trip_before():
    twice = faulty_trips()[:1] * 2
    detector = slow_detector(EpisodePolicy(close_after_s=10.0))
    fresh = ModelScorer(detector, fresh=True).clean(twice, [[], []])
    carried = ModelScorer(detector).clean(twice, [[], []])
    np.testing.assert_array_equal(fresh[0].score, carried[0].score)
    np.testing.assert_array_equal(fresh[1].score, fresh[0].score)
    assert not np.array_equal(carried[1].score, fresh[1].score)


def test_a_machine_that_comes_back_but_not_fully_is_followed_and_one_that_does_not_come_back_is_not(new_s):
    """An episode that opens while the vehicle is new holds nothing, whatever the policy: nothing to see there."""
    if new_s:
        return
    open_for = {}
    for rest in (12.0, 30.0):
        values = make_trip(0)
        values[200:320, 0] += 30.0
        values[320:, 0] += rest
        for follow_back in (0.0, 4.0):
            policy = EpisodePolicy(close_after_s=10.0, hold_off_s=20.0, follow_back=follow_back)
            track = ModelScorer(slow_detector(policy)).clean([values], [[]])[0]
            open_for[rest, follow_back] = float(np.mean(track.score[320:] >= 1.0))
    assert open_for[12.0, 4.0] < 0.5 * open_for[12.0, 0.0]
    assert open_for[30.0, 4.0] == open_for[30.0, 0.0] > 0.9
