"""Cleaning: freezes are cut out, jumps are missing, and both are told with log and time."""

from dataclasses import replace

import numpy as np
import pytest

from tickover.core.manifest import Signal
from tickover.core.sensor_habits import with_habits
from tickover.errors import LogError
from tickover_train.cleaning.clean import clean, find_defects, natural_ticks, words
from tickover_train.trips import Trip
from train.cleaning.test_freezes import trip
from train.cleaning.test_slow_reads import read_slowly
from train.cleaning.test_slow_reads import trip as fast_trip

NAMES = ("speed", "rpm", "coolant")
START = 1_750_000_000_000_000


def some_trips():
    trips = [Trip(f"log{seed}", trip(seed, stops=()), START) for seed in range(6)]
    trips[1].values[500:700] = trips[1].values[499]
    trips[3].values[400:410, 2] += 60.0
    return trips


def test_what_is_left_has_neither_freeze_nor_jump():
    trips = some_trips()
    cleaned = clean(trips, NAMES, 1.0)
    assert [one.source for one in cleaned.trips] == [
        "log0",
        "log1 from 0 s",
        "log1 from 700 s",
        "log2",
        "log3",
        "log4",
        "log5",
    ]
    assert [len(one.values) for one in cleaned.trips] == [1200, 500, 500, 1200, 1200, 1200, 1200]
    assert cleaned.trips[2].start == START + 700_000_000
    np.testing.assert_array_equal(cleaned.trips[1].values, trips[1].values[:500])
    assert np.isnan(cleaned.trips[4].values[400:410, 2]).all()
    assert np.isfinite(np.delete(cleaned.trips[4].values, slice(400, 410), 0)).all()
    assert np.isfinite(trips[3].values).all(), "the trips that were given stay as they are"
    assert clean(cleaned.trips, NAMES, 1.0).findings == []


def test_the_user_reads_log_time_and_what():
    lines = words(clean(some_trips(), NAMES, 1.0).findings)
    assert lines == [
        "log1: 500 s from its start (2025-06-15T15:15:00Z): no signal moves for 200 s",
        "log3: 400 s from its start (2025-06-15T15:13:20Z): coolant jumps and comes back after 10 s",
    ]


def test_an_alarm_is_right_at_a_defect_and_a_minute_after():
    trips = some_trips()
    natural = natural_ticks(find_defects(trips, 1.0), [len(one.values) for one in trips], 1.0)
    assert [int(one.sum()) for one in natural] == [0, 260, 0, 70, 0, 0]
    assert natural[1][500:760].all()


def test_a_pedal_jumps_all_the_time_and_is_left_alone():
    trips = some_trips()
    for one in trips:
        for first in range(100, 1100, 200):
            one.values[first : first + 5, 2] += 60.0
    assert [finding.signal for finding in clean(trips, NAMES, 1.0).findings] == [""]


def test_what_was_out_of_range_stays_with_its_ticks():
    trips = some_trips()
    outside = np.full((1200, 3), np.nan, np.float32)
    outside[800, 1] = 9999.0
    trips[1] = replace(trips[1], outside=outside)
    cleaned = clean(trips, NAMES, 1.0).trips
    assert cleaned[1].outside.shape == cleaned[1].values.shape
    assert cleaned[2].outside[100, 1] == 9999.0
    assert cleaned[2].block(1_000_000).time[100] == START + 800_000_000


def test_short_rests_are_dropped_and_nothing_at_all_is_an_error():
    trips = some_trips()
    trips[1].values[500:1150] = trips[1].values[499]
    assert [one.source for one in clean(trips, NAMES, 1.0).trips][:3] == ["log0", "log1 from 0 s", "log2"]


def test_trips_of_which_nothing_is_left_are_an_error(monkeypatch):
    monkeypatch.setattr("tickover_train.cleaning.clean.SHORTEST_TRIP", 5000)
    with pytest.raises(LogError, match="between recording freezes, got none"):
        clean(frozen_trips(), NAMES, 1.0)


def frozen_trips():
    """Each stands for a while at values at which the others move."""
    trips = [Trip(f"log{seed}", trip(seed, stops=()), START) for seed in range(6)]
    for place, one in enumerate(trips):
        one.values[100 + 150 * place : 200 + 150 * place] = trips[0].values[50]
    return trips


def test_five_jumps_an_hour_are_still_a_loose_contact():
    trips = some_trips()
    for one in trips:
        for first in (300, 900):
            one.values[first : first + 5, 2] += 60.0
    jumps = [finding for finding in clean(trips, NAMES, 1.0).findings if finding.signal == "coolant"]
    assert len(jumps) == 13


def test_what_is_left_out_is_no_sensor_that_falls_silent():
    """Else a sensor that is unplugged is told as late as the longest jump of the training."""
    trips = some_trips()
    for number in (2, 3, 4):
        trips[number].values[300:400, 2] += 60.0
    cleaned = clean(trips, NAMES, 1.0).trips
    assert sum(np.isnan(one.values[300:400, 2]).all() for one in cleaned if len(one.values) > 400) >= 2
    signals = tuple(Signal(name=name, low=-1e6, high=1e6, hold_s=2.0) for name in NAMES)
    habits = with_habits(signals, 1_000_000, [one.block_as_read(1_000_000) for one in cleaned])
    assert [signal.stale_s for signal in habits] == [None, None, None]
    blind = with_habits(signals, 1_000_000, [one.block(1_000_000) for one in cleaned])
    assert blind[2].stale_s > 100


def test_slow_reads_are_told_with_log_and_time_and_stay_in_what_is_learnt():
    trips = [Trip(f"log{seed}", fast_trip(seed), START) for seed in range(6)]
    read_slowly(trips[1].values, 300, 600)
    cleaned = clean(trips, [f"signal{number}" for number in range(6)], 1.0)
    (line,) = (one.words for one in cleaned.findings if one.slow)
    assert line.startswith("log1: ")
    assert "signals are read only every several seconds for" in line
    left = [len(one.values) for one in cleaned.trips if one.source.startswith("log1")]
    # At 801 s the engine is off, which is a freeze to signals that are off nowhere else.
    np.testing.assert_allclose(left, [800, 300], atol=10)


def test_of_a_freeze_within_a_slow_read_the_freeze_is_cut():
    trips = [Trip(f"log{seed}", fast_trip(seed), START) for seed in range(6)]
    read_slowly(trips[1].values, 400, 700)
    trips[1].values[500:560] = trips[1].values[499]
    cleaned = clean(trips, [f"signal{number}" for number in range(6)], 1.0)
    told = " ".join(words(cleaned.findings))
    assert "no signal moves for" in told
    assert "signals are read only every several seconds for" in told
    left = [len(one.values) for one in cleaned.trips if one.source.startswith("log1")]
    np.testing.assert_allclose(left, [500, 240, 300], atol=10)
