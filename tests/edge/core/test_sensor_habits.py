"""What training finds of sensors: limits longer than anything in the trips, and one bad trip decides nothing."""

import numpy as np
import pytest

from tickover.core.manifest import Signal
from tickover.core.sensor_habits import with_habits
from tickover.core.values import SECOND, TickBlock

SIGNALS = tuple(Signal(name=name, low=-1000, high=1000) for name in ("fast", "slow", "lamp", "part"))


def trip(number, seconds=900, out=0, gone=0, still=0):
    """A fast signal, one that moves each 100 s, a lamp that is off, one that is sent each 5 s."""
    random = np.random.default_rng(number)
    k = np.arange(seconds)
    values = np.column_stack([random.normal(size=seconds), k // 100, np.zeros(seconds), random.normal(size=seconds)])
    values[k % 5 > 0, 3] = np.nan
    outside = np.full(values.shape, np.nan)
    outside[100 : 100 + out, 0] = 2000.0
    values[100 : 100 + out, 0] = np.nan
    values[300 : 300 + gone, 0] = np.nan
    values[500 : 500 + still, 0] = values[500, 0]
    time = (number * 10_000 + k) * SECOND
    values, outside = values.astype(np.float32), outside.astype(np.float32)
    return TickBlock("t", time, np.full(seconds, number), values, outside if out else None)


def measured(trips):
    return with_habits(SIGNALS, SECOND, trips)


def test_limits_are_longer_than_what_the_trips_hold_and_a_constant_is_found():
    fast, slow, lamp, part = measured([trip(number) for number in range(6)])
    assert (fast.frozen_s, fast.outside_s, fast.stale_s, fast.constant) == (120.0, None, None, None)
    assert 180 <= slow.frozen_s <= 220
    assert (lamp.constant, lamp.frozen_s) == (0.0, None)
    assert part.stale_s is None  # 5 s is less than the policy's own limit


def test_what_is_usual_in_several_trips_is_no_fault():
    fast = measured([trip(number, out=40, gone=60, still=200) for number in range(6)])[0]
    assert fast.outside_s == pytest.approx(80, abs=10)
    assert fast.stale_s == pytest.approx(120, abs=20)
    assert fast.frozen_s == pytest.approx(400, abs=20)


def test_one_bad_trip_decides_nothing():
    trips = [trip(number) for number in range(6)]
    bad = trip(6, out=100, gone=150, still=300)
    assert measured([*trips, bad]) == measured([*trips, trip(6)])


def test_a_lamp_that_was_on_once_is_no_constant():
    trips = [trip(number) for number in range(6)]
    trips[3].values[50, 2] = 1.0
    assert measured(trips)[2].constant is None
    assert measured([]) == SIGNALS


def test_what_stands_in_one_or_two_trips_is_no_constant_unless_it_is_off():
    def standing(number):
        one = trip(number)
        one.values[:, 1] = 21.0  # the outside temperature of that day
        return one

    for count, found in ((1, None), (2, None), (3, 21.0)):
        _, ambient, lamp, _ = measured([standing(number) for number in range(count)])
        assert (ambient.constant, lamp.constant) == (found, 0.0)
