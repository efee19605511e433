"""A chart that a trip begins with over its limit counts for nothing, until it shows something new."""

from itertools import pairwise

import numpy as np
import pytest

from tickover.core.values import Scores
from tickover.model.detector import Detector
from tickover_train.evaluation.own_evidence import OwnEvidence

T = 400


@pytest.fixture(scope="module")
def manifest(model_file):
    return Detector.load(model_file).manifest


def scores_of(manifest, column):
    chart = np.full((len(column), len(manifest.charts)), 0.3, np.float32)
    chart[:, 0] = column
    return Scores(chart.max(axis=1), chart, np.zeros((len(column), len(manifest.names)), np.float32))


def own(manifest, column, *, cut=None, after_another=True):
    values, scores = np.zeros((len(column), len(manifest.names)), np.float32), scores_of(manifest, column)
    said, left = [], None
    for first, last in pairwise([0, *([cut] if cut else []), len(column)]):
        evidence = OwnEvidence(manifest)
        if left is not None:
            evidence.restore(left)
        part = Scores(*(getattr(scores, name)[first:last] for name in ("score", "chart", "expected")))
        said.append(evidence.score(values[first:last], part, first, after_another=after_another and first == 0))
        left = evidence.state()
    return np.concatenate(said)


def test_what_the_trip_before_left_counts_for_nothing_and_what_is_new_counts(manifest):
    column = np.full(T, 0.5, np.float32)
    column[: manifest.warm_up_ticks + 2] = 1.8
    column[300:] = 1.5
    said = own(manifest, column)
    assert said[:300].max() < 1.0
    assert (said[300:] == np.float32(1.5)).all()
    np.testing.assert_array_equal(said, own(manifest, column, cut=manifest.warm_up_ticks + 1))


def test_a_chart_that_clearly_rises_counts_at_once(manifest):
    column, rise = np.full(T, 1.8, np.float32), manifest.warm_up_ticks + 2
    column[rise:] = 2.1
    said = own(manifest, column)
    assert said[:rise].max() < 1.0
    assert said[rise] == np.float32(2.1)


def test_a_chart_that_has_had_the_time_to_clear_counts(manifest):
    clears = manifest.warm_up_ticks + round(manifest.charts[0].clears_s / manifest.tick_period_s)
    said = own(manifest, np.full(clears + 10, 1.8, np.float32))
    assert said[: clears - 1].max() < 1.0
    assert (said[clears + 1 :] == np.float32(1.8)).all()


def test_the_vehicles_first_trip_has_nothing_before_it(manifest):
    column = np.full(T, 1.8, np.float32)
    assert (own(manifest, column, after_another=False) == np.float32(1.8)).all()


def test_a_score_that_sensors_have_raised_stays(manifest):
    column = np.full(50, 1.8, np.float32)
    scores = scores_of(manifest, column)
    raised = Scores(np.full(50, 3.0, np.float32), scores.chart, scores.expected)
    said = OwnEvidence(manifest).score(np.zeros((50, len(manifest.names)), np.float32), raised, 0, after_another=True)
    assert (said == 3.0).all()
