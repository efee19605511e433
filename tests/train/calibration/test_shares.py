"""Each chart's share: peaks sorted once give the limits of peaks sorted anew without each trip."""

import numpy as np
import pytest

from tickover_train.calibration.scored import ScoredTrip
from tickover_train.calibration.shares import REACH, ShareLimits, known_of
from tickover_train.calibration.tails import fit_tail

BOUNDS = np.array([40.0, 6.0, 40.0], np.float32)
FLOOR = 0.1


def slowly(trips, shares) -> np.ndarray:
    """As the definition says."""
    peaks = np.concatenate([trip.peaks for trip in trips])
    hours = sum(trip.ticks + trip.leg_ticks for trip in trips) / 3600.0
    levels = []
    for column, share, bound in zip(peaks.T, shares, BOUNDS, strict=True):
        tail, ordered = fit_tail(column, hours), np.sort(column)[::-1]
        own, equal = (
            ordered[min(int(rate * hours), len(column) - 1)] if rate >= tail.rate else tail.level(rate)
            for rate in (share, max(shares))
        )
        levels.append(own if share == max(shares) else min(own, max(equal, REACH * float(bound))))
    limits = np.maximum(levels, FLOOR).astype(np.float32)
    return np.where(limits >= BOUNDS, np.float32(np.inf), limits)


@pytest.mark.parametrize("rate", [0.001, 0.1, 3.0, 50.0])
@pytest.mark.parametrize("number", [2, 3, 9])
def test_limits_without_each_trip_are_those_of_the_others(number: int, rate: float):
    random = np.random.default_rng(number)
    made = []
    for place in range(number):
        # Rounded, so that peaks of different trips are equal.
        charts = np.abs(random.standard_t(4, (int(random.integers(200, 9000)), 3))).round(1).astype(np.float32)
        made.append(ScoredTrip(str(place), charts, tuple(np.array_split(charts, 1 + place))))
    trips, shares = known_of(made, 1.0), rate * np.array([0.2, 0.5, 0.3])
    found = ShareLimits(trips, 1.0, shares, BOUNDS, FLOOR)
    np.testing.assert_array_equal(found.of_all(), slowly(trips, shares))
    expected = [slowly([*trips[:place], *trips[place + 1 :]], shares) for place in range(number)]
    np.testing.assert_array_equal(found.without_each(), expected)
