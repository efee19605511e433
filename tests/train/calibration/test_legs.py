"""Trips cut into legs."""

import numpy as np

from tickover_train.calibration.legs import cut_legs


def test_legs_are_three_to_eight_minutes_and_repeat():
    trips = [np.arange(5000, dtype=np.float32)[:, None], np.zeros((100, 1), np.float32)]
    legs, none = cut_legs(trips, 1.0, seed=2)
    assert none == []
    assert all(180 <= len(leg) <= 480 for leg in legs)
    joined = np.concatenate(legs)[:, 0]
    np.testing.assert_array_equal(joined, np.arange(len(joined)))
    assert len(joined) > 5000 - 180
    assert [len(leg) for leg in legs] == [len(leg) for leg in cut_legs(trips, 1.0, seed=2)[0]]


def test_ticks_that_are_minutes_apart_have_no_legs():
    for period_s in (150.0, 360.0, 3600.0):
        assert cut_legs([np.zeros((50, 1), np.float32)], period_s, seed=0) == [[]]
