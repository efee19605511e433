"""The judge's figures against slow, obvious ones and against worked examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover_train.evaluation.metrics import (
    detected_at,
    false_time,
    nab,
    onsets,
    points,
)

BOOLS = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda flags: np.array(flags, dtype=bool))


def test_close_onsets_are_one():
    over = np.zeros(300, dtype=bool)
    over[[10, 40, 69, 200, 201, 265]] = True
    assert onsets(over, 60).tolist() == [10, 200, 265]
    assert onsets(over, 1).tolist() == [10, 40, 69, 200, 265]


@given(BOOLS, st.integers(1, 20))
def test_onsets_are_rising_edges_and_far_from_the_edge_before(over, merge):
    edges = [t for t in range(len(over)) if over[t] and (t == 0 or not over[t - 1])]
    expected = [t for n, t in enumerate(edges) if n == 0 or t - edges[n - 1] >= merge]
    assert onsets(over, merge).tolist() == expected


def test_an_alarm_that_is_on_already_catches_nothing():
    over = np.ones(100, dtype=bool)
    assert detected_at(over, 50, 99, 10) is None
    over[:60] = False
    assert detected_at(over, 50, 99, 10) == 60
    assert detected_at(over, 61, 99, 10) is None


def test_points_of_a_worked_example():
    truth = [np.array([0, 0, 1, 1], dtype=bool), np.array([1, 0], dtype=bool)]
    alarm = [np.array([0, 1, 1, 0], dtype=bool), np.array([1, 0], dtype=bool)]
    result = points(truth, alarm)
    assert (result.f1, result.far, result.mar) == pytest.approx((2 / 3, 1 / 3, 1 / 3))


def test_nab_of_perfect_null_and_late_detectors():
    changes = [np.array([100, 300])]
    assert nab(changes, [np.array([100, 300])], 30) == pytest.approx(100.0)
    assert nab(changes, [np.array([], dtype=int)], 30) == 0.0
    late = nab(changes, [np.array([115, 315])], 30)
    assert late == pytest.approx(100 * ((1 - 0.11) / 2 + 1) / 2)
    assert nab(changes, [np.array([100, 300, 500])], 30) == pytest.approx(100 - 100 * 0.11 / 4)


def test_the_time_of_an_alarm_is_false_by_where_it_begins():
    over = np.array([1, 1, 0, 0, 1, 1, 1, 0, 1, 1], bool)
    natural = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0, 1], bool)
    assert false_time(over, natural).tolist() == [True, True] + [False] * 6 + [True, True]
    assert not false_time(np.zeros(3, bool), np.zeros(3, bool)).any()
