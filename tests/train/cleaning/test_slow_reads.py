"""Slow reads: signals held in turn that then jump are the recorder's; steady driving and slow sensors are not."""

import numpy as np
import pytest

from tickover_train.cleaning.slow_reads import find_slow_reads
from tickover_train.cleaning.spread import robust_spread

CYCLE = 10


def trip(seed: int, ticks: int = 1200) -> np.ndarray:
    """Float32 ``[ticks, 6]``: speed, revolutions, pressure, air flow and two pedals; the engine is off for a while."""
    rng = np.random.default_rng(seed)
    pedal = np.clip(np.cumsum(rng.normal(0, 4, ticks)) % 80, 0, 60).round(1)
    speed = np.abs(50 + np.cumsum(rng.normal(0, 1.5, ticks))).round()
    rpm = (900 + 35 * speed + rng.normal(0, 20, ticks)).round()
    values = np.stack((speed, rpm, 100 + pedal.round(), 5 + 0.3 * pedal, pedal, pedal + 0.4), axis=1)
    values[800:900] = (0, 0, 99, 0, 14, 14.4)
    return values.astype(np.float32)


def read_slowly(values: np.ndarray, first: int, last: int, signals: range = range(6)) -> None:
    """Each of the signals is read every ``CYCLE`` ticks, one after the other."""
    for signal in signals:
        for tick in range(first, last):
            if (tick - first) % CYCLE != (signal * CYCLE // 6) % CYCLE:
                values[tick, signal] = values[tick - 1, signal]


def found(trips):
    return [(one.trip, one.tick, one.tick + one.ticks) for one in find_slow_reads(trips, robust_spread(trips), 1.0)]


@pytest.mark.parametrize(("number", "lasts"), [(1, 60), (3, 60), (3, 300), (12, 300)])
def test_a_slow_recorder_is_found_where_it_was_slow(number, lasts):
    trips = [trip(seed) for seed in range(number)]
    assert found(trips) == []
    read_slowly(trips[0], 400, 400 + lasts)
    ((where, first, last),) = found(trips)
    assert where == 0
    assert abs(first - 400) <= CYCLE
    assert abs(last - 400 - lasts) <= CYCLE


def test_a_recorder_that_dies_slowly_is_found_at_the_trips_end():
    trips = [trip(seed) for seed in range(5)]
    read_slowly(trips[2], 1100, 1200)
    ((where, first, last),) = found(trips)
    assert (where, abs(first - 1100) <= CYCLE, last >= 1180) == (2, True, True)


def test_breaks_between_slow_reads_are_part_of_them():
    trips = [trip(seed) for seed in range(5)]
    read_slowly(trips[0], 400, 480)
    read_slowly(trips[0], 520, 600)
    assert len(found(trips)) == 1


def test_two_trips_with_a_slow_recorder_do_not_excuse_each_other():
    trips = [trip(seed) for seed in range(6)]
    for place in (1, 4):
        read_slowly(trips[place], 300, 700)
    assert [where for where, _, _ in found(trips)] == [1, 4]


@pytest.mark.parametrize("signals", [range(1), range(3)])
def test_a_few_signals_that_are_held_are_a_matter_of_those_signals(signals):
    trips = [trip(seed) for seed in range(5)]
    read_slowly(trips[0], 300, 700, signals)
    assert found(trips) == []


def test_what_is_always_read_slowly_is_usual():
    trips = [trip(seed) for seed in range(5)]
    for values in trips:
        read_slowly(values, 1, len(values))
    assert found(trips) == []


def test_steady_driving_is_none():
    trips = [trip(seed) for seed in range(5)]
    trips[0][325:] += trips[0][300] - trips[0][325]
    trips[0][300:325] = trips[0][300]
    assert found(trips) == []


@pytest.mark.parametrize("missing", [np.s_[300:700], np.s_[:, 0], np.s_[::2, 3]])
def test_missing_values_are_held_by_no_one(missing):
    trips = [trip(seed) for seed in range(5)]
    trips[0][missing] = np.nan
    assert found(trips) == []


@pytest.mark.parametrize("values", [np.full((300, 6), np.nan), np.full((300, 6), 1e38), np.zeros((1, 6))])
def test_trips_that_say_nothing_have_none(values):
    assert found([values.astype(np.float32), trip(1)]) == []


def test_too_few_signals_cannot_tell():
    trips = [trip(seed)[:, :3].copy() for seed in range(3)]
    read_slowly(trips[0], 300, 700, range(3))
    assert found(trips) == []
