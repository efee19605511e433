"""What a season takes off the signals, held against a tick-by-tick loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover_export.spec import Climate, decay
from tickover_train.calibration.input_drift import climate_of, moved_by


def slowly(trips, climate, period_s):
    kept, mean, rows = decay(climate.span_s, period_s), np.zeros(len(climate.low)), []
    for row in np.concatenate(trips):
        rows.append(mean.copy())
        for place, value in enumerate(row):
            if np.isfinite(value):
                outside = value - min(max(value, climate.low[place]), climate.high[place])
                mean[place] = kept * mean[place] + (1 - kept) * outside
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), missing=st.sampled_from([0.0, 0.3, 1.0]), span=st.sampled_from([1.0, 10.0, 500.0]))
def test_the_mean_is_carried_through_trips_and_held_where_a_signal_is_missing(seed, missing, span):
    random = np.random.default_rng(seed)
    trips = [random.normal(0.0, 3.0, (ticks, 2)).astype(np.float32) for ticks in (1, 40, 7)]
    for trip in trips:
        trip[random.random(trip.shape) < missing] = np.nan
    climate = Climate(low=(-1.0, 0.5), high=(1.0, 0.5), span_s=span)
    moved = moved_by(trips, climate, 0.5)
    assert [len(part) for part in moved] == [1, 40, 7]
    np.testing.assert_allclose(np.concatenate(moved), slowly(trips, climate, 0.5), atol=1e-5)


def test_without_a_climate_nothing_is_moved():
    assert not moved_by([np.ones((5, 2), np.float32)], None, 1.0)[0].any()


def test_the_usual_range_leaves_out_a_hundredth_on_either_side():
    trips = [np.stack([np.arange(1001) / 1000, np.full(1001, np.nan)], axis=1).astype(np.float32)]
    climate = climate_of(trips, 60.0)
    np.testing.assert_allclose((climate.low[0], climate.high[0]), (0.01, 0.99), atol=1e-6)
    assert (climate.low[1], climate.high[1], climate.span_s) == (-1.0, 1.0, 60.0)
