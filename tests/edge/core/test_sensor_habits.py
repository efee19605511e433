"""What training finds of sensors: limits longer than anything in the trips, and one bad trip decides nothing."""

import numpy as np
import pytest

from tickover.core.manifest import Signal
from tickover.core.sensor_habits import FAR_SOON_S, SOON_S, UNSEEN_SOON_S, with_habits
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


def coolant(number, seconds=1800, hottest=94):
    """An engine that warms up by a degree each 15 s, is hottest for a moment and stands at its thermostat's temperature
    for 400 s; beside it the outside temperature, which stands for as long anywhere."""
    random, k = np.random.default_rng(number), np.arange(seconds)
    warm = np.where(k > 1200, 90 - (k // 400) % 3, np.minimum(20 + k // 15, 86))
    warm[1190:1200] = hottest
    fast, part = random.normal(size=(2, seconds))
    values = np.column_stack([fast, warm, 5 + number % 3 + k // 400, part])
    time = (number * 10_000 + k) * SECOND
    return TickBlock("t", time, np.full(seconds, number), values.astype(np.float32), None)


def limit_at(signal, value):
    steps = [step for step in signal.frozen_at or () if step.above <= value] or list(signal.frozen_at or ())[:1]
    return steps[-1].frozen_s if steps else signal.frozen_s


def test_a_level_at_which_a_signal_always_moves_on_has_a_limit_of_its_own():
    _, engine, ambient, _ = measured([coolant(number) for number in range(8)])
    assert engine.frozen_s > 600
    for value in (-40, 20, 40, 60, 104, 130):
        assert limit_at(engine, value) == SOON_S, value
    assert limit_at(engine, 89) == engine.frozen_s
    assert not ambient.frozen_at, "what stands anywhere may stand at values that no trip had"


def warmed_up(number, fastest=1):
    """As `coolant`, but without a jump: an engine that is at its hottest for 15 s of a long climb, and cools."""
    one, k = coolant(number), np.arange(1800)
    path = np.interp(k, [0, 990, 1090, 1105, 1200], [20, 86, 94, 94, 88])
    one.values[:, 1] = np.where(k > 1200, one.values[:, 1], np.floor(path / fastest) * fastest)
    return one


def test_far_above_all_that_training_saw_a_slow_signal_is_frozen_soon():
    engine = measured([warmed_up(number) for number in range(8)])[1]
    assert [limit_at(engine, value) for value in (100, 104, 130)] == [SOON_S, FAR_SOON_S, FAR_SOON_S]
    assert limit_at(engine, -40) == SOON_S, "on a cold day it may stand for longer than on any that was seen"
    assert limit_at(engine, 89) == engine.frozen_s


def test_a_signal_that_changes_quickly_may_be_anywhere_at_once():
    """A pedal that no driver had to press to the floor; a coolant that is read in steps."""
    engine = measured([warmed_up(number, fastest=8) for number in range(8)])[1]
    assert limit_at(engine, 130) > FAR_SOON_S


def test_a_signal_that_always_comes_with_the_ignition_is_missed_soon():
    def trips(late, count=6):
        found = [trip(number) for number in range(count)]
        for one in found[:late]:
            one.values[:30, 1] = np.nan
        return found

    assert [one.unseen_s for one in measured(trips(late=1))] == [UNSEEN_SOON_S] * 4, "one trip decides nothing"
    fast, slow, *_ = measured(trips(late=2))
    assert fast.unseen_s == UNSEEN_SOON_S
    assert not slow.unseen_s, "it came late twice: the policy's own limit"
    assert not measured(trips(late=0, count=4))[0].unseen_s, "four trips say little"


def test_a_level_that_few_trips_came_by_says_nothing():
    hot = [coolant(number, hottest=90 if number else 120) for number in range(8)]
    _, engine, _, _ = measured(hot)
    assert limit_at(engine, 105) == limit_at(engine, 89) == engine.frozen_s


def on_change(number, seconds, at=0, every=0):
    """As `trip`, but the lamp is sent once, ``at`` a second of the trip (-1: never), and again each ``every`` s."""
    one = trip(number, seconds)
    sent = one.values[:, 2].copy()
    one.values[:, 2] = np.nan
    if at >= 0:
        one.values[[at, *(range(at + every, seconds, every) if every else ())], 2] = sent[0]
    return one


@pytest.mark.parametrize("every", [60, 300])
def test_a_signal_that_is_sent_seldom_may_be_silent_for_longer(every):
    lamp = measured([on_change(number, 1800, every=every) for number in range(6)])[2]
    assert 2 * every - 20 <= lamp.stale_s <= 2 * every + 10


def test_a_silence_that_the_trips_end_cut_short_says_only_that_it_may_last():
    driving, starting = (measured([on_change(number, 1800, at) for number in range(6)])[2] for at in (60, 0))
    assert driving.stale_s > 3 * 1700
    assert starting.unseen_s > 3 * 1700, "nobody saw the vehicle move since"
    plain = measured([trip(number, gone=0) for number in range(6)])[2]
    assert plain.stale_s is None


def test_a_signal_that_some_trips_never_had_may_come_late():
    trips = [on_change(number, 1800, at=-1 if number % 2 else 0, every=60) for number in range(12)]
    lamp = measured(trips)[2]
    assert lamp.stale_s < 150
    assert lamp.unseen_s > 3 * 1700
    never = measured([on_change(number, 1800, at=-1) for number in range(6)])[2]
    assert not never.unseen_s, "of a signal that no trip has nothing is known"
