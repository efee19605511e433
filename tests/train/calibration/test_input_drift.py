"""What a season takes off the signals, held against a tick-by-tick loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover_export.charts.base import decay
from tickover_export.spec import InputDrift
from tickover_train.calibration.input_drift import drift_taken, usual_ranges


def slowly(trips, drift, period_s):
    kept, mean, rows = decay(drift.span_s, period_s), np.zeros(len(drift.low)), []
    for row in np.concatenate(trips):
        rows.append(mean.copy())
        for place, value in enumerate(row):
            if np.isfinite(value):
                outside = value - min(max(value, drift.low[place]), drift.high[place])
                mean[place] = kept * mean[place] + (1 - kept) * outside
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), missing=st.sampled_from([0.0, 0.3, 1.0]), span=st.sampled_from([1.0, 10.0, 500.0]))
def test_the_mean_is_carried_through_trips_and_held_where_a_signal_is_missing(seed, missing, span):
    random = np.random.default_rng(seed)
    trips = [random.normal(0.0, 3.0, (ticks, 2)).astype(np.float32) for ticks in (1, 40, 7)]
    for trip in trips:
        trip[random.random(trip.shape) < missing] = np.nan
    drift = InputDrift(low=(-1.0, 0.5), high=(1.0, 0.5), span_s=span)
    moved = drift_taken(trips, drift, 0.5)
    assert [len(part) for part in moved] == [1, 40, 7]
    np.testing.assert_allclose(np.concatenate(moved), slowly(trips, drift, 0.5), atol=1e-5)


def test_without_a_correction_nothing_is_taken():
    assert not drift_taken([np.ones((5, 2), np.float32)], None, 1.0)[0].any()


def test_the_usual_range_leaves_out_a_hundredth_on_either_side():
    trips = [np.stack([np.arange(1001) / 1000, np.full(1001, np.nan)], axis=1).astype(np.float32)]
    drift = usual_ranges(trips, 60.0)
    np.testing.assert_allclose((drift.low[0], drift.high[0]), (0.01, 0.99), atol=1e-6)
    assert (drift.low[1], drift.high[1], drift.span_s) == (-1.0, 1.0, 60.0)
