"""Recording freezes: a bus that stands at values at which it moves is one, an engine that is off is none."""

import numpy as np
import pytest

from tickover_train.cleaning.freezes import find_freezes, still_runs
from tickover_train.cleaning.spread import robust_spread

OFF = 40


def trip(seed: int, ticks: int = 1200, stops: tuple[int, ...] = (300, 800)) -> np.ndarray:
    """Float32 ``[ticks, 3]``: speed and revolutions, with stops at which the engine is off, and a coolant."""
    rng = np.random.default_rng(seed)
    speed = np.abs(40 + np.cumsum(rng.normal(0, 1.5, ticks))).round()
    rpm = (900 + 35 * speed + rng.normal(0, 20, ticks)).round()
    coolant = np.full(ticks, 90.0)
    for first in stops:
        speed[first : first + OFF] = rpm[first : first + OFF] = 0.0
    return np.stack((speed, rpm, coolant), axis=1).astype(np.float32)


def found(trips):
    return [(one.trip, one.tick, one.ticks) for one in find_freezes(trips, robust_spread(trips), 1.0)]


@pytest.mark.parametrize("lasts", [30, 60, 400])
@pytest.mark.parametrize("number", [3, 12])
def test_a_freeze_is_found_and_an_engine_that_is_off_is_not(number, lasts):
    trips = [trip(seed) for seed in range(number)]
    assert found(trips) == []
    trips[1][500 : 501 + lasts] = trips[1][500]
    assert found(trips) == [(1, 501, lasts)]


def test_a_logger_that_dies_is_found_at_the_trips_end():
    trips = [trip(seed) for seed in range(5)]
    trips[2][-100:] = trips[2][-101]
    assert found(trips) == [(2, 1100, 100)]


def test_a_freeze_with_missing_values_is_one():
    trips = [trip(seed) for seed in range(5)]
    trips[0][500:600] = trips[0][499]
    trips[0][450:700, 2] = np.nan
    assert found(trips) == [(0, 500, 100)]


def test_two_trips_that_freeze_do_not_excuse_each_other():
    trips = [trip(seed) for seed in range(6)]
    for place in (1, 4):
        trips[place][500:700] = np.array([50.0, 2650.0, 90.0], np.float32)
    assert [where[0] for where in found(trips)] == [1, 4]


def test_silence_is_no_freeze():
    trips = [trip(seed) for seed in range(5)]
    trips[0][500:700] = np.nan
    assert found(trips) == []
    assert all(last - first < 3 for first, last in still_runs(trips[0][450:750]))


def test_a_lone_trip_and_slow_signals_are_left_alone():
    assert found([trip(0)]) == []
    slow = np.repeat(np.random.default_rng(0).normal(0, 1, (30, 2)), 60, axis=0).astype(np.float32)
    assert found([slow, slow + 1, slow + 2]) == []
